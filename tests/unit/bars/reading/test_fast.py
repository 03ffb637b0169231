"""The fast path reads what the general path reads, bit for bit, and says nothing of its own."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import compiled
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.loading import load_bars
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading import fast, kernels, starts
from jupyter_nq.bars.reading.codes import code_of, layout_of
from jupyter_nq.bars.reading.reader import read_bars
from jupyter_nq.bars.reading.stamps import Layout
from jupyter_nq.bars.sniffing.sniff import sniff
from jupyter_nq.errors import NQError

NAMES = ("Timestamp", "Open", "High", "Low", "Close", "Volume")
COLUMNS = {name.lower(): (name,) for name in NAMES}
LAYOUTS = ("DD/MM/YYYY HH:MM", "DD/MM/YYYY HH:MM:SS", "YYYY-MM-DD HH:MM:SS", "YYYY-MM-DDTHH:MM:SS.f")
TWINS = [kernels, fast.KERNELS.wait()]
starts.CLOCKS.wait()

PRICES = st.one_of(
    st.decimals(-1000, 100_000, places=2).map(str),
    st.integers(0, 10**9).map(str),
    st.from_regex(r"\A-?[0-9]{1,20}(\.[0-9]{1,24})?\Z").map(str),
    st.floats(0, 1e300).map(repr),
)
ODD = (
    '"3/1/2020 09:00",1,2,1,1,5', "3/1/2020 09:00, 1,2 ,1,1,5", "3/1/2020 9:00,1e2,2,1,1,5", "", "\r", " ",
    "3/1/2020 9:00,1,2,1,1", "3/1/2020 9:00,nan,2,1,1,5", "3/1/2020 9:00,1,2,1,1,-5", "31/2/2020 9:00,1,2,1,1,5",
    "3/1/2020 24:00,1,2,1,1,5", "3/1/2020 9:60,1,2,1,1,5", "1/1/20 9:00,1,2,1,1,5", "3/1/2020 9:00,.5,5.,+1,01,007",
    "3/1/2020 9:00,1,2,1,1,99999999999999999999", "3/1/2020 9:00,1,2,1,1,9223372036854775807", "x,1,2,1,1,5",
    "3/1/2020 9:00:00.5,1,2,1,1,5", "3/1/2020 9:00Z,1,2,1,1,5", "3-1-2020 9:00,1,2,1,1,5", "3/1/2020 9:00,1,2,,1,5",
    "\ufeff3/1/2020 9:00,1,2,1,1,5", "3/1/2020 9:00 PM,1,2,1,1,5", "3/1/2020 9:00,1,2,1,1,5,6", "3/1/2020,1,2,1,1,5",
    "  3/1/2020   9:00,1,2,1,1,5", "3/1/2020 9:00,0x10,2,1,1,5", "3/1/2020 9:00,1,2,1,1,\0", "3.1.2020 9:00 ,1,2,1,1,5",
)  # fmt: skip


def profile_of(**changes: Any) -> Profile:
    """Return the profile of the files below."""
    plain: dict[str, Any] = {
        "delimiter": ",", "header": True, "skip_lines": 1, "names": NAMES, "columns": COLUMNS, "decimal": ".",
        "layouts": LAYOUTS, "day_first": None, "tz": "UTC", "edge": "start", "minutes": 1,
    }  # fmt: skip
    return Profile(**plain | changes)


def outcome(path: Path, profile: Profile, **given: Any) -> Any:
    """Return the columns that a file gives as bytes, or its error in words."""
    try:
        table = read_bars(path, profile, settings=given)
    except NQError as exc:
        return type(exc), str(exc)
    return [column.chunk(0).to_numpy().tobytes() for column in table.columns]


def both(path: Path, profile: Profile, module: Any, part_bytes: int) -> tuple[Any, Any]:
    """Return what the fast path gives, and what the general path gives alone."""
    given = {"small_bytes": 0, "module": module, "part_bytes": part_bytes, "threads": 2}
    return outcome(path, profile, **given), outcome(path, profile, small_bytes=1 << 40)


def stamp(minute: int, style: int) -> str:
    """Return the stamp of a minute of 2020 in one of several layouts."""
    at = np.datetime64("2020-01-03T09:10") + np.timedelta64(minute, "m")
    year, month, day = str(at)[:10].split("-")
    clock = str(at)[11:]
    return (
        f"{int(day)}/{int(month)}/{year} {clock.removeprefix('0')}",
        f"{day}/{month}/{year} {clock}:00",
        f"{year}-{month}-{day} {clock}:07",
        f"{year}-{int(month)}-{day}T{clock}:00.{minute % 1000:03d}",
    )[style]


@pytest.mark.parametrize("module", TWINS)
@given(data=st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_file_gives_the_same(tmp_path: Path, module: Any, data: st.DataObject) -> None:
    """Tables and errors are the general path's, whatever layouts, numbers, odd rows and cuts."""
    styles = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=30))
    volumes = st.integers(0, 10**18).map(str)
    lines = [
        ",".join([stamp(minute, style), *(data.draw(PRICES) for _ in range(4)), data.draw(volumes)])
        for minute, style in enumerate(styles)
    ]
    for odd in data.draw(st.lists(st.sampled_from(ODD), max_size=2)):
        lines.insert(data.draw(st.integers(0, len(lines))), odd)
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    path = tmp_path / "bars.csv"
    path.write_text(end.join([",".join(NAMES), *lines]) + data.draw(st.sampled_from(["", end])), newline="")
    found, expected = both(path, profile_of(), module, data.draw(st.sampled_from([32, 100, 1000, 1 << 20])))
    assert found == expected


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("first", [True, False])
def test_one_odd_row_gives_the_same(tmp_path: Path, odd: str, first: bool) -> None:
    """Each kind of unusual row is read or refused as ever, at the beginning and in the middle."""
    lines = [f"{stamp(minute, minute % 2)},1,2,0.5,1.25,{minute}" for minute in range(40)]
    lines.insert(0 if first else 20, odd)
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([",".join(NAMES), *lines]) + "\n", newline="")
    for module in TWINS:
        found, expected = both(path, profile_of(), module, 200)
        assert found == expected


@pytest.mark.parametrize("offset", ["Z", "+03:00", "-0530", " +03"])
def test_offsets(tmp_path: Path, offset: str) -> None:
    """Stamps with an offset from UTC are read by the kernels, and equal."""
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([",".join(NAMES), *(f"{stamp(m, 2)}{offset},1,2,1,1,{m}" for m in range(50))]))
    profile = profile_of(layouts=("YYYY-MM-DD HH:MM:SSZ",))
    for module in TWINS:
        found, expected = both(path, profile, module, 100)
        assert found == expected
        assert isinstance(found, list)
        assert fast.scan(path, profile, small_bytes=0, module=module) is not None


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_two_columns_more_columns_and_comma(tmp_path: Path, delimiter: str) -> None:
    """Date and time apart, up and down volume, a column that nobody needs, decimal comma, no header."""
    names = ("Date", "Time", "Note", "Open", "High", "Low", "Close", "Up", "Down")
    columns = COLUMNS | {"timestamp": ("Date", "Time"), "volume": ("Up", "Down")}
    rows = (
        delimiter.join([*stamp(minute, minute % 2).split(" "), "a b\u00e9", "1,5", " 2,75", "-1", "1", "7", "8"])
        for minute in range(60)
    )
    path = tmp_path / "bars.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    profile = profile_of(delimiter=delimiter, names=names, columns=columns, decimal=",", header=False, skip_lines=0)
    for module in TWINS:
        found, expected = both(path, profile, module, 300)
        assert found == expected
        assert isinstance(found, list)
        assert fast.scan(path, profile, small_bytes=0, module=module) is not None


@pytest.mark.parametrize("tz", ["UTC", "Asia/Jerusalem", "America/New_York"])
@pytest.mark.parametrize("calendar", [None, EQUITY])
def test_ends_of_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tz: str, calendar: str | None) -> None:
    """Stamps at the end of bars give the same starts, those that a session's end cuts short too, in any ranges."""
    path = tmp_path / "bars.csv"
    minutes = [10 + 30 * i + (-5 if i % 7 == 3 else 0) for i in range(300)]
    path.write_text("\n".join([",".join(NAMES), *(f"{stamp(m, m % 3)},1,2,1,1,{m}" for m in minutes)]))
    profile = profile_of(tz=tz, edge="end", minutes=30, calendar=calendar)
    for rows in (1 << 18, 17):
        monkeypatch.setattr(starts, "_RANGE_ROWS", rows)
        found, expected = both(path, profile, TWINS[1], 1000)
        assert found == expected
        assert isinstance(found, list)


def test_stamps_that_go_back_between_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stamp that repeats the last one of the range before is found like any other."""
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([",".join(NAMES), *(f"{stamp(m - (m > 19), 1)},1,2,1,1,{m}" for m in range(40))]))
    monkeypatch.setattr(starts, "_RANGE_ROWS", 20)
    for edge in ("start", "end"):
        found, expected = both(path, profile_of(edge=edge, calendar=EQUITY), TWINS[1], 1000)
        assert found == expected
        assert "repeats" in str(found)


def test_the_stamps_alone(tmp_path: Path) -> None:
    """Read span by span they are those of the whole, and no number is looked at."""
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([",".join(NAMES), *(f"{stamp(m, m // 20)},1,2,1,1,{m}" for m in range(60))]))
    whole = fast.scan(path, profile_of(), small_bytes=0, module=kernels)
    assert whole is not None
    path.write_text("\n".join([",".join(NAMES), *(f"{stamp(m, m // 20)},x,y,z,,-" for m in range(60))]))
    for module, span_bytes in product(TWINS, (1, 300, 1 << 20)):
        shares: list[float] = []
        spans: list[fast.Scan] = []
        given: dict[str, Any] = {"small_bytes": 0, "module": module, "part_bytes": 99, "span_bytes": span_bytes}
        assert fast.scan_stamps(path, profile_of(), spans.append, progress=shares.append, **given)
        assert not any(span.columns for span in spans)
        assert np.array_equal(np.concatenate([span.stamps for span in spans]), whole.stamps)
        assert list(dict.fromkeys(layout for span in spans for layout in span.layouts)) == list(whole.layouts)
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        assert (len(spans) == 1) == (span_bytes == 1 << 20)


def test_layouts_have_codes() -> None:
    """Every layout that the kernel knows has a code, and back."""
    layout = Layout("ymd", "-", "T", seconds=True, fraction=True, offset=True)
    assert layout_of(code_of(layout) or 0, padded=True) == layout


def test_what_is_left_to_the_general_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files, files that are not there, and everything where numba is not installed."""
    path = tmp_path / "bars.csv"
    path.write_text(f"{','.join(NAMES)}\n1/1/2020 10:00,1,1,1,1,1\n")
    assert fast.scan(path, profile_of()) is None
    assert fast.scan(tmp_path / "none.csv", profile_of(), small_bytes=0, module=kernels) is None
    spans: list[fast.Scan] = []
    assert not fast.scan_stamps(path, profile_of(), spans.append)
    assert not fast.scan_stamps(tmp_path / "none.csv", profile_of(), spans.append, small_bytes=0, module=kernels)
    monkeypatch.setattr(compiled, "_found", lambda: False)
    assert fast.scan(path, profile_of(), small_bytes=0) is None
    assert not fast.scan_stamps(path, profile_of(), spans.append, small_bytes=0)
    assert not spans


def test_progress_may_cancel(tmp_path: Path) -> None:
    """What `progress` raises passes, and the share ends at one."""
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([",".join(NAMES), *(f"{stamp(m, 0)},1,2,1,1,{m}" for m in range(500))]))
    shares: list[float] = []
    assert fast.scan(path, profile_of(), small_bytes=0, module=kernels, part_bytes=1000, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def cancel(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fast.scan(path, profile_of(), small_bytes=0, module=kernels, part_bytes=1000, progress=cancel)


def test_before_the_kernels_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are read by the general path until then, and the rest by the kernels."""
    path = tmp_path / "bars.csv"
    path.write_text("\n".join([",".join(NAMES), *(f"{stamp(m, m % 3)},1,2,1,1,{m}" for m in range(300))]))
    answers = [None, None, *[TWINS[1]] * 10_000]
    monkeypatch.setattr(fast.KERNELS, "ready", lambda: answers.pop(0))
    found, expected = both(path, profile_of(), None, 1000)
    assert found == expected
    assert isinstance(found, list)
    assert len(answers) < 10_000
    monkeypatch.setattr(starts.CLOCKS, "ready", lambda: None)
    assert both(path, profile_of(), TWINS[1], 1000) == (expected, expected)


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_a_file_is_understood_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """Profile, evidence and bars are the same whether stamps were read by kernels or not, and read once or twice."""
    path = tmp_path / "NQ_1min.csv"
    stamps = [stamp(15_000 + minute, (first + minute // 50) % 3) for minute in range(200)]
    path.write_text("\n".join([",".join(NAMES), *(f"{each},1,2,1,1,5" for each in stamps)]) + "\n")

    def load() -> Any:
        bars = load_bars(path, tz="UTC", edge="start")
        return bars.profile, bars.evidence, bars.table

    general = load()
    monkeypatch.setattr(fast, "SMALL_BYTES", 0)
    shares: list[float] = []
    assert load_bars(path, tz="UTC", edge="start", progress=shares.append).table.equals(general[2])
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert load() == general
    assert sniff(path, tz="UTC", edge="start").profile == general[0]


def test_an_error_of_a_load_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date that does not exist is found by the kernels and worded by the general path."""
    path = tmp_path / "NQ_1min.csv"
    path.write_text("\n".join([",".join(NAMES), "15/2/2020 10:00,1,2,1,1,5", "31/2/2020 10:01,1,2,1,1,5"]) + "\n")
    with pytest.raises(NQError) as general:
        load_bars(path, tz="UTC", edge="start", timeframe="1min")
    monkeypatch.setattr(fast, "SMALL_BYTES", 0)
    with pytest.raises(NQError) as kernels_too:
        load_bars(path, tz="UTC", edge="start", timeframe="1min")
    assert str(kernels_too.value) == str(general.value)


def test_real_file(real_file: Path) -> None:
    """The real file gives the identical table on both paths."""
    profile = sniff(real_file).profile
    found, expected = both(real_file, profile, TWINS[1], 64 << 10)
    assert found == expected
    assert isinstance(found, list)
