"""From the numbers of a date and a time to the reading of the clock that wrote them; a date must exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.reading.stamps import FIRST_YEAR, LAST_YEAR, BadStamp, Fields, Ints

_Numbers = npt.NDArray[np.uint8]


def _months() -> tuple[Ints, Ints]:
    starts = np.arange(f"{FIRST_YEAR}-01", f"{LAST_YEAR + 1}-02", dtype="M8[M]").astype("M8[D]").astype(np.int64)
    return starts[:-1], np.diff(starts)


MONTH_START, MONTH_DAYS = _months()
"""Of each month from January of `FIRST_YEAR` on: days since 1970 of its first day, and its number of days."""


def local_seconds(fields: Fields, orders: Sequence[str]) -> Ints:
    """Return the clock reading of every row as seconds since 1970-01-01 on that clock.

    Parameters
    ----------
    orders
        `dmy`, `mdy` or `ymd` for each of `fields.layouts`.

    Raises
    ------
    BadStamp
        The first row whose date does not exist.
    """
    day, month = fields.first, fields.second
    swapped = np.array([order == "mdy" for order in orders])
    if swapped.all():
        day, month = month, day
    elif swapped.any():
        rows = swapped[fields.layout]
        day, month = np.where(rows, month, day), np.where(rows, day, month)
    bad = (month < 1) | (month > 12) | (day < 1) | (fields.year < FIRST_YEAR) | (fields.year > LAST_YEAR)
    sound = int(np.argmax(bad)) if bad.any() else len(bad)
    index = (fields.year[:sound].astype(np.int32) - FIRST_YEAR) * 12 + month[:sound] - 1
    _refuse_days(fields, day[:sound] > MONTH_DAYS[index], day, month)
    if sound < len(bad):
        _refuse_date(fields, sound, day, month)
    seconds: Ints = (MONTH_START[index] + day - 1) * 86_400 + fields.time
    return seconds


def exists(year: npt.NDArray[Any], month: npt.NDArray[Any], day: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which dates there are, of years that a bar may have."""
    sound = (month >= 1) & (month <= 12) & (day >= 1) & (year >= FIRST_YEAR) & (year <= LAST_YEAR)
    months = (year.astype(np.int64) - 1970) * 12 + np.where(sound, month, 1).astype(np.int64) - 1
    starts = months.astype("datetime64[M]")
    days = ((starts + 1).astype("datetime64[D]") - starts.astype("datetime64[D]")).astype(np.int64)
    found: npt.NDArray[np.bool_] = sound & (day <= days)
    return found


def _refuse_date(fields: Fields, row: int, day: _Numbers, month: _Numbers) -> None:
    if not FIRST_YEAR <= fields.year[row] <= LAST_YEAR:
        raise BadStamp(row, f"the year {fields.year[row]:04d} is not between {FIRST_YEAR} and {LAST_YEAR}")
    what = "day" if day[row] < 1 else "month"
    raise BadStamp(row, f"there is no {what} {(day if what == 'day' else month)[row]} in {fields.text(row)}")


def _refuse_days(fields: Fields, bad: npt.NDArray[np.bool_], day: _Numbers, month: _Numbers) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise BadStamp(row, f"month {month[row]} of {fields.year[row]} has no day {day[row]} ({fields.text(row)})")
