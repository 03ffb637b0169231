"""Finding the file of a symbol and a timeframe among the files of a directory, by their names.

Vendors write `NQ - 30 min - ETH.csv`, `@NQ - 5 min - ETH_extended.csv`, `NQ_30min.csv`, `ES_5min.txt`.
A name that does not fit is not an error, it is just not a bar file. Electronic hours (`ETH`) are the
plain series; every other word after the length (`extended`, `RTH`) names another series. A copy mark
such as `(1)` does not, so that a file downloaded twice is seen as two matches.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.bars.instruments import INSTRUMENTS, instrument
from jupyter_nq.bars.timeframe import parse_timeframe
from jupyter_nq.errors import AmbiguousSource, SourceNotFound, UnknownTimeframe, UnreadableSource

COLUMNAR = (".parquet", ".arrow", ".feather", ".ipc")
SUFFIXES = (".csv", ".txt", ".tsv", ".dat", *COLUMNAR)
COMPRESSED = (".gz", ".bz2", ".zst", ".xz")
"""What may stand behind a suffix: `NQ_30min.csv.gz`."""

_NAME = re.compile(r"@?(?P<symbol>[A-Za-z0-9]{1,8})[\s_-]+(?P<length>\d{1,5}[\s_-]?[A-Za-z]+)(?P<rest>[\s_-].*)?")
_GAPS = re.compile(r"[\s_-]+")
_COPY = re.compile(r"\(\d+\)")
_MOST_LISTED = 12


@dataclass(frozen=True)
class Found:
    """A bar file that a directory holds."""

    path: Path
    symbol: str
    """Root symbol, upper case, as the name has it; it need not be in the instrument table."""
    timeframe: str
    """Canonical label, for example `30min` or `5min_extended`."""


def parse_name(path: str | os.PathLike[str]) -> Found | None:
    """Return what the name of a file says about it, or None when it does not look like a bar file."""
    path = Path(path)
    plain = uncompressed(path)
    match = _NAME.fullmatch(_COPY.sub(" ", plain.stem).strip())
    if match is None or plain.suffix.lower() not in SUFFIXES:
        return None
    words = [word for word in _GAPS.split(match["rest"] or "") if word and word.upper() != "ETH"]
    length = _GAPS.sub("", match["length"])
    try:
        timeframe = parse_timeframe("_".join([length, *words]))
    except UnknownTimeframe:
        return None
    return Found(path, match["symbol"].upper(), timeframe.label)


def uncompressed(path: str | os.PathLike[str]) -> Path:
    """Return a path without the suffix of compression, if it has one.

    >>> uncompressed("NQ_30min.csv.gz").name, uncompressed("NQ_30min.csv").name
    ('NQ_30min.csv', 'NQ_30min.csv')
    """
    path = Path(path)
    return path.with_suffix("") if path.suffix.lower() in COMPRESSED else path


def available(data_dir: str | os.PathLike[str]) -> list[Found]:
    """Return the bar files of a directory, sorted by symbol, length and name.

    Raises
    ------
    SourceNotFound
        The directory does not exist.
    UnreadableSource
        The directory cannot be listed.
    """
    directory = _directory(data_dir)
    if not directory.is_dir():
        raise SourceNotFound(f"the data directory {directory} does not exist. Pass data_dir= or set JUPYTER_NQ_DATA.")
    try:
        files = [path for path in directory.iterdir() if path.is_file()]
    except OSError as exc:
        raise UnreadableSource(f"{directory} cannot be listed: {exc.strerror}. Check its permissions.") from exc
    found = [item for path in files if (item := parse_name(path)) is not None]
    return sorted(found, key=_order)


def _directory(data_dir: str | os.PathLike[str]) -> Path:
    """Return the absolute path, so that a message names a place and not a dot."""
    return Path(os.path.abspath(Path(data_dir).expanduser()))


def _order(found: Found) -> tuple[str, int, str, str]:
    timeframe = parse_timeframe(found.timeframe)
    return found.symbol, timeframe.minutes, timeframe.suffix, found.path.name


def find_source(data_dir: str | os.PathLike[str], symbol: str, timeframe: str) -> Path:
    """Return the one file that holds `symbol` at `timeframe`.

    Raises
    ------
    SourceNotFound
        No directory, no bar file in it, or none of this symbol.
    UnknownInstrument
        The symbol is neither in the instrument table nor in the directory.
    UnknownTimeframe
        The text is no timeframe, or the symbol has files but none of this length.
    AmbiguousSource
        Several files match.
    """
    wanted = parse_timeframe(timeframe).label
    directory = _directory(data_dir)
    files = available(data_dir)
    root = symbol.strip().lstrip("@").upper()
    mine = [f for f in files if f.symbol == root]
    if not mine:
        _refuse_symbol(directory, root, files)
    matches = [f for f in mine if f.timeframe == wanted]
    if not matches:
        there = list(dict.fromkeys(f.timeframe for f in mine))
        raise UnknownTimeframe(
            f"no {wanted} file of {root} in {directory}, which has {_listing(there)}. Ask for one of these, such as "
            f"{there[0]!r}, or put a {wanted} file there."
        )
    if len(matches) > 1:
        names = " and ".join(repr(f.path.name) for f in matches)
        raise AmbiguousSource(
            f"{len(matches)} files in {directory} match {root} {wanted}: {names}. Remove or rename all but one, "
            "or pass the path of the one you mean."
        )
    return matches[0].path


def _refuse_symbol(directory: Path, symbol: str, files: list[Found]) -> None:
    if symbol not in INSTRUMENTS and symbol not in {f.symbol for f in files}:
        instrument(symbol)
    there = _listing(f"{f.symbol} {f.timeframe}" for f in files)
    raise SourceNotFound(
        f"no {symbol} file in {directory}, which has {there}. Put one there (a name such as "
        f"'{symbol} - 30 min - ETH.csv' or '{symbol}_30min.csv' is found), or pass data_dir= or the path of a file."
    )


def _listing(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _MOST_LISTED} more" if len(distinct) > _MOST_LISTED else ""
    return ", ".join(distinct[:_MOST_LISTED]) + more if distinct else "no bar file"


def symbols(data_dir: str | os.PathLike[str]) -> list[str]:
    """Return the symbols that have a file in a directory, for completion; empty when it cannot be listed."""
    return list(dict.fromkeys(f.symbol for f in _quietly(data_dir)))


def timeframes(data_dir: str | os.PathLike[str], symbol: str | None = None) -> list[str]:
    """Return the labels of the timeframes in a directory, for completion; `symbol` narrows them."""
    labels = {f.timeframe for f in _quietly(data_dir) if symbol is None or f.symbol == symbol.upper()}
    return sorted(labels, key=lambda label: (parse_timeframe(label).minutes, label))


def _quietly(data_dir: str | os.PathLike[str]) -> list[Found]:
    try:
        return available(data_dir)
    except (SourceNotFound, UnreadableSource):
        return []  # completion has nothing to offer, and an error would only disturb the typing
