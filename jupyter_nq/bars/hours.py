"""Regular hours of an instrument: from when to when, by which clock, on every trade date."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jupyter_nq.bars.zones import find_zone
from jupyter_nq.errors import ConfigError

_TEXT = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d) (\S+)")
_DAY = 24 * 60


@dataclass(frozen=True)
class RegularHours:
    """The hours of a day in which most is traded."""

    first: int
    """Minutes after midnight, inclusive."""
    stop: int
    """Minutes after midnight, exclusive."""
    zone: str
    """IANA name of the clock."""

    @classmethod
    def parse(cls, text: str) -> RegularHours:
        """Read hours as the table of instruments writes them.

        Raises
        ------
        ConfigError
            The text is not of this form, or the hours do not increase.
        UnknownZone
            There is no such clock.

        >>> RegularHours.parse("09:30-16:00 America/New_York").opening
        '09:30'
        """
        match = _TEXT.fullmatch(text)
        first, stop = (int(match[n]) * 60 + int(match[n + 1]) for n in (1, 3)) if match else (0, 0)
        minutes = match is not None and max(int(match[2]), int(match[4])) < 60
        if match is None or not minutes or not first < stop <= _DAY:
            raise ConfigError(
                f"{text!r} is no regular hours. Write them as '09:30-16:00 America/New_York': from, to, and the clock."
            )
        find_zone(match[5])
        return cls(first, stop, match[5])

    def __str__(self) -> str:
        return f"{self.opening}-{_clock(self.stop)} {self.zone}"

    @property
    def opening(self) -> str:
        """When they begin, `09:30`."""
        return _clock(self.first)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
