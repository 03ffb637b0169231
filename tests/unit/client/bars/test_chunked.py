"""The chunks of a file that nobody has loaded: those of the whole, in the memory of a chunk, and nothing shared."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.bars import chunked
from jupyter_nq.client.bars.loader import UnifiedDataLoader
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import InvalidArgument, StoreFull, UnknownTimeframe

ROWS = 1_500
NAME = "NQ - 30 min - ETH.csv"


@pytest.fixture
def session(nq_store_dir: Path) -> Iterator[Session]:
    """Give a session whose store is empty."""
    with Session(nq_store_dir) as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Give a directory of sample bars."""
    write_sample(tmp_path, rows=ROWS, seed=4)
    return tmp_path


@pytest.fixture
def whole(session: Session, files: Path) -> Iterator[pd.DataFrame]:
    """Give the frame of `load_data`; the store is empty again."""
    loader = UnifiedDataLoader(files, session=session)
    frame = loader.load_data("30min").copy()
    loader.clear_cache()
    assert session.ls() == []
    yield frame
    assert session.ls() == [], "nothing was shared"


@given(
    rows=st.integers(1, 2_000),
    batch_rows=st.sampled_from([7, 400, 10_000]),
    features=st.booleans(),
    span=st.tuples(st.integers(-3, ROWS + 3), st.integers(0, ROWS)) | st.none(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunks_are_the_rows_of_the_whole(
    session: Session,
    files: Path,
    whole: pd.DataFrame,
    rows: int,
    batch_rows: int,
    features: bool,
    span: tuple[int, int] | None,
) -> None:
    """Bit for bit and with their index, of any number of rows, with features and without, and of a span."""
    loader = UnifiedDataLoader(files, preprocessing_enabled=features, session=session)
    expected, dates = whole if features else whole[whole.columns[:6]], {}
    if span is not None:
        first = whole["timestamp"].iloc[0] + span[0] * pd.Timedelta(minutes=30)
        last = first + span[1] * pd.Timedelta(minutes=30)
        dates = {"start_date": first, "end_date": last}
        expected = expected[(expected["timestamp"] >= first) & (expected["timestamp"] <= last)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked, "_BATCH_ROWS", batch_rows)
        found = list(loader.load_chunked_data("30min", rows, **dates))
    assert [len(chunk) for chunk in found[:-1]] == [rows] * (len(found) - 1)
    assert len(found) == -(-len(expected) // rows)
    if found:
        pd.testing.assert_frame_equal(pd.concat(found), expected, check_exact=True)
        assert [chunk.index[0] for chunk in found] == expected.index[::rows].tolist()


def test_a_file_larger_than_the_store(nq_store_dir: Path, tmp_path: Path) -> None:
    """Where a load finds no room, its chunks need none; in the store are neither bars nor features."""
    write_sample(tmp_path, rows=100_000, layouts=["1min"])
    with Session(settings=Settings(store_dir=str(nq_store_dir), pool_bytes=4 << 20)) as session:
        loader = UnifiedDataLoader(tmp_path, session=session)
        assert len(next(loader.load_chunked_data("1min", chunk_size=10_000))) == 10_000
        assert sum(map(len, loader.load_chunked_data("1min", chunk_size=30_000))) == 100_000
        assert session.ls() == []
        with pytest.raises(StoreFull):
            loader.load_data("1min")


def test_bars_without_their_features_are_read_again(session: Session, files: Path) -> None:
    """Bars that are shared are cut; features that are not are computed chunk by chunk, for nobody else."""
    plain = UnifiedDataLoader(files, preprocessing_enabled=False, session=session)
    bars = plain.load_data("30min")
    [first, *_] = plain.load_chunked_data("30min", 1_000)
    assert first["close"].to_numpy().base is not None, "a view"
    pd.testing.assert_frame_equal(first, bars.iloc[:1_000])
    loader = UnifiedDataLoader(files, session=session)
    streamed = pd.concat(loader.load_chunked_data("30min", 1_000))
    assert {dataset.name for dataset in session.ls()} == {"NQ.30min"}
    pd.testing.assert_frame_equal(streamed, loader.load_data("30min"), check_exact=True)


def test_a_file_that_changed_since_it_was_loaded(session: Session, files: Path) -> None:
    """The dataset that is there is not the file's any more."""
    loader = UnifiedDataLoader(files, preprocessing_enabled=False, session=session)
    before = loader.load_data("30min")
    path = files / NAME
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-200]))
    found = pd.concat(loader.load_chunked_data("30min"))
    pd.testing.assert_frame_equal(found, before.iloc[: ROWS - 200], check_exact=True)
    assert session.ls()[0].rows == ROWS


def test_the_answers_to_a_question_hold_for_chunks(session: Session, files: Path) -> None:
    """A file that was loaded with answers is mapped by them, and without its dataset it is read by them."""
    path = files / "NQ_15min.csv"
    path.write_text(
        "Timestamp,Open,High,Low,Close,Volume\n"
        + "".join(f"2024-05-06 {at // 4:02d}:{at % 4 * 15:02d},100,101,99,100,7\n" for at in range(38, 60))
    )
    loaded = session.load(path, tz="America/New_York", edge="start")
    loader = UnifiedDataLoader(files, preprocessing_enabled=False, session=session)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was read as said before
        pd.testing.assert_frame_equal(pd.concat(loader.load_chunked_data("15min", 10)), loaded)
        session.drop(session.ls()[0].name)
        pd.testing.assert_frame_equal(pd.concat(loader.load_chunked_data("15min", 10)), loaded)
    assert session.ls() == []


def test_columns_of_chunks(session: Session, files: Path, whole: pd.DataFrame) -> None:
    """Those asked for in that order, flags too; features are computed only where one of them is wanted."""
    loader = UnifiedDataLoader(files, session=session)
    for columns in (["close", "rsi_14"], ["flags", "timestamp"], ["volume"]):
        found = pd.concat(loader.load_chunked_data("30min", 100, columns=columns))
        assert list(found.columns) == columns
        for name in set(columns) & set(whole.columns):
            pd.testing.assert_series_equal(found[name], whole[name], check_exact=True)
    assert found["volume"].dtype == "int64"


@pytest.mark.parametrize("rows", [49, 50, 51, 1_000])
def test_a_large_chunk_is_put_together_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many batches a chunk comes from, each is joined once."""
    joined = 0
    concat = pa.concat_tables

    def counted(tables: list[pa.Table]) -> pa.Table:
        nonlocal joined
        joined += len(tables)
        return concat(tables)

    monkeypatch.setattr(pa, "concat_tables", counted)
    table = pa.table({"volume": range(1_000)})
    found = list(chunked._cut((table.slice(at, 3) for at in range(0, 1_000, 3)), rows))
    assert [part.num_rows for part in found] == [min(rows, 1_000 - at) for at in range(0, 1_000, rows)]
    assert concat(found).equals(table)
    assert joined <= 334 + 1_000 // rows + 1


def test_what_is_wrong_is_said_at_the_call(session: Session, files: Path) -> None:
    """Not when the first chunk is taken."""
    loader = UnifiedDataLoader(files, session=session)
    wrong: dict[str, Any]
    for wrong, message in (
        ({"columns": ["clse"]}, "NQ.30min has no column 'clse'. Did you mean 'close'"),
        ({"columns": "close"}, "Write a list"),
        ({"start_date": "2024-02", "end_date": "2024-01"}, "is after end"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            loader.load_chunked_data("30min", **wrong)
    shutil.move(files / NAME, files / "away.txt")
    with pytest.raises(UnknownTimeframe, match="no 30min file"):
        loader.load_chunked_data("30min")


def test_errors_are_warned_of_on_the_way(session: Session, files: Path) -> None:
    """Once, when the iteration comes to the first, as the validation names it; switched off not at all."""
    path = files / NAME
    lines = path.read_text().splitlines(keepends=True)
    for number in (700, 900):
        stamp, open_, _, low, close, volume = lines[number].split(",")
        lines[number] = ",".join([stamp, open_, low, low, close, volume])
    path.write_text("".join(lines))
    silent = UnifiedDataLoader(files, validation_enabled=False, session=session)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(chunked, "_BATCH_ROWS", 100)
        assert sum(map(len, silent.load_chunked_data("30min", 100))) == ROWS
        chunks = UnifiedDataLoader(files, session=session).load_chunked_data("30min", 100)
        assert [next(chunks).index[0] for _ in range(6)][-1] == 500
        warnings.simplefilter("always")
        with pytest.warns(
            UserWarning, match=r"NQ.30min has errors: 1 bar whose high or low .*; row 699. valid"
        ) as told:
            next(chunks)
        assert told[0].filename == __file__
        warnings.simplefilter("error")
        assert len(list(chunks)) == 8
