r"""Where rows begin and how many lie before a byte, in files whose lines end in one way or another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import read_bars
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading import ranges
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.reading.ranges import Unsearchable, data_start, part_of, rows_before, sampled_readings
from jupyter_nq.errors import UnreadableSource
from tests.unit.bars.conftest import written
from tests.unit.bars.reading.test_chunks import GOOD, MINUTES, NAMES, every, fast_by, nanos, profile_of, whole

STAMPS = written(every(datetime(2024, 7, 1, tzinfo=UTC), 3600, 700), "UTC", MINUTES)
END = nanos(datetime(2024, 7, 3, tzinfo=UTC))


def text(tmp_path: Path, ending: str, above: int = 2, rows: list[str] | None = None) -> tuple[Path, Profile]:
    """Write a file with lines above its header, and return it with its profile: `\r\r\n` ends two lines."""
    lines = [*[f"Title {i}" for i in range(above)], ",".join(NAMES), *(rows or [f"{stamp},{GOOD}" for stamp in STAMPS])]
    path = tmp_path / "bars.csv"
    path.write_bytes("".join(line + ending for line in lines).encode())
    breaks = ending.replace("\r\n", "\n").count("\r") + ending.count("\n")
    return path, replace(profile_of(minutes=60), skip_lines=breaks * (above + 1))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r\r\n", "\r", "\r\r"])
def test_a_span_whatever_ends_the_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """No row of a span is missing, also behind lines above the header."""
    monkeypatch.setattr(ranges, "_NARROW", 200)
    path, profile = text(tmp_path, ending)
    table = read_bars(path, profile)
    assert table.num_rows == len(STAMPS)
    for way in (None, fast_by(1000)):
        assert whole(iterate(path, profile, rows=99, end_ns=END, settings=way)).equals(table.slice(0, 49))
        late = iterate(path, profile, rows=99, start_ns=END, settings=way)
        assert whole(late).equals(table.slice(48).combine_chunks())


@pytest.mark.parametrize(("ending", "plain"), [("\n", True), ("\r\n", True), ("\r\r\n", False), ("\r", False)])
def test_where_rows_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, plain: bool) -> None:
    """It is told by line feeds where nothing else ends a line, and else not at all."""
    monkeypatch.setattr(ranges, "_NARROW", 200)
    monkeypatch.setattr(ranges, "_SAMPLE", 100)
    path, profile = text(tmp_path, ending)
    assert (part_of(path, profile, None, END) is not None) is plain
    assert bool(sampled_readings(path, profile)) is plain
    with path.open("rb") as file:
        if plain:
            assert data_start(file, profile) == path.read_bytes().index(STAMPS[0].encode())
        else:
            with pytest.raises(Unsearchable):
                data_start(file, profile)


def test_a_line_above_the_rows_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read into memory to look for its end."""
    monkeypatch.setattr(ranges, "_NARROW", 200)
    monkeypatch.setattr(ranges, "_LINE", 40)
    path, profile = text(tmp_path, "\n")
    assert part_of(path, profile, None, END) is not None
    path.write_bytes(path.read_bytes().replace(b"Title 1", b"T" * 40))
    assert part_of(path, profile, None, END) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rows_before_are_those_that_lines_count(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever ends each line, empty ones and those above the header are no rows."""
    ends = data.draw(st.lists(st.sampled_from(["\n", "\r\n", "\r", "\r\r\n", "\n\n"]), min_size=2, max_size=20))
    path = tmp_path_factory.mktemp("rows") / "bars.csv"
    content = "".join(f"line {i}{end}" for i, end in enumerate(ends)).encode()
    path.write_bytes(content)
    skipped = data.draw(st.integers(0, 3))
    place = data.draw(st.sampled_from([i + 1 for i, byte in enumerate(content) if byte == 10] or [0]))
    expected = [line for line in content[:place].splitlines()[skipped:] if line]
    assert rows_before(path, replace(profile_of(), skip_lines=skipped), place) == len(expected)


def test_a_fault_in_a_span_behind_rows_that_a_return_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its line is that of the file, though the search goes by line feeds."""
    monkeypatch.setattr(ranges, "_NARROW", 200)
    rows = [f"{stamp},{GOOD}" for stamp in STAMPS]
    rows[:20] = ["\r".join(rows[:20])]
    rows[500] = f"{rows[500][:20]},x,99,100,7"
    path, profile = text(tmp_path, "\n", rows=rows)
    with pytest.raises(UnreadableSource) as expected:
        read_bars(path, profile)
    with pytest.raises(UnreadableSource) as caught:
        list(iterate(path, profile, rows=99, start_ns=nanos(datetime(2024, 7, 18, tzinfo=UTC))))
    assert str(caught.value) == str(expected.value)
    assert "line 523:" in str(caught.value)
