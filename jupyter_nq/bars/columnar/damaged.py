"""A damaged table of columns as a text of the same rows, for the reader that says of each row why it is no bar.

Only a file with a fault comes here, so what that costs does not matter, and one reader knows what a bad row is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.columnar.names import dialect_of
from jupyter_nq.bars.columnar.reading import check_types
from jupyter_nq.bars.columnar.sheets import sheet_of
from jupyter_nq.bars.columnar.stamps import plain

_PAIRS = {"timestamp": ("date", "time"), "volume": ("up", "down")}


@contextmanager
def as_text(path: Path) -> Iterator[Path]:
    """Give a text file with the rows of a Parquet or Arrow file in their order, below a header; it goes afterwards.

    Raises
    ------
    UnreadableSource
        The file is damaged as a whole, or a column is missing or cannot be what its name says.
    """
    from pyarrow import csv

    sheet = sheet_of(path)
    dialect = dialect_of(sheet)
    check_types(sheet, dialect)
    names = [name for columns in dialect.columns.values() for name in columns]
    header = [title for role, columns in dialect.columns.items() for title in _titles(role, len(columns))]
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with tempfile.TemporaryDirectory(prefix="jupyter-nq-") as place:
        copy = Path(place) / f"{path.stem}.csv"
        with copy.open("wb") as file:
            file.write(("\t".join(header) + "\n").encode())
            for batch in sheet.batches(names):
                columns = [_text(column) for column in batch.columns]
                csv.write_csv(pa.RecordBatch.from_arrays(columns, names=header), file, options)
        yield copy


def _titles(role: str, count: int) -> tuple[str, ...]:
    return (role,) if count == 1 else _PAIRS[role]


def _text(column: pa.Array) -> pa.Array:
    """Return cells without what would end one."""
    text = plain(column).cast(pa.string())
    return pc.replace_substring_regex(pc.fill_null(text, ""), '[\t\r\n"]', " ")
