"""The table's form, from the first 64 KiB: delimiter, header, columns, decimal mark, scale of prices."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jupyter_nq.bars.answers import Answers
from jupyter_nq.bars.instruments import Instrument
from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.reading.lines import BOM
from jupyter_nq.bars.reading.opening import check_file, opened
from jupyter_nq.bars.sniffing.columns import by_name, by_place, check_once, contract_column
from jupyter_nq.bars.sniffing.heading import FEWEST, heading
from jupyter_nq.bars.vendors import VENDORS, lookalikes
from jupyter_nq.errors import EmptyDataset, InvalidArgument, SourceNotFound, UnreadableSource

HEAD_BYTES = 64 << 10  # 64 KiB
DELIMITERS = (",", ";", "\t", "|")

_MAGIC = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"PAR1": "Parquet data",
    b"ARROW1": "Arrow data",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_ROUNDED = 0.000_501
"""What a price of three decimals may be off by its rounding: 114.156 is 114 and 5/32."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_BREAK = re.compile(r"\r\n|\n|\r")
_LEAST_SCALED = 10**8  # a tenth of a point in billionths, and more than any future costs


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
    if b"\0" in next(iter(head.splitlines()), b""):
        raise UnreadableSource(f"{path} holds binary data, not a text table. Export it as a UTF-8 CSV file.")
    if not head.removeprefix(BOM).strip():
        raise EmptyDataset(f"{path} is empty. Export it again.")
    if not whole:
        head = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1]
        if not head.strip():
            raise UnreadableSource(
                f"{path}, line 1: the line is longer than {HEAD_BYTES >> 10} KiB, which no row of bars is. Look "
                "whether it is a file of bars."
            )
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = len((head[: exc.start] + b".").splitlines())
        raise UnreadableSource(
            f"{path}, line {line}: the text is not UTF-8, byte {exc.start:,} of the file is "
            f"0x{head[exc.start]:02x}. Save the file as UTF-8."
        ) from exc


def detect_dialect(path: Path, said: Answers | None = None) -> Dialect:
    """Return the form of the table in `path`; what `said` answers is taken for given.

    Raises
    ------
    SourceNotFound, UnreadableSource
        As `read_head`; or no delimiter splits the lines, or a needed column is missing or doubtful.
    InvalidArgument
        The file contradicts an answer.
    """
    said = said or Answers()
    lines = _lines(path)
    delimiter = said.delimiter or _delimiter(path, [line for _, line in lines[:50]])
    top = heading(path, lines, delimiter, said.header)
    lines, header = lines[len(top.titles) :], bool(top.names)
    number, first = lines[0]
    _check_delimiter(path, delimiter, first, said)
    if len(lines) <= top.lines:
        if len(first) > HEAD_BYTES // 2:
            count = len(_split(first, delimiter))
            raise UnreadableSource(f"{path} has {count:,} columns, which no table of bars has. Export fewer.")
        raise EmptyDataset(f"{path} has a header and no rows. Export it again.")
    rows = [_split(line, delimiter) for _, line in lines[top.lines : top.lines + 50]]
    names = top.names or tuple(f"column {i}" for i in range(1, len(rows[0]) + 1))
    columns = (by_name if header else by_place)(path, names, rows, said)
    columns |= contract_column(path, names, said)
    check_once(path, columns)
    decimal = said.decimal or (_decimal(path, rows, names, columns) if delimiter != "," else ".")
    skipped = lines[top.lines - 1][0] + 1 if header else number
    table = Dialect(delimiter, header, skipped, names, columns, decimal)
    return replace(table, price_scale=said.price_scale or _price_scale(table, rows, said))


def above(path: Path, table: Dialect, said: Answers) -> tuple[str, ...]:
    """Return the evidence about lines above the rows of a table beside its header."""
    return heading(path, _lines(path), table.delimiter, said.header).evidence


def _lines(path: Path) -> list[tuple[int, str]]:
    return [(number, line) for number, line in enumerate(_BREAK.split(read_head(path))) if line]


def _check_delimiter(path: Path, delimiter: str, line: str, said: Answers) -> None:
    """Refuse answers that the first line contradicts."""
    if said.delimiter and len(_split(line, delimiter)) < FEWEST:
        raise InvalidArgument(
            f"{path}, line 1: {line[:80]!r} is not a row with {delimiter!r} between columns, as {said.called} says."
        )
    if not said.delimiter and said.vendor and delimiter not in said.vendor.delimiters:
        raise InvalidArgument(
            f"{path} has {delimiter!r} between columns; files of {said.vendor.title} have "
            f"{' or '.join(map(repr, said.vendor.delimiters))}. {said.called} does not fit the file."
        )


def _price_scale(table: Dialect, rows: Sequence[Sequence[str]], said: Answers) -> int:
    """Return 10**9 for whole-numbered prices of Databento, which writes billionths unless told otherwise."""
    databento = VENDORS["databento"]
    if said.vendor not in (None, databento):
        return said.vendor.price_scale if said.vendor else 1
    if said.vendor is None and databento not in lookalikes(table, ()):
        return 1
    cells = _prices(rows, table.names, table.columns)
    whole = all(_WHOLE.fullmatch(cell.strip()) for cell in cells)
    return databento.price_scale if whole and max(map(abs, map(int, cells)), default=0) >= _LEAST_SCALED else 1


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
    if most < FEWEST:
        raise UnreadableSource(
            f"{path}, line 1: {lines[0][:80]!r} is not a row of a table of bars. It needs at least a stamp and four "
            "prices, separated by a comma, semicolon, tab or bar."
        )
    return best


def _decimal(
    path: Path, rows: Sequence[Sequence[str]], names: Sequence[str], columns: Mapping[str, tuple[str, ...]]
) -> str:
    """Return the decimal mark; raises `UnreadableSource` when every comma may separate thousands instead."""
    cells = [cell.strip() for cell in _prices(rows, names, columns)]
    marked = [cell for cell in cells if _COMMA_NUMBER.fullmatch(cell)]
    if marked and all(_THOUSANDS.fullmatch(cell) for cell in marked):
        raise UnreadableSource(
            f"{path}: prices such as {marked[0]!r} have a comma before three digits, which may be the decimal mark or "
            "separate thousands. Pass profile={'decimal': ','} when it is the mark, else export the file without it."
        )
    return "," if marked else "."


def check_points(path: Path, table: Dialect, said: Answers, known: Instrument | None) -> None:
    """Raise `UnreadableSource` when every point in a price may separate thousands, by the tick of the instrument.

    Where commas stand between columns, numbers are written with a point as the decimal mark.
    """
    if known is None or said.decimal is not None or table.decimal != "." or table.delimiter == ",":
        return
    lines = [line for number, line in _lines(path) if number > table.skip_lines]
    rows = [_split(line, table.delimiter) for line in lines[:50]]
    cells = [cell.strip() for cell in _prices(rows, table.names, table.columns)]
    if not cells or not all(_POINTS.fullmatch(cell) for cell in cells):
        return
    off = sum(_is_off(float(cell), known.tick) for cell in cells)
    whole = not any(_is_off(float(cell.replace(".", "")), known.tick) for cell in cells)
    if whole and off * 2 > len(cells):
        raise UnreadableSource(
            f"{path}: prices such as {cells[0]!r} have a point before three digits and are no multiples of "
            f"{known.symbol}'s tick {known.tick:g}, as they are when it separates thousands. Pass "
            "profile={'decimal': '.'} when it is the mark, else export the file without it."
        )


def _is_off(price: float, tick: float) -> bool:
    """Return whether a price of three decimals is no multiple of a tick."""
    return abs(price - round(price / tick) * tick) > _ROUNDED


def _prices(rows: Sequence[Sequence[str]], names: Sequence[str], columns: Mapping[str, tuple[str, ...]]) -> list[str]:
    places = [names.index(columns[role][0]) for role in ROLES[1:5]]
    return [row[place] for row in rows for place in places if place < len(row)]
