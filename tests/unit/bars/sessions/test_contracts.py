"""A continuous series from contract files: when it rolls, what it measures, and how it is adjusted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.resample import starts_of
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.adjust import back_adjust, corrections
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.bars.sessions.contracts import ContractRoll, continuous, roll_digest, roll_table, rolls_of
from jupyter_nq.errors import InvalidArgument
from tests.unit.bars.test_resample import MINUTE, bars_at, ns

SESS = sessions(EQUITY, ns(2024, 12, 9), ns(2025, 1, 3))
HOUR = 60 * MINUTE


def contract(first: int, last: int, price: float, volume: dict[int, int]) -> pa.Table:
    """Return hourly bars of sessions `first` to `last`; prices are `price` plus the row, volumes by session."""
    opens, closes = SESS.opens[first : last + 1], SESS.closes[first : last + 1]
    starts = np.concatenate([np.arange(o, c, HOUR) for o, c in zip(opens, closes, strict=True)])
    level = price + np.arange(len(starts)) * 0.25
    of = SESS.index(starts)
    per_session = np.bincount(of, minlength=len(SESS))
    traded = np.array([volume.get(int(at), 100) // per_session[at] for at in of])
    columns = [starts, level, level + 1, level - 1, level + 0.5, traded, np.zeros(len(starts), np.uint32)]
    return pa.table([pa.array(c).cast(f.type) for c, f in zip(columns, BAR_SCHEMA, strict=True)], schema=BAR_SCHEMA)


THREE = {
    "NQZ24": contract(0, 6, 100.0, {0: 9_200, 1: 9_200, 2: 9_200, 3: 460, 4: 230}),
    "NQH25": contract(0, 12, 110.0, {0: 230, 1: 460, 2: 920, 3: 9_200, 9: 9_200}),
    "NQM25": contract(5, 14, 130.0, {9: 460, 10: 9_200, 11: 9_200}),
}


def test_the_volume_decides_and_the_next_session_passes_on() -> None:
    """A roll is at the open of the session after the first in which the next contract trades more."""
    first, second = roll_table(THREE, EQUITY)
    assert (first.old, first.new, first.reason) == ("NQZ24", "NQH25", "volume")
    assert first.trade_date == str(SESS.trade_date[4])
    assert first.at_ns == SESS.opens[4]
    assert (first.old_volume, first.new_volume) == (460, 9_200)
    assert first.measured_ns == SESS.closes[3] - HOUR
    assert first.difference == 10.0
    assert first.ratio == first.new_close / first.old_close
    assert (second.old, second.new, second.trade_date) == ("NQH25", "NQM25", str(SESS.trade_date[11]))
    assert str(first).startswith(f"{first.trade_date}: NQZ24 -> NQH25, +10.00 points, after more volume (460 and 9,200")


def test_a_session_that_the_old_file_lacks_decides_nothing() -> None:
    """The next contract trades in it, and so did the old one."""
    old = THREE["NQZ24"]
    holed = old.filter(pa.array(SESS.index(starts_of(old)) != 1))
    assert roll_table(THREE | {"NQZ24": holed}, EQUITY) == roll_table(THREE, EQUITY)


def test_a_contract_that_ends_passes_on() -> None:
    """Without more volume in the next contract the old one is kept to its last session."""
    quiet = {"A": contract(0, 4, 100.0, {}), "B": contract(0, 9, 105.0, dict.fromkeys(range(5), 23))}
    (roll,) = roll_table(quiet, EQUITY)
    assert (roll.reason, roll.trade_date) == ("expiry", str(SESS.trade_date[5]))
    assert "the end of its file" in str(roll)
    assert len(continuous(quiet, [roll])) == quiet["B"].num_rows


def test_contracts_that_have_not_taken_over_are_left_out() -> None:
    """Both go on, or the deciding session is the last: there is no roll yet."""
    still = {"A": contract(0, 9, 100.0, {}), "B": contract(0, 9, 105.0, {9: 9_200} | dict.fromkeys(range(9), 23))}
    assert roll_table(still, EQUITY) == []
    assert continuous(still, []).column("close").equals(still["A"].column("close"))
    calm = {"A": still["A"], "B": contract(0, 9, 105.0, dict.fromkeys(range(10), 23))}
    assert roll_table(calm, EQUITY) == []
    assert roll_table({}, EQUITY) == []
    assert continuous({}, []).num_rows == 0


def test_contracts_that_end_together_pass_on_to_a_third() -> None:
    """The one between has no session of its own."""
    chain = {
        "A": contract(0, 3, 100.0, {}),
        "B": contract(0, 3, 105.0, dict.fromkeys(range(3), 23) | {3: 9_200}),
        "C": contract(2, 9, 107.0, {}),
    }
    rolls = roll_table(chain, EQUITY)
    assert [roll.trade_date for roll in rolls] == [str(SESS.trade_date[4])] * 2
    whole = continuous(chain, rolls)
    assert (np.diff(starts_of(whole)) > 0).all()
    assert whole.num_rows == chain["A"].num_rows + contract(4, 9, 0.0, {}).num_rows


def test_the_continuous_series_holds_raw_bars_of_one_contract_at_a_time() -> None:
    """Every row is a row of the contract in force, in its memory."""
    rolls = roll_table(THREE, EQUITY)
    whole = continuous(THREE, rolls)
    starts = starts_of(whole)
    assert (np.diff(starts) > 0).all()
    at = np.searchsorted([roll.at_ns for roll in rolls], starts, side="right")
    for number, table in enumerate(THREE.values()):
        rows = np.isin(starts_of(table), starts[at == number])
        assert whole.filter(pa.array(at == number)).combine_chunks().equals(table.filter(pa.array(rows)))
    first = whole["close"].chunk(0)
    assert first.buffers()[1].address == THREE["NQZ24"]["close"].chunk(0).buffers()[1].address
    assert rolls_of(whole) == (rolls, None)


def test_back_adjustment_leaves_no_jump_and_the_raw_table() -> None:
    """By difference the measured closes meet; by ratio they do too; the newest contract keeps its prices."""
    rolls = roll_table(THREE, EQUITY)
    raw = continuous(THREE, rolls)
    before = raw.to_pandas()
    for method in ("difference", "ratio"):
        adjusted = back_adjust(raw, method=method)
        starts, close = starts_of(adjusted), adjusted["close"].to_numpy()
        at = [int(np.flatnonzero(starts == roll.measured_ns)[0]) for roll in rolls]
        later = corrections(np.array([roll.at_ns for roll in rolls]), rolls, method)
        ends = [
            r.new_close + c if method == "difference" else r.new_close * c for r, c in zip(rolls, later, strict=True)
        ]
        assert close[at] == pytest.approx(ends, rel=1e-14)
        last = starts >= rolls[-1].at_ns
        assert (close[last] == raw["close"].to_numpy()[last]).all()
        assert adjusted["volume"].chunk(0).buffers()[1].address == raw["volume"].chunk(0).buffers()[1].address
        assert rolls_of(adjusted) == (rolls, method)
        with pytest.raises(InvalidArgument, match=f"adjusted by {method} already"):
            back_adjust(adjusted)
    assert raw.to_pandas().equals(before)


def roll(at_ns: int, old_close: float, new_close: float) -> ContractRoll:
    """Return a roll that matters only by its time and closes."""
    return ContractRoll("A", "B", "2024-12-17", at_ns, "volume", 1, 2, at_ns - MINUTE, old_close, new_close)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(-4_000, 4_000)), max_size=6, unique_by=lambda r: r[0]),
    st.integers(1, 300),
)
def test_adjusting_by_difference_is_undone_by_subtracting(jumps: list[tuple[int, int]], bars: int) -> None:
    """Prices on the tick come back bit for bit, and differences inside a contract are those of the raw prices."""
    table = bars_at(SESS.opens[0] + np.arange(bars) * MINUTE)
    rolls = [roll(int(SESS.opens[0]) + at * MINUTE, 100.0, 100.0 + ticks * 0.25) for at, ticks in sorted(jumps)]
    adjusted = back_adjust(table, rolls)
    moved = corrections(starts_of(table), rolls, "difference")
    for name in PRICES:
        assert (adjusted[name].to_numpy() - moved == table[name].to_numpy()).all()
    slow = [sum(r.difference for r in rolls if start < r.at_ns) for start in starts_of(table)]
    assert moved.tolist() == slow


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0.9, 1.1)), max_size=6, unique_by=lambda r: r[0]))
def test_adjusting_by_ratio_keeps_percentages(jumps: list[tuple[int, float]]) -> None:
    """Returns inside a contract are those of the raw prices, to rounding."""
    table = bars_at(SESS.opens[0] + np.arange(200) * MINUTE)
    rolls = [roll(int(SESS.opens[0]) + at * MINUTE, 100.0, 100.0 * q) for at, q in sorted(jumps)]
    raw, close = (t["close"].to_numpy() for t in (table, back_adjust(table, rolls, "ratio")))
    same = np.diff(corrections(starts_of(table), rolls, "ratio")) == 0
    assert (close[1:] / close[:-1])[same] == pytest.approx((raw[1:] / raw[:-1])[same], rel=1e-12)


def test_the_version_of_a_roll_table_follows_its_values() -> None:
    """The same rolls have the same version; another close has another."""
    rolls = roll_table(THREE, EQUITY)
    assert roll_digest(rolls) == roll_digest(list(rolls))
    assert len(roll_digest(rolls)) == 16
    assert roll_digest([dataclasses.replace(rolls[0], new_close=1.0), rolls[1]]) != roll_digest(rolls)


def test_flags_are_kept_when_all_contracts_have_them() -> None:
    """One contract without flags leaves none in the series."""
    rolls = roll_table(THREE, EQUITY)
    some = THREE | {"NQH25": THREE["NQH25"].drop_columns(["flags"])}
    assert continuous(some, rolls).column_names == BAR_SCHEMA.names[:-1]


def test_what_cannot_be_joined_is_said() -> None:
    """Wrong order, no overlap, no bars, closed hours, foreign rolls, missing columns and unknown methods."""
    rolls = roll_table(THREE, EQUITY)
    with pytest.raises(InvalidArgument, match=r"'NQH25' ends on .*, before 'NQM25'.*order in which they expire"):
        roll_table(dict(reversed(THREE.items())), EQUITY)
    with pytest.raises(InvalidArgument, match="'A' and 'B' have no bar in common before"):
        roll_table({"A": contract(0, 3, 1.0, {}), "B": contract(4, 9, 1.0, {})}, EQUITY)
    with pytest.raises(InvalidArgument, match="'B' has no bars"):
        roll_table({"A": THREE["NQZ24"], "B": BAR_SCHEMA.empty_table()}, EQUITY)
    with pytest.raises(InvalidArgument, match=r"no bar of the contract 'A' lies in a session"):
        roll_table({"A": bars_at(np.array([ns(2024, 12, 14, 12)])), "B": THREE["NQH25"]}, EQUITY)
    with pytest.raises(InvalidArgument, match=r"NQZ24 -> NQH25 -> NQM25 are not a chain .* contracts NQZ24"):
        continuous({"NQZ24": THREE["NQZ24"]}, rolls)
    with pytest.raises(InvalidArgument, match="not a chain"):
        continuous(THREE, rolls[::-1])
    with pytest.raises(InvalidArgument, match="no column 'volume'"):
        continuous({"NQZ24": THREE["NQZ24"].drop_columns(["volume"])}, [])
    with pytest.raises(InvalidArgument, match=r"'ratios' is not difference or ratio. Did you mean 'ratio'"):
        back_adjust(continuous(THREE, rolls), method="ratios")
    with pytest.raises(InvalidArgument, match="no roll table"):
        back_adjust(THREE["NQZ24"])
    with pytest.raises(InvalidArgument, match="closed at zero or below"):
        back_adjust(THREE["NQZ24"], [roll(int(SESS.opens[2]), -37.63, 10.0)], "ratio")
    assert np.isnan(roll(0, 0.0, 1.0).ratio)
