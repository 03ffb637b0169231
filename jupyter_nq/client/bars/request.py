"""What a load asks for: one file, one reading of it, and the name under which it is shared."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jupyter_nq.bars.discovery import files_of, find_source, has_suffix, missing
from jupyter_nq.bars.instruments import instrument
from jupyter_nq.bars.names import named, root_of
from jupyter_nq.bars.sessions.expiry import expiry_of
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.bars.zones import find_zone
from jupyter_nq.errors import AmbiguousSource, InvalidArgument, SourceNotFound, UnknownTimeframe, UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars.answers import Given
    from jupyter_nq.client.bars.fetch import Copy
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
        if isinstance(self.tz, ZoneInfo):
            object.__setattr__(self, "tz", self.tz.key)
        wanted = {"tz": "the name of a zone", "edge": "'start' or 'end'", "contract": "a code such as 'NQH25'"}
        for name, what in wanted.items():
            check_text(name, getattr(self, name), what)
        if self.day_first is not None and not isinstance(self.day_first, bool):
            raise InvalidArgument(f"day_first={self.day_first!r} is neither True nor False.")
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


def check_text(name: str, value: Any, what: str) -> None:
    """Raise `InvalidArgument` for an argument that is neither text nor left out."""
    if value is not None and not isinstance(value, str):
        raise InvalidArgument(f"{name}={value!r} is {type(value).__name__}; pass {what}.")


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
    found: tuple[str, ...] = ()
    """What the call left open and the file itself told: `symbol`, `timeframe`."""

    @property
    def name(self) -> str:
        """`NQ.30min`; explicit answers about the reading give another name: `NQ.30min-UTC-end`."""
        label = self.reading.label
        return f"{self.symbol}.{self.timeframe}" + (f"-{label}" if label else "")

    @property
    def told(self) -> dict[str, Any]:
        """The arguments of `load_bars`; a timeframe that the file told it tells again, with the evidence."""
        timeframe = None if "timeframe" in self.found else self.timeframe
        return {"timeframe": timeframe, "symbol": self.symbol, **self.reading.given()}

    @property
    def evidence(self) -> tuple[str, ...]:
        """The sentence about a symbol that was taken from the name."""
        return _taken(self.path, self.found)

    def check(self, minutes: int) -> None:
        """Raise unless the bars have the length by which they are called, once all of them were looked at."""
        if minutes != parse_timeframe(self.timeframe).minutes:
            raise UnknownTimeframe(
                f"{self.path.name}: by its name and first stamps its bars are {self.timeframe} long, by all its stamps "
                f"{timeframe_of(minutes).label}. Say which is meant, for example timeframe={self.timeframe!r}."
            )


@dataclass(frozen=True)
class Located:
    """The file that a call means, and what the call and the file's name say of it."""

    path: Path
    symbol: str | None
    timeframe: str | None
    """Canonical label."""
    reading: Reading = field(default_factory=Reading)
    found: tuple[str, ...] = ()
    """As for `Request`."""
    copy: Copy | None = field(default=None, repr=False, compare=False)
    """The copy of a file elsewhere that `path` is, which may be removed when nobody has this any more."""

    @property
    def given_timeframe(self) -> str | None:
        """The timeframe that the call says; the file tells any other itself."""
        return None if "timeframe" in self.found else self.timeframe

    @property
    def evidence(self) -> tuple[str, ...]:
        """As for `Request`."""
        return _taken(self.path, self.found) if self.symbol is not None else ()

    def request(self) -> Request:
        """Return the same with nothing left open; the length of bars is looked up in the file if need be.

        Raises
        ------
        UnreadableSource
            Neither the call nor the name tells the instrument.
        UnknownTimeframe
            The stamps do not show the length of a bar, or one that is supported.
        """
        symbol = self.known_symbol()
        timeframe = self.timeframe or self._from_stamps(symbol)
        return Request(self.path, symbol, timeframe, self.reading, self.found)

    def known_symbol(self) -> str:
        """Return the symbol; raises when neither the call nor the name tells it."""
        if self.symbol is not None:
            return self.symbol
        several = named(self.path).symbols
        said = f"may mean {' or '.join(several)}" if several else "does not tell which instrument it holds"
        raise UnreadableSource(f"{self.path.name}: the file name {said}. Say it, for example symbol='NQ'.")

    def _from_stamps(self, symbol: str) -> str:
        from jupyter_nq.bars.spacing import usual_minutes  # a load whose name tells needs no reader

        return timeframe_of(usual_minutes(self.path, symbol=symbol, **self.reading.given())).label


def located(
    session: Session,
    source: str | os.PathLike[str] | None,
    timeframe: str | None,
    *,
    symbol: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    reading: Reading | None = None,
) -> Located:
    """Return the one file that a call with these arguments means, with the session's settings for what is left out.

    A file elsewhere is fetched, and its copy is the file.

    Raises
    ------
    UnknownZone
        The zone of the reading does not exist.
    SourceNotFound, AmbiguousSource, UnknownInstrument, UnknownTimeframe
        No file, or more than one, or a word that is neither; the message lists what is there.
    """
    if isinstance(source, str) and "://" in source:
        from jupyter_nq.client.bars.fetch import local_copy, local_path  # only addresses need it

        local = local_path(source)
        if local is None:
            copy = local_copy(source, session.settings)
            return replace(located(session, copy.path, timeframe, symbol=symbol, reading=reading), copy=copy)
        source = local
    reading = reading or Reading()
    if reading.tz is not None:
        find_zone(reading.tz)
    if source is not None and not isinstance(source, (str, os.PathLike)):
        raise InvalidArgument(_no_name(source))
    if source is not None and is_path(source):
        return _from_path(Path(source).expanduser(), timeframe, symbol, reading)
    word = None if source is None else os.fspath(source)
    if word is not None and timeframe is None and symbol is None and _is_timeframe(word):
        word, timeframe = None, word
    if word is not None and "." in word and root_of(word) == word:
        raise _no_file(session, word)
    directory = Path(data_dir or session.data_dir)
    return _looked_up(directory, symbol or word or session.settings.default_symbol, timeframe, reading)


def asked(
    session: Session,
    source: str | os.PathLike[str] | None,
    timeframe: str | None,
    *,
    symbol: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    reading: Reading | None = None,
) -> Request:
    """Do what `located` does, and return what is asked for with nothing left open; raises as `Located.request`, too."""
    return located(session, source, timeframe, symbol=symbol, data_dir=data_dir, reading=reading).request()


def is_path(source: str | os.PathLike[str]) -> bool:
    """Tell a path from a symbol or a name."""
    if isinstance(source, os.PathLike):
        return True
    if root_of(source) != source:
        return False
    return os.sep in source or has_suffix(source) or ("." in source and os.path.isfile(source))


def from_name(path: Path, timeframe: str | None, symbol: str | None, reading: Reading) -> Located:
    """Return what a file is asked for, by its name where the call does not say it; the file itself is not looked at.

    Raises
    ------
    UnknownInstrument, UnknownTimeframe, UnknownZone
    """
    if reading.tz is not None:
        find_zone(reading.tz)
    said = named(path)
    found = tuple(what for what, given in (("symbol", symbol), ("timeframe", timeframe)) if given is None)
    root = root_symbol(symbol) if symbol is not None else said.symbol
    return Located(path, root, said.timeframe if timeframe is None else _label(timeframe), reading, found)


def root_symbol(word: str) -> str:
    """Return the root symbol that a word means, also in a vendor's spelling or as the code of a contract.

    Raises
    ------
    UnknownInstrument
    """
    expiry = expiry_of(word)
    return expiry.symbol if expiry else instrument(root_of(word)).symbol


def _no_file(session: Session, word: str) -> SourceNotFound:
    if word in session.store.names():
        return SourceNotFound(f"{word} is a dataset, not a file: nq.get({word!r}) maps it.")
    return missing(Path(word))


def _taken(path: Path, found: Sequence[str]) -> tuple[str, ...]:
    said = named(path)
    taken = "symbol" in found and said.symbol is not None
    return (f"symbol: {said.symbol}, from {said.spelled!r} in the file's name",) if taken else ()


def _no_name(source: object) -> str:
    what = type(source).__name__
    if hasattr(source, "collect"):
        return f"{what} has not been computed: .collect() it first."
    return f"{what} is neither a path nor a symbol. Name one file; only `load` and `validate` take a table."


def _is_timeframe(word: str) -> bool:
    try:
        parse_timeframe(word)
    except UnknownTimeframe:
        return False
    return True


def _from_path(path: Path, timeframe: str | None, symbol: str | None, reading: Reading) -> Located:
    if not path.exists():
        raise missing(path)
    if not path.is_file():
        raise UnreadableSource(f"{path} is not a regular file. Give the path of one bar file, or pass data_dir=.")
    return replace(from_name(path, timeframe, symbol, reading), path=path.resolve())


def _looked_up(directory: Path, symbol: str, timeframe: str | None, reading: Reading) -> Located:
    """Return the file of a symbol in a directory."""
    root = root_symbol(symbol)
    label = _only_timeframe(directory, symbol) if timeframe is None else _label(timeframe)
    found = ("timeframe",) if timeframe is None else ()
    return Located(find_source(directory, symbol, label).resolve(), root, label, reading, found)


def check_timeframe(timeframe: Any) -> None:
    """Raise `UnknownTimeframe` for one that is neither text nor left out."""
    if timeframe is not None and not isinstance(timeframe, str):
        raise UnknownTimeframe(f"timeframe={timeframe!r} is not text. Write it with its unit: '30min'.")


def _label(timeframe: str) -> str:
    check_timeframe(timeframe)
    return parse_timeframe(timeframe).label


def _only_timeframe(directory: Path, symbol: str) -> str:
    labels = list(dict.fromkeys(found.timeframe for found in files_of(directory, symbol)))
    if len(labels) == 1:
        return labels[0]
    raise AmbiguousSource(
        f"{directory.absolute()} has several files of {symbol}: say which timeframe, one of {', '.join(labels)}."
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
