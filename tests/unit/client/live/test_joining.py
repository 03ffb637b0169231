"""What a worker knows when it begins: from history, and from what was published."""

from __future__ import annotations

import pyarrow as pa
import pytest

from jupyter_nq.bars.asof import Timed
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.client.live.joining import Past, is_traded, known
from jupyter_nq.client.live.rows import NOTHING
from jupyter_nq.errors import LiveGap
from tests.unit.client.live.feeds import MINUTE_NS, SECOND_NS, history, minutes

_FEED = minutes(1_500)
_OPEN = 1_593_381_600 * SECOND_NS
_NONE = BAR_SCHEMA.empty_table()


def _past(rows: int, now_ns: int = _OPEN + 3_000 * MINUTE_NS, *, over: bool = False) -> Past:
    return Past(Timed(_FEED.slice(0, rows), 1, EQUITY), EQUITY, now_ns, 0, over=over)


@pytest.mark.parametrize("over", [False, True])
def test_a_bar_whose_last_minutes_had_no_trade_is_open_unless_nothing_can_come(over: bool) -> None:
    """Rows of it may be in the source; where a replay begins, all that came before has come."""
    past = _past(4, over=over)  # minutes 0 to 3, of five; in the next nobody traded
    closed, forming = past.bars(5)
    whole = history(_FEED.slice(0, 4), "5min")
    assert past.end_ns == _OPEN + 4 * MINUTE_NS
    if over:
        assert forming is None
        assert closed.equals(whole)
    else:
        assert closed.num_rows == 0
        assert forming is not None
        assert (forming.stamp_ns, forming.end_ns) == (_OPEN, _OPEN + 5 * MINUTE_NS)
        assert (forming.close, forming.volume) == (whole["close"][0].as_py(), whole["volume"][0].as_py())


def test_without_history_nothing_is_known() -> None:
    """Every row counts."""
    past = Past(None, EQUITY, _OPEN, 0, over=False)
    found = known(past, 5, _NONE, EQUITY, whole=True)
    assert (found.joined_ns, found.forming, found.before.num_rows) == (NOTHING, None, 0)
    assert repr(past) == "<Past of 0 bars>"


def test_the_tape_wins_where_it_reaches_further() -> None:
    """History before it, its own bars, and nothing that is open: the source has the rest."""
    bars = history(_FEED, "5min")
    found = known(_past(300), 5, bars.slice(20, 80), EQUITY, whole=True)
    assert found.before.equals(bars.slice(0, 100))
    assert found.unpublished.num_rows == 0
    assert (found.forming, found.joined_ns) == (None, bars["timestamp"][99].value + 5 * MINUTE_NS)


def test_history_that_reaches_further_is_published() -> None:
    """From the tape's end on, and its open bar is gone on with."""
    bars = history(_FEED, "5min")
    past = _past(300)
    found = known(past, 5, bars.slice(20, 10), EQUITY, whole=True)
    assert found.joined_ns == past.end_ns
    assert pa.concat_tables([found.before, found.unpublished]).equals(past.bars(5)[0])
    assert found.unpublished["timestamp"][0] == bars["timestamp"][30]
    assert found.forming == past.bars(5)[1]


def test_bars_that_the_tape_let_go_of_must_be_in_history() -> None:
    """Else features could not be carried over them."""
    bars = history(_FEED, "5min")
    with pytest.raises(LiveGap, match="those from 2020-06-29 06:20:00Z on, and history ends at 2020-06-28 22:11"):
        known(_past(10), 5, bars.slice(100), EQUITY, whole=False)
    assert known(_past(600), 5, bars.slice(100, 5), EQUITY, whole=False).before.num_rows == 105
    assert known(_past(10), 5, bars.slice(100), EQUITY, whole=True).unpublished.num_rows == 0


@pytest.mark.parametrize(
    ("first", "stop", "traded"), [(0, 1, True), (5, 5, False), (-60, 0, False), (1380, 1440, False), (1379, 1380, True)]
)
def test_only_time_in_which_the_exchange_is_open_counts(first: int, stop: int, traded: bool) -> None:
    """The hour between two sessions is no hole, the first and the last minute of one is."""
    assert is_traded(EQUITY, _OPEN + first * MINUTE_NS, _OPEN + stop * MINUTE_NS) is traded
