"""`iterate` in a session: the file that it finds out about is the one that it reads, as a load would take it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.client.bars.chunks import iterate
from jupyter_nq.client.session import Session
from jupyter_nq.errors import UnreadableSource

BARS = sample_bars("30min", rows=2_000, seed=5)
Write = Callable[[Path, pa.Table], None]


def text(path: Path, bars: pa.Table, tz: str = "UTC") -> None:
    """Write bars as a text with the clock of a zone, which its closed hours tell."""
    local = pc.local_timestamp(bars["timestamp"].cast(pa.timestamp("s", tz)))
    stamps = pc.strftime(local, "%Y-%m-%d %H:%M:%S").to_pylist()
    columns = [bars[name].to_pylist() for name in bars.column_names[1:]]
    rows = [",".join(map(str, row)) for row in zip(stamps, *columns, strict=True)]
    path.write_text("\n".join([",".join(bars.column_names), *rows]) + "\n")


def parquet(path: Path, bars: pa.Table) -> None:
    """Write bars as Parquet."""
    pq.write_table(bars, path, row_group_size=100)


@pytest.fixture(params=[text, parquet])
def write(request: pytest.FixtureRequest) -> Write:
    """Give what writes a file."""
    found: Write = request.param
    return found


@pytest.mark.parametrize("taken", [0, 1])
@pytest.mark.parametrize("span", [{}, {"start": "2000-01-01"}])
def test_a_file_that_is_replaced(
    session: Session, tmp_path: Path, write: Write, taken: int, span: dict[str, Any]
) -> None:
    """After the call no other file is read in its place, by the profile of the old one or in its middle."""
    path = tmp_path / "NQ_30min.csv"
    write(path, BARS)
    batches = iterate(session, path, rows=100, **span)
    assert all(next(batches)["timestamp"][0] == BARS["timestamp"][0] for _ in range(taken))
    write(tmp_path / "new", BARS.slice(100))
    (tmp_path / "new").replace(path)
    with pytest.raises(UnreadableSource, match=r"NQ_30min\.csv changed while it was read"):
        list(batches)


def test_another_clock_in_the_same_place(session: Session, tmp_path: Path) -> None:
    """A file of another zone is not read with the clock of the one before."""
    path = tmp_path / "NQ_30min.csv"
    text(path, BARS)
    batches = iterate(session, path, rows=100)
    text(path, BARS, "Asia/Jerusalem")
    with pytest.raises(UnreadableSource, match="changed while it was read"):
        next(batches)


def test_a_change_while_it_is_found_out_what_a_file_is(
    session: Session, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at the call, in the place of what it broke."""
    path = tmp_path / "NQ_30min.csv"
    write(path, BARS)
    where = "jupyter_nq.client.bars.chunks."

    def overtaken(*_: object, **__: object) -> None:
        path.write_bytes(path.read_bytes()[:-5])
        raise UnreadableSource("some line is cut")

    monkeypatch.setattr(where + ("sniff" if write is text else "_columnar"), overtaken)
    with pytest.raises(UnreadableSource, match="changed while it was read"):
        iterate(session, path, rows=100)


def test_prices_in_billionths(session: Session, tmp_path: Path, write: Write) -> None:
    """They are refused in the words of a load, unless the profile says so."""
    bars = BARS
    for name in ("open", "high", "low", "close"):
        bars = bars.set_column(bars.column_names.index(name), name, pc.multiply(bars[name], 1e9).cast(pa.int64()))
    path = tmp_path / "NQ_30min.csv"
    write(path, bars)
    with pytest.raises(UnreadableSource) as expected:
        session.load(path)
    with pytest.raises(UnreadableSource) as caught:
        next(iterate(session, path, rows=2_000))
    assert str(caught.value) == str(expected.value)
    if write is text:
        batches = iterate(session, path, rows=2_000, profile={"price_scale": 10**9})
        assert next(batches)["close"].equals(BARS["close"].combine_chunks())
