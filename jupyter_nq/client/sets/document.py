"""The file of a working set: JSON for people to read, in the user's data directory (see SET.md beside this module).

What is read is checked before anything is done with it, so a file that was edited in a wrong way is refused as a whole.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jupyter_nq.buffers import check_name
from jupyter_nq.client.bars.remembered import default_path
from jupyter_nq.errors import InvalidArgument, InvalidName, SourceNotFound, UnreadableSource, nearest

FORMAT, VERSION = "jupyter-nq working set", 1
_SUFFIX = ".json"
_MOST_BYTES = 64 << 20  # 64 MiB
_LARGEST = 1 << 62  # what the coordinator takes


@dataclass(frozen=True)
class SavedDataset:
    """One dataset at the version that it had."""

    version: int
    rows: int
    digest: str | None
    """xxh3_128 of all its rows, in hexadecimal; None of one that has none."""
    durable: bool
    copy: Mapping[str, str] | None = None
    """Directory and id of its durable copy on the disk."""
    source: Mapping[str, Any] | None = None
    """From what file it was read, and how."""
    features: bool | tuple[str, ...] | None = None
    """Which features it has beside the bars of its source; True for the usual ones."""
    derived: str | None = None
    """What else it was made from its source by, and cannot be made again by here."""


@dataclass(frozen=True)
class SavedStream:
    """One stream, and how far its named consumers had acknowledged."""

    id: str
    """Of this very stream: one that is made anew has another, and other sequences."""
    form: str
    columns: Mapping[str, str]
    """For people."""
    schema: bytes | None
    """Arrow's, serialised."""
    options: Mapping[str, Any]
    consumers: Mapping[str, Mapping[int, int]]
    """Name -> lane -> sequence of the next message."""


@dataclass(frozen=True)
class WorkingSet:
    """What was saved."""

    saved: datetime
    store: str
    datasets: Mapping[str, SavedDataset] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """File -> what was said of it, and when."""
    streams: Mapping[str, SavedStream] = field(default_factory=dict)
    pins: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Names of things of a kind that this version of jupyter-nq does not know."""


def path_of(name: str | os.PathLike[str]) -> Path:
    """Return where a set of this name lies; what has a directory or ends in `.json` is a path itself."""
    text = os.fspath(name)
    if isinstance(name, os.PathLike) or os.sep in text or text.endswith(_SUFFIX):
        return Path(text).expanduser().absolute()
    try:
        return _of_the_user() / f"{check_name(text)}{_SUFFIX}"
    except InvalidName as exc:
        raise InvalidArgument(f"{exc} Or write a path that ends in {_SUFFIX}.") from None


def names_of_sets() -> list[str]:
    """Return the names of the sets in the user's data directory."""
    return _beside(_of_the_user())


def _of_the_user() -> Path:
    return default_path().parent / "sets"


def _beside(directory: Path) -> list[str]:
    return sorted(one.stem for one in directory.glob(f"[!.]*{_SUFFIX}"))


# -- writing ------------------------------------------------------------------------------------------
def write(path: Path, found: WorkingSet) -> None:
    """Put a set in the place of its file at once, for its owner alone to read.

    Raises
    ------
    InvalidArgument
        Its directory is not there, and is not that of the user's sets, which is made.
    """
    if path.parent == _of_the_user():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not path.parent.is_dir():
        raise InvalidArgument(f"There is no directory {path.parent}. Make it, or name another one.")
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(_plain(found), file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _plain(found: WorkingSet) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "saved": found.saved.isoformat(),
        "store": found.store,
        "datasets": {name: asdict(one) for name, one in found.datasets.items()},
        "profiles": dict(found.profiles),
        "streams": {name: _plain_stream(one) for name, one in found.streams.items()},
        "pins": list(found.pins),
    }


def _plain_stream(stream: SavedStream) -> dict[str, Any]:
    schema = None if stream.schema is None else base64.b64encode(stream.schema).decode()
    consumers = {
        name: {str(lane): seq for lane, seq in positions.items()} for name, positions in stream.consumers.items()
    }
    return {**asdict(stream), "schema": schema, "consumers": consumers}


# -- reading ------------------------------------------------------------------------------------------
def read(path: Path) -> WorkingSet:
    """Read the file of a set.

    Raises
    ------
    SourceNotFound
        There is none, with the names of those that lie beside it.
    UnreadableSource
        It is no working set, or one of another version, or was damaged.
    """
    try:
        text = _content(path)
    except FileNotFoundError:
        beside = _beside(path.parent)
        there = f" There are: {', '.join(beside)}." if beside else " nq.save makes one."
        raise SourceNotFound(f"There is no working set {path}.{nearest(path.stem, beside)}{there}") from None
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc.strerror}.") from exc
    try:
        told = json.loads(text)
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise UnreadableSource(f"{path} is no working set of jupyter-nq.")
        if told["version"] != VERSION:
            raise UnreadableSource(
                f"{path} is a working set of version {told['version']!r}; this jupyter-nq reads {VERSION}. Upgrade it."
            )
        return _parsed(told)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidName) as exc:
        if isinstance(exc, UnreadableSource):
            raise
        raise UnreadableSource(f"{path} is damaged ({type(exc).__name__}: {exc}). Save it again.") from exc


def _content(path: Path) -> bytes:
    """Return the bytes of a plain file, of which no more is read than a set may have."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode) or there.st_size > _MOST_BYTES:
            raise UnreadableSource(f"{path} is no file of at most {_MOST_BYTES:,} bytes: it is no working set.")
        return file.read(_MOST_BYTES)


_KNOWN = frozenset({"format", "version", "saved", "store", "datasets", "profiles", "streams", "pins"})


def _parsed(told: Mapping[str, Any]) -> WorkingSet:
    others = [f"{kind} {name}" for kind in sorted(set(told) - _KNOWN) for name in (told[kind] if told[kind] else ())]
    return WorkingSet(
        datetime.fromisoformat(told["saved"]),
        str(told["store"]),
        _each(told["datasets"], _dataset),
        {str(file): {"given": dict(one["given"]), "when": str(one["when"])} for file, one in told["profiles"].items()},
        _each(told["streams"], _stream),
        tuple(map(check_name, told["pins"])),
        tuple(others),
    )


def _each(told: Mapping[str, Any], parse: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    return {check_name(name): parse(one) for name, one in told.items()}


def _dataset(told: Mapping[str, Any]) -> SavedDataset:
    copy = told["copy"]
    return SavedDataset(
        _count(told["version"]),
        _count(told["rows"]),
        None if told["digest"] is None else str(told["digest"]),
        told["durable"] is True,
        None if copy is None else {"directory": str(copy["directory"]), "id": str(copy["id"])},
        None if told["source"] is None else _source(told["source"]),
        _features(told["features"]),
        None if told["derived"] is None else str(told["derived"]),
    )


def _source(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return from where a dataset was read; what else it says is checked by who reads it again."""
    texts = [told["symbol"], told["timeframe"]]
    if "series" in told:
        texts += [told["series"], *(file["path"] for file in told["files"])]
    else:
        texts.append(told["path"])
    for text in texts:
        if not isinstance(text, str) or "\0" in text:
            raise ValueError(f"{text!r} is no text of a source")
        text.encode()  # half of a character is none
    return {**told, "reading": dict(told["reading"])}


def _features(told: Any) -> bool | tuple[str, ...] | None:
    if isinstance(told, list):
        return tuple(map(str, told))
    if told is not None and not isinstance(told, bool):
        raise TypeError(f"{told!r} are no features")
    return told


def _stream(told: Mapping[str, Any]) -> SavedStream:
    consumers = {
        check_name(name): {_count(int(lane)): _count(seq) for lane, seq in positions.items()}
        for name, positions in told["consumers"].items()
    }
    schema = None if told["schema"] is None else base64.b64decode(told["schema"], validate=True)
    return SavedStream(
        str(told["id"]), str(told["form"]), dict(told["columns"]), schema, dict(told["options"]), consumers
    )


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{value!r} is no count")
    return value
