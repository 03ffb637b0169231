"""Whether a file is what was said of it, and whose files it looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_nq.bars.answers import Answers, Given, answers, timeframe_said
from jupyter_nq.bars.instruments import Instrument
from jupyter_nq.bars.profile import Dialect
from jupyter_nq.bars.reading.blocks import lines_of
from jupyter_nq.bars.reading.dates import exists, local_seconds
from jupyter_nq.bars.reading.stamps import BadStamp, Ints, Layout
from jupyter_nq.bars.sniffing.columns import misspelt
from jupyter_nq.bars.sniffing.dayorder import Ordered, possible_orders
from jupyter_nq.bars.sniffing.local import local_of
from jupyter_nq.bars.sniffing.packed import Stamps
from jupyter_nq.bars.vendors import Vendor
from jupyter_nq.errors import InvalidArgument

_DATES_AS_COUNTS = {"s": ("YYYYMMDDHH", 2, "20240708 0900"), "ms": ("YYYYMMDDHHMM", 1, "20240708 0930")}
"""Unit -> the layout of a date that has as many digits, those of its hour among the whole seconds, a form to write."""


def orders_said(stamps: Stamps, day_first: bool | None, said: Answers) -> list[Ordered]:
    """Return the day orders that stamps and answers allow; raises `BadStamp`, see `possible_orders`."""
    _refuse_short_years(stamps, said)
    _refuse_dates_as_counts(stamps, said)
    if not said.layouts or day_first is not None:
        return possible_orders(stamps, said.day_first_said if day_first is None else day_first)
    known = {layout.unordered: layout.order for layout in map(Layout.parse, said.layouts)}
    orders = tuple(known[layout.unordered] for layout in stamps.layouts)
    return [Ordered(orders, local_of(stamps, orders), "as given" if set(orders) != {"ymd"} else "")]


def _refuse_short_years(stamps: Stamps, said: Answers) -> None:
    """Raise `BadStamp` for a year of two digits: its century, and which number is the year, would be a guess."""
    short = [written.first.row for written in stamps.written if written.layout.short_year]
    if short and not said.short_years:
        raise BadStamp(
            short[0],
            "the year has two digits, so that neither its century nor its place is certain (profile={'century': 2000} "
            "says that it stands last and means 20YY)",
        )


def _refuse_dates_as_counts(stamps: Stamps, said: Answers) -> None:
    """Raise `BadStamp` where every number since 1970 is the digits of a date too, and the layout was not said."""
    unit = stamps.layouts[0].epoch if len(stamps.layouts) == 1 else ""
    if said.layouts or unit not in _DATES_AS_COUNTS:
        return
    layout, digits, example = _DATES_AS_COUNTS[unit]
    seconds = (local_seconds(stamps.block(index), ["ymd"]) for index in range(len(stamps.begins)))
    if all(_are_dates(block, digits) for block in seconds):
        raise BadStamp(
            0,
            f"the digits of every stamp are a date and an hour, {layout}, which is no layout that is read: it would "
            f"count {unit} since 1970 (write {example}; profile={{'layouts': 'epoch {unit}'}} says that it counts)",
        )


def _are_dates(seconds: Ints, digits: int) -> bool:
    """Return whether numbers are digits YYYYMMDD of dates with one or two digits of an hour behind."""
    date, hour = np.divmod(seconds, 10**digits)
    real = exists(date // 10_000, date // 100 % 100, date % 100) & (hour <= 23 // 10 ** (2 - digits))
    return bool(real.all())


def century(stamps: Stamps, said: Answers) -> tuple[str, ...]:
    """Return the sentence about years of two digits, where there are some."""
    if not any(layout.short_year for layout in stamps.layouts):
        return ()
    own = said.vendor if said.century is None and not said.layouts else None
    return (f"years: of two digits, which mean 20YY, {f'as {own.title} writes them' if own else 'as given'}",)


def check_layouts(path: Path, table: Dialect, stamps: Stamps, said: Answers) -> None:
    """Raise `InvalidArgument` for the first stamp in a layout that was not said."""
    labels = said.layouts or (said.vendor.layouts if said.vendor else ())
    known = {Layout.parse(label).unordered for label in labels}
    others = [written.first.row for written in stamps.written if written.layout.unordered not in known]
    if not labels or not others:
        return
    [(number, text)] = lines_of(path, table, others[:1]) or [(0, "")]
    raise InvalidArgument(
        f"{path}, line {number}: the stamp is in none of the layouts of {said.called} ({', '.join(labels)}). The line "
        f"is {text[:120]!r}. Leave the profile out, or say the layouts that the file has."
    )


def told_of_columns(
    path: Path, told: Mapping[str, Any], known: Instrument | None, profile: Given | None, contract: str | None
) -> dict[str, Any]:
    """Return the answers about the stamps of a table that is no text, whose form needs none.

    `told` has those of `sniff`, which win over the profile's.
    """
    if contract is not None:
        raise InvalidArgument(f"{path}: contract= chooses rows of a text table. Keep the rows of one contract here.")
    said = answers(profile)
    if said.price_scale not in (None, 1):
        raise InvalidArgument(f"{path}: price_scale in a profile is for text tables. Divide the prices of this one.")
    return {
        **told,
        "timeframe": timeframe_said(said, told["timeframe"]),
        "tz": told["tz"] or said.tz_said(known),
        "edge": told["edge"] or said.edge_said,
        "day_first": said.day_first_said if told["day_first"] is None else told["day_first"],
    }


def sentences(table: Dialect, said: Answers) -> tuple[str, ...]:
    """Return the evidence about the answers, misspelt columns and scaled prices."""
    found = []
    if said.called:
        found.append(f"profile: {said.vendor.title if said.vendor else said.called.partition('=')[2]}, as given")
    found += [
        f"columns: {name!r} is read as {role}, which it is a letter away from"
        for name, role in misspelt(table, said).items()
    ]
    if table.price_scale != 1:
        origin = "as given" if said.price_scale else "as Databento writes them unless told otherwise"
        found.append(f"prices: whole numbers, divided by {table.price_scale:,}, {origin}")
    return tuple(found)


def look(found: Sequence[Vendor], *, contradicted: bool) -> tuple[str, ...]:
    """Return the sentence about whose files a file looks like; none for a form that nobody in particular has.

    `contradicted` says that the bars do not fit what the only one of them does.
    """
    named = [vendor.title for vendor in found if vendor.name != "iso"]
    if not named:
        return ()
    if len(found) > 1:
        return (f"vendor: looks like {' or '.join(vendor.title for vendor in found)}, so nothing is taken from it",)
    habit = f", whose stamps are {found[0].habit}" if found[0].habit else ""
    return (f"vendor: looks like {named[0]}{habit}" + ("; the bars show otherwise" if contradicted else ""),)
