"""Codes of contracts, as vendors write them."""

from __future__ import annotations

import doctest

import pytest

from jupyter_nq.bars.sessions import expiry
from jupyter_nq.bars.sessions.expiry import Expiry, expiry_of


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("NQH25.csv", "NQH25"),
        ("nqh25_1min.csv.gz", "NQH25"),
        ("@ESM2024", "ESM24"),
        ("CLF26-export.txt", "CLF26"),
        ("6EU4", "6EU4"),
        ("MNQ 09-24.Last.txt", "MNQU24"),
        ("data NQZ24 30min.csv", "NQZ24"),
        ("NQ 13-24.txt", None),
        ("NQ_30min.csv", None),
        ("NQ - 30 min - ETH.csv", None),
        ("SR3H25", "SR3H25"),
        ("ETH 03-25.txt", "ETHH25"),
        ("NQ ETH 03-25.txt", None),
        ("XYZH25.csv", None),
        ("NQH25A.csv", None),
        ("2024-12-24.csv", None),
        ("NQ_01-02-2024_30min.csv", None),
        ("NQ 06-28-20.csv", None),
        ("NQZ2024_NQH2025.csv", None),
        ("NQ 03-24 NQ 06-24.csv", None),
        ("NQZ2024 NQZ24.csv", "NQZ24"),
        ("", None),
    ],
)
def test_codes(text: str, code: str | None) -> None:
    """Root, month letter and year of one, two or four digits, or month and year in numbers; of several, none."""
    found = expiry_of(text)
    assert (found.code if found else None) == code


@pytest.mark.parametrize(
    ("digit", "last", "year"), [(4, 2024, 2024), (5, 2024, 2025), (3, 2024, 2033), (0, 2019, 2020)]
)
def test_years_of_one_digit(digit: int, last: int, year: int) -> None:
    """The contract was alive when its last bar was made."""
    assert Expiry("NQ", digit, 3).dated(last).year == year
    assert Expiry("NQ", 2011, 3).dated(last).year == 2011


def test_examples() -> None:
    """Those of the documentation run."""
    assert doctest.testmod(expiry).failed == 0
