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
_COUNT = re.compile(r"([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,3}))?")
_ZEROS = r"^([0-9]+)\.0*$"
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
    digits = plain_counts(cells)
    whole = _matching(digits, r"^[0-9]+$")
    _code_the_others(codes, cells, whole)
    codes[~whole & _matching(cells, _PRICE)] = NO_COUNT
    for at in np.flatnonzero(whole & (_numpy(pc.utf8_length(digits)) > _SURE_DIGITS)).tolist():
        text = digits[at].as_py().lstrip("0")
        if len(text) > _MOST_DIGITS or int(text or "0") >= _LIMIT:
            whole[at], codes[at] = False, NO_COUNT
    values: npt.NDArray[np.int64] = _numpy(pc.cast(pc.if_else(pa.array(whole), digits, "0"), pa.int64())).copy()
    return values, codes


def plain_counts(cells: pa.Array) -> pa.Array:
    """Return cells without blanks around, those of whole numbers in digits alone: `100.0` and `1e2` are `100`."""
    texts = pc.ascii_trim(cells, " \t")
    if pc.all(pc.ascii_is_decimal(texts)).as_py():
        return texts
    texts = pc.replace_substring_regex(texts, _ZEROS, r"\1")
    odd = np.flatnonzero(_matching(texts, r"^[0-9]*\.?[0-9]*[eE][+-]?[0-9]{1,3}$|^[0-9]*\.[0-9]+$"))
    if not len(odd):
        return texts
    found = pa.array([whole_digits(text) or text for text in texts.take(pa.array(odd)).to_pylist()], pa.string())
    marked = np.zeros(len(texts), bool)
    marked[odd] = True
    return pc.replace_with_mask(texts, pa.array(marked), found)


def whole_digits(text: str) -> str | None:
    """Return the digits of a whole number that is written with a point or an exponent of up to three digits.

    None for any other text, a fraction among them. The value is exact, however many digits there are.

    >>> whole_digits("1.50e2"), whole_digits("150."), whole_digits("1.5")
    ('150', '150', None)
    """
    match = _COUNT.fullmatch(text)
    if match is None or not (match[1] or match[2]):
        return None
    digits, places = match[1] + match[2], int(match[3] or "0") - len(match[2])
    if not digits.strip("0"):
        return "0"
    if places >= 0:
        return digits + "0" * places
    return None if digits[places:].strip("0") or -places >= len(digits) else digits[:places]


def decimal_hint(cell: str, decimal: str) -> str:
    """Return what to do about a number with another decimal mark or with separators, nothing for any other text."""
    other = "," if decimal == "." else "."
    text = cell.strip(" \t").lstrip("+-")
    grouped = re.fullmatch(rf"[0-9]{{1,3}}(\{other}[0-9]{{3}})+(\{decimal}[0-9]*)?", text)
    marked = re.fullmatch(rf"[0-9]+\{other}[0-9]+", text)
    if not grouped and not marked:
        return ""
    hints = [f"if {other!r} separates thousands export the file without it"] if grouped else []
    hints += [f"if all have {other!r} pass profile={{'decimal': {other!r}}}"] if marked else []
    return f", where the decimal mark is {decimal!r}; {'; '.join(hints)}"


def count_hint(cell: str) -> str:
    """Return what to do about a whole number with separators of thousands, nothing for any other text."""
    grouped = re.fullmatch(r"[0-9]{1,3}([,.' ])[0-9]{3}(\1[0-9]{3})*", cell.strip(" \t"))
    return f"; if {grouped[1]!r} separates thousands export the file without it" if grouped else ""


def reason(name: str, code: int, cell: str, decimal: str) -> str:
    """Return the sentence about a cell."""
    more = ""
    if code == NO_COUNT:
        text = cell.strip()
        fraction = whole_digits(text.lstrip("+-")) is None
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
