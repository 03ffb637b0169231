"""Zone and edge of one file: one reading in UTC, with its evidence, or the question to ask.

What the user says wins. What the stamps say themselves (`Z`, `+02:00`) comes next. Then the closed hours decide, for
the calendars whose closed hours are known and for bars shorter than a day, and the bars that a session cuts short.
Where they leave several readings, the habit of the only vendor whose files have this form chooses among them. Of bars
of a day a date without a time is the trade date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from jupyter_nq.bars import closed
from jupyter_nq.bars.days import DAY_MINUTES, is_day, not_trade_dates
from jupyter_nq.bars.profile import Edge
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sniffing.local import Local
from jupyter_nq.bars.sniffing.nearest import nearest_reading
from jupyter_nq.bars.sniffing.question import EDGES, Question
from jupyter_nq.bars.sniffing.readings import Candidate, fewest_closed
from jupyter_nq.bars.zones import zone_names
from jupyter_nq.errors import AmbiguousStamps, InvalidArgument
from jupyter_nq.sizes import counted, together

__all__ = ["Placed", "Question", "place"]

_MOST_SHOWN = 8
_MOST_FITTING = 3
_MINUTE_SECONDS = 60
_BY_SESSION = "a bar of a day starts at the open of its session"


@dataclass(frozen=True)
class Placed:
    """The answer: where the stamps lie on UTC."""

    tz: str
    edge: Edge
    zone_names: tuple[str, ...]
    evidence: tuple[str, ...]
    candidates: tuple[Candidate, ...]


def place(local: Local, question: Question) -> Placed:
    """Return the zone and edge of stamps.

    Parameters
    ----------
    local
        Clock readings; instants when the stamps carry their offset.

    Raises
    ------
    AmbiguousStamps
        Several readings are possible, or none can be tested and the user did not say.
    InvalidArgument
        What a profile says puts bars into closed hours.
    """
    if question.profile and question.testable and not question.fits(local):
        raise _contradiction(local, question)
    if question.dated(local):
        days = local.whole()
        others = not_trade_dates(days, question.calendar)
        if not (question.said and len(others)):
            return _trade_dates(days, others, question)
    if question.zone and question.edge:
        return _given(local, question, question.edge, "as given")
    if question.edge is None and local.usual_phase(_MINUTE_SECONDS) == _MINUTE_SECONDS - 1:
        raise _last_moments(question)
    if not question.testable:
        return _untested(local, question)
    found = question.candidates(local)
    if len(found) == 1:
        return _found(local, question, found)
    if question.zone and not found:
        return _edge_of_pattern(local, question)
    if question.carries_offset:
        return _default_edge(local, question, found)
    chosen = _as_vendor(local, question, found)
    if chosen is not None:
        return chosen
    raise AmbiguousStamps(_several(question, found)) if found else _none(local, question)


def _given(
    local: Local, question: Question, edge: Edge, why: str, fitting: Sequence[Candidate] | None = None
) -> Placed:
    """The zone is not in doubt: state it with what the closed hours say, and the edge with its reason.

    `fitting` are the readings in any zone that leave no bar in closed hours; None looks for them when needed.
    """
    zone = question.zone or ""
    if edge == "end" and question.instrument and is_day(question.minutes, question.instrument.calendar):
        why += f"; {_BY_SESSION}"
    evidence = (
        f"zone: {zone}, {_origin(question)}: {_check(local, question, edge, fitting)}",
        f"edge: a stamp is the {edge} of its bar, {why}",
    )
    return Placed(zone, edge, (zone,), evidence, ())


def _trade_dates(days: Ints, others: Ints, question: Question) -> Placed:
    """A date without a time is the trade date of its bar, whatever edge or zone of the exchange is given.

    `others` are the rows of those that are no trade dates.
    """
    if len(others):
        first = datetime.fromtimestamp(int(days[others[0]]), UTC)
        raise AmbiguousStamps(
            f"{question.name}: {len(others):,} of {len(days):,} dates are no trade dates of {question.calendar}, the "
            f"first is {first:%Y-%m-%d} (a {first:%A}), so the sessions of the bars cannot be found out. Remove these "
            "rows, or pass tz= and edge= of the clock whose midnight the dates are."
        )
    evidence = (
        f"zone: {closed.EXCHANGE_ZONE}, because all {len(days):,} stamps are dates without a time, which are trade "
        f"dates of {question.calendar}",
        f"edge: {_BY_SESSION}, at 18:00 New York on the evening before its trade date",
    )
    edge: Edge = question.edge or "start"
    return Placed(closed.EXCHANGE_ZONE, edge, (closed.EXCHANGE_ZONE,), evidence, ())


def _origin(question: Question) -> str:
    if not question.carries_offset:
        return question.origin
    unused = f", so tz={question.tz!r} is not used" if question.tz else ""
    return f"the stamps carry their offset{unused}"


def _check(local: Local, question: Question, edge: Edge, fitting: Sequence[Candidate] | None) -> str:
    """Say how many bars the given zone puts into closed hours, and which zone would put none there."""
    if not question.testable:
        return f"not checked, because {_why_untested(question)}"
    count = fewest_closed(local, [edge], [question.zone or ""])[0][0]
    counted = f"{count:,} of {len(local):,} bars in hours when {question.calendar} is closed"
    if not count:
        return f"{counted}, as it should be"
    counted += ", which contradicts the exchange's hours"
    if question.carries_offset:
        return counted
    found = _in_any_zone(local, question) if fitting is None else fitting
    return f"{counted}; {_would_fit(found, question.tz)}"


def _would_fit(found: Sequence[Candidate], given: str | None) -> str:
    if not found:
        return "no zone fits them"
    shown = " or ".join(f"{given if given in c.names else c.tz} with edge={c.edge!r}" for c in found[:_MOST_FITTING])
    more = f" or {len(found) - _MOST_FITTING} other readings" if len(found) > _MOST_FITTING else ""
    return f"{shown}{more} would fit"


def _found(local: Local, question: Question, found: Sequence[Candidate]) -> Placed:
    """Exactly one reading is left."""
    only = found[0]
    edge = cast(Edge, only.edge)
    if question.zone:
        placed = _given(local, question, edge, "the only edge that leaves no bar in closed hours")
        return replace(placed, candidates=tuple(found))
    if only.decided:
        links = f" (also named {', '.join(only.names[1:])})" if len(only.names) > 1 else ""
        zone = f"zone: {only.tz}{links}"
    else:
        zone = (
            f"zone: undecided, {only.label} over this span, e.g. {only.tz} "
            f"({len(only.names)} zone names give this reading)"
        )
    others = [(count, name) for count, name, _ in fewest_closed(local, [edge]) if name not in only.names and count]
    others_text = ", ".join(f"{name} {count:,}" for count, name in others[:3])
    why = "as given" if question.edge else "tested together with the zone"
    if only.other:
        why += f"; the same reading as {only.other}"
    if only.cut:
        why += "; bars that a session cuts short are stamped at its close"
    evidence = (
        f"{zone}: 0 of {len(local):,} bars in hours when {question.calendar} is closed; other zones: {others_text}",
        f"edge: a stamp is the {edge} of its bar, {why}",
    )
    return Placed(only.tz, edge, only.names, evidence, tuple(found))


def _untested(local: Local, question: Question) -> Placed:
    """Closed hours cannot help: the user must say what the stamps do not."""
    if question.carries_offset:
        edge, why = _assumed(question)
        return _given(local, question, question.edge or edge, f"{why}: no closed hours are known to test it with")
    missing = [name for name, value in (("tz", question.tz), ("edge", question.edge)) if value is None]
    examples = {"tz": "tz='America/New_York'", "edge": "edge='start' (or 'end')"}
    symbol = "symbol='NQ', or " if question.instrument is None else ""
    raise AmbiguousStamps(
        f"{question.name}: {' and '.join(missing)} of the stamps cannot be found out, "
        f"because {_why_untested(question)}. Pass {symbol}{' and '.join(examples[name] for name in missing)}"
        f"{_or_profile(question)}."
    )


def _why_untested(question: Question) -> str:
    if question.instrument is None:
        return "the file's name does not tell a known instrument"
    if question.minutes >= DAY_MINUTES:
        return "bars of a day have no hours to compare with the exchange's"
    return f"the closed hours of {question.calendar} are not known"


def _in_any_zone(local: Local, question: Question) -> list[Candidate]:
    """Return the readings that leave no bar in closed hours, whatever zone and edge were given."""
    return replace(question, tz=None, edge=None, carries_offset=False).candidates(local)


def _common_edge(found: Sequence[Candidate]) -> Edge | None:
    edges = {candidate.edge for candidate in found}
    return cast(Edge, edges.pop()) if len(edges) == 1 else None


def _default_edge(local: Local, question: Question, found: Sequence[Candidate]) -> Placed:
    """Stamps that carry their offset, when the closed hours permit both edges."""
    edge, why = _assumed(question)
    why = f"{why if question.vendor else 'the default for stamps with an offset'}; closed hours permit both edges"
    return replace(_given(local, question, edge, why), candidates=tuple(found))


def _assumed(question: Question) -> tuple[Edge, str]:
    """Return the edge of stamps that carry their offset where bars do not tell, and why."""
    vendor = question.vendor
    if vendor is None or vendor.edge is None:
        return "start", "assumed"
    return vendor.edge, f"as {vendor.title} writes it"


def _as_vendor(local: Local, question: Question, found: Sequence[Candidate]) -> Placed | None:
    """Return the one of several open readings that is the habit of the vendor, None when none is."""
    told, vendor = question.as_vendor, question.vendor
    if vendor is None or told.zone is None or told.edge is None or len(found) < 2:
        return None
    fitting = told.candidates(local)
    if len(fitting) != 1 or fitting[0].reading not in {candidate.reading for candidate in found}:
        return None
    why = "as given" if question.edge else f"as {vendor.title} writes it; the bars leave {len(found)} readings open"
    return replace(_given(local, told, told.edge, why), candidates=tuple(found))


def _edge_of_pattern(local: Local, question: Question) -> Placed:
    """The given zone contradicts the closed hours: take the edge that all zones without contradiction agree on."""
    fitting = _in_any_zone(local, question)
    edge = _common_edge(fitting)
    if edge is None and question.carries_offset:
        return _given(local, question, "start", "the default for stamps with an offset", fitting)
    if edge is None:
        counts = " and ".join(
            f"{count:,} with edge={e!r}" for count, _, e in fewest_closed(local, EDGES, [question.zone or ""])
        )
        raise AmbiguousStamps(
            f"{question.name}: with tz={question.zone!r} bars lie in hours when {question.calendar} is closed "
            f"({counts}), so the edge of the stamps cannot be found out. Pass edge= or another tz=."
        )
    return _given(local, question, edge, "as in every zone that would fit the exchange's hours", fitting)


# -- questions ----------------------------------------------------------------------------------------
def _or_profile(question: Question) -> str:
    """Return how the vendor may be named, when the form of the file is that of some."""
    named = [f"profile={vendor.name!r}" for vendor in question.lookalikes if vendor.edge and vendor.tz]
    return f", or {' or '.join(named)}" if named else ""


def _contradiction(local: Local, question: Question) -> InvalidArgument:
    """Return the error of a profile that puts bars into hours when the exchange is closed."""
    zone = f"tz={question.zone!r}" if question.zone else "any zone"
    edges = f" and edge={question.edge!r}" if question.edge else ""
    count = fewest_closed(local, question.edges, [question.zone] if question.zone else zone_names())[0][0]
    return InvalidArgument(
        f"{question.name}: {question.profile} does not fit the bars: with {zone}{edges}, {count:,} of {len(local):,} "
        f"lie in hours when {question.calendar} is closed; {_would_fit(_in_any_zone(local, question), question.tz)}. "
        "Leave the profile out, or pass tz= and edge= to read the file so nevertheless."
    )


def _last_moments(question: Question) -> AmbiguousStamps:
    """Return the question of stamps that lie behind the last full second of a minute, where no bar begins."""
    return AmbiguousStamps(
        f"{question.name}: most stamps lie in the last second of a minute, as the last moments of bars do, whose ends "
        "are the full minutes behind them. Round the stamps up to the minute and pass edge='end'. With an edge= they "
        "are read as they stand."
    )


def _several(question: Question, found: Sequence[Candidate]) -> str:
    rows = [("tz", "edge", "offset", "first bar starts (UTC)")]
    rows += [(f"{c.tz!r}", f"{c.edge!r}", c.label, _utc(c.first_start)) for c in found[:_MOST_SHOWN]]
    more = f"\n  and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    ask = "edge=" if question.zone else "tz=" if question.edge else "tz= and edge="
    hint = f" Or pass the vendor{_or_profile(question).removeprefix(', or')}." if question.lookalikes else ""
    return (
        f"{question.name}: {len(found)} readings in UTC leave no bar in hours when {question.calendar} is closed, and "
        f"the file does not tell which is right:\n  {_aligned(rows)}{more}\nPass {ask}.{hint}"
    )


def _none(local: Local, question: Question) -> AmbiguousStamps:
    near = nearest_reading(local, question.edges, question.minutes)
    if near is not None:
        told = AmbiguousStamps(
            f"{question.name}: in every zone some of the {len(local):,} bars lie in hours when {question.calendar} is "
            f"closed. With tz={near.tz!r} and edge={near.edge!r} it is only {counted(near.bars, 'bar')}, stamped "
            f"{together([_utc(stamp) for stamp in near.stamps])}{' and others' * (near.bars > len(near.stamps))}. "
            f"Correct or remove what is wrong, or pass tz={near.tz!r}, edge={near.edge!r} to read the file so."
        )
        told.nearly = near.tz, near.edge
        return told
    rows = [("tz", "edge", "bars in closed hours")]
    rows += [(f"{name!r}", f"{edge!r}", f"{count:,}") for count, name, edge in _fewest(local, question)]
    return AmbiguousStamps(
        f"{question.name}: in every zone some of the {len(local):,} bars lie in hours when {question.calendar} is "
        f"closed; the fewest are\n  {_aligned(rows)}\nPass tz= and edge=, or the symbol= of the file."
    )


def _fewest(local: Local, question: Question) -> list[tuple[int, str, str]]:
    return fewest_closed(local, question.edges)[:_MOST_SHOWN]


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0]))]
    return "\n  ".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
