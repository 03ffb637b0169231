"""Day or month first: decided by values above 12, and by which reading makes sense as time.

A number above 12 settles its own layout. A file may hold several layouts (a spreadsheet rewrites only the
dates that it could misread), and one of them may never show such a number; then the stamps' order
decides. One day order for the whole file is tried first; an order per layout only when that fails.
What is left open here is decided by closed hours and gaps (`sniff`), or asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import cast

from jupyter_nq.bars.reading.stamps import BadStamp
from jupyter_nq.bars.sniffing.local import Local, local_of
from jupyter_nq.bars.sniffing.packed import Mark, Stamps, Written

_JUMP_BACK = -2 * 3600  # seconds; a clock that goes back repeats an hour, a wrong day order jumps by days
_MOST_OPEN_LAYOUTS = 4
CONTINUOUS_GAP = 7 * 86_400
"""Seconds: a file of bars with no longer hole is continuous."""


@dataclass(frozen=True)
class Ordered:
    """The stamps of a file under one day order."""

    orders: tuple[str, ...]
    """For each layout: `dmy`, `mdy` or `ymd`."""
    local: Local
    """Clock readings."""
    why: str
    """The evidence, as a sentence without its end; empty when there was nothing to decide."""

    def instants(self, stamps: Stamps) -> Local:
        """Return the clock readings, less the offsets where the stamps carry them; counted once."""
        if not stamps.carrying:
            return self.local
        memo = self.local.memo
        if "instants" not in memo:
            memo["instants"] = local_of(stamps, self.orders, utc=True)
        return cast(Local, memo["instants"])

    @property
    def day_first(self) -> bool | None:
        """True or False when all layouts agree on it, None when they differ or begin with the year."""
        distinct = set(self.orders)
        return {"dmy": True, "mdy": False}.get(distinct.pop()) if len(distinct) == 1 else None

    @property
    def largest_gap(self) -> int:
        """Seconds of the longest step."""
        return self.local.longest_step

    @property
    def ascends(self) -> bool:
        """Whether no step goes back in time, a repeated hour aside."""
        return self.local.least_step is None or self.local.least_step > _JUMP_BACK


def possible_orders(stamps: Stamps, day_first: bool | None) -> list[Ordered]:
    """Return the day orders under which the stamps exist and ascend; more than one is a question.

    Parameters
    ----------
    day_first
        The user's answer, which wins; None finds out.

    Raises
    ------
    BadStamp
        A stamp that is no date in any order, or that contradicts `day_first` or the rest of its layout.
    """
    if day_first is not None:
        orders = tuple("ymd" if la.order == "ymd" else "dmy" if day_first else "mdy" for la in stamps.layouts)
        open_ = any(layout.order != "ymd" for layout in stamps.layouts)
        return [Ordered(orders, local_of(stamps, orders), "as given" if open_ else "")]
    choices = [_choices(written) for written in stamps.written]
    uniform = _uniform(choices)
    proof = _proof(stamps.written, choices)
    found = [Ordered(orders, local_of(stamps, orders), proof) for orders in uniform]
    ascending = [reading for reading in found if reading.ascends]
    if len(found) > 1 and len(ascending) == 1:
        return [_because(ascending[0], "with the other day order the stamps go back in time")]
    if ascending:
        return ascending
    mixed = _mixed(stamps, choices, uniform)
    if not found and not mixed:
        raise _contradiction(stamps.written, choices)
    return mixed if len(mixed) == 1 else found or mixed


def _choices(written: Written) -> tuple[str, ...]:
    """The orders that the values of one layout allow."""
    if written.layout.order == "ymd":
        return ("ymd",)
    first, second = written.day_first, written.month_first
    if first and second:
        early, late = sorted((first, second), key=lambda mark: mark.row)
        raise BadStamp(late.row, f"{late.text} and {early.text} cannot have the same order of day and month")
    return ("dmy",) if first else ("mdy",) if second else ("dmy", "mdy")


def _uniform(choices: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """One day order for all layouts, where the values allow it."""
    found = []
    for order in ("dmy", "mdy"):
        orders = tuple("ymd" if "ymd" in allowed else order for allowed in choices)
        if all(one in allowed for one, allowed in zip(orders, choices, strict=True)) and orders not in found:
            found.append(orders)
    return found


def _contradiction(written: Sequence[Written], choices: Sequence[tuple[str, ...]]) -> BadStamp:
    """Return the error for layouts that cannot have the same day order, while their stamps do not ascend with two."""
    decided = {allowed[0]: index for index, allowed in reversed(list(enumerate(choices))) if len(allowed) == 1}
    one, other = sorted((decided["dmy"], decided["mdy"]))
    order = choices[one]
    first, late = (written[index].first for index in (one, other))
    return BadStamp(
        late.row,
        f"{late.text} and {first.text} are of layouts that cannot have the same order of day and month "
        f"({order[0]} in the latter), and with two orders the stamps do not ascend",
    )


def _mixed(stamps: Stamps, choices: Sequence[tuple[str, ...]], tried: Sequence[tuple[str, ...]]) -> list[Ordered]:
    """A day order for each layout, where that makes the stamps ascend."""
    if sum(len(allowed) > 1 for allowed in choices) > _MOST_OPEN_LAYOUTS:
        return []
    why = "each layout has its own, because only so do the stamps ascend"
    readings = (Ordered(o, local_of(stamps, o), why) for o in product(*choices) if o not in tried)
    return [reading for reading in readings if reading.ascends]


def _proof(written: Sequence[Written], choices: Sequence[tuple[str, ...]]) -> str:
    for one in written:
        proof: Mark | None = one.day_first or one.month_first
        if proof:
            place = "first" if one.day_first else "second"
            rest = " and so the stamps of every layout ascend" if len(choices) > 1 else ""
            return f"{proof.text} has the day in {place} place{rest}"
    return ""


def _because(reading: Ordered, why: str) -> Ordered:
    return replace(reading, why=why)


def narrowed(readings: Sequence[Ordered]) -> list[Ordered]:
    """Return the only reading without a hole of more than a week, when there is exactly one, else all."""
    continuous = [reading for reading in readings if reading.largest_gap <= CONTINUOUS_GAP]
    if len(readings) > 1 and len(continuous) == 1:
        return [_because(continuous[0], "with the other day order the file has holes of weeks")]
    return list(readings)
