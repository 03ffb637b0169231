"""Tables in memory become shared bars once by their content, whatever library they are of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from jupyter_nq.bars import BAR_SCHEMA
from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.client.bars.checks import validate
from jupyter_nq.client.bars.request import Reading
from jupyter_nq.client.session import Session
from jupyter_nq.errors import AmbiguousStamps, UnknownInstrument, UnknownTimeframe, UnreadableSource

BARS = sample_bars("30min", rows=1_000, seed=2)

LIBRARIES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: BARS.to_pandas(),
    "pandas, index": lambda: BARS.to_pandas().set_index("timestamp"),
    "pandas, nameless index": lambda: BARS.to_pandas().set_index("timestamp").rename_axis(None),
    "pandas, New York": lambda: _in_new_york(),
    "pandas, float volume": lambda: BARS.to_pandas().astype({"volume": "float64"}),
    "pandas, objects": lambda: BARS.to_pandas().astype({"volume": object, "close": object}),
    "polars": lambda: pl.from_arrow(BARS),
    "polars, columns": lambda: pl.from_arrow(BARS.rename_columns(["Datetime", "Open", "High", "Llow", "Last", "Vol"])),
    "DuckDB": lambda: duckdb.from_arrow(BARS),
    "Arrow": lambda: BARS,
    "Arrow, batch": lambda: BARS.combine_chunks().to_batches()[0],
    "Arrow, stream": lambda: pa.RecordBatchReader.from_batches(BARS.schema, BARS.to_batches(max_chunksize=77)),
}


def _in_new_york() -> pd.DataFrame:
    frame = BARS.to_pandas()
    return frame.assign(timestamp=frame["timestamp"].dt.tz_convert("America/New_York"))


def test_equal_bars_of_any_library_are_one_dataset(session: Session) -> None:
    """The first publishes, all others map, and what is shared is canonical."""
    how = {kind: session.map(make(), "30min", symbol="NQ") for kind, make in LIBRARIES.items()}
    assert [mapped.how for mapped in how.values()] == ["parsed", *["mapped"] * (len(how) - 1)]
    assert {(mapped.handle.info.name, mapped.handle.version, mapped.notice) for mapped in how.values()} == {
        ("NQ.30min", 1, None)
    }
    table = session.get("NQ.30min", as_="arrow", columns=BAR_SCHEMA.names)
    assert table.select(BARS.column_names).cast(BARS.schema).equals(BARS)
    for mapped in how.values():
        mapped.handle.close()


def test_record_says_what_it_was_and_has_no_path(session: Session) -> None:
    """The dataset remembers that it came from a frame, and how it was read."""
    with session.map(BARS.to_pandas(), "30min", symbol="NQ").handle as handle:
        known: Any = handle.info.meta["bars"]
    assert "path" not in known
    assert known["object"] == "a pandas DataFrame"
    assert known["profile"]["tz"] == "UTC"
    assert known["evidence"][0].startswith("table: a pandas DataFrame, stamps timestamp[ns, tz=UTC]")


def test_other_bars_are_the_next_version(session: Session) -> None:
    """Under a name that came from memory other bars are a new version, and the old one stays with who holds it."""
    old = session.load(BARS.slice(0, 500), "30min", symbol="NQ")
    new = session.map(BARS, "30min", symbol="NQ")
    assert (new.handle.info.name, new.handle.version, new.handle.rows, len(old)) == ("NQ.30min", 2, 1_000, 500)
    new.handle.close()


def test_frame_with_the_bars_of_a_file_is_its_dataset(session: Session) -> None:
    """A frame that holds what a file holds maps the file's dataset; other bars get a name of their own."""
    loaded = session.load("NQ", "30min")
    again = session.map(loaded.copy())
    assert (again.how, again.handle.info.name, again.handle.version) == ("mapped", "NQ.30min", 1)
    again.handle.close()
    part = session.map(loaded.iloc[:700])
    assert part.handle.info.name.startswith("NQ.30min-")
    assert "is the dataset of" in (part.notice or "")
    part.handle.close()
    pd.testing.assert_frame_equal(session.load(session.load("NQ", "30min", as_="arrow")), loaded)


def test_name_of_a_file_is_not_taken(session: Session) -> None:
    """A file whose name came from memory is loaded beside it, with a notice."""
    session.load(BARS, "30min", symbol="NQ")
    with session.map("NQ", "30min").handle as handle:
        assert handle.info.name.startswith("NQ.30min-")


def test_answers_are_part_of_the_name(session: Session) -> None:
    """A clock that is given makes a dataset of its own, as for a file."""
    naive = BARS.to_pandas().assign(timestamp=lambda frame: frame["timestamp"].dt.tz_localize(None))
    mapped = session.map(naive, "30min", symbol="NQ", reading=Reading(tz="UTC", edge="start"))
    assert mapped.handle.info.name == "NQ.30min-UTC-start"
    mapped.handle.close()
    short = naive.iloc[:4]
    with pytest.raises(AmbiguousStamps, match="a pandas DataFrame"):
        session.load(short, "30min", symbol="NQ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop(columns="close"), "a pandas DataFrame: the columns .* have none for close"),
        (lambda f: f.reset_index(drop=True).drop(columns="timestamp"), "have none for timestamp"),
        (lambda f: f.assign(close=["1", 2.0] * 500), "cannot be read as a table: .*close.*one type"),
        (lambda f: f.assign(close="text"), "'close' is .*string, not numbers"),
        (lambda f: f.assign(close=f["close"].where(f.index != 3)), r"row 3 \(the first is 0\): close is "),
        (lambda f: f.assign(volume=f["volume"].astype("Int64").where(f.index != 3)), "row 3 .*volume is null"),
        (lambda f: f.assign(volume=f["volume"] + 0.5), "row 0 .*not a whole number"),
        (lambda f: f.iloc[::-1], "do not strictly increase in 999 of 1,000 rows"),
        (lambda f: f.set_axis(pd.MultiIndex.from_product([f.columns, ["NQ=F"]]), axis=1), "several levels"),
    ],
)
def test_frames_that_are_no_bars(session: Session, change: Callable[[Any], Any], says: str) -> None:
    """Each fault is one sentence with the row or the column."""
    with pytest.raises(UnreadableSource, match=says):
        session.load(change(BARS.to_pandas()), "30min", symbol="NQ")
    assert session.ls() == []


def test_what_the_bars_are_must_be_said(session: Session) -> None:
    """Neither the instrument nor the length is guessed, and what contradicts the stamps is refused."""
    with pytest.raises(UnreadableSource, match="Say both"):
        session.load(BARS)
    with pytest.raises(UnreadableSource, match="Say both"):
        session.load(BARS, "30min")
    with pytest.raises(UnknownInstrument):
        session.load(BARS, "30min", symbol="NQQ")
    with pytest.raises(UnknownTimeframe, match="usually 30 minutes apart"):
        session.load(BARS, "5min", symbol="NQ")


def test_views_and_features_of_what_came_from_memory(session: Session) -> None:
    """A frame from memory is loaded with a span, columns and features like any other."""
    first = BARS["timestamp"][10].as_py()
    frame = session.load(BARS, "30min", symbol="NQ", start=first, columns=["close"])
    assert len(frame) == 990
    np.testing.assert_array_equal(frame["close"], BARS["close"].to_numpy()[10:])
    assert "sma_20" in session.load(BARS, "30min", symbol="NQ", features=["sma(20)"]).columns


def test_two_processes_worth_of_frames(session: Session, nq_store_dir: Path) -> None:
    """A second session over the same store maps what the first one published."""
    session.load(BARS, "30min", symbol="NQ")
    with Session(nq_store_dir) as other:
        mapped = other.map(pl.from_arrow(BARS), "30min", symbol="NQ")
        assert mapped.how == "mapped"
        mapped.handle.close()


@pytest.mark.parametrize("kind", LIBRARIES)
def test_tables_of_any_library_are_validated(session: Session, kind: str) -> None:
    """A validation takes what a load takes, an index of stamps too."""
    frame = LIBRARIES[kind]()
    if kind in ("polars, columns", "pandas, nameless index"):
        frame = BARS.to_pandas().set_index("timestamp")
    report = validate(session, frame, "30min", symbol="NQ")
    assert (report.rows, report.errors) == (1_000, [])
