"""Parsed files on disk: after a reboot or a drop an unchanged file is restored instead of parsed again.

The shared buffer is the warm copy and this is the cold one: an archive (`bars.archive`) for each content of a file
and way of reading it, called by the digest of both. It is written after the bars were shared, by a thread that
the process's end waits for, to a draft that is then renamed; so whoever finds an archive finds a whole one,
however many write it and whoever is killed. What is read is checked against its own digest; what does not fit is
removed, and the file is parsed. Nothing here can make a load fail.

Reading an archive renews its modification time. When the archives take more than `cache_bytes`, those with the oldest
go. Few rows are not kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import xxhash

from jupyter_nq.bars.instruments import instrument
from jupyter_nq.bars.profile import Profile
from jupyter_nq.buffers.locks import try_flock
from jupyter_nq.config import Settings, default_cache_dir, environment
from jupyter_nq.errors import ChecksumError, SourceNotFound, StoreError, UnreadableSource
from jupyter_nq.sizes import size

if TYPE_CHECKING:
    from jupyter_nq.bars import Bars
    from jupyter_nq.client.bars.request import Request

FEW_ROWS = 50_000
"""Fewer are not kept: as text they are under 3 MB, and restoring them saves less than a tenth of a second."""

_ARCHIVE = re.compile(r"[0-9a-f]{32}\.parquet")
_DRAFT = re.compile(r"\.[0-9a-f]{32}\.[0-9a-f]{16}")
_SWITCH = "cache_bytes=0 switches the cache off, cache_dir names another place."


class Source(Protocol):
    """What the cache needs to know of what a load reads."""

    @property
    def key(self) -> str:
        """Content, answers of the user and version of the reader."""

    @property
    def request(self) -> Request:
        """With the symbol and timeframe, by which a file is read too."""


@dataclass(frozen=True)
class Usage:
    """What the archives take."""

    archives: int
    bytes: int


class Cache:
    """The archives of parsed files in one directory.

    Parameters
    ----------
    settings
        `cache_dir` and `cache_bytes`; $JUPYTER_NQ_CACHE, as it is now, wins over the first.
    told
        Gives what the coordinator's host says of these, which counts where this process says nothing itself.
    """

    def __init__(self, settings: Settings, told: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._settings = settings
        self._told = told
        self._paused = threading.local()
        self._lock = threading.Lock()
        self._writers: list[threading.Thread] = []  # guarded by `_lock`

    def __repr__(self) -> str:
        return f"<Cache {self.path}, at most {size(self.limit)}>"

    @property
    def path(self) -> Path:
        """Directory of the archives; it need not exist."""
        now = environment().get("cache_dir")
        return Path(now or self._settings.cache_dir or self._told().get("cache_dir") or default_cache_dir())

    @property
    def limit(self) -> int:
        """Bytes that the archives may take; 0 switches the cache off."""
        if getattr(self._paused, "now", False):
            return 0
        own = self._settings.cache_bytes
        return own if own != Settings.cache_bytes.default_value else int(self._told().get("cache_bytes", own))

    def restore(self, source: Source) -> Bars | None:
        """Return the bars of an unchanged source from its archive; None when there is none, or it cannot be used.

        Warns
        -----
        UserWarning
            An archive was damaged; it is removed.
        """
        if not self.limit:
            return None
        key = _key(source)
        path = self.path / _name(key)
        if not _is_own(self.path, stat.S_ISDIR) or not _is_own(path, stat.S_ISREG):
            return None
        try:
            bars = _read(path, key, source)
        except SourceNotFound:
            return None  # another process needed the room just now
        except (ChecksumError, UnreadableSource) as exc:
            with contextlib.suppress(OSError):
                path.unlink()
            warnings.warn(f"{exc} It is removed, and {source.request.path} is parsed.", stacklevel=2)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return bars

    def keep(self, source: Source, bars: Bars) -> None:
        """Archive bars that were just parsed, in a thread of its own; see `wait`.

        Warns
        -----
        UserWarning
            From the thread: the archive could not be written.
        """
        if not self.limit or bars.table.num_rows < FEW_ROWS:
            return
        key = _key(source)  # here, because a source is not made for threads
        tick = instrument(source.request.symbol).tick
        writer = threading.Thread(target=self._write, args=(key, bars, tick), name="jupyter-nq-archive")
        with self._lock:
            self._writers = [*(other for other in self._writers if other.is_alive()), writer]
        writer.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Neither use nor keep archives meanwhile, in this thread."""
        self._paused.now = True
        try:
            yield
        finally:
            self._paused.now = False

    def wait(self) -> None:
        """Return when every archive that was begun here is written, or given up."""
        with self._lock:
            writers = list(self._writers)
        for writer in writers:
            writer.join()

    def forget(self, source: Source) -> None:
        """Remove the archive of a source, if there is one."""
        self.wait()
        with contextlib.suppress(OSError):
            (self.path / _name(_key(source))).unlink()

    def usage(self) -> Usage:
        """Return what the archives take now."""
        sizes = [found.st_size for _, found in self._archives()]
        return Usage(len(sizes), sum(sizes))

    def clear(self) -> Usage:
        """Remove all archives, and the directory if nothing else is in it; returns what was removed."""
        removed = [_remove(path, found.st_size) for path, found in self._archives()]
        self._sweep()
        with contextlib.suppress(OSError):
            self.path.rmdir()
        return Usage(sum(map(bool, removed)), sum(removed))

    # -- writing ---------------------------------------------------------------------------------
    def _write(self, key: str, bars: Bars, tick: float) -> None:
        try:
            self._prepare()
            self._sweep()
            self._place(key, bars, tick)
            self._trim()
        except (OSError, StoreError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            told = f"The parsed bars could not be kept in {self.path}: {why}. They are loaded all the same; the next"
            warnings.warn(f"{told} load after a reboot parses again. {_SWITCH}", stacklevel=2)

    def _prepare(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(self.path, stat.S_ISDIR):
            raise StoreError(f"it is not a directory of yours alone (chmod go-w {self.path})")

    def _place(self, key: str, bars: Bars, tick: float) -> None:
        """Write a draft and rename it to the archive, unless it alone is more than all may take."""
        from jupyter_nq.bars.archive import write_archive

        path = self.path / _name(key)
        draft = self.path / f".{path.stem}.{os.urandom(8).hex()}"
        record = {"key": key, "profile": bars.profile.to_dict(), "evidence": list(bars.evidence)}
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                try_flock(descriptor, fcntl.LOCK_EX)  # says that somebody writes it
                write_archive(bars.table, file, tick, record)
                file.flush()
                taken = os.fstat(descriptor).st_size
                if taken > self.limit:
                    raise StoreError(f"they take {size(taken)}, cache_bytes is {self.limit:,}")
                os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)

    def _trim(self) -> None:
        """Remove the archives that were not used for longest, until the others fit."""
        found = sorted(self._archives(), key=lambda each: each[1].st_mtime_ns)
        total = sum(each.st_size for _, each in found)
        for path, each in found:
            if total <= self.limit:
                return
            total -= _remove(path, each.st_size)

    def _sweep(self) -> None:
        """Remove the drafts of writers that were killed."""
        for path in self._entries(_DRAFT):
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if try_flock(descriptor, fcntl.LOCK_EX):
                        path.unlink()
                finally:
                    os.close(descriptor)

    def _archives(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._entries(_ARCHIVE):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.lstat()

    def _entries(self, names: re.Pattern[str]) -> list[Path]:
        try:
            return [self.path / name for name in os.listdir(self.path) if names.fullmatch(name)]
        except OSError:
            return []


def _key(source: Source) -> str:
    """What a table depends on; not the path, and not the name under which it is shared."""
    return f"{source.key}\0{source.request.symbol}\0{source.request.timeframe}"


def _name(key: str) -> str:
    return f"{xxhash.xxh3_128_hexdigest(key.encode())}.parquet"


def _is_own(path: Path, kind: Any) -> bool:
    """Tell whether this is a file or directory of this user that nobody else can have written."""
    try:
        found = path.stat() if kind is stat.S_ISDIR else path.lstat()
    except OSError:
        return False
    return bool(kind(found.st_mode)) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _read(path: Path, key: str, source: Source) -> Bars:
    from jupyter_nq.bars import Bars
    from jupyter_nq.bars.archive import open_archive

    found = open_archive(path)
    try:
        if found.record["key"] != key:
            raise UnreadableSource(f"{path} is the archive of another file.")
        profile = _profile(found.record["profile"])
        evidence = tuple(map(str, found.record["evidence"]))
    except (LookupError, TypeError, AttributeError) as exc:
        raise UnreadableSource(f"{path} does not say how its file was read ({exc}).") from exc
    return Bars(found.table, profile, evidence, instrument(source.request.symbol))


def _profile(told: Mapping[str, Any]) -> Profile:
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    return Profile(**plain | {"columns": {role: tuple(names) for role, names in told["columns"].items()}})


def _remove(path: Path, nbytes: int) -> int:
    """Return the bytes that removing a file gave back: 0 when it cannot be removed."""
    try:
        path.unlink()
    except OSError:
        return 0
    return nbytes
