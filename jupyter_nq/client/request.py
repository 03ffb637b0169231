"""What a load asks for: one file, one reading of it, and the name under which it is shared."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_nq.bars.discovery import SUFFIXES, available, find_source, parse_name, uncompressed
from jupyter_nq.bars.instruments import instrument
from jupyter_nq.bars.timeframe import parse_timeframe
from jupyter_nq.bars.zones import find_zone
from jupyter_nq.errors import AmbiguousSource, InvalidArgument, SourceNotFound, UnknownTimeframe, UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars.answers import Given
    from jupyter_nq.client.session import Session

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._]")


@dataclass(frozen=True)
class Reading:
    """The explicit answers of the user about a file; None means "find it out"."""

    tz: str | None = None
    edge: str | None = None
    day_first: bool | None = None
    profile: Given | None = None
    """As given; kept as a vendor's name, or as a mapping of JSON-able answers."""
    contract: str | None = None

    def __post_init__(self) -> None:
        if self.profile is not None:
            from jupyter_nq.bars.answers import plain  # few loads need it

            object.__setattr__(self, "profile", plain(self.profile))

    def given(self) -> dict[str, Any]:
        """Return only what was given, JSON-able."""
        return {key: value for key, value in vars(self).items() if value is not None}

    @property
    def label(self) -> str:
        """What the answers add to a dataset's name: `UTC-end`; empty when there are none."""
        order = {None: "", True: "dayfirst", False: "monthfirst"}[self.day_first]
        profile = self.profile or ""
        if not isinstance(profile, str):
            profile = f"profile_{hashlib.sha256(repr(profile).encode()).hexdigest()[:6]}"
        parts = [_in_name(self.tz), self.edge or "", order, profile, _in_name(self.contract)]
        return "-".join(part for part in parts if part)


def _in_name(text: str | None) -> str:
    """Spell out + and -, so that UTC+3 and UTC-3 do not meet in one name."""
    return _NOT_IN_NAMES.sub("_", (text or "").replace("+", "plus").replace("-", "minus"))


@dataclass(frozen=True)
class Request:
    """One file to load, with the reading asked for."""

    path: Path
    symbol: str
    timeframe: str
    reading: Reading = field(default_factory=Reading)

    @property
    def name(self) -> str:
        """`NQ.30min`; explicit answers about the reading give another name: `NQ.30min-UTC-end`."""
        label = self.reading.label
        return f"{self.symbol}.{self.timeframe}" + (f"-{label}" if label else "")


def resolve(
    source: str | os.PathLike[str] | None,
    timeframe: str | None,
    *,
    symbol: str | None,
    data_dir: str | os.PathLike[str],
    default_symbol: str,
    reading: Reading,
) -> Request:
    """Find the one file that a load means.

    Raises
    ------
    UnknownZone
        The zone of the reading does not exist.
    SourceNotFound, AmbiguousSource, UnknownInstrument, UnknownTimeframe
        No file, or more than one, or a word that is neither; the message lists what is there.
    """
    if reading.tz is not None:
        find_zone(reading.tz)
    if source is not None and not isinstance(source, (str, os.PathLike)):
        what = type(source).__name__
        raise InvalidArgument(f"{what} is neither a path nor a symbol. Name one file; only `load` takes a table.")
    if source is not None and is_path(source):
        return _from_path(Path(source).expanduser(), timeframe, symbol, reading)
    word = None if source is None else os.fspath(source)
    if word is not None and timeframe is None and symbol is None and _is_timeframe(word):
        word, timeframe = None, word
    symbol = instrument(symbol or word or default_symbol).symbol
    directory = Path(data_dir)
    timeframe = timeframe or _only_timeframe(directory, symbol)
    label = _label(timeframe)
    return Request(find_source(directory, symbol, label).resolve(), symbol, label, reading)


def asked(
    session: Session,
    source: str | os.PathLike[str] | None,
    timeframe: str | None,
    *,
    symbol: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    reading: Reading | None = None,
) -> Request:
    """Return the one file that a call with these arguments means, with the session's settings for what is left out.

    A file elsewhere is fetched, and its copy is the file.
    """
    if isinstance(source, str) and "://" in source:
        from jupyter_nq.client.fetch import local_copy, local_path  # only addresses need it

        source = local_path(source) or local_copy(source, session.settings).path
    return resolve(
        source,
        timeframe,
        symbol=symbol,
        data_dir=data_dir or session.data_dir,
        default_symbol=session.settings.default_symbol,
        reading=reading or Reading(),
    )


def is_path(source: str | os.PathLike[str]) -> bool:
    """Tell a path from a symbol or a name."""
    if isinstance(source, os.PathLike):
        return True
    return os.sep in source or uncompressed(source).suffix.lower() in SUFFIXES


def _is_timeframe(word: str) -> bool:
    try:
        parse_timeframe(word)
    except UnknownTimeframe:
        return False
    return True


def _from_path(path: Path, timeframe: str | None, symbol: str | None, reading: Reading) -> Request:
    if not path.exists():
        raise SourceNotFound(f"{path} does not exist. Give the path of a bar file, or a symbol and a timeframe.")
    if not path.is_file():
        raise UnreadableSource(f"{path} is not a regular file. Give the path of one bar file, or pass data_dir=.")
    return replace(named_request(path, timeframe, symbol, reading), path=path.resolve())


def named_request(path: Path, timeframe: str | None, symbol: str | None, reading: Reading) -> Request:
    """Return what a file is asked for, by its name where the call does not say it; the file itself is not looked at.

    Raises
    ------
    UnreadableSource
        Neither tells the instrument and the timeframe.
    UnknownInstrument, UnknownTimeframe, UnknownZone
    """
    if reading.tz is not None:
        find_zone(reading.tz)
    found = parse_name(path)
    symbol = symbol or (found.symbol if found else None)
    timeframe = timeframe or (found.timeframe if found else None)
    if symbol is None or timeframe is None:
        raise UnreadableSource(
            f"{path.name}: the file name does not tell which instrument and timeframe it holds. "
            "Say both, for example symbol='NQ', timeframe='30min'."
        )
    return Request(path, instrument(symbol).symbol, _label(timeframe), reading)


def _label(timeframe: str) -> str:
    if not isinstance(timeframe, str):
        raise UnknownTimeframe(f"timeframe={timeframe!r} is not text. Write it with its unit: '30min'.")
    return parse_timeframe(timeframe).label


def _only_timeframe(directory: Path, symbol: str) -> str:
    found = [f for f in available(directory) if f.symbol == symbol]
    if len(found) == 1:
        return found[0].timeframe
    if not found:
        raise SourceNotFound(
            f"no {symbol} file in {directory.absolute()}. Put one there, or pass data_dir= or the path of a file."
        )
    listed = ", ".join(dict.fromkeys(f.timeframe for f in found))
    raise AmbiguousSource(
        f"{directory.absolute()} has several files of {symbol}: say which timeframe, one of {listed}."
    )


def source_of(meta: Mapping[str, object]) -> Mapping[str, object]:
    """Return what an object's metadata says of the file it was parsed from, empty when it was not parsed."""
    found = meta.get("bars", {})
    return found if isinstance(found, Mapping) else {}


def read_from(known: Mapping[str, Any]) -> str | None:
    """Return what a dataset was read from, by the record of `source_of`: a path, an address, the files of a series.

    None when it was not read from anything that has a name: a table in memory, or a frame that somebody put.
    """
    found = known.get("path") or known.get("series")
    return None if found is None else str(found)


def is_gone(known: Mapping[str, Any]) -> bool:
    """Tell whether a dataset was read from files of this machine of which none exists any more."""
    paths = [file["path"] for file in known.get("files", ())] + [path for path in [known.get("path")] if path]
    return bool(paths) and not any("://" in path or os.path.exists(path) for path in paths)
