"""Several files of one series as what a load reads: a list of paths, or a pattern such as `data/NQ_20*.csv`.

The dataset remembers every file with its fingerprint. A file that changed, or one more, gives the next version; while
nothing changed a load looks at the files' sizes and times only.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from jupyter_nq.bars.fingerprint import quick
from jupyter_nq.bars.instruments import code_of
from jupyter_nq.bars.names import named
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.bars.zones import find_zone
from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.request import Reading, Request, root_symbol, source_of
from jupyter_nq.client.bars.source import FileSource
from jupyter_nq.client.bars.state import record_of
from jupyter_nq.errors import InvalidArgument, SourceNotFound, UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars import Bars
    from jupyter_nq.bars.reading.blocks import Progress
    from jupyter_nq.config import Settings

_WILD = frozenset("*?[")


def is_series(source: Any) -> bool:
    """Tell whether a source is several files: a list or tuple, or a pattern that is not itself the name of a file."""
    if isinstance(source, (list, tuple)):
        return True
    if not isinstance(source, (str, os.PathLike)):
        return False
    text = os.fspath(source)
    return "://" not in text and not _WILD.isdisjoint(text) and not os.path.exists(os.path.expanduser(text))


Place = Path | str
"""Where a file is: a path of this machine, or an address."""


def paths_of(source: Any) -> tuple[str, list[Place]]:
    """Return what a series is called, and its files by name, each once; files elsewhere are not looked at.

    Raises
    ------
    SourceNotFound
        No file matches the pattern, or one of the list is not there.
    InvalidArgument
        The list is empty, or holds something else than paths.
    """
    if isinstance(source, (str, os.PathLike)):
        pattern = os.path.abspath(os.path.expanduser(os.fspath(source)))
        found = sorted(Path(name).resolve() for name in glob.glob(pattern))
        if not found:
            raise SourceNotFound(f"no file matches {pattern}. Give a pattern of bar files, or a list of them.")
        return pattern, list(dict.fromkeys(found))
    wrong = [one for one in source if not isinstance(one, (str, os.PathLike))]
    if wrong or not source:
        raise InvalidArgument(
            f"{wrong[0]!r} in the list of files is not a path." if wrong else "the list of files is empty."
        )
    listed = sorted({_place(one) for one in source}, key=name_of)
    more = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
    return f"{name_of(listed[0])}{more}", listed


def _place(one: str | os.PathLike[str]) -> Place:
    text = os.fspath(one)
    if "://" in text:
        from jupyter_nq.client.bars.fetch import local_path  # only addresses need it

        path = local_path(text)
        if path is None:
            return text
        one = path
    found = Path(one).expanduser().resolve()
    if not found.is_file():
        raise SourceNotFound(f"{found} does not exist, or is no file. Name bar files only.")
    return found


def name_of(place: Place) -> str:
    """Return what messages and records call a file: its path, or bucket and path of an address."""
    if isinstance(place, Path):
        return str(place)
    from jupyter_nq.client.bars.fetch import address_of

    return address_of(place).label


def series_request(
    label: str, places: Sequence[Place], timeframe: str | None, symbol: str | None, reading: Reading
) -> Request:
    """Return what files together are asked for, by their names where the call does not say it.

    Raises
    ------
    UnreadableSource
        A name contradicts the call or another name, or nothing says what the files hold.
    UnknownInstrument, UnknownTimeframe, UnknownZone
    """
    if reading.tz is not None:
        find_zone(reading.tz)
    paths = [Path(name_of(place)) for place in places]
    wanted = root_symbol(symbol) if symbol is not None else None
    minutes = parse_timeframe(timeframe).minutes if timeframe is not None else None
    labels: set[str] = set()
    for path in paths:
        said = named(path)
        length = parse_timeframe(said.timeframe).minutes if said.timeframe else None
        wanted, minutes = wanted or said.symbol, minutes or length
        if (said.symbol or wanted, length or minutes) != (wanted, minutes):
            raise UnreadableSource(
                f"{path.name} holds {_called(said.symbol, length)} by its name, not {_called(wanted, minutes)}. The "
                "files of one load are of one instrument and one timeframe."
            )
        labels |= {said.timeframe} if said.timeframe else set()
    if wanted is None:
        raise UnreadableSource(
            f"{paths[0].name}: the names of the files do not tell which instrument they hold. Say it, for example "
            "symbol='NQ'."
        )
    if minutes is None:
        minutes = _minutes(places[0], reading)
    usual = labels.pop() if len(labels) == 1 else timeframe_of(minutes).label
    text = parse_timeframe(timeframe or usual).label
    return Request(Path(label), wanted, text, reading)


def _called(symbol: str | None, minutes: int | None) -> str:
    return " ".join(filter(None, [symbol, timeframe_of(minutes).label if minutes else None]))


def _minutes(place: Place, reading: Reading) -> int:
    """Return the length of bars by the stamps of a file, where no name tells it."""
    if not isinstance(place, Path):
        raise UnreadableSource(
            f"{name_of(place)}: the names of the files do not tell which timeframe they hold. Pass timeframe=, "
            "e.g. '30min'."
        )
    from jupyter_nq.bars.spacing import usual_minutes  # names tell it to most loads

    return usual_minutes(place, **reading.given())


class SeriesSource:
    """The files of a series, fingerprinted no more than needed. Used by one thread.

    Parameters
    ----------
    label
        What messages call it.
    places
        The files; those elsewhere are fetched when they must be read.
    request
        What all of them hold, see `series_request`.
    settings
        Of the copies of files elsewhere.
    pattern
        Whether the label is a pattern, which later may match more files.
    """

    archived = True

    def __init__(
        self, label: str, places: Sequence[Place], request: Request, settings: Settings, *, pattern: bool
    ) -> None:
        self.label, self.pattern = label, pattern
        self.request = request
        self.files = [_file(place, request, settings) for place in places]

    @property
    def key(self) -> str:
        """What its table depends on: the content of all files, the answers of the user, the reader."""
        return f"{self._digest()}\0{sorted(self.request.reading.given().items())}\0{code_of(self.request.symbol)}"

    def may_own(self, handle: Handle) -> bool:
        """Is the dataset this series', in this or an older state, with more or fewer files?"""
        known = source_of(handle.info.meta)
        if "series" not in known:
            return False
        before = {file["path"] for file in _files(known)}
        return known["series"] == self.label or not before.isdisjoint(file.label for file in self.files)

    def is_same(self, handle: Handle) -> bool:
        """Does the dataset hold exactly what the files hold now, read in the same way?"""
        known = record_of(handle)
        if known.get("code") != code_of(self.request.symbol) or known.get("reading") != self.request.reading.given():
            return False
        before = _files(known)
        if [(file["path"], tuple(file["quick"])) for file in before] == [(f.label, f.quick) for f in self.files]:
            return True
        return bool(before) and known.get("digest") == self._digest()

    def parse(self, block_bytes: int, progress: Progress) -> Bars:
        """Read the files; raises when one changed meanwhile, besides what `load_series` raises."""
        from jupyter_nq.bars.series import load_series  # no warm load needs it

        before = [file.fingerprint() for file in self.files]
        request = self.request
        told: dict[str, Any] = {"timeframe": request.timeframe, "symbol": request.symbol, **request.reading.given()}
        paths = [file.request.path for file in self.files]
        bars = load_series(paths, block_bytes=block_bytes, progress=progress, **told)
        for path, found in zip(paths, before, strict=True):
            if quick(path) != found.quick:
                raise UnreadableSource(f"{path} changed while it was read. Load it again when it is complete.")
        return bars

    def record(self, bars: Bars) -> dict[str, Any]:
        """Return what the dataset remembers of the files, JSON-able."""
        return {
            "series": self.label,
            "pattern": self.pattern,
            "files": [
                {"path": file.label, "quick": list(file.quick), "digest": file.fingerprint().digest}
                for file in self.files
            ],
            "digest": self._digest(),
            "reading": self.request.reading.given(),
            "code": code_of(self.request.symbol),
            "symbol": self.request.symbol,
            "timeframe": self.request.timeframe,
            "rows": bars.table.num_rows,
            "profile": bars.profile.to_dict(),
            "evidence": list(bars.evidence),
        }

    def _digest(self) -> str:
        """Return a digest of the contents, in no order, because bars are put in order by time."""
        digests = sorted(str(file.fingerprint().digest) for file in self.files)
        return xxhash.xxh3_128_hexdigest("\0".join(digests).encode())


def _file(place: Place, request: Request, settings: Settings) -> FileSource:
    if isinstance(place, Path):
        return FileSource(replace(request, path=place))
    from jupyter_nq.client.bars.source_remote import RemoteSource

    return RemoteSource(place, request.timeframe, request.symbol, request.reading, settings)


def _files(known: Mapping[str, Any]) -> list[Any]:
    return list(known.get("files", ()))
