"""Finding the file of a symbol and a timeframe among the files of a directory, by their names.

Vendors write `NQ - 30 min - ETH.csv`, `@NQ - 5 min - ETH_extended.csv`, `NQ_5min_continuous_UNadjusted.txt`; what a
name says is found in `names`. A name that does not tell both is not an error, it is just not a bar file, and is told
when nothing is found. Of several files that fit, the one whose name says nothing else is the one meant. A copy mark
such as `(1)` is nothing else, so that a file downloaded twice is seen as two matches.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_nq.bars.instruments import INSTRUMENTS, instrument
from jupyter_nq.bars.names import SUFFIXES, named, root_of, stem, uncompressed
from jupyter_nq.bars.sessions.expiry import expiry_of
from jupyter_nq.bars.timeframe import Timeframe, parse_timeframe
from jupyter_nq.errors import AmbiguousSource, SourceNotFound, UnknownTimeframe, UnreadableSource, nearest

_FIRST = re.compile(r"@?(?P<symbol>[A-Za-z0-9]{1,8})[\s_-]+\d{1,5}[\s_-]?[A-Za-z]")
_MOST_LISTED = 12


@dataclass(frozen=True)
class Found:
    """A bar file that a directory holds."""

    path: Path
    symbol: str
    """Root symbol, upper case, as the name has it; it need not be in the instrument table."""
    timeframe: str
    """Canonical label, for example `30min` or `5min_extended`."""
    contract: str | None = field(default=None, compare=False)
    """Code of the only contract that it holds, `NQH24`, where the name has one."""
    words: tuple[str, ...] = field(default=(), compare=False)
    """What else the name says, in lower case."""

    @property
    def label(self) -> str:
        """What it is found by, `NQ 30min`."""
        return f"{self.contract or self.symbol} {self.timeframe}"


def parse_name(path: str | os.PathLike[str]) -> Found | None:
    """Return what the name of a file says about it, or None when it does not tell both instrument and timeframe."""
    path = Path(path)
    if not has_suffix(path):
        return None
    said = named(path)
    first = _FIRST.match(stem(path))
    symbol = said.symbol or (first["symbol"].upper() if first and not said.symbols else None)
    if symbol is None or said.timeframe is None:
        return None
    return Found(path, symbol, said.timeframe, said.contract, said.words)


def has_suffix(path: str | os.PathLike[str]) -> bool:
    """Tell whether a name ends as those of bar files do: `.csv`, `.parquet.gz`, `.zip`."""
    return uncompressed(path).suffix.lower() in SUFFIXES or Path(path).suffix.lower() == ".zip"


def available(data_dir: str | os.PathLike[str]) -> list[Found]:
    """Return the bar files of a directory, sorted by symbol, length and name.

    Raises
    ------
    SourceNotFound
        The directory does not exist.
    UnreadableSource
        The directory cannot be listed.
    """
    found = [item for path in _files(_directory(data_dir)) if (item := parse_name(path)) is not None]
    return sorted(found, key=_order)


def _files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise SourceNotFound(f"the data directory {directory} does not exist. Pass data_dir= or set JUPYTER_NQ_DATA.")
    try:
        return sorted(path for path in directory.iterdir() if path.is_file())
    except OSError as exc:
        raise UnreadableSource(f"{directory} cannot be listed: {exc.strerror}. Check its permissions.") from exc


def _directory(data_dir: str | os.PathLike[str]) -> Path:
    """Return the absolute path, so that a message names a place and not a dot."""
    return Path(os.path.abspath(Path(data_dir).expanduser()))


def _order(found: Found) -> tuple[str, int, str, str]:
    timeframe = parse_timeframe(found.timeframe)
    return found.symbol, timeframe.minutes, timeframe.suffix, found.path.name


def files_of(data_dir: str | os.PathLike[str], symbol: str) -> list[Found]:
    """Return the files of a symbol in a directory; those of a single contract only for its code, `NQH24`.

    Raises
    ------
    SourceNotFound, UnreadableSource
        No directory, or no file of this symbol; the message tells why those that are there do not count.
    UnknownInstrument
        The symbol is neither in the instrument table nor in the directory.
    """
    files, wanted = available(data_dir), root_of(symbol).strip().lstrip("@").upper()
    expiry = expiry_of(wanted)
    contract = expiry.code if expiry else None
    root = expiry.symbol if expiry else wanted
    mine = [f for f in files if f.symbol == root and f.contract == contract]
    if not mine:
        _refuse_symbol(_directory(data_dir), contract or root, root, files)
    return mine


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
    wanted = parse_timeframe(timeframe)
    mine, directory = files_of(data_dir, symbol), _directory(data_dir)
    matches = _matches(mine, wanted)
    called = mine[0].contract or mine[0].symbol
    if not matches:
        there = list(dict.fromkeys(f.timeframe for f in mine))
        raise UnknownTimeframe(
            f"no {wanted.label} file of {called} in {directory}, which has {_listing(there)}. Ask for one of these, "
            f"such as {there[0]!r}, or put a {wanted.label} file there."
        )
    if len(matches) > 1:
        names = " and ".join(repr(f.path.name) for f in matches)
        raise AmbiguousSource(
            f"{len(matches)} files in {directory} match {called} {wanted.label}: {names}. Pass the "
            "path of the one you mean, or of all when they are one series, or remove or rename all but one."
        )
    return matches[0].path


def _matches(files: list[Found], wanted: Timeframe) -> list[Found]:
    """Return the files of a timeframe; the plain one alone where there is one."""
    matches = [f for f in files if f.timeframe == wanted.label]
    if not matches and wanted.suffix:  # any other word of the name may tell the series
        words = set(wanted.suffix.split("_"))
        alike = [(f, parse_timeframe(f.timeframe)) for f in files]
        return [f for f, t in alike if t.minutes == wanted.minutes and words <= {*f.words, *t.suffix.split("_")}]
    plain = [f for f in matches if set(f.words) <= {(f.contract or "").lower()}]
    return plain or matches


def _refuse_symbol(directory: Path, called: str, root: str, files: list[Found]) -> None:
    if root not in INSTRUMENTS and root not in {f.symbol for f in files}:
        instrument(root)
    there = _listing(f.label for f in files)
    raise SourceNotFound(
        f"no {called} file in {directory}, which has {there}.{_passed_over(directory)} Put one there (a name such as "
        f"'{called} - 30 min - ETH.csv' or '{called}_30min.csv' is found), or pass data_dir= or the path of a file."
    )


def _passed_over(directory: Path) -> str:
    """Return the sentence about files that may hold bars and whose names do not tell which."""
    reasons = [f"{path.name} ({_why(path)})" for path in _files(directory) if has_suffix(path) and not parse_name(path)]
    return f" Not counted, by their names: {_listing(reasons)}." if reasons else ""


def _why(path: Path) -> str:
    said = named(path)
    if len(said.symbols) > 1:
        return f"{' or '.join(said.symbols)}?"
    missing = [what for what, told in (("symbol", said.symbol), ("timeframe", said.timeframe)) if told is None]
    return f"no {' and no '.join(missing)}"


def _listing(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - _MOST_LISTED} more" if len(distinct) > _MOST_LISTED else ""
    return ", ".join(distinct[:_MOST_LISTED]) + more if distinct else "no bar file"


def missing(path: Path) -> SourceNotFound:
    """Return the error for a file that is not there, with the nearest names of its directory."""
    whole = _directory(path)
    try:
        near = nearest(path.name, os.listdir(whole.parent))
    except OSError:
        near = f" Nor is there a directory {whole.parent}."
    return SourceNotFound(f"no such file: {whole}.{near} Give the path of a bar file, or a symbol and a timeframe.")


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
