"""Cells of files that a spreadsheet may open."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; a number stays as it is.

    >>> safe_cell("=1+1"), safe_cell("-1.5"), safe_cell("2024-07-01,100")
    ("'=1+1", '-1.5', '2024-07-01,100')
    """
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text
