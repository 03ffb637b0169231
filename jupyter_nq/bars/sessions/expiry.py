"""What the code of a futures contract says: `NQH25`, `NQH5`, `NQH2025` or `NQ 03-25` is NQ of March 2025."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from jupyter_nq.bars.instruments import INSTRUMENTS

_MONTHS = "FGHJKMNQUVXZ"
_CODE = re.compile(rf"(?<![A-Z0-9])@?([A-Z0-9]{{1,8}}?)([{_MONTHS}])(\d{{4}}|\d{{1,2}})(?![A-Z0-9])", re.I)
_NUMBERS = re.compile(r"(?<![A-Z0-9])([A-Z0-9]{1,8})[ _](\d\d)-(\d\d)(?![-\d])", re.I)  # as NinjaTrader writes them
_CENTURY = 2000
_HOURS = "ETH"
"""Electronic hours behind another word, the symbol of ether at the begin."""


@dataclass(frozen=True)
class Expiry:
    """The contract that a code means."""

    symbol: str
    """Root symbol of a known instrument."""
    year: int
    """With its century; 0 to 9 when the code has the last digit alone."""
    month: int
    """1 to 12."""

    @property
    def code(self) -> str:
        """Return it as it is usually written, `NQH25`; of a year that is a digit, with that digit."""
        return f"{self.symbol}{_MONTHS[self.month - 1]}{f'{self.year % 100:02d}' if self.year > 9 else self.year}"

    def dated(self, last_year: int) -> Expiry:
        """Return it with its whole year: a digit means the first such year in which its last bar, or later, lies."""
        if self.year > 9:
            return self
        return replace(self, year=last_year + (self.year - last_year) % 10)


def expiry_of(text: str) -> Expiry | None:
    """Return the only contract whose code stands in a text, such as the name of a file; None of none or several.

    >>> expiry_of("NQ 03-25.Last.txt").code, expiry_of("@NQH2025_30min.csv").code, expiry_of("NQ_30min.csv")
    ('NQH25', 'NQH25', None)
    >>> expiry_of("ESZ4").dated(2023)
    Expiry(symbol='ES', year=2024, month=12)
    """
    found = expiries_of(text)
    return found[0] if len(found) == 1 else None


def expiries_of(text: str) -> tuple[Expiry, ...]:
    """Return the different contracts whose codes stand in a text.

    Month and year in numbers count where there is no code, and are none as the begin of a date.

    >>> [each.code for each in expiries_of("NQZ2024_NQH2025_30min.csv")], expiries_of("NQ_01-02-2024_30min.csv")
    (['NQZ24', 'NQH25'], ())
    """
    return tuple(dict.fromkeys(_coded(text) or _numbered(text)))


def _coded(text: str) -> list[Expiry]:
    found = []
    for match in _CODE.finditer(text):
        root, year = match[1].upper(), int(match[3])
        if root in INSTRUMENTS:
            whole = year + _CENTURY if len(match[3]) == 2 else year
            found.append(Expiry(root, whole, _MONTHS.index(match[2].upper()) + 1))
    return found


def _numbered(text: str) -> list[Expiry]:
    found = []
    for match in _NUMBERS.finditer(text):
        root, month = match[1].upper(), int(match[2])
        if root == _HOURS and match.start():
            continue  # `NQ ETH 03-25` is no ether
        if root in INSTRUMENTS and 1 <= month <= len(_MONTHS):
            found.append(Expiry(root, _CENTURY + int(match[3]), month))
    return found
