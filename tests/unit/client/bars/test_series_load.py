"""Loading several files of one series: a list, or a pattern, as one dataset."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.client.bars.checks import sniff
from jupyter_nq.client.bars.chunks import iterate
from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument, SourceNotFound, UnreadableSource, UnsupportedData

BARS = sample_bars("5min", rows=400, seed=2)
ROWS = BARS.num_rows
CUT = ROWS // 2


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with two files of one series."""
    directory = tmp_path / "years"
    directory.mkdir()
    pq.write_table(BARS.slice(0, CUT), directory / "NQ_2023.parquet")
    pq.write_table(BARS.slice(CUT - 10), directory / "NQ_2024.parquet")
    return directory


def test_list_and_pattern_are_one_dataset(session: Session, place: Path) -> None:
    """The list is parsed, the same list is mapped, in any order; the pattern with the same files too."""
    paths = [place / "NQ_2024.parquet", str(place / "NQ_2023.parquet")]
    how = [
        session.map(source, "5min", symbol="NQ")
        for source in (paths, tuple(reversed(paths)), f"{place}/NQ_20*.parquet")
    ]
    assert [mapped.how for mapped in how] == ["parsed", "mapped", "mapped"]
    assert {(mapped.handle.info.name, mapped.handle.rows) for mapped in how} == {("NQ.5min", ROWS)}
    assert any("overlap: NQ_2023.parquet and NQ_2024.parquet both hold 10 bars" in line for line in how[0].evidence)
    for mapped in how:
        mapped.handle.close()


def test_changed_and_added_files_are_new_versions(session: Session, place: Path) -> None:
    """A touched file changes nothing, a changed one and one more are the next versions of the dataset."""
    pattern = f"{place}/NQ_20*.parquet"
    versions = [session.map(pattern, "5min", symbol="NQ")]
    os.utime(place / "NQ_2023.parquet", ns=(1, 1))
    versions.append(session.map(pattern, "5min", symbol="NQ"))
    pq.write_table(BARS.slice(CUT, 100), place / "NQ_2024.parquet")
    versions.append(session.map(pattern, "5min", symbol="NQ"))
    pq.write_table(BARS.slice(CUT + 100), place / "NQ_2025.parquet")
    versions.append(session.map(pattern, "5min", symbol="NQ"))
    assert [mapped.how for mapped in versions] == ["parsed", "mapped", "parsed", "parsed"]
    assert [mapped.handle.version for mapped in versions] == [1, 1, 2, 3]
    assert [mapped.handle.rows for mapped in versions] == [ROWS, ROWS, CUT + 100, ROWS]
    for mapped in versions:
        mapped.handle.close()


def test_single_file_and_series_keep_their_names(session: Session, place: Path) -> None:
    """A file of the series alone is another dataset, with a notice that names the files."""
    session.map([place / "NQ_2023.parquet", place / "NQ_2024.parquet"], "5min", symbol="NQ").handle.close()
    alone = session.map(place / "NQ_2023.parquet", "5min", symbol="NQ")
    assert alone.handle.info.name.startswith("NQ.5min-")
    assert f"{place}/NQ_2023.parquet and 1 more" in (alone.notice or "")
    alone.handle.close()
    with pytest.raises(UnsupportedData, match=r"NQ_2023\.parquet and 1 more"):
        session.put("NQ.5min", np.zeros(3))


def test_names_say_what_the_files_hold(session: Session, place: Path) -> None:
    """Symbol and timeframe come from the names, without the year, or from the stamps; contradictions are refused."""
    with session.map(f"{place}/NQ_*.parquet").handle as handle:
        assert handle.info.name == "NQ.5min"
    session.drop("NQ.5min")
    for year in (2023, 2024):
        (place / f"NQ_{year}.parquet").rename(place / f"NQ_5min_{year}.parquet")
    with session.map(f"{place}/NQ_*.parquet").handle as handle:
        assert handle.info.name == "NQ.5min"
    with pytest.raises(UnreadableSource, match=r"NQ_5min_2023.parquet holds NQ 5min by its name, not ES 5min"):
        session.load(f"{place}/NQ_*.parquet", symbol="ES")
    pq.write_table(BARS, place / "NQ_30min_2025.parquet")
    with pytest.raises(UnreadableSource, match="of one instrument and one timeframe"):
        session.load(f"{place}/NQ_*.parquet")


def test_what_is_no_series(session: Session, place: Path) -> None:
    """An empty list, a pattern without files, a missing file, and files that say nothing are refused."""
    with pytest.raises(InvalidArgument, match="empty"):
        session.load([], "5min", symbol="NQ")
    with pytest.raises(InvalidArgument, match="not a path"):
        session.load([1, 2], "5min", symbol="NQ")
    with pytest.raises(SourceNotFound, match="no file matches"):
        session.load(f"{place}/ES_*.csv", "5min", symbol="ES")
    with pytest.raises(SourceNotFound, match="NQ_2022"):
        session.load([place / "NQ_2022.parquet"], "5min", symbol="NQ")
    with pytest.raises(InvalidArgument, match="list is neither a path nor a symbol"):
        sniff(session, [place / "NQ_2023.parquet"])  # type: ignore[arg-type]
    for year in (2023, 2024):
        (place / f"NQ_{year}.parquet").rename(place / f"bars_{year}.parquet")
    with pytest.raises(UnreadableSource, match="do not tell which instrument they hold"):
        session.load(f"{place}/bars_*.parquet")


def test_file_with_a_bracket_in_its_name(session: Session, place: Path) -> None:
    """A path that exists is that file, even when it could be a pattern."""
    path = place / "NQ_5min [1].parquet"
    pq.write_table(BARS, path)
    with session.map(str(path), "5min", symbol="NQ").handle as handle:
        assert handle.rows == ROWS


def test_a_list_in_a_directory_with_brackets(session: Session, place: Path) -> None:
    """Nothing of a list is taken for a pattern, not when it is refreshed either."""
    odd = place.rename(place.with_name("[NQ] 20*"))
    files = [str(odd / "NQ_2023.parquet"), str(odd / "NQ_2024.parquet")]
    session.map(files, "5min", symbol="NQ").handle.close()
    pq.write_table(BARS.slice(CUT - 10, ROWS - CUT), files[1])
    told = session.refresh("NQ.5min")
    assert (told.added, told.removed) == (0, 10)


def test_chunks_of_a_series(session: Session, place: Path) -> None:
    """The iterator gives exactly so many rows across the border of two files."""
    batches = list(iterate(session, f"{place}/NQ_20*.parquet", "5min", symbol="NQ", rows=CUT - 5))
    assert [batch.num_rows for batch in batches] == [CUT - 5, CUT - 5, ROWS - 2 * (CUT - 5)]
    assert pa.Table.from_batches(batches).select(BARS.column_names).cast(BARS.schema).equals(BARS.combine_chunks())
