"""What the user said of a file, kept for the next time: asked once, a question stays answered.

The answers lie in one small JSON file of the user's (0600, in a 0700 directory), by the path of the file that they
are about. They are used when the file is loaded without answers and itself leaves a question open, and only then;
the dataset then has the name that it has with these answers given, and the load says so. What cannot be read there
is ignored with a warning, and nothing here can make a load fail.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_nq.client.bars.loading import Mapped, Progress, load
from jupyter_nq.client.bars.request import Reading, asked, is_path
from jupyter_nq.client.bars.source import FileSource
from jupyter_nq.errors import AmbiguousSource, AmbiguousStamps, NQError, UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.client.bars.sources import Source
    from jupyter_nq.client.session import Session

_MOST = 500  # files
_MOST_BYTES = 1 << 20  # 1 MiB
_VERSION = 1
_Read = TypeVar("_Read")
_QUESTIONS = (AmbiguousStamps, AmbiguousSource)


@dataclass(frozen=True)
class Kept:
    """The answers about one file."""

    given: Mapping[str, Any]
    """As `Reading.given` returns them."""
    when: str
    """The day on which they were given, `2026-01-31`, UTC."""
    asked: tuple[int, ...] = ()
    """The state of the file (size, mtime, inode) that left a question open; empty when none did yet."""

    @property
    def text(self) -> str:
        """The answers as they are typed, `tz='UTC', edge='end'`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.given.items())


def default_path() -> Path:
    """Return the file of the answers, in the user's data directory as XDG_DATA_HOME names it."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "jupyter-nq" / "profiles.json"


# -- the file -----------------------------------------------------------------------------------------
def read(path: Path) -> dict[str, Kept]:
    """Return the answers by file; none, with a warning, when they cannot be understood."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        return _ignored(path, str(exc.strerror))
    if len(text) > _MOST_BYTES:
        return _ignored(path, f"it has more than {_MOST_BYTES:,} bytes")
    try:
        whole = json.loads(text)
        if whole["version"] != _VERSION:
            return _ignored(path, f"it is of version {whole['version']!r}")
        return {str(name): _kept(entry) for name, entry in whole["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, NQError) as exc:
        return _ignored(path, f"it is damaged ({type(exc).__name__}: {exc})")


def _kept(entry: Mapping[str, Any]) -> Kept:
    """Return the answers of an entry; raises for what is none."""
    given = Reading(**entry["given"]).given()
    for name, kind in (("tz", str), ("edge", str), ("day_first", bool), ("contract", str)):
        if not isinstance(given.get(name, kind()), kind):
            raise ValueError(f"{name}={given[name]!r}")
    return Kept(given, date.fromisoformat(entry["when"]).isoformat(), tuple(map(int, entry["asked"])))


def _ignored(path: Path, why: str) -> dict[str, Kept]:
    warnings.warn(f"{path} is not used: {why}. Remove it, and say again what you said of your files.", stacklevel=2)
    return {}


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[dict[str, Kept]]:
    """Give the answers to be changed, and put them in the file's place afterwards; one process at a time does."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        os.fchmod(directory, 0o700)
        kept = read(path)
        yield kept
        newest = dict(list(kept.items())[-_MOST:])
        entries = {name: {**vars(one), "asked": list(one.asked)} for name, one in newest.items()}
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, "files": entries}, file, indent=1)
        draft.replace(path)
    finally:
        os.close(directory)


def remember(file: Path, kept: Kept, path: Path | None = None) -> None:
    """Keep the answers about a file, as the newest; a file that cannot be written is a warning."""
    try:
        with _changing(path or default_path()) as known:
            known.pop(str(file), None)
            known[str(file)] = kept
    except OSError as exc:
        warnings.warn(f"{path or default_path()} cannot be written ({exc.strerror}): {kept.text} will have to be "
                      f"said again for {file}.", stacklevel=2)  # fmt: skip


def recall(file: Path, path: Path | None = None) -> Kept | None:
    """Return the answers about a file, None when there are none."""
    return _read_once(path or default_path()).get(str(file))


_last: tuple[object, dict[str, Kept]] = (None, {})
"""What was read last, and from which state of the file. Replaced as a whole, so that it needs no lock."""


def _read_once(path: Path) -> dict[str, Kept]:
    global _last
    try:
        stat = path.stat()
    except OSError:
        return {}
    state = (path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if _last[0] != state:
        _last = (state, read(path))
    return _last[1]


# -- loads --------------------------------------------------------------------------------------------
def load_as_said(session: Session, source: Source, progress: Progress | None = None) -> Mapped:
    """Do what `load` does, with the answers that were given for this file before where it leaves a question open."""
    if not isinstance(source, FileSource) or not os.path.isabs(source.label):
        return load(session, source, progress)
    file, given = source.request.path, source.request.reading.given()
    known = recall(file)
    if given:
        mapped = load(session, source, progress)
        if known is None or known.given != given:
            remember(file, Kept(given, datetime.now(UTC).date().isoformat()))
        return mapped
    if known is None:
        return load(session, source, progress)
    if known.asked != source.quick:
        try:
            return load(session, source, progress)
        except NQError as exc:
            if not _is_open(exc, known):
                raise
    return _answered(session, source, known, progress)


def answered(file: Path, reading: Reading, read: Callable[[Reading], _Read]) -> tuple[_Read, str]:
    """Return what `read` makes of a reading, or of the answers given before where that is a question; and the sentence.

    The sentence is empty when they were not used.
    """
    try:
        return read(reading), ""
    except NQError as exc:
        known = None if reading.given() else recall(file)
        if known is None or not _is_open(exc, known):
            raise
        return read(Reading(**known.given)), _sentence(known, file)


def _is_open(exc: NQError, known: Kept) -> bool:
    """Tell whether an error is a question that the answers may be about."""
    return isinstance(exc, _QUESTIONS) or (isinstance(exc, UnreadableSource) and "profile" in known.given)


def _sentence(known: Kept, file: object) -> str:
    return f"{known.text}: as you said for this file on {known.when}; forget it with nq.forget({str(file)!r})"


def _answered(session: Session, source: FileSource, known: Kept, progress: Progress | None) -> Mapped:
    """Load a file that leaves a question open as it was said to be, and say so."""
    again = FileSource(replace(source.request, reading=Reading(**known.given)))
    mapped = load(session, again, progress)
    if known.asked != source.quick:
        remember(source.request.path, replace(known, asked=source.quick))
    said = _sentence(known, source.label)
    notice = f"{mapped.notice} {said}" if mapped.notice else said
    return replace(mapped, evidence=(*mapped.evidence, said), notice=notice)


def forget(
    session: Session,
    source: str | os.PathLike[str],
    timeframe: str | None = None,
    *,
    symbol: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> bool:
    """Forget what was said of a file in `load`, and return whether there was anything.

    Parameters are those of `load`. Datasets that were loaded so stay.

    Raises
    ------
    SourceNotFound, AmbiguousSource, UnknownInstrument, UnknownTimeframe
        A symbol and timeframe that mean no file, or several.
    """
    if is_path(source):
        file = Path(source).expanduser().resolve()
    else:
        file = asked(session, source, timeframe, symbol=symbol, data_dir=data_dir).path
    if recall(file) is None:
        return False
    with _changing(default_path()) as known:
        return known.pop(str(file), None) is not None
