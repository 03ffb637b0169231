"""The table's form, from the first 64 KiB: delimiter, header, decimal mark, which column is what.

Vendors misspell and rename columns (`Llow`, `Last`), split the stamp into Date and Time, and split
the volume into Up and Down. The first alias that fits wins, and a name that fits twice is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jupyter_nq.bars.profile import Dialect
from jupyter_nq.bars.reading.opening import check_file, opened
from jupyter_nq.errors import SourceNotFound, UnreadableSource

HEAD_BYTES = 64 << 10  # 64 KiB
DELIMITERS = (",", ";", "\t", "|")

ALIASES: Mapping[str, tuple[str, ...]] = {
    "timestamp": ("timestamp", "datetime", "date time", "date_time", "dateandtime", "ts", "ts_event", "bar time"),
    "open": ("open", "o", "open price"),
    "high": ("high", "h", "hi", "high price"),
    "low": ("low", "llow", "l", "lo", "low price"),
    "close": ("close", "last", "c", "close price"),
    "volume": ("volume", "vol", "v", "vol.", "total volume"),
}
_DATE, _TIME = ("date", "day"), ("time", "hour")
_UP, _DOWN = "up", "down"

_MAGIC = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "Parquet data",
    b"ARROW1": "Arrow data",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_STAMP_START = re.compile(r"\s*(\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}|\d{8}( \d{3,6})?\s*$|\d{9,19}\s*$)")
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")


def read_head(path: Path) -> str:
    """Return the first 64 KiB of a text file, cut at a line.

    Raises
    ------
    SourceNotFound, UnreadableSource
        There is no such file; it is empty, binary, not UTF-8, or may not be read.
    """
    check_file(path)
    try:
        with opened(path) as file:
            head: bytes = file.read(HEAD_BYTES + 1)
            whole, head = len(head) <= HEAD_BYTES, head[:HEAD_BYTES]
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{path} does not exist.") from exc
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc.strerror}. Check its permissions.") from exc
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise UnreadableSource(f"{path} holds {what}, not a text table. Export or unpack it as a UTF-8 CSV file.")
    if (at := head.find(b"\0")) >= 0:
        if line := head.count(b"\n", 0, at):
            raise UnreadableSource(
                f"{path}, line {line + 1}: the line has NUL bytes, as after a write that was cut off. "
                "Export the file again."
            )
        raise UnreadableSource(f"{path} holds binary data, not a text table. Export it as a UTF-8 CSV file.")
    if not head.strip():
        raise UnreadableSource(f"{path} is empty. Export it again.")
    if not whole:
        head = head[: head.rfind(b"\n") + 1] or head
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = head.count(b"\n", 0, exc.start) + 1
        raise UnreadableSource(f"{path}, line {line}: the text is not UTF-8. Save the file as UTF-8.") from exc


def detect_dialect(path: Path) -> Dialect:
    """Return the form of the table in `path`.

    Raises
    ------
    SourceNotFound, UnreadableSource
        As `read_head`; or no delimiter splits the lines, or a needed column is missing or doubtful.
    """
    lines = [(number, line) for number, line in enumerate(read_head(path).splitlines()) if line]
    delimiter = _delimiter(path, [line for _, line in lines[:50]])
    number, first = lines[0]
    cells = [cell.strip() for cell in _split(first, delimiter)]
    header = not any(_STAMP_START.match(cell) for cell in cells)
    if header:
        names = tuple(cells)
        columns = _by_names(path, names)
    else:
        names = tuple(f"column {i}" for i in range(1, len(cells) + 1))
        columns = _by_position(path, names, first)
    if header and len(lines) < 2:
        raise UnreadableSource(f"{path} has a header and no rows. Export it again.")
    sample = [_split(line, delimiter) for _, line in (lines[1:51] if header else lines[:50])]
    decimal = _decimal(sample, names, columns) if delimiter != "," else "."
    return Dialect(delimiter, header, number + 1 if header else number, names, columns, decimal)


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter))


def _delimiter(path: Path, lines: Sequence[str]) -> str:
    """The one that splits all first lines into the same number of cells, and into the most."""
    best, most = "", 1
    for candidate in DELIMITERS:
        widths = [len(_split(line, candidate)) for line in lines]
        usual = max(set(widths), key=widths.count)
        if usual > most and widths.count(usual) * 2 > len(widths):
            best, most = candidate, usual
    if most < 5:
        raise UnreadableSource(
            f"{path}, line 1: {lines[0][:80]!r} is not a row of a table of bars. It needs at least a stamp and four "
            "prices, separated by a comma, semicolon, tab or bar."
        )
    return best


def _by_names(path: Path, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    plain = [name.strip().strip("<>\"'").lower() for name in names]

    bar = _end_of_bar(plain)

    def find(*aliases: str) -> str | None:
        for alias in aliases:
            if alias in plain[:bar] and plain.count(alias) - plain[:bar].count(alias):
                return names[plain.index(alias)]  # the second is a study's, as Sierra Chart exports it
            if plain.count(alias) > 1:
                raise UnreadableSource(f"{path}: the header names {alias!r} twice. Rename the one that is not meant.")
            if alias in plain:
                return names[plain.index(alias)]
        return None

    found: dict[str, tuple[str, ...]] = {
        role: (name,) for role, aliases in ALIASES.items() if (name := find(*aliases)) is not None
    }
    if "timestamp" not in found:
        parts = tuple(name for name in (find(*_DATE), find(*_TIME)) if name is not None)
        found |= {"timestamp": parts} if parts else {}
    if "volume" not in found and (up := find(_UP)) and (down := find(_DOWN)):
        found["volume"] = (up, down)
    missing = [role for role in ALIASES if role not in found]
    if missing:
        raise UnreadableSource(
            f"{path}: the header {', '.join(names)!r} has no column for {' and '.join(missing)}. Rename the columns; "
            f"understood are {', '.join('/'.join(ALIASES[role][:3]) for role in missing)}."
        )
    return {role: found[role] for role in ALIASES}


def _end_of_bar(plain: Sequence[str]) -> int:
    """Return the columns up to the first volume, when all prices stand among them and no name does twice, else 0."""
    volume = next((i for i, name in enumerate(plain) if name in ALIASES["volume"]), -1)
    first = plain[: volume + 1]
    whole = all(any(name in ALIASES[role] for name in first) for role in ("open", "high", "low", "close"))
    return volume + 1 if whole and len(set(first)) == len(first) else 0


def _by_position(path: Path, names: tuple[str, ...], line: str) -> dict[str, tuple[str, ...]]:
    if len(names) not in (6, 7):
        raise UnreadableSource(
            f"{path}, line 1: {line[:80]!r} has no header and {len(names)} columns. Without a header a row is stamp, "
            "open, high, low, close, volume (the stamp in one column or two): add a header."
        )
    stamp, rest = names[:-5], names[-5:]
    return {"timestamp": stamp} | {role: (name,) for role, name in zip(list(ALIASES)[1:], rest, strict=True)}


def _decimal(sample: Sequence[Sequence[str]], names: Sequence[str], columns: Mapping[str, tuple[str, ...]]) -> str:
    prices = [names.index(columns[role][0]) for role in ("open", "high", "low", "close")]
    cells = [row[i] for row in sample for i in prices if i < len(row)]
    return "," if any(_COMMA_NUMBER.fullmatch(cell.strip()) for cell in cells) else "."
