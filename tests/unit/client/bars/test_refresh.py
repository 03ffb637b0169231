"""`refresh`: what was appended is appended, what was rewritten is told, and everybody keeps what they hold."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import SourceNotFound, StoreFull, UnknownDataset, UnsupportedData
from jupyter_nq.testing import Child

FILE = "NQ - 30 min - ETH.csv"
ROWS = 4_000


class Source:
    """A bar file that is written row by row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = path.read_bytes().splitlines(keepends=True)

    def write(self, rows: int) -> None:
        """Let the file have its first rows, as far as they differ from what it has."""
        self.path.write_bytes(b"".join(self.lines[: rows + 1]))

    def edit(self, row: int, before: bytes, after: bytes) -> None:
        """Rewrite something in a row, counted from 0."""
        assert before in self.lines[row + 1]
        self.lines[row + 1] = self.lines[row + 1].replace(before, after)

    def whole(self) -> pa.Table:
        """Return the file as one load reads it."""
        return load_bars(self.path, timeframe="30min", symbol="NQ").table


@pytest.fixture(autouse=True)
def _no_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep archives of these files in the test's own directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def source(data: Path) -> Source:
    """The file of NQ.30min with all but its last 300 rows."""
    write_sample(data, rows=ROWS, seed=8)
    made = Source(data / FILE)
    made.write(ROWS - 300)
    return made


def held(session: Session) -> pa.Table:
    """Return the whole newest dataset."""
    return session.open("NQ.30min").arrow()


def test_appended_rows_go_behind_the_others(session: Session, source: Source) -> None:
    """The same object with more rows, bit for bit those of one load; a frame that was held stays as it was."""
    before = session.load("NQ", "30min")
    old = session.open("NQ.30min")
    source.write(ROWS - 24)
    told = session.refresh("NQ.30min")
    assert (told.before, told.after, told.added, told.changed, told.removed) == (1, 2, 276, 0, 0)
    assert told.text().startswith("NQ.30min v1 -> v2: +276 rows, 0 changed, ")
    assert told.remarks == ()
    new = session.open("NQ.30min")
    assert (new.info.id, new.version) == (old.info.id, 2)
    assert held(session).equals(source.whole())
    assert len(before) == ROWS - 300
    pd.testing.assert_frame_equal(session.load("NQ", "30min").iloc[: len(before)], before)


def test_several_refreshes_in_a_row(session: Session, source: Source) -> None:
    """Row by row, and past the reserve of the object, which is copied once; a load is warm after each."""
    session.load("NQ", "30min")
    for rows in (ROWS - 299, ROWS - 298, ROWS - 200, ROWS):
        source.write(rows)
        session.refresh("NQ.30min")
        loaded = session.map("NQ", "30min")
        assert (loaded.how, loaded.handle.rows) == ("mapped", rows)
        assert held(session).equals(source.whole())
    assert session.open("NQ.30min").version == 5


def test_rows_beyond_the_reserve_are_a_larger_object(nq_store_dir: Path, data: Path, source: Source) -> None:
    """Without a reserve the dataset is copied once, with what is known of its rows."""
    settings = Settings(store_dir=str(nq_store_dir), data_dir=str(data), append_reserve=0.0)
    with Session(settings=settings) as session:
        old = session.map("NQ", "30min").handle
        source.write(ROWS)
        assert session.refresh("NQ.30min").added == 300
        new = session.map("NQ", "30min")
        assert (new.how, new.handle.version) == ("mapped", 2)
        assert new.handle.info.id != old.info.id
        assert held(session).equals(source.whole())


def test_nothing_new_makes_no_version(session: Session, source: Source) -> None:
    """An untouched and a touched file: it says so."""
    session.load("NQ", "30min")
    told = session.refresh("NQ.30min")
    assert (told.before, told.after, told.added) == (1, 1, 0)
    assert told.text().startswith(f"NQ.30min v1: nothing new in {FILE}, ")
    source.write(ROWS - 300)
    assert session.refresh("NQ.30min").after == 1


def test_a_line_break_alone_is_no_version(session: Session, source: Source) -> None:
    """The last line gets its end: the same rows, known as the file's new state."""
    source.path.write_bytes(source.path.read_bytes().rstrip(b"\n"))
    session.load("NQ", "30min")
    source.write(ROWS - 300)
    told = session.refresh("NQ.30min")
    assert (told.before, told.after) == (1, 1)
    assert session.map("NQ", "30min").how == "mapped"


def test_a_load_of_a_grown_file_takes_the_same_way(session: Session, source: Source) -> None:
    """It appends what is new, and says so; the evidence names it."""
    first = session.map("NQ", "30min").handle
    source.write(ROWS)
    loaded = session.map("NQ", "30min")
    assert (loaded.how, loaded.handle.version, loaded.handle.info.id) == ("refreshed", 2, first.info.id)
    assert "refreshed: the last 300 rows were read as the others, which they confirm" in loaded.evidence
    assert held(session).equals(source.whole())


def test_new_bars_that_cannot_be_real_are_named(session: Session, source: Source) -> None:
    """With their lines, as a load of the whole names them; and so is a last line that may have been cut."""
    session.load("NQ", "30min")
    for row in (ROWS - 20, ROWS - 10):
        stamp, open_, high, _, *rest = source.lines[row + 1].split(b",")
        source.lines[row + 1] = b",".join([stamp, open_, high, b"99999", *rest])
    source.write(ROWS)
    source.path.write_bytes(source.path.read_bytes().rstrip(b"\n"))
    broken, end = session.refresh("NQ.30min").remarks
    assert broken.startswith(
        f"rows: 2 bars have a high or low that does not contain open and close, in lines {ROWS - 18}"
    )
    assert end.startswith("end: the last line has no line break")
    whole = load_bars(source.path, timeframe="30min", symbol="NQ")
    assert {broken, end} <= set(whole.evidence)
    assert set(session.map("NQ", "30min").evidence) >= {broken, end}


def test_rewritten_history_is_listed(session: Session, source: Source) -> None:
    """One changed price, one row gone and one more: a full new version, which tells them apart."""
    before = session.load("NQ", "30min")
    cells = source.lines[101].split(b",")
    source.lines[101] = b",".join([*cells[:-1], b"123456\n"])
    gone = source.lines.pop(51)
    source.write(ROWS - 300)
    told = session.refresh("NQ.30min")
    assert (told.before, told.after, told.added, told.changed, told.removed) == (1, 2, 1, 1, 1)
    first, second = told.changes
    assert first.timestamp == before["timestamp"].dt.tz_convert(None)[50].to_datetime64()
    assert (first.before[4], first.after) == (float(gone.split(b",")[-1]), None)  # type: ignore[index]
    assert str(second).endswith(f"Z volume {before['volume'][100]:g} -> 123456")
    assert "its history was rewritten" in told.remarks[0]
    assert "1 removed" in told.text()
    assert held(session).equals(source.whole())
    assert len(before) == ROWS - 300


def test_a_line_that_was_cut_is_a_changed_row(session: Session, source: Source) -> None:
    """The file was read while its last number was being written: the row is another one now."""
    cut = len(b"".join(source.lines[: ROWS - 299]).rstrip(b"\n")) - 1
    source.path.write_bytes(b"".join(source.lines)[:cut])
    session.load("NQ", "30min")
    source.write(ROWS)
    told = session.refresh("NQ.30min")
    assert (told.changed, told.added) == (1, 300)
    assert "was not whole" in told.remarks[0]
    assert held(session).equals(source.whole())


def test_a_shorter_file(session: Session, source: Source) -> None:
    """What is gone is counted and listed."""
    session.load("NQ", "30min")
    source.write(ROWS - 310)
    told = session.refresh("NQ.30min")
    assert (told.added, told.changed, told.removed) == (0, 0, 10)
    assert str(told.changes[0]).endswith("is gone")
    assert "  and 5 more" in told.text()


def test_features_are_carried_on(session: Session, source: Source) -> None:
    """Those beside the bars get the new rows too, in the same object, with the bits of one computation."""
    session.load("NQ", "30min", features=True)
    session.load("NQ", "30min", features=["ema(10)", "rsi(14)"])
    names = [row.name for row in session.ls() if "features" in row.name]
    before = {name: session.open(name).info.id for name in names}
    for rows in (ROWS - 299, ROWS):
        source.write(rows)
        told = session.refresh("NQ.30min")
        assert len(told.remarks) == 2
        assert all(remark.endswith("carried on") for remark in told.remarks)
    assert {name: session.open(name).info.id for name in names} == before
    usual = session.map("NQ", "30min", features=True)
    assert usual.how == "mapped"
    session.drop(usual.handle.info.name)
    anew = session.map("NQ", "30min", features=True)
    assert anew.how == "computed"
    for name, column in anew.handle.numpy().items():
        assert column.tobytes() == usual.handle.numpy()[name].tobytes(), name


def test_features_of_rewritten_bars_are_computed_anew(session: Session, source: Source) -> None:
    """Their old values are no longer those of their bars."""
    session.load("NQ", "30min", features=["ema(10)"])
    source.lines[101] = b",".join([*source.lines[101].split(b",")[:-1], b"123456\n"])
    source.write(ROWS - 290)
    told = session.refresh("NQ.30min")
    assert told.remarks[1].endswith("computed anew")
    assert session.map("NQ", "30min", features=["ema(10)"]).how == "mapped"


def test_refreshing_the_features_refreshes_their_bars(session: Session, source: Source) -> None:
    """The name of either dataset does."""
    session.load("NQ", "30min", features=True)
    source.write(ROWS)
    assert session.refresh("NQ.30min-features").name == "NQ.30min"
    assert session.open("NQ.30min-features").rows == ROWS


def test_new_rows_in_another_layout_are_read_with_the_whole(session: Session, source: Source) -> None:
    """They contradict what was found out: the whole file is read again, and nothing of it has changed."""
    session.load("NQ", "30min")
    stamp, rest = source.lines[ROWS].split(b",", 1)
    day, time = stamp.split(b" ")
    source.lines[ROWS] = b".".join(day.split(b"/")) + b" " + time + b"," + rest
    source.write(ROWS)
    told = session.refresh("NQ.30min")
    assert (told.added, told.changed, told.removed) == (300, 0, 0)
    assert "none of the profile's layouts" in told.remarks[0]
    assert held(session).equals(source.whole())


def test_a_compressed_file_is_read_whole(session: Session, source: Source) -> None:
    """Its middle cannot be found, and it says so."""
    packed = source.path.with_name(FILE + ".gz")
    packed.write_bytes(gzip.compress(source.path.read_bytes()))
    source.path.unlink()
    session.load(packed)
    packed.write_bytes(gzip.compress(b"".join(source.lines)))
    told = session.refresh("NQ.30min")
    assert (told.added, told.changed) == (300, 0)
    assert "it is gzip" in told.remarks[0]


def test_a_parquet_file_is_read_whole(session: Session, source: Source) -> None:
    """It ends with its table of contents, and is another file when it has grown."""
    table = source.whole().drop_columns(["flags"])
    path = source.path.with_name("ES - 30 min.parquet")
    pq.write_table(table.slice(0, 3_000), path)
    session.load(path, edge="start")
    pq.write_table(table, path)
    told = session.refresh("ES.30min-start")
    assert (told.added, told.changed) == (700, 0)
    assert "only text can be read from its middle" in told.remarks[0]


def test_several_files_are_read_whole(session: Session, source: Source, tmp_path: Path) -> None:
    """One of them has grown, and one more matches the pattern."""
    parts = tmp_path / "parts"
    parts.mkdir()
    header, rows = source.lines[0], source.lines[1:]
    for year, (first, stop) in {2021: (0, 1_500), 2022: (1_500, 2_500)}.items():
        (parts / f"NQ_30min_{year}.csv").write_bytes(header + b"".join(rows[first:stop]))
    session.load(str(parts / "NQ_30min_20*.csv"))
    (parts / "NQ_30min_2022.csv").write_bytes(header + b"".join(rows[1_500:3_000]))
    (parts / "NQ_30min_2023.csv").write_bytes(header + b"".join(rows[3_000:]))
    told = session.refresh("NQ.30min")
    assert (told.before, told.after, told.added, told.changed, told.removed) == (1, 2, 1_500, 0, 0)
    assert "of several files" in told.remarks[0]
    assert session.refresh("NQ.30min").after == 2


def test_who_is_still_on_the_old_version_is_told(session: Session, source: Source) -> None:
    """Another process that holds version 1 is named, and the one that refreshes is not."""
    session.load("NQ", "30min")
    code = """
from jupyter_nq.client.session import Session
session = Session(sys.argv[1])
frame = session.get("NQ.30min")
session.ls()
say(len(frame)); input(); say(len(frame))
"""
    with Child(code, str(session.store.path)) as child:
        assert child.line() == str(ROWS - 300)
        source.write(ROWS)
        told = session.refresh("NQ.30min")
        assert [version for _, version in told.still_on] == [1]
        assert told.text().endswith(f"; {told.still_on[0][0]} still on v1")
        child.tell()
        assert child.line() == str(ROWS - 300)


def test_two_processes_refresh_at_once(session: Session, source: Source) -> None:
    """One appends, the other gets its result: both say the same, and there is one new version."""
    session.load("NQ", "30min")
    code = """
from jupyter_nq.client.session import Session
session = Session(sys.argv[1])
session.open("NQ.30min").close()
say("ready"); input()
told = session.refresh("NQ.30min")
say(told.before, told.after, told.added, told.changed)
"""
    with Child(code, str(session.store.path)) as one, Child(code, str(session.store.path)) as two:
        assert (one.line(), two.line()) == ("ready", "ready")
        source.write(ROWS)
        one.tell()
        two.tell()
        answers = {one.line(), two.line()}
    assert answers <= {"1 2 300 0", "2 2 0 0"}
    assert session.open("NQ.30min").version == 2
    assert held(session).equals(source.whole())


_STEPS = {
    "before the note": "from jupyter_nq.buffers import store; store.notes.write_note = lambda *a: die()",
    "after the note": "from jupyter_nq.buffers.store import Store; Store.append = lambda *a, **k: die()",
    "before the commit": "from jupyter_nq.buffers import appending; appending._commit = lambda *a: die()",
    "after the commit": "from jupyter_nq.buffers import appending; appending.refresh_digest = lambda *a: die()",
    "before it is told": "from jupyter_nq.client.line.channel import Channel; Channel.note = lambda *a, **k: die()",
}


@pytest.mark.parametrize("step", _STEPS)
def test_killed_between_the_steps(session: Session, source: Source, step: str) -> None:
    """Whoever comes next finds the old state or the new one, and brings it to the file's."""
    session.load("NQ", "30min")
    source.write(ROWS)
    code = f"""
from jupyter_nq.client.session import Session
session = Session(sys.argv[1])
{_STEPS[step]}
session.refresh("NQ.30min")
"""
    with Child(code, str(session.store.path)) as child:
        assert child.wait() == -9
    committed = step in ("after the commit", "before it is told")
    assert session.store.open("NQ.30min").rows == (ROWS if committed else ROWS - 300)
    loaded = session.map("NQ", "30min")
    assert (loaded.how, loaded.handle.version) == ("mapped" if committed else "refreshed", 2)
    assert held(session).equals(source.whole())
    session.store.verify(loaded.handle.info.id)


def test_a_lost_note_costs_a_load(session: Session, source: Source) -> None:
    """Rows whose origin is not known any more are parsed again, as a new version, and compared."""
    session.load("NQ", "30min")
    source.write(ROWS - 10)
    session.refresh("NQ.30min")
    (session.store.path / "notes" / session.open("NQ.30min").info.id).write_bytes(b"damaged")
    source.write(ROWS)
    told = session.refresh("NQ.30min")
    assert (told.before, told.after, told.added, told.changed) == (2, 3, 10, 0)
    assert "is not known" in told.remarks[0]
    assert held(session).equals(source.whole())


def test_a_full_store_leaves_the_old_version(nq_store_dir: Path, data: Path, source: Source) -> None:
    """The quota is asked before anything is written."""
    settings = Settings(store_dir=str(nq_store_dir), data_dir=str(data), append_reserve=0.0, pool_bytes=400_000)
    with Session(settings=settings) as session:
        session.load("NQ", "30min")
        source.write(ROWS)
        with pytest.raises(StoreFull):
            session.refresh("NQ.30min")
        assert session.open("NQ.30min").rows == ROWS - 300


def test_features_without_room_stay(nq_store_dir: Path, data: Path, source: Source) -> None:
    """The bars are refreshed, the features are told to be as they were, and catch up when there is room."""
    told = {"store_dir": str(nq_store_dir), "data_dir": str(data)}
    with Session(settings=Settings(**told)) as session:
        session.load("NQ", "30min", features=True)
        used = session.status().pool_used_bytes
    source.write(ROWS)
    with Session(settings=Settings(**told, pool_bytes=used + 60_000)) as session:
        refreshed = session.refresh("NQ.30min")
        assert refreshed.added == 300
        assert refreshed.remarks[0].startswith("NQ.30min-features stays as it was: ")
        assert session.open("NQ.30min-features").rows == ROWS - 300
    with Session(settings=Settings(**told)) as session:
        assert session.refresh("NQ.30min").remarks == ("NQ.30min-features v1 -> v2: carried on",)
        assert session.open("NQ.30min-features").rows == ROWS


def test_progress_can_cancel(session: Session, source: Source) -> None:
    """What the callback raises stops the refresh, and the old version stays."""
    session.load("NQ", "30min")
    source.write(ROWS)

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.refresh("NQ.30min", progress=stop)
    assert session.open("NQ.30min").rows == ROWS - 300
    assert session.refresh("NQ.30min").added == 300


def test_what_cannot_be_refreshed(session: Session, source: Source) -> None:
    """No dataset, one that a notebook put, and one whose file is gone."""
    with pytest.raises(UnknownDataset):
        session.refresh("NQ.30min")
    session.put("signals", np.arange(3))
    with pytest.raises(UnsupportedData, match="not read from a file"):
        session.refresh("signals")
    session.load("NQ", "30min")
    source.path.unlink()
    with pytest.raises(SourceNotFound):
        session.refresh("NQ.30min")
