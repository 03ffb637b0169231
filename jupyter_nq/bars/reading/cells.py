"""Numbers of a text column, all at once: the value of each cell, or why it has none.

A cell is a number exactly when the strict reader takes it for one, and has the same bits then.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

GOOD, EMPTY, NOT_FINITE, TEXT, NO_COUNT = range(5)
RULES = ("", "empty cell", "not finite", "text", "volume")
"""The rule that a cell breaks, by its code."""
_REASONS = ("", "is empty", "is {!r}, not a finite number", "is {!r}, not a number", "is {!r}, {}")

_PRICE = r"^[ \t]*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*$"
_COUNT = r"^[ \t]*[0-9]+[ \t]*$"
_NO_NUMBER = r"(?i)^[ \t]*[+-]?(nan|inf|infinity|null|na|n/a|#n/a|none)[ \t]*$"
_LIMIT = 1 << 63
_MOST_DIGITS = len(str(_LIMIT))
_SURE_DIGITS = 18  # of a number that certainly fits into 64 bits

Codes = npt.NDArray[np.uint8]


def prices(cells: pa.Array, decimal: str) -> tuple[npt.NDArray[np.float64], Codes]:
    """Return the values of a price column, 0 where there is none, and a code for each."""
    codes = np.full(len(cells), GOOD, np.uint8)
    texts = cells if decimal == "." else pc.replace_substring(pc.replace_substring(cells, ".", "?"), decimal, ".")
    number = _matching(texts, _PRICE)
    _code_the_others(codes, texts, number)
    plain = pc.ascii_ltrim(pc.ascii_trim(texts, " \t"), "+")
    values: npt.NDArray[np.float64] = _numpy(pc.cast(pc.if_else(pa.array(number), plain, "0"), pa.float64())).copy()
    infinite = ~np.isfinite(values)
    values[infinite], codes[infinite] = 0.0, NOT_FINITE
    return values, codes


def counts(cells: pa.Array) -> tuple[npt.NDArray[np.int64], Codes]:
    """Return the values of a volume column, 0 where there is none, and a code for each."""
    codes = np.full(len(cells), GOOD, np.uint8)
    digits = pc.ascii_trim(cells, " \t")
    whole = _matching(cells, _COUNT)
    _code_the_others(codes, cells, whole)
    codes[~whole & _matching(cells, _PRICE)] = NO_COUNT
    for at in np.flatnonzero(whole & (_numpy(pc.utf8_length(digits)) > _SURE_DIGITS)).tolist():
        text = digits[at].as_py().lstrip("0")
        if len(text) > _MOST_DIGITS or int(text or "0") >= _LIMIT:
            whole[at], codes[at] = False, NO_COUNT
    values: npt.NDArray[np.int64] = _numpy(pc.cast(pc.if_else(pa.array(whole), digits, "0"), pa.int64())).copy()
    return values, codes


def decimal_hint(cell: str, decimal: str) -> str:
    """Return what to do about a number with the other decimal mark, nothing for any other text."""
    other = "," if decimal == "." else "."
    if not re.fullmatch(rf"\s*[+-]?[0-9]+\{other}[0-9]+\s*", cell):
        return ""
    return f", where the decimal mark is {decimal!r}; if all have {other!r} pass profile={{'decimal': {other!r}}}"


def reason(name: str, code: int, cell: str, decimal: str) -> str:
    """Return the sentence about a cell."""
    more = ""
    if code == NO_COUNT:
        text = cell.strip()
        fraction = any(mark in text for mark in ".eE")
        more = "not a whole number" if fraction else "negative" if text.startswith("-") else "too large for 64 bits"
    hint = decimal_hint(cell, decimal) if code == TEXT else ""
    return f"{name} {_REASONS[code].format(cell, more)}{hint}"


def _code_the_others(codes: Codes, texts: pa.Array, number: npt.NDArray[np.bool_]) -> None:
    codes[~number] = TEXT
    codes[_matching(texts, _NO_NUMBER)] = NOT_FINITE
    codes[_matching(texts, r"^[ \t]*$")] = EMPTY


def _matching(texts: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = _numpy(pc.match_substring_regex(texts, pattern)).copy()
    return found


def _numpy(array: pa.Array) -> Any:
    return array.to_numpy(zero_copy_only=False)
