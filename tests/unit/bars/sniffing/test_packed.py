"""Stamps packed block by block give what the whole column in memory gives, however it is cut."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.reading import fast, kernels
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES
from jupyter_nq.bars.reading.dates import local_seconds
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, StampScanner
from jupyter_nq.bars.sniffing import packed
from jupyter_nq.bars.sniffing.local import GRID_SECONDS, Local, local_of
from jupyter_nq.bars.sniffing.packed import Stamps
from jupyter_nq.bars.sniffing.sniff import Sniffed, sniff, sniff_scanned
from jupyter_nq.bars.vendor_samples import write_vendor
from jupyter_nq.bars.vendors import VENDORS
from jupyter_nq.errors import NQError

LAYOUTS = ("%d/%m/%Y %H:%M:%S", "%-d/%-m/%Y %-H:%M", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M", "%Y%m%d %H%M%S")
OFFSETS = "%Y-%m-%dT%H:%M+02:00"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut blocks of a few rows, and spans of a few lines."""
    monkeypatch.setattr(packed, "_BLOCK_ROWS", 7)
    given: dict[str, Any] = {"small_bytes": 0, "module": kernels, "part_bytes": 200, "span_bytes": 700}
    monkeypatch.setattr(fast, "scan_stamps", partial(fast.scan_stamps, **given))
    monkeypatch.setattr(fast, "scan", partial(fast.scan, small_bytes=0, module=kernels, part_bytes=200))


@st.composite
def columns(draw: st.DrawFn) -> list[str]:
    """Draw a column of stamps: bars of some length with holes, in some layouts, and now and then a fault."""
    at = datetime(2024, draw(st.integers(1, 12)), draw(st.integers(1, 28)), 18)
    step = timedelta(minutes=draw(st.sampled_from([1, 5, 30, 60, 1440])))
    layouts = [OFFSETS] if draw(st.booleans()) else draw(st.lists(st.sampled_from(LAYOUTS), min_size=1, max_size=3))
    change = draw(st.sampled_from([1, 9, 40]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    rows = []
    for row in range(draw(st.integers(2, 120))):
        at += step * int(random.choice([1, 1, 1, 1, 2, 50]))
        rows.append(at.strftime(layouts[row // change % len(layouts)]))
    for odd in draw(st.lists(st.sampled_from(["31/02/2024 10:00", "13/13/2024 10:00", "x", rows[0], "1/1/24 9:00"]))):
        if draw(st.integers(0, 5)) == 0:
            rows[draw(st.integers(0, len(rows) - 1))] = odd
    return rows


def scanned(texts: list[str]) -> Fields:
    """Return the fields of a whole column."""
    scanner = StampScanner()
    scanner.add(pa.array(texts, pa.string()))
    return scanner.fields()


def blocks(texts: list[str], size: int) -> Iterator[pa.Array]:
    """Cut a column into blocks."""
    return (pa.array(texts[at : at + size], pa.string()) for at in range(0, len(texts), size))


def outcome(call: Any) -> Any:
    """Return what a call gives, or its error in words."""
    try:
        found = call()
    except (BadStamp, NQError) as exc:
        return type(exc), str(exc)
    return (found.profile, found.candidates) if isinstance(found, Sniffed) else found


@given(columns(), st.integers(1, 50))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stamps_come_out_as_they_went_in(small_blocks: None, texts: list[str], size: int) -> None:
    """Every number of every row, the layouts in their order, and the texts."""

    def packed_up() -> Any:
        stamps = Stamps()
        for block in blocks(texts, size):
            stamps.read(block)
        return stamps

    stamps = outcome(packed_up)
    if not isinstance(stamps, Stamps):
        assert stamps[0] is BadStamp
        return
    whole = scanned(texts)
    assert (stamps.layouts, stamps.rows) == (whole.layouts, len(texts))
    for name in ("layout", "first", "second", "year", "time", "offset"):
        joined = np.concatenate([getattr(stamps.block(index), name) for index in range(len(stamps.begins))])
        assert joined.dtype == getattr(whole, name).dtype
        assert np.array_equal(joined, getattr(whole, name))
    assert [stamps.text(row) for row in range(len(texts))] == [whole.text(row) for row in range(len(texts))]
    assert [written.rows for written in stamps.written] == np.bincount(whole.layout).tolist()


@given(columns(), st.sampled_from(["dmy", "mdy"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_readings_answer_as_an_array_of_them(small_blocks: None, texts: list[str], order: str) -> None:
    """Steps, phases, the rows of a span, and the row by which the clock has come to a reading."""
    try:
        fields = scanned(texts)
        orders = ["ymd" if layout.order == "ymd" else order for layout in fields.layouts]
        whole = local_seconds(fields, orders)
    except BadStamp as bad:
        with pytest.raises(BadStamp, match=f"row {bad.row}:"):
            local_of(Stamps.of(scanned(texts)), orders)
        return
    local = local_of(Stamps.of(fields), orders)
    steps = np.diff(whole)
    forward, counts = np.unique(steps[steps > 0], return_counts=True)
    distinct, usual = local.steps()
    assert distinct.tolist() == forward.tolist()
    assert usual == (forward[np.argmax(counts)] if len(forward) else None)
    assert (local.least_step, local.longest_step) == (steps.min(), max(0, steps.max()))
    assert (local.low, local.high, local.repeats) == (whole.min(), whole.max(), (steps == 0).any())
    assert [local.at(row) for row in range(len(local))] == whole.tolist()
    for grid in (60, 900, GRID_SECONDS):
        phases, counts = np.unique(whole % grid, return_counts=True)
        assert local.usual_phase(grid) == phases[np.argmax(counts)]
    low, high = np.sort(np.random.default_rng(len(texts)).choice(whole, 2)).tolist()
    assert local.between(low, high).tolist() == whole[(whole >= low) & (whole < high)].tolist()
    probes = [whole.min() - 1, *whole.tolist(), *(whole + 1).tolist()]
    assert local.reached(probes) == np.searchsorted(np.maximum.accumulate(whole), probes).tolist()
    zero, slots = int(whole.min()) - 5, (int(whole.max()) - int(whole.min())) // 900 + 2
    assert local.per_slot(zero, 900, slots).tolist() == np.bincount((whole - zero) // 900, minlength=slots).tolist()
    assert local.same(local_of(Stamps.of(fields), orders))
    assert not local.same(Local.of(whole + 1))


@given(columns(), st.sampled_from([{}, {"tz": "UTC"}, {"edge": "end"}, {"day_first": True}, {"day_first": False}]))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_is_found_to_be_the_same_in_every_way(
    small_blocks: None, texts: list[str], told: dict[str, Any]
) -> None:
    """Span by span, in small blocks and as a whole in memory: profile, evidence, candidates, and errors."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "NQ.csv"
        path.write_text("\n".join(["Timestamp,Open,High,Low,Close,Volume", *(f"{text},1,2,1,1,7" for text in texts)]))
        known = {"timeframe": None, "symbol": "NQ", "tz": None, "edge": None, "day_first": None} | told
        order = known.pop("day_first")

        def whole() -> Sniffed:
            return sniff_scanned(path, order, BLOCK_BYTES, None, **known)[0]

        def general() -> Sniffed:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(fast, "scan_stamps", lambda *args, **given: False)
                return sniff(path, symbol="NQ", block_bytes=400, **told)

        assert outcome(lambda: sniff(path, symbol="NQ", **told)) == outcome(whole) == outcome(general)


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_vendors_files(small_blocks: None, tmp_path: Path, vendor: str) -> None:
    """They are found to be the same span by span and as a whole in memory."""
    path = write_vendor(tmp_path, vendor, rows=400)
    known = {"timeframe": None, "symbol": None, "tz": None, "edge": None}
    assert outcome(lambda: sniff(path)) == outcome(lambda: sniff_scanned(path, None, BLOCK_BYTES, None, **known)[0])


def test_the_real_file(monkeypatch: pytest.MonkeyPatch, real_file: Path) -> None:
    """Span by span it is what it is in memory."""
    given: dict[str, Any] = {"small_bytes": 0, "module": fast.KERNELS.wait() or kernels}
    monkeypatch.setattr(fast, "scan", partial(fast.scan, **given))
    known = {"timeframe": None, "symbol": None, "tz": None, "edge": None}
    whole = outcome(lambda: sniff_scanned(real_file, None, BLOCK_BYTES, None, **known)[0])
    assert outcome(lambda: sniff(real_file)) == whole
    monkeypatch.setattr(fast, "scan_stamps", partial(fast.scan_stamps, span_bytes=200_000, **given))
    assert outcome(lambda: sniff(real_file)) == whole


def test_a_column_takes_some_bits_a_row() -> None:
    """A hundred thousand minutes, a third of them missing, are packed into less than a byte each."""
    random = np.random.default_rng(1)
    minutes = np.flatnonzero(random.random(150_000) > 1 / 3)
    texts = np.datetime_as_string(np.datetime64("2024-01-01T00:00") + minutes.astype("m8[m]"))
    stamps = Stamps()
    for block in blocks(np.char.replace(texts, "T", " ").tolist(), 10_000):
        stamps.read(block)
    assert sum(len(block.data) for block in stamps._blocks if isinstance(block, packed._Packed)) < stamps.rows
