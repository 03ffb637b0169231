"""What a refresh tells of its rows: as a fresh load of the whole file would."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest

from jupyter_nq.client.bars.state import record_of
from jupyter_nq.client.session import Session
from tests.unit.client.bars.test_refresh import FILE, Source, _no_archive, source

__all__ = ["_no_archive", "source"]

SESSION_ROWS = 46
NAME = "NQ.30min-Asia_Jerusalem-start"


def thin(line: bytes) -> bytes:
    """Return a bar of hardly any volume."""
    *cells, volume = line.split(b",")
    return b",".join([*cells, b"%d\r\n" % (int(volume) // 1000)])


def late(line: bytes) -> bytes:
    """Return a bar of a Saturday, long after all others."""
    return b"21/12/2030 12:00:00," + line.split(b",", 1)[1]


def load(session: Session, source: Source) -> list[str]:
    """Load the file with its answers, and return what is said of its bars whenever they are loaded."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session.load(source.path, tz="Asia/Jerusalem", edge="start")
    with session.open(NAME) as handle:
        found = [line for line in record_of(handle)["evidence"] if line.startswith("check: ")]
    assert [str(told.message).partition(": ")[2] for told in caught] == [line.removeprefix("check: ") for line in found]
    return found


@pytest.mark.parametrize(
    ("first", "last", "change", "says"),
    [(2_760, 3_900, thin, "wrong contract from"), (1_500, 2_990, thin, ""), (3_999, 4_000, late, "1 of 4,000 bars")],
)
def test_what_new_rows_show_of_the_sessions_is_told(
    session: Session, source: Source, first: int, last: int, change: Callable[[bytes], bytes], says: str
) -> None:
    """A volume that collapses behind the known rows, or recovers behind them, and a bar in closed hours."""
    rows = source.lines[1:]
    source.lines[1:] = [change(line) if first <= row < last else line for row, line in enumerate(rows)]
    source.write(3_000)
    before = load(session, source)
    source.write(4_000)
    told = session.refresh(NAME)
    refreshed = load(session, source)
    session.drop(NAME)
    assert refreshed == load(session, source)
    fresh = [line for line in refreshed if line not in before]
    assert [remark for remark in told.remarks if remark.startswith("check: ")] == fresh
    assert any(says in line for line in refreshed) if says else refreshed
    assert source.path.name == FILE


def test_bars_that_were_missing_are_listed(session: Session, source: Source) -> None:
    """The first few by their time, and how many more there are."""
    whole = list(source.lines)
    source.lines[2001:2011] = []
    source.write(3_000)
    session.load("NQ", "30min")
    source.lines = whole
    source.write(3_010)
    told = session.refresh("NQ.30min")
    assert (told.added, told.early, told.changed, told.removed) == (10, 10, 0, 0)
    assert "  and 5 more" in told.text().splitlines()
