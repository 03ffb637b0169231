"""`load`: names, warm and cold, changed and copied files, and options."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.request import Reading
from jupyter_nq.client.session import Session
from jupyter_nq.errors import (
    AmbiguousSource,
    InvalidArgument,
    NQError,
    SourceNotFound,
    UnknownInstrument,
    UnknownTimeframe,
    UnknownZone,
    UnreadableSource,
    UnsupportedData,
)

DAMAGED = "NQ - 30 min - ETH.csv"


def test_first_load_parses_and_the_second_maps(session: Session) -> None:
    """One parse; afterwards the same object, without touching the file's content."""
    first = session.map("NQ", "30min")
    second = session.map("NQ", "30min")
    assert (first.parsed, second.parsed) == (True, False)
    assert first.handle.info.id == second.handle.info.id
    assert first.handle.info.name == "NQ.30min"
    assert first.evidence
    assert first.evidence == second.evidence


@pytest.mark.parametrize(
    ("source", "timeframe"), [("30min", None), ("NQ", "30 min"), ("nq", "30m"), (None, "30min"), ("@NQ", "30min")]
)
def test_ways_to_say_the_same_dataset(session: Session, source: str | None, timeframe: str | None) -> None:
    """A timeframe alone is the default symbol; spelling does not matter."""
    assert session.map(source, timeframe).handle.info.name == "NQ.30min"


def test_path_is_the_same_dataset_as_its_symbol(session: Session, data: Path) -> None:
    """Loading the file by its path maps what the symbol and timeframe loaded."""
    by_name = session.map("NQ", "30min")
    by_path = session.map(data / DAMAGED)
    assert not by_path.parsed
    assert by_path.handle.info.id == by_name.handle.info.id


def test_frame_is_canonical(session: Session) -> None:
    """Columns, types and order are those of the canonical bar; flags show only when named."""
    frame = session.load("NQ", "30min")
    assert list(frame.columns) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert str(frame["timestamp"].dtype) == "datetime64[ns, UTC]"
    assert frame["timestamp"].is_monotonic_increasing
    assert set(session.load("NQ", "30min", columns=["flags", "close"]).columns) == {"flags", "close"}
    assert isinstance(session.load("NQ", "30min", as_="arrow"), pa.Table)
    assert set(session.load("NQ", "30min", as_="numpy")) == set(frame.columns)


def test_start_and_end_are_inclusive(session: Session) -> None:
    """A bare date as end is the whole day; rows keep their numbers in the whole."""
    whole = session.load("NQ", "30min")
    stamps = whole["timestamp"]
    first, last = stamps.iloc[100], stamps.iloc[300]
    part = session.load("NQ", "30min", start=first, end=last)
    assert (part.index[0], part.index[-1]) == (100, 300)
    day = stamps.iloc[300].date()
    to_day = session.load("NQ", "30min", end=str(day))
    assert to_day["timestamp"].iloc[-1] == stamps[stamps.dt.date == day].iloc[-1]
    assert len(session.load("NQ", "30min", end=day)) == len(to_day)
    local = first.tz_convert("America/New_York")
    assert session.load("NQ", "30min", start=local).index[0] == 100
    assert session.load("NQ", "30min", start="2100-01-01").empty
    with pytest.raises(InvalidArgument, match="is not a date"):
        session.load("NQ", "30min", start="yesterday?")
    with pytest.raises(InvalidArgument, match="after"):
        session.load("NQ", "30min", start=last, end=first)


def test_a_zone_object_is_its_name(session: Session) -> None:
    """As pandas and the standard library take it too."""
    with session.map("NQ", "30min", reading=Reading(tz=ZoneInfo("Asia/Jerusalem"))).handle as handle:  # type: ignore[arg-type]
        assert handle.info.name == "NQ.30min-Asia_Jerusalem"


def test_a_change_that_hides_its_time_is_found(session: Session, data: Path) -> None:
    """Same size, same file, and the time of modification set back, as `cp -p` does: the bars are the new ones."""
    path = data / "NQ - 30 min - ETH.csv"
    os.utime(path, (1.6e9, 1.6e9))
    before = session.load("NQ", "30min")
    lines = path.read_bytes().splitlines(keepends=True)
    cells = lines[-1].split(b",")
    cells[4] = cells[3] = b"1" + cells[4][1:]
    with path.open("r+b") as file:
        file.write(b"".join([*lines[:-1], b",".join(cells)]))
    os.utime(path, (1.6e9, 1.6e9))
    assert session.load("NQ", "30min")["close"].iloc[-1] == float(cells[4]) != before["close"].iloc[-1]


def test_a_name_that_is_no_text(session: Session, data: Path) -> None:
    """The bytes of a name that no text has are refused before anything is parsed."""
    path = os.fsencode(data / "NQ_30min_") + b"\xff.csv"
    os.rename(os.fsencode(data / "NQ - 30 min - ETH.csv"), path)
    with pytest.raises(UnreadableSource, match="the name has bytes that are no text"):
        session.load(os.fsdecode(path))


def test_a_name_may_have_any_text(session: Session, data: Path) -> None:
    """A space that does not break, as macOS writes it, and letters of any script."""
    path = (data / "NQ - 30 min - ETH.csv").rename(data / "NQ_30min 3\u202fPM\xa0\u05d1.csv")
    assert len(session.load(path)) == 2_000


def test_touched_file_is_not_parsed_again(session: Session, data: Path) -> None:
    """A new modification time with the same content is the same dataset."""
    session.map("NQ", "30min")
    os.utime(data / DAMAGED, ns=(1, 1))
    assert not session.map("NQ", "30min").parsed


def test_changed_file_is_a_new_version_and_the_old_one_stays(session: Session, data: Path) -> None:
    """A shorter file becomes version 2; who holds version 1 keeps all its rows."""
    old = session.load("NQ", "30min")
    lines = (data / DAMAGED).read_text().splitlines(keepends=True)
    (data / DAMAGED).write_text("".join(lines[:-10]))
    fresh = session.map("NQ", "30min")
    assert (fresh.parsed, fresh.handle.version, fresh.handle.rows) == (True, 2, len(old) - 10)
    assert len(old) == len(lines) - 1
    pd.testing.assert_frame_equal(session.view(fresh.handle), old.iloc[:-10])


def test_copied_file_is_the_same_dataset(session: Session, data: Path, tmp_path: Path) -> None:
    """The same content in another directory maps, without a notice."""
    session.map("NQ", "30min")
    (tmp_path / "copy").mkdir()
    shutil.copy(data / DAMAGED, tmp_path / "copy")
    again = session.map("NQ", "30min", data_dir=tmp_path / "copy")
    assert (again.parsed, again.notice, again.handle.info.name) == (False, None, "NQ.30min")


def test_other_file_of_the_same_name_gets_its_own(session: Session, data: Path, tmp_path: Path) -> None:
    """Another file of the same symbol and timeframe never takes the name in silence."""
    session.map("NQ", "30min")
    (tmp_path / "other").mkdir()
    lines = (data / DAMAGED).read_text().splitlines(keepends=True)
    (tmp_path / "other" / DAMAGED).write_text("".join(lines[:500]))
    other = session.map("NQ", "30min", data_dir=tmp_path / "other")
    name = other.handle.info.name
    assert name.startswith("NQ.30min-")
    assert other.notice is not None
    assert name in other.notice
    assert str(data / DAMAGED) in other.notice
    with pytest.warns(UserWarning, match=name):
        session.load("NQ", "30min", data_dir=tmp_path / "other")
    again = session.map("NQ", "30min", data_dir=tmp_path / "other")
    assert (again.parsed, again.handle.info.name) == (False, name)
    assert session.map("NQ", "30min").handle.info.name == "NQ.30min"


def test_name_that_a_notebook_put_is_not_taken(session: Session) -> None:
    """A frame that somebody put as NQ.30min stays, the bars get another name with a notice."""
    session.put("NQ.30min", np.arange(3))
    loaded = session.map("NQ", "30min")
    assert loaded.handle.info.name != "NQ.30min"
    assert loaded.notice is not None
    assert "put" in loaded.notice
    assert len(session.get("NQ.30min", as_="numpy")) == 3


def test_other_reading_is_another_dataset(session: Session) -> None:
    """An explicit zone or edge never changes what others see under the plain name."""
    plain = session.map("NQ", "30min")
    explicit = session.map("NQ", "30min", reading=Reading(tz="Asia/Jerusalem", edge="start", day_first=True))
    assert explicit.handle.info.name == "NQ.30min-Asia_Jerusalem-start-dayfirst"
    assert explicit.parsed
    pd.testing.assert_frame_equal(session.view(plain.handle), session.view(explicit.handle))


def test_opposite_zones_are_two_datasets(session: Session) -> None:
    """UTC+3 and UTC-3 never meet in one name, and neither changes the other."""
    east = session.map("NQ", "30min", reading=Reading(tz="Etc/GMT-3", edge="start"))
    west = session.map("NQ", "30min", reading=Reading(tz="Etc/GMT+3", edge="start"))
    assert east.handle.info.name == "NQ.30min-Etc_GMTminus3-start"
    assert west.handle.info.name == "NQ.30min-Etc_GMTplus3-start"
    with pytest.raises(UnknownZone, match="Mars"):
        session.map("NQ", "30min", reading=Reading(tz="Mars/Olympus_Mons" + "A" * 200))


def test_rows_that_a_notebook_adds_are_no_bars_of_the_file(session: Session) -> None:
    """Appending to a loaded dataset is refused, and if it happens below the session, the file is parsed again."""
    loaded = session.map("NQ", "30min")
    rows = loaded.handle.arrow(stop=2)
    with pytest.raises(UnsupportedData, match="Add the rows to the file"):
        session.append("NQ.30min", rows)
    session.store.append(loaded.handle.info.id, rows)
    again = session.map("NQ", "30min")
    assert (again.parsed, again.handle.rows) == (True, loaded.handle.rows)


def test_a_build_gives_the_version_it_made(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another notebook publishes under the name in that moment is not taken for the file's bars."""
    publish = Session.publish

    def publish_and_be_overtaken(self: Session, name: str, data: object, **options: Any) -> Handle:
        made = publish(self, name, data, **options)
        publish(self, name, np.zeros(3))
        return made

    monkeypatch.setattr(Session, "publish", publish_and_be_overtaken)
    loaded = session.map("NQ", "30min")
    assert (loaded.handle.version, loaded.handle.rows) == (1, 2_000)


def test_home_directory_is_expanded(session: Session, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with a tilde."""
    monkeypatch.setenv("HOME", str(data))
    assert session.map(f"~/{DAMAGED}").handle.info.name == "NQ.30min"


def test_name_of_a_file_that_is_gone_is_free(session: Session, data: Path, tmp_path: Path) -> None:
    """A deleted file keeps no name; the takeover is said, and who holds the old bars keeps them."""
    (tmp_path / "old").mkdir()
    lines = (data / DAMAGED).read_text().splitlines(keepends=True)
    (tmp_path / "old" / DAMAGED).write_text("".join(lines[:500]))
    old = session.load("NQ", "30min", data_dir=tmp_path / "old")
    (tmp_path / "old" / DAMAGED).unlink()
    new = session.map("NQ", "30min")
    assert (new.handle.info.name, new.handle.version, new.parsed) == ("NQ.30min", 2, True)
    assert new.notice is not None
    assert "gone" in new.notice
    assert len(old) == 499
    assert session.map("NQ", "30min").notice is None


def test_loaded_dataset_is_not_replaced_by_a_put(session: Session) -> None:
    """`put` under the name of a file's dataset is refused; after a drop the name is free."""
    session.load("NQ", "30min")
    with pytest.raises(UnsupportedData, match=r"holds\. Drop it first"):
        session.put("NQ.30min", np.arange(3))
    session.drop("NQ.30min")
    assert session.put("NQ.30min", np.arange(3)).rows == 3


def test_data_directory_of_the_moment(session: Session, data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """A variable that is set in a running kernel counts from then on."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(tmp_path / "empty"))
    with pytest.raises(SourceNotFound):
        session.load("NQ", "30min")
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(data))
    assert len(session.load("NQ", "30min")) == 2_000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"as_": "spreadsheet"}, "pandas, arrow, numpy, torch, polars"),
        ({"columns": "close"}, r"columns=\['close'\]"),
        ({"columns": ["clos"]}, "Did you mean 'close'"),
        ({"columns": 5}, "columns=5 is no list"),
        ({"tz": 3}, "tz=3 is int; pass the name of a zone"),
        ({"edge": 5}, "edge=5 is int"),
        ({"day_first": "yes"}, "day_first='yes' is neither True nor False"),
        ({"contract": 5}, "contract=5 is int; pass a code"),
        ({"symbol": 5}, "symbol=5 is int; pass a symbol"),
    ],
)
def test_arguments_that_make_no_sense(session: Session, options: dict[str, Any], says: str) -> None:
    """Each is an InvalidArgument that says what to write."""
    with pytest.raises(InvalidArgument, match=says):
        session.load("NQ", "30min", **options)
    with pytest.raises(UnknownTimeframe, match="with its unit"):
        session.load("NQ", 30)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="neither None nor 'server'"):
        Session(session.store.path, require="sever")


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("NQ", "7min"), UnknownTimeframe, "30min"),
        (("NQ", "soon"), UnknownTimeframe, "soon"),
        (("NQX", "30min"), UnknownInstrument, "NQX"),
        (("CL", "30min"), SourceNotFound, "CL"),
        (("NQ", None), AmbiguousSource, "30min"),
        (("nowhere/NQ - 30 min - ETH.csv", None), SourceNotFound, "nowhere"),
    ],
)
def test_what_cannot_be_found_is_one_clear_error(
    session: Session, arguments: tuple[str, str | None], error: type[NQError], says: str
) -> None:
    """The message names what was asked for or what is there, and nothing is left behind."""
    with pytest.raises(error, match=says):
        session.load(*arguments)
    assert [list((session.store.path / d).iterdir()) for d in ("obj", "tmp", "names")] == [[], [], []]


def test_path_that_does_not_tell_what_it_is(session: Session, data: Path, tmp_path: Path) -> None:
    """A file name without symbol and timeframe needs both said; a directory is refused."""
    shutil.copy(data / DAMAGED, tmp_path / "mine.csv")
    with pytest.raises(UnreadableSource, match="symbol="):
        session.load(tmp_path / "mine.csv")
    named = session.map(tmp_path / "mine.csv", "30min", symbol="NQ")
    assert named.handle.info.name == "NQ.30min"
    with pytest.raises(UnreadableSource, match="not a regular file"):
        session.load(data)


def test_failed_parse_leaves_nothing(session: Session, tmp_path: Path) -> None:
    """A file with a bad row fails with its line, and neither object nor lock stays."""
    bad = tmp_path / "NQ_30min.csv"
    bad.write_text("Timestamp,Open,High,Low,Close,Volume\n2024-06-03T14:00:00Z,1,2,1,x,5\n")
    with pytest.raises(UnreadableSource, match="line 2"):
        session.load(bad)
    assert "line 2" in (session.status().problem or ""), "everybody's desk shows it"
    assert [list((session.store.path / d).iterdir()) for d in ("obj", "tmp", "names")] == [[], [], []]


def test_progress_can_cancel_a_load(session: Session) -> None:
    """Raising from the progress callback leaves nothing behind."""

    def cancel(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.map("NQ", "30min", progress=cancel)
    assert [list((session.store.path / d).iterdir()) for d in ("obj", "tmp", "names")] == [[], [], []]
    assert session.map("NQ", "30min").parsed


def test_a_wrong_contract_is_told_at_every_load(session: Session, data: Path) -> None:
    """Months of hardly any volume are named when the file is parsed and when it is mapped, with features too."""
    path = data / "NQ_1h.csv"
    table = sample_bars("30min", rows=46 * 120)
    volume = table["volume"].to_numpy().copy()
    volume[46 * 60 : 46 * 90] //= 500
    stamps = [f"{start:%d/%m/%Y %H:%M:%S}" for start in table["timestamp"].to_pylist()]
    columns = [stamps, *(table[name].to_pylist() for name in ("open", "high", "low", "close")), volume.tolist()]
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join(["Timestamp,Open,High,Low,Close,Volume", *rows]))
    told = {"timeframe": "30min", "symbol": "MNQ", "tz": "UTC", "edge": "start"}
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"MNQ.30min.*: wrong contract from 20\d\d-.* in the median session"):
            session.load(path, **told)
    with pytest.warns(UserWarning, match=r"wrong contract from"):
        session.load(path, features=["sma(20)"], **told)


def test_bars_in_closed_hours_are_told_at_every_load(session: Session, data: Path) -> None:
    """A zone that was given and does not fit is used, and said so each time."""
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"NQ.30min.*: [\d,]+ of 2,000 bars start in hours when CME Globex Equity"):
            session.load("NQ", "30min", tz="America/Los_Angeles", edge="start")
