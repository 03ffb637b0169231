"""The fused pass: its rules one by one, and one result whatever the batches and whoever computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import rules
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.rules import RULES, flags_of
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.validation import kernels
from jupyter_nq.bars.validation.rows import KERNELS, RowChecks

MINUTE = 60 * 1_000_000_000
NQ: dict[str, Any] = {"minutes": 30, "tick": 0.25, "positive": True}


def bars(rows: list[tuple[int, float, float, float, float, int]]) -> pa.Table:
    """Return a table from (minute of the start, open, high, low, close, volume)."""
    starts, *numbers = zip(*rows, strict=True) if rows else [()] * 6
    columns: list[Any] = [np.array(starts, np.int64) * MINUTE, *numbers, np.zeros(len(rows), np.uint32)]
    arrays = [pa.array(values).cast(each.type) for values, each in zip(columns, BAR_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)


def rising(rows: int) -> list[tuple[int, float, float, float, float, int]]:
    """Return quiet bars of half an hour, with a pause after each 46."""
    starts = [30 * i + 60 * (i // 46) for i in range(rows)]
    opens = [100 + i / 4 + i // 46 for i in range(rows)]
    return [(at, o, o + 0.5, o - 0.25, o + 0.25, 7) for at, o in zip(starts, opens, strict=True)]


def flagged(rows: list[tuple[int, float, float, float, float, int]], **options: Any) -> dict[int, int]:
    """Return the flags that are not 0, by row."""
    found = RowChecks(**{**NQ, **options}).add(bars(rows))
    return {row: flag for row, flag in enumerate(found.tolist()) if flag}


def test_quiet_bars_break_no_rule() -> None:
    """Pauses between sessions are no gaps and no jumps."""
    assert flagged(rising(2_000)) == {}
    assert RowChecks(**NQ).add(bars([])).tolist() == []


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({2: 120.0}, rules.OHLC_ORDER),
        ({3: 0.0, 4: -1.0}, rules.NOT_POSITIVE | rules.OHLC_ORDER),
        ({4: float("nan")}, rules.NOT_FINITE),
        ({2: float("inf")}, rules.NOT_FINITE),
        ({5: 0}, rules.ZERO_VOLUME),
        ({5: -1}, rules.VOLUME),
        ({1: 127.1}, rules.OFF_TICK),
        ({0: 30 * 100 + 2 * 60 + 10}, rules.STEP),
        ({0: 30 * 99 + 2 * 60}, rules.DUPLICATE),
        ({0: 30 * 98 + 2 * 60}, rules.BACKWARDS),
    ],
)
def test_one_change(change: dict[int, Any], flag: int) -> None:
    """One value of one bar is changed, and that bar has the bit of its rule."""
    rows = rising(200)
    rows[100] = tuple(change.get(i, value) for i, value in enumerate(rows[100]))  # type: ignore[assignment]
    if 2 in change and change[2] == 120.0:
        rows[100] = (rows[100][0], 127.0, 120.0, 119.0, 127.25, 7)
    assert flagged(rows)[100] == flag


def test_neighbours() -> None:
    """Copies, prices that stand still, a change of scale, a wild bar and a jump after a pause."""
    rows = rising(1_200)
    assert flagged([*rows[:8], rows[7], *rows[8:]]) == {8: rules.REPEATED}
    still = [(at, 100.0, 101.0, 99.0, 100.5, 7) for at, *_ in rows[:9]]
    assert flagged(still) == dict.fromkeys(range(4, 9), rules.STALE)
    quiet = [(at, 100.0, 100.0, 100.0, 100.0, 0) for at, *_ in rows[:9]]
    assert flagged(quiet) == dict.fromkeys(range(9), rules.FLAT | rules.ZERO_VOLUME)
    block = [*rows[:60], *rows[20:40], *rows[60:]]
    assert flagged(block) == dict.fromkeys(range(60, 80), rules.BACKWARDS), "each of them, not the first alone"
    other = (*rows[7][:4], rows[7][4] + 0.25, 7)
    assert flagged([*rows[:8], other, other, rows[6], rows[7], *rows[8:]]) == {
        8: rules.DUPLICATE, 9: rules.DUPLICATE, 10: rules.BACKWARDS, 11: rules.REPEATED,
    }, "all are compared with the first bar of their start"  # fmt: skip
    scaled = [*rows[:60], *((at, *(100 * price for price in prices), v) for at, *prices, v in rows[60:])]
    assert flagged(scaled)[60] == rules.SCALE
    wild = [*rows]
    wild[500] = (rows[500][0], 225.0, 325.0, 224.75, 225.25, 7)
    assert flagged(wild) == {500: rules.OUTLIER}
    jumped = [*rows[: 46 * 25], *((at, *(p + 50 for p in prices), v) for at, *prices, v in rows[46 * 25 :])]
    assert flagged(jumped) == {46 * 25: rules.JUMP}


def test_what_is_not_known_is_not_judged() -> None:
    """No tick, no length, prices that may be negative: the bits that need them stay clear."""
    rows = [(0, 1.1, 2.0, -3.0, 1.0, 5), (7, 1.1, 2.0, -3.0, 1.5, 5)]
    assert RowChecks().add(bars(rows)).tolist() == [0, 0]
    assert flagged(rows) == {
        0: rules.OFF_TICK | rules.NOT_POSITIVE,
        1: rules.OFF_TICK | rules.NOT_POSITIVE | rules.STEP,
    }


def test_clock_changes_are_no_broken_steps() -> None:
    """Daily bars open an hour earlier or later in UTC after a change of clocks."""
    day = 24 * 60
    rows = [(at, 1.0, 3.0, 1.0, 1.5 + i / 4, 7) for i, at in enumerate([0, day, 2 * day - 60, 5 * day - 60])]
    assert flagged(rows, minutes=1440) == {}
    assert flagged([*rows, (6 * day, 1.0, 3.0, 1.0, 2.0, 7), (6 * day + 120, 1.0, 3.0, 1.0, 2.5, 7)], minutes=1440) == {
        5: rules.STEP
    }


def test_huge_and_tiny_prices_end_in_flags() -> None:
    """The largest and smallest floats overflow nothing."""
    for value in (1.7e308, 5e-324, 1e16):
        rows = [(30 * i, value, value, value, value, 1) for i in range(4)]
        assert set(flagged(rows).values()) <= {rules.FLAT, rules.FLAT | rules.OFF_TICK}


def test_each_bit_is_one_rules() -> None:
    """The numbers that the kernel repeats are those of the table, and no bit has two rules."""
    bits = [rule.bit for rule in RULES.values() if rule.bit]
    assert len(set(bits)) == len(bits)
    assert all(bit & (bit - 1) == 0 for bit in bits)
    repeated = ["ZERO_VOLUME", "FLAT", "OHLC_ORDER", "NOT_POSITIVE", "NOT_FINITE", "VOLUME", "BACKWARDS", "REPEATED"]
    repeated += ["DUPLICATE", "OFF_TICK", "STALE", "OUTLIER", "STEP", "SCALE", "JUMP"]
    for name in repeated:
        assert getattr(kernels, f"_{name}") == getattr(rules, name)


PRICE = st.one_of(
    st.integers(380, 420).map(lambda ticks: ticks / 4),
    st.sampled_from([0.0, -5.0, float("nan"), float("inf"), 100.1, 1e6, 1e300]),
)
ROW = st.tuples(st.sampled_from([30, 30, 30, 90, 0, 10, -30]), PRICE, PRICE, PRICE, PRICE, st.integers(-1, 5))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Give some hundred bars, quiet at first and then with every kind of fault."""
    at, rows = 0, []
    for step, *numbers in draw(st.lists(ROW, max_size=60)):
        at += step
        rows.append((at, *numbers))
    quiet = rising(draw(st.sampled_from([0, 300])))
    begin = quiet[-1][0] if quiet else 0
    return bars([*quiet, *((begin + row[0], *row[1:]) for row in rows)])  # type: ignore[misc]


def in_batches(table: pa.Table, sizes: list[int]) -> Any:
    """Return the flags of a table that arrives in batches."""
    checks, at = RowChecks(**NQ), 0
    found: list[Any] = []
    while at < table.num_rows:
        size = sizes[len(found) % len(sizes)]
        found.append(checks.add(table.slice(at, size)))
        at += size
    return np.concatenate([*found, np.zeros(0, np.uint32)])


@settings(deadline=None, max_examples=60)
@given(tables(), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_batches_have_the_flags_of_the_whole(table: pa.Table, sizes: list[int]) -> None:
    """Bit for bit, at any size of batch."""
    assert np.array_equal(in_batches(table, sizes), RowChecks(**NQ).add(table))


@settings(deadline=None, max_examples=60)
@given(tables())
def test_both_twins_have_the_same_bits(table: pa.Table) -> None:
    """Compiled and plain, in the flags and in the state that is carried on."""
    compiled: Any = KERNELS.wait()
    if compiled is None:
        pytest.skip("numba is not installed, or is switched off")
    results = []
    columns = [table["timestamp"].cast(pa.int64()), *(table[name] for name in (*PRICES, "volume"))]
    for module in (compiled, KERNELS.plain):
        state = np.zeros(kernels.STATE_FLOATS), np.zeros(kernels.STATE_INTS, np.int64)
        flags = np.zeros(table.num_rows, np.uint32)
        with np.errstate(all="ignore"):
            module.check(*[c.to_numpy() for c in columns], 30 * MINUTE, 0.25, 4.0, True, *state, np.uint64(1), flags)
        results.append((flags.tolist(), state[0].tobytes(), state[1].tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize("module", [kernels, KERNELS.wait() or kernels])
def test_what_is_usual_follows_moves_and_jumps(module: Any) -> None:
    """The usual jump after a pause goes up or down by a tenth, whatever was seen before."""
    close = np.array([100.0, 110.0, 121.0, 121.5])
    starts = np.array([0, 2, 4, 6]) * 30 * MINUTE
    state = np.zeros(kernels.STATE_FLOATS), np.zeros(kernels.STATE_INTS, np.int64)
    volume, flags = np.ones(4, np.int64), np.zeros(4, np.uint32)
    module.check(starts, *[close] * 4, volume, 30 * MINUTE, 0.25, 4.0, True, *state, np.uint64(1), flags)
    assert state[0][6] == 10 / 100 * (1 / 1.1) * (1 / 1.1), "11 of 110 is no more than usual, 0.5 of 121 is less"
    assert not (flags & (rules.JUMP | rules.BACKWARDS)).any()


@settings(deadline=None, max_examples=60)
@given(tables())
def test_the_flags_of_loading_are_among_those_of_validation(table: pa.Table) -> None:
    """For prices that a file can hold, the four bits mean the same in both."""
    prices = [table[name].to_numpy() for name in PRICES]
    sound = np.logical_and.reduce([np.isfinite(price) for price in prices])
    profile = Profile(",", True, 1, (), {}, ".", (), None, "UTC", "start", 30, None, True)
    four = rules.ZERO_VOLUME | rules.FLAT | rules.OHLC_ORDER | rules.NOT_POSITIVE
    loaded = flags_of(prices, table["volume"].to_numpy(), profile)
    checked = RowChecks(**NQ).add(table) & four
    assert np.array_equal(loaded[sound], checked[sound])
    assert repr(RowChecks()) == "<RowChecks after 0 rows>"


@settings(deadline=None, max_examples=100)
@given(tables())
def test_bars_out_of_order_change_nothing_for_others(table: pa.Table) -> None:
    """The bars in order have the flags that they have when the others are not there; and these are in order."""
    flags = RowChecks(**NQ).add(table)
    in_order = flags & (rules.BACKWARDS | rules.REPEATED | rules.DUPLICATE) == 0
    starts = table["timestamp"].cast(pa.int64()).to_numpy()
    latest = np.maximum.accumulate(np.concatenate([[np.iinfo(np.int64).min], starts]))[:-1]
    assert np.array_equal(in_order, starts > latest)
    assert np.array_equal(flags[in_order], RowChecks(**NQ).add(table.filter(pa.array(in_order))))
