"""The archives of parsed files: restored bit for bit, bounded, private, and never the reason why a load fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.bars.archive import open_archive, write_archive
from jupyter_nq.client.bars import cache
from jupyter_nq.client.bars.loading import Mapped
from jupyter_nq.client.bars.request import Reading
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings, default_cache_dir

DAMAGED = "NQ - 30 min - ETH.csv"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a directory of archives of its own, in which even small files are kept."""
    monkeypatch.setenv("JUPYTER_NQ_CACHE", str(tmp_path / "archives"))
    monkeypatch.setattr(cache, "FEW_ROWS", 1)
    return tmp_path / "archives"


def again(session: Session, *asked: str) -> Mapped:
    """Load what was dropped before."""
    session.cache.wait()
    for name in session.store.names():
        session.drop(name)
    return session.map(*(asked or ("NQ", "30min")))


def loaded(session: Session, *asked: str) -> None:
    """Load, and wait for the archive, if it can be written or not."""
    assert session.map(*(asked or ("NQ", "30min"))).how == "parsed"
    session.cache.wait()


def archives(place: Path) -> list[Path]:
    """Return the archives by the time of their last use."""
    return sorted(place.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)


def test_dropped_bars_are_restored(session: Session, place: Path) -> None:
    """Table, profile, evidence and metadata are those of the parse; then they are mapped as ever."""
    first = session.map("NQ", "30min")
    second = again(session)
    assert (first.how, second.how, session.map("NQ", "30min").how) == ("parsed", "restored", "mapped")
    assert not second.parsed
    assert second.handle.arrow().equals(first.handle.arrow())
    assert second.handle.info.meta == first.handle.info.meta
    assert second.evidence == first.evidence
    assert place.stat().st_mode & 0o777 == 0o700
    (path,) = archives(place)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(place.iterdir()) == [path]


def test_a_store_that_is_gone(session: Session, data: Path, tmp_path: Path) -> None:
    """After a reboot, with another store, under another path and time: the content decides."""
    session.map("NQ", "30min")
    session.cache.wait()
    (tmp_path / "moved").mkdir()
    shutil.copy(data / DAMAGED, tmp_path / "moved")
    where = session.store.path.with_name(session.store.path.name + "-2")
    try:
        with Session(settings=Settings(store_dir=str(where), data_dir=str(tmp_path / "moved"))) as other:
            mapped = other.map("NQ", "30min")
            assert mapped.how == "restored"
            assert mapped.handle.info.meta["bars"]["path"] == str(tmp_path / "moved" / DAMAGED)  # type: ignore[index,call-overload]
            assert other.map("NQ", "30min").how == "mapped"
    finally:
        shutil.rmtree(where)


def test_what_the_table_depends_on_is_the_key(session: Session, data: Path, tmp_path: Path) -> None:
    """Another content, reading, symbol or timeframe is another archive."""
    session.map("NQ", "30min")
    session.cache.wait()
    told = session.map("NQ", "30min", reading=Reading(tz="Asia/Jerusalem", edge="start"))
    shutil.copy(data / DAMAGED, tmp_path / "mine.csv")
    other = session.map(tmp_path / "mine.csv", "30min", symbol="ES")
    lines = (data / DAMAGED).read_text().splitlines(keepends=True)
    (data / DAMAGED).write_text("".join(lines[:-1]))
    assert [told.how, other.how, session.map("NQ", "30min").how] == ["parsed"] * 3
    session.cache.wait()
    assert session.cache.usage().archives == 4


def test_small_files_are_not_kept(session: Session, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are parsed as fast as restored."""
    monkeypatch.setattr(cache, "FEW_ROWS", 2_001)
    session.map("NQ", "30min")
    assert again(session).how == "parsed"
    assert not place.exists()


def test_switched_off(session: Session, place: Path) -> None:
    """With 0 bytes nothing is kept, and nothing that is there is used."""
    session.map("NQ", "30min")
    session.cache.wait()
    session.settings.cache_bytes = 0
    assert again(session).how == "parsed"
    session.cache.wait()
    assert len(archives(place)) == 1


def test_the_longest_unused_go_first(session: Session, place: Path) -> None:
    """Within the limit all stay; beyond it those whose last use is oldest are removed, a restored one is not."""
    asked = [("NQ", "30min"), ("NQ", "5min"), ("ES", "30min")]
    taken = []
    for at, (symbol, timeframe) in enumerate(asked):
        session.map(symbol, timeframe)
        session.cache.wait()
        (new,) = set(archives(place)) - {path for path, _ in taken}
        taken.append((new, new.stat().st_size))
        os.utime(new, (at + 1, at + 1))
    assert again(session, "NQ", "30min").how == "restored"
    session.settings.cache_bytes = taken[0][1] + 2 * taken[2][1]
    session.map("NQ", "30min", reading=Reading(tz="Asia/Jerusalem", edge="start", day_first=True))
    session.cache.wait()
    left = archives(place)
    assert taken[1][0] not in left
    assert taken[0][0] in left
    assert session.cache.usage().bytes <= session.settings.cache_bytes


def test_more_than_all_may_take(session: Session, place: Path) -> None:
    """One archive beyond the limit is not kept; a warning says what to change, and the bars are there."""
    session.settings.cache_bytes = 1000
    with pytest.warns(UserWarning, match=r"could not be kept.*cache_bytes is 1,000"):
        loaded(session)
    assert list(place.iterdir()) == []


def test_full_disk(session: Session, nq_tmpfs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The load succeeds, one warning says what is full, and no half archive stays."""
    full = nq_tmpfs("16k")
    monkeypatch.setenv("JUPYTER_NQ_CACHE", str(full / "archives"))
    with pytest.warns(UserWarning, match=r"No space left on device.*loaded all the same.*cache_bytes=0") as told:
        loaded(session, "NQ", "5min")
    assert len(told) == 1
    assert list((full / "archives").iterdir()) == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert again(session, "NQ", "5min").how == "parsed"
        session.cache.wait()


@pytest.mark.parametrize("damage", ["cut", "byte", "empty", "text", "other"])
def test_damaged_archives_are_made_again(session: Session, place: Path, damage: str) -> None:
    """Whatever is wrong with one, it is said, removed, and the file is parsed; the next time it is restored again."""
    loaded(session, "ES", "30min")
    (other,) = archives(place)
    first = session.map("NQ", "30min").handle.arrow()
    session.cache.wait()
    (ours,) = set(archives(place)) - {other}
    whole = ours.read_bytes()
    middle = len(whole) // 2
    contents = {
        "cut": whole[:middle],
        "byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
        "text": b"dear diary" * 100,
        "other": other.read_bytes(),
    }
    ours.write_bytes(contents[damage])
    with pytest.warns(UserWarning, match=r"It is removed, and .* is parsed"):
        mapped = again(session)
    assert (mapped.how, mapped.handle.arrow().equals(first)) == ("parsed", True)
    assert again(session).how == "restored"


def test_what_others_may_have_written_is_not_read(session: Session, place: Path, tmp_path: Path) -> None:
    """An archive or directory that others may write, or a link, is left alone; the warning says how to close it."""
    session.map("NQ", "30min")
    session.cache.wait()
    (path,) = archives(place)
    path.chmod(0o620)
    assert again(session).how == "parsed"
    session.cache.wait()
    assert again(session).how == "restored", "replaced by our own"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert again(session).how == "parsed"
    session.cache.wait()
    place.chmod(0o770)
    session.drop("NQ.30min")
    with pytest.warns(UserWarning, match="chmod go-w"):
        loaded(session)


def test_the_cache_is_no_directory(session: Session, place: Path) -> None:
    """A file in its place, or a place that cannot be made, is one warning."""
    place.write_text("mine")
    with pytest.warns(UserWarning, match="could not be kept"):
        loaded(session)
    assert place.read_text() == "mine"


def test_drafts_of_the_dead_are_swept(session: Session, place: Path) -> None:
    """A killed writer's draft goes with the next archive; files of others stay."""
    place.mkdir(mode=0o700)
    dead = place / f".{'0' * 32}.{'1' * 16}"
    dead.write_bytes(b"half")
    (place / "notes.txt").write_text("mine")
    session.map("NQ", "30min")
    session.cache.wait()
    assert not dead.exists()
    assert session.cache.clear().archives == 1
    assert [path.name for path in place.iterdir()] == ["notes.txt"]


def test_clearing_and_forgetting(session: Session, place: Path) -> None:
    """What is removed is told; an empty directory goes too."""
    from jupyter_nq.client.bars.request import asked
    from jupyter_nq.client.bars.source import FileSource

    session.map("NQ", "30min")
    session.map("ES", "30min")
    session.cache.wait()
    usage = session.cache.usage()
    assert usage.archives == 2
    assert usage.bytes == sum(path.stat().st_size for path in archives(place))
    session.cache.forget(FileSource(asked(session, "NQ", "30min")))
    session.cache.forget(FileSource(asked(session, "NQ", "30min")))
    assert session.cache.usage().archives == 1
    assert session.cache.clear().archives == 1
    assert not place.exists()
    assert session.cache.clear().archives == 0
    assert again(session).how == "parsed"


@pytest.mark.parametrize("record", [{}, {"key": None}, {"profile": {}, "evidence": 3}, {"profile": {"tz": 1}}])
def test_an_archive_that_says_too_little(session: Session, place: Path, record: dict[str, Any]) -> None:
    """Written by another version, with the right key or none: made again."""
    table = session.map("NQ", "30min").handle.arrow()
    session.cache.wait()
    (path,) = archives(place)
    key = open_archive(path).record["key"]
    write_archive(table.combine_chunks(), path, 0.25, {"key": key, **record})
    path.chmod(0o600)
    with pytest.warns(UserWarning, match=r"is the archive of another file|does not say how its file was read"):
        assert again(session).how == "parsed"
    assert again(session).how == "restored"


_KILLED = """
import sys
from jupyter_nq.bars import archive
from jupyter_nq.client.bars import cache
from jupyter_nq.client.session import Session

def half(table, file, *rest):
    file.write(b"PAR1" * 100)
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()

archive.write_archive, cache.FEW_ROWS = half, 1
session = Session(sys.argv[1])
session.map(sys.argv[2])
session.cache.wait()
"""


def test_a_killed_writer_leaves_nothing_half(session: Session, data: Path, place: Path) -> None:
    """Its draft is no archive, and goes with the next one that is written."""
    store = session.store.path.with_name(f"{session.store.path.name}-k")
    command = [sys.executable, "-c", _KILLED, str(store), str(data / DAMAGED)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"half\n"
        loaded(session, "ES", "30min")
        assert len(list(place.iterdir())) == 2, "the draft of a living writer stays"
    finally:
        child.kill()
        child.communicate()
        shutil.rmtree(store, ignore_errors=True)
    assert session.map("NQ", "30min").how == "parsed"
    session.cache.wait()
    assert archives(place) == sorted(place.iterdir(), key=lambda path: path.stat().st_mtime_ns)


_LOAD = """
import sys
from jupyter_nq.client.bars import cache
from jupyter_nq.client.session import Session
cache.FEW_ROWS = 1
print("ready", flush=True)
sys.stdin.readline()
session = Session(sys.argv[1])
print(session.map(sys.argv[2]).how, flush=True)
"""


def test_processes_write_one_key(session: Session, data: Path, place: Path, tmp_path: Path) -> None:
    """Four stores, four processes, one file at the same moment: one whole archive, which each end waits for."""
    stores = [session.store.path.with_name(f"{session.store.path.name}-{number}") for number in range(4)]
    command = [sys.executable, "-c", _LOAD]
    children = [
        subprocess.Popen(
            [*command, str(store), str(data / DAMAGED)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for store in stores
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        said = [child.communicate("\n", timeout=60)[0].splitlines()[-1] for child in children]
    finally:
        for child in children:
            child.kill()
        for store in stores:
            shutil.rmtree(store, ignore_errors=True)
    assert set(said) <= {"parsed", "restored"}
    assert len(archives(place)) == len(list(place.iterdir())) == 1
    assert session.map("NQ", "30min").how == "restored"


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the user's cache directory, unless a variable or a setting names another."""
    monkeypatch.delenv("JUPYTER_NQ_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.Cache(Settings()).path == default_cache_dir() == tmp_path / "jupyter-nq" / "bars"
    assert cache.Cache(Settings(cache_dir="/somewhere")).path == Path("/somewhere")
    assert repr(cache.Cache(Settings(cache_dir="/somewhere"))) == "<Cache /somewhere, at most 2.0 GiB>"


def test_the_server_s_settings_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host of the coordinator says counts, unless this process says something itself."""
    monkeypatch.delenv("JUPYTER_NQ_CACHE")
    told = {"cache_dir": "/of/the/server", "cache_bytes": 0}
    assert repr(cache.Cache(Settings(), lambda: told)) == "<Cache /of/the/server, at most 0 B>"
    own = Settings(cache_dir="/mine", cache_bytes=1 << 20)
    assert repr(cache.Cache(own, lambda: told)) == "<Cache /mine, at most 1.0 MiB>"
