"""A file that grows, read at its end: the bits of the whole, whatever was appended when."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars, read_bars
from jupyter_nq.bars.loading import Bars
from jupyter_nq.bars.reading import fast
from jupyter_nq.bars.reading.chunks import Grid
from jupyter_nq.bars.refreshing import evidence
from jupyter_nq.bars.refreshing.evidence import confirm
from jupyter_nq.bars.refreshing.tail import NotAppended, read_tail
from tests.unit.bars.conftest import HEADER, REAL_NAME, session_starts, written

NAME = "NQ - 30 min - ETH.csv"


def priced(stamps: list[str]) -> bytes:
    """Return a file with a price of its own in each row, some of them impossible."""
    lines = [HEADER]
    for row, stamp in enumerate(stamps):
        price = 15_000 + row * 7 % 400 / 4
        high = price + (0 if row % 11 == 0 else -1 if row % 97 == 0 else 2)
        lines.append(f"{stamp},{price},{high},{price - row % 5},{price},{row * 13 % 900}")
    return ("\n".join(lines) + "\n").encode()


def jerusalem() -> bytes:
    """Starts in Jerusalem over both changes of its clock, in two layouts that alternate by the day."""
    starts = session_starts("2024-03-18", 170)
    long, short = written(starts, "Asia/Jerusalem"), written(starts, "Asia/Jerusalem", "%-d/%-m/%Y %-H:%M")
    return priced([a if int(a[:2]) > 12 else b for a, b in zip(long, short, strict=True)])


def new_york_ends() -> bytes:
    """Ends in New York, the last bar of each Friday cut short."""
    starts = list(session_starts("2024-05-06", 60, 240))
    stamps = []
    for start in starts:
        end = start + timedelta(minutes=240)
        close = datetime.fromisoformat(written([start], "America/New_York", "%Y-%m-%d 17:00:00")[0])
        local = datetime.fromisoformat(written([end], "America/New_York", "%Y-%m-%d %H:%M:%S")[0])
        opened = datetime.fromisoformat(written([start], "America/New_York", "%Y-%m-%d %H:%M:%S")[0])
        stamps.append(min(local, close) if opened < close else local)
    return priced([stamp.strftime("%d/%m/%Y %H:%M:%S") for stamp in stamps])


def repeated_hour() -> bytes:
    """Five-minute bars in Sydney's clock, which repeats an hour on a Monday morning of New York's Sunday."""
    return priced(written(session_starts("2024-03-25", 14, 5), "Australia/Sydney"))


def billionths() -> bytes:
    """Prices in whole billionths, as Databento writes them."""
    rows = [line.split(b",") for line in jerusalem().splitlines()[1:]]
    scaled = [[stamp, *(b"%d" % round(float(p) * 1e9) for p in prices), volume] for stamp, *prices, volume in rows]
    return HEADER.encode() + b"\n" + b"".join(b",".join(row) + b"\n" for row in scaled)


FILES: dict[str, tuple[bytes, str, dict[str, Any]]] = {
    "jerusalem": (jerusalem(), NAME, {}),
    "ends": (new_york_ends(), "NQ - 240 min - ETH.csv", {"tz": "America/New_York", "edge": "end"}),
    "repeated": (repeated_hour(), "NQ - 5 min - ETH.csv", {}),
    "billionths": (billionths(), NAME, {"profile": {"price_scale": 10**9}}),
    "given": (repeated_hour(), "NQ - 5 min - ETH.csv", {"tz": "Australia/Sydney"}),
}


class Grown:
    """A file that is read, and then refreshed."""

    def __init__(self, path: Path, content: bytes, answers: dict[str, Any], cut: int) -> None:
        self.path, self.content, self.answers = path, content, answers
        path.write_bytes(content[:cut])
        self.size = cut
        self.bars: Bars = load_bars(path, **answers)
        self.table: pa.Table = self.bars.table
        self.grid: Grid | None = None
        self.appended = 0

    def refresh(self, cut: int) -> None:
        self.path.write_bytes(self.content[:cut])
        profile, symbol = self.bars.profile, "NQ"
        try:
            tail = read_tail(self.path, profile, self.table, self.size, cut, grid=self.grid, block_bytes=4096)
            label = f"{profile.minutes}min"
            confirm(self.path, profile, tail, self.table, self.size, symbol=symbol, timeframe=label, given=self.answers)
        except NotAppended:
            self.bars = load_bars(self.path, **self.answers)
            self.table, self.grid = self.bars.table, None
        else:
            self.table = pa.concat_tables([self.table, tail.table]).combine_chunks()
            self.grid = tail.grid
            self.appended += 1
        self.size = cut


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_refreshed_is_the_whole(tmp_path: Path, name: str, data: st.DataObject) -> None:
    """Cut anywhere, in a line too, and refreshed several times: the table of one load, bit for bit."""
    content, file, answers = FILES[name]
    lines = [i + 1 for i, byte in enumerate(content) if byte == 10]
    places = data.draw(st.lists(st.sampled_from(lines[len(lines) // 2 :]), min_size=1, max_size=4, unique=True))
    grown = Grown(tmp_path / file, content, answers, sorted(places)[0])
    for place in [*sorted(places)[1:], len(content)]:
        grown.refresh(place)
    assert grown.table.equals(load_bars(tmp_path / file, **answers).table)


@pytest.mark.parametrize("name", FILES)
def test_a_day_is_appended(tmp_path: Path, name: str) -> None:
    """A few new rows need no full reading, whatever the file's clock and edge, and go on from each other."""
    content, file, answers = FILES[name]
    lines = [i + 1 for i, byte in enumerate(content) if byte == 10]
    grown = Grown(tmp_path / file, content, answers, lines[-61])
    for place in (lines[-41], lines[-3], lines[-2], lines[-1]):
        grown.refresh(place)
    assert grown.appended == 4
    assert grown.table.equals(load_bars(tmp_path / file, **answers).table)


@pytest.mark.parametrize("name", FILES)
def test_the_fast_path_reads_the_same(tmp_path: Path, name: str) -> None:
    """A large file is read by kernels, its new rows by the general path: one table."""
    content, file, answers = FILES[name]
    few = content[: content.rfind(b"\n", 0, 30_000) + 1]
    lines = [i + 1 for i, byte in enumerate(few) if byte == 10]
    grown = Grown(tmp_path / file, few, answers, lines[-60])
    grown.refresh(len(few))
    settings_ = {"small_bytes": 0, "module": fast.KERNELS.plain}
    assert grown.table.equals(read_bars(tmp_path / file, grown.bars.profile, settings=settings_))


def test_lines_above_the_header_that_a_return_ends(tmp_path: Path) -> None:
    """Where line feeds do not tell how many lines lie above the rows, new rows are those of a full reading."""
    lines = priced(written(session_starts("2024-03-18", 20), "UTC")).splitlines()
    content = b"".join(line + b"\r\r\n" for line in [b"Title one", b"Two", *lines])
    grown = Grown(tmp_path / NAME, content, {"tz": "UTC", "edge": "start"}, content.index(lines[-40]))
    with pytest.raises(NotAppended, match="cannot be told by its line feeds"):
        read_tail(grown.path, grown.bars.profile, grown.table, grown.size, grown.size)
    grown.refresh(len(content))
    assert not grown.appended
    assert grown.table.num_rows == len(lines) - 1


def test_the_real_file(real_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session, a month and a row of it are appended without a look at the whole, with the bits of the whole."""
    content = real_file.read_bytes()
    lines = [i + 1 for i, byte in enumerate(content) if byte == 10]
    monkeypatch.setattr(evidence, "sniff", None)
    grown = Grown(tmp_path / REAL_NAME, content, {}, lines[-1 - 46 - 1_012 - 1])
    for place in (lines[-1 - 1_012 - 1], lines[-2], lines[-1]):
        grown.refresh(place)
    assert grown.appended == 3
    assert grown.table.equals(load_bars(real_file).table)
