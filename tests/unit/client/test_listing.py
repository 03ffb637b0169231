"""Datasets and the pool in words."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_nq.client import listing
from jupyter_nq.client.records import Dataset, Holder

NOW = datetime(2025, 7, 2, 7, tzinfo=UTC)


def test_examples() -> None:
    """The examples in the docstrings are true."""
    result = doctest.testmod(listing)
    assert result.attempted > 0
    assert result.failed == 0


def dataset(name: str, *holders: Holder) -> Dataset:
    """Return a dataset that is three minutes old."""
    return Dataset(name, 2, 56_083, 3_140_000, datetime.now(UTC) - timedelta(minutes=3, seconds=5), holders)


def test_a_listing_is_an_aligned_table() -> None:
    """Versions begin with v, a program has its pid, an older version is named."""
    notebook, script = Holder("risk.ipynb", 7, "k", "a/risk.ipynb", 2), Holder("feed.py", 99, None, None, 1)
    assert listing.listed([dataset("NQ.30min", notebook, script), dataset("x")]).splitlines() == [
        "name      version    rows     size    age  held by",
        "NQ.30min       v2  56,083  3.0 MiB  3 min  risk.ipynb, feed.py (pid 99) (v1)",
        "x              v2  56,083  3.0 MiB  3 min  nobody",
    ]


def test_a_long_name_is_cut_in_the_middle() -> None:
    """The table stays narrow; both ends of the name are there."""
    row = listing.listed([dataset("a" * 64 + "z" * 64)]).splitlines()[1]
    assert row.split()[0] == "a" * 24 + "…" + "z" * 23
    assert listing.short("a" * 48) == "a" * 48
    assert listing.cells(dataset("a" * 128))[0] == "a" * 128


def test_many_holders_are_counted() -> None:
    """The fifth holder and those after it are a number."""
    many = dataset("x", *(Holder(f"n{i}.ipynb", i, "k", f"n{i}.ipynb", 2) for i in range(9)))
    assert listing.holders(many) == "n0.ipynb, n1.ipynb, n2.ipynb, n3.ipynb, 5 more"


def test_a_table_without_rows() -> None:
    """A table without rows is its headers."""
    assert listing.table(["name", "rows"], [], right=[1]) == "name  rows"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "now"), (0.5, "now"), (59, "59 s"), (90, "1 min"), (3_600, "1 h"), (200_000, "2 d")]
)
def test_age(seconds: float, text: str) -> None:
    """An age is told in its largest whole unit."""
    assert listing.age(NOW - timedelta(seconds=seconds), NOW) == text


def test_the_pool_tells_of_old_versions_only_when_there_are() -> None:
    """Nothing is said about nothing."""
    assert listing.pool(3 << 20, 1 << 30, 0) == "3.0 MiB used of 1.0 GiB"


def test_a_problem_has_an_age() -> None:
    """One line, with how long ago it was."""
    assert listing.problem(None, None) == "none"
    assert listing.problem("a.ipynb: store is\nfull", None) == r"a.ipynb: store is\nfull"
    assert listing.problem("x", datetime.now(UTC) - timedelta(hours=2, seconds=1)) == "x (2 h ago)"
    assert listing.problem("x", datetime.now(UTC)) == "x (now)"
