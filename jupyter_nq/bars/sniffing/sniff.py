"""Finding out how a file is to be read, with the evidence for every answer.

The form comes from the first 64 KiB, everything about time from the whole stamp column: a short file
shows little, so nothing that it does show is left out. Day order first, then zone and edge together,
each day order with its own candidates; the user's answers win and are marked as given. When exactly one
reading in UTC remains it is taken, when several remain they are shown side by side. There is no default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_nq.bars.answers import Answers, Given, answers, plain, timeframe_said
from jupyter_nq.bars.discovery import parse_name
from jupyter_nq.bars.instruments import INSTRUMENTS, Instrument, instrument
from jupyter_nq.bars.profile import ROLES, Dialect, Profile, check_edge
from jupyter_nq.bars.reading import fast, starts
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES, Progress, read_blocks, row_error, stamps_of
from jupyter_nq.bars.reading.fast import Scan
from jupyter_nq.bars.reading.opening import is_columnar
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Ints, StampScanner
from jupyter_nq.bars.sniffing.contracts import of_contract
from jupyter_nq.bars.sniffing.dayorder import Ordered, narrowed
from jupyter_nq.bars.sniffing.dialect import above, detect_dialect
from jupyter_nq.bars.sniffing.fitting import century, check_layouts, look, orders_said, sentences
from jupyter_nq.bars.sniffing.placing import Placed, Question, place
from jupyter_nq.bars.sniffing.readings import Candidate
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.bars.vendors import lookalikes
from jupyter_nq.bars.zones import find_zone
from jupyter_nq.errors import AmbiguousStamps, UnknownTimeframe, UnreadableSource

_SAMPLES = 4


@dataclass(frozen=True)
class Sniffed:
    """What was found out about a file."""

    profile: Profile
    evidence: tuple[str, ...]
    """The same as the profile's."""
    candidates: tuple[Candidate, ...]
    """The readings in UTC that leave no bar in closed hours; the first is the profile's. Empty when not searched."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """What the caller answered, by the names of `load_bars`."""

    def text(self, path: str | os.PathLike[str], timeframe: str | None = None, symbol: str | None = None) -> str:
        """Return the evidence, a line each, and the two lines that load the file at `path` in this reading.

        `timeframe` and `symbol` are in the lines where the name of the file does not tell them.
        """
        source, profile = os.fspath(path), self.profile
        said = {"symbol": symbol, **self.given}
        options = [_option(name, value) for name, value in said.items() if value is not None]
        words = " ".join([*([timeframe] if timeframe else []), *options, "as bars"])
        given = [repr(source), *([repr(timeframe)] if timeframe else [])]
        said |= {"tz": profile.tz, "edge": profile.edge}
        given += [f"{name}={value!r}" for name, value in said.items() if value is not None]
        return "\n".join(
            [
                *self.evidence,
                f'load it with: %nq_load "{source}" {words}',
                f"or, decided for good: nq.load({', '.join(given)})",
            ]
        )


def sniff(
    path: str | os.PathLike[str],
    *,
    timeframe: str | None = None,
    symbol: str | None = None,
    tz: str | None = None,
    edge: str | None = None,
    day_first: bool | None = None,
    profile: Given | None = None,
    contract: str | None = None,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Sniffed:
    """Return the profile of a file, with the evidence for it; parameters and errors are those of `load_bars`."""
    path = Path(path)
    told: dict[str, Any] = {"timeframe": timeframe, "symbol": symbol, "tz": tz, "edge": edge}
    if is_columnar(path):
        from jupyter_nq.bars.columnar.loading import sniff_file  # it is built on this module

        return sniff_file(path, day_first=day_first, profile=profile, contract=contract, **told)
    told |= {"profile": profile, "contract": contract}
    return sniff_scanned(path, ROLES[:1], day_first, block_bytes, progress, **told)[0]


def sniff_scanned(
    path: Path,
    roles: Sequence[str],
    day_first: bool | None,
    block_bytes: int,
    progress: Progress | None,
    **told: Any,
) -> tuple[Sniffed, Scan | None]:
    """Return what was found out about a file of text, and its rows where the fast path has read them.

    `roles` are the columns that it reads then, `told` the answers that `decided` takes, and `profile` and `contract`.
    """
    profile, contract = told.pop("profile", None), told.pop("contract", None)
    said = answers(profile)
    if told["tz"] is not None:
        find_zone(told["tz"])
    known_instrument(path, told["symbol"])
    told["timeframe"] = timeframe_said(said, told["timeframe"])
    chosen = of_contract(path, detect_dialect(path, said), contract, block_bytes)
    dialect = chosen.table
    evidence = (_form(dialect), *above(path, dialect, said), *sentences(dialect, said), *chosen.evidence)
    scan = fast.scan(path, dialect, roles, progress=progress)
    found = _scanned_stamps(path, dialect, scan, day_first, said)
    fields, readings = found or _stamps(path, dialect, day_first, said, block_bytes, progress)
    chosen.check(ascends=any(_ascends(fields, reading) for reading in readings))
    sniffed = decided(path, dialect, evidence, fields, readings, said=said, **told)
    given = {"tz": told["tz"], "edge": told["edge"], "day_first": day_first, "contract": contract}
    given |= {"profile": None if profile is None else plain(profile)}
    as_scanned = all(getattr(sniffed.profile, name) == value for name, value in vars(dialect).items())
    given = {name: value for name, value in given.items() if value is not None}
    return replace(sniffed, given=given), scan if as_scanned else None


def _option(name: str, value: Any) -> str:
    """Return an answer as `%nq_load` takes it."""
    if name == "day_first":
        return "--day-first" if value else "--month-first"
    if not isinstance(value, Mapping):
        return f'--{name} "{value}"' if " " in str(value) else f"--{name} {value}"
    words = []
    for field_, answer in value.items():
        roles = answer.items() if isinstance(answer, Mapping) else ()
        words += [f"{field_}.{role}={'+'.join(map(str, names))}" for role, names in roles]
        words += [] if roles else [f"{field_}={'|'.join(answer) if isinstance(answer, list) else answer}"]
    return " ".join(f'--{name} "{word}"' for word in words)


def decided(
    path: Path,
    dialect: Dialect,
    form: str | Sequence[str],
    fields: Fields,
    readings: list[Ordered],
    *,
    timeframe: str | None,
    symbol: str | None,
    tz: str | None,
    edge: str | None,
    said: Answers | None = None,
) -> Sniffed:
    """Return what all stamps of a table say.

    Parameters
    ----------
    path
        The file; of what is no file, the name that messages give it.
    form
        The sentence about the form of the table, or several.
    readings
        The day orders that the stamps allow, see `orders_of`.
    said
        What a profile answers, where `tz` and `edge` do not.
    """
    known = known_instrument(path, symbol)
    minutes, length = _length(path, timeframe, _utc_or_local(fields, readings[0]))
    question = Question(
        name=path.name,
        minutes=minutes,
        instrument=known,
        tz=tz,
        edge=None if edge is None else check_edge(edge),
        carries_offset=bool(len(fields.offset)),
        dates=not any(layout.join for layout in fields.layouts),
    )
    question = _with_profile(question, said or Answers(), dialect, fields)
    ordered, placed = _decide(path, fields, readings, question)
    vendor = look(question.lookalikes, contradicted=question.contradicts_vendor(_utc_or_local(fields, ordered)))
    form = (*((form,) if isinstance(form, str) else form), *vendor, *century(fields, said or Answers()))
    evidence = (*form, _layouts(fields, ordered), *_day_order(ordered), length, *placed.evidence)
    profile = Profile(
        **vars(dialect),
        layouts=_labels(fields, ordered),
        day_first=ordered.day_first,
        tz=placed.tz,
        edge=placed.edge,
        minutes=minutes,
        calendar=known.calendar if known else None,
        positive_prices=known is not None and not known.negative_prices,
        zone_names=placed.zone_names,
        evidence=evidence,
    )
    return Sniffed(profile, evidence, placed.candidates)


def _with_profile(question: Question, said: Answers, dialect: Dialect, fields: Fields) -> Question:
    """Fill in zone and edge of a profile, which the bars then have to fit, or else whose files these look like."""
    tz, edge = said.tz_said(question.instrument), said.edge_said
    used = (question.tz is None and tz) or (question.edge is None and edge)
    return replace(
        question,
        tz=question.tz or tz,
        edge=question.edge or edge,
        profile=said.called if used else "",
        lookalikes=() if said.vendor else tuple(lookalikes(dialect, [layout.label for layout in fields.layouts])),
    )


def known_instrument(path: str | os.PathLike[str], symbol: str | None = None) -> Instrument | None:
    """Return the instrument that the caller or the file's name says, None when neither says a known one.

    Raises `UnknownInstrument` for a `symbol` that is not in the table.
    """
    if symbol is not None:
        return instrument(symbol)
    named = parse_name(path)
    return INSTRUMENTS.get(named.symbol) if named else None


# -- stamps -----------------------------------------------------------------------------------------
def _stamps(
    path: Path,
    dialect: Dialect,
    day_first: bool | None,
    said: Answers,
    block_bytes: int,
    progress: Progress | None,
) -> tuple[Fields, list[Ordered]]:
    """Read the whole stamp column, and return it with the day orders that it allows."""
    scanner = StampScanner()
    parts = len(dialect.columns["timestamp"])
    try:
        for batch in read_blocks(path, dialect, ["timestamp"], block_bytes=block_bytes, progress=progress):
            scanner.add(stamps_of(batch, parts))
        fields = scanner.fields()
        if not scanner.rows:
            raise UnreadableSource(f"{path} has no rows. Export it again.")
        check_layouts(path, dialect, fields, said)
        return fields, orders_said(fields, day_first, said)
    except BadStamp as bad:
        given = f" day_first={day_first} was given." if day_first is not None else ""
        if day_first is None and said.called:
            given = f" {said.called} was given."
        raise row_error(path, dialect, bad.row, bad.reason, f"Correct the line.{given}") from bad


def _scanned_stamps(
    path: Path, dialect: Dialect, scan: Scan | None, day_first: bool | None, said: Answers
) -> tuple[Fields, list[Ordered]] | None:
    """Return the stamps that the fast path has read, None when there are none or the general path has to say why."""
    fields = None if scan is None else starts.fields_of(scan)
    if fields is None:
        return None
    check_layouts(path, dialect, fields, said)
    with suppress(BadStamp):
        return fields, orders_said(fields, day_first, said)
    return None


def orders_of(fields: Fields, day_first: bool | None) -> list[Ordered]:
    """Return the day orders that stamps allow; raises `BadStamp`, see `possible_orders`."""
    return orders_said(fields, day_first, Answers())


def _decide(path: Path, fields: Fields, readings: Sequence[Ordered], question: Question) -> tuple[Ordered, Placed]:
    """Take the only day order that has a place on UTC."""
    readings = _with_true_dates(readings)
    if len(readings) > 1 and not readings[0].ascends:
        raise _order_question(path, fields, readings, "under neither do the stamps ascend")
    if len(readings) > 1:
        open_ = [reading for reading in readings if question.fits(_utc_or_local(fields, reading))]
        if len(open_) == 1:
            readings = [replace(open_[0], why="with the other day order bars lie in hours when the exchange is closed")]
    readings = narrowed(readings)
    vendor = question.vendor
    if len(readings) > 1 and vendor is not None and vendor.day_first is not None:
        why = f"as {vendor.title} writes it; the file itself leaves it open"
        readings = [replace(reading, why=why) for reading in readings if reading.day_first is vendor.day_first]
    if len(readings) > 1:
        raise _order_question(path, fields, readings, "both are possible")
    return readings[0], place(_utc_or_local(fields, readings[0]), question)


def _with_true_dates(readings: Sequence[Ordered]) -> list[Ordered]:
    """Drop a day order that gives the same stamps as one before it (3 March is 3 March)."""
    distinct: list[Ordered] = []
    for reading in readings:
        if not any(np.array_equal(reading.local, known.local) for known in distinct):
            distinct.append(reading)
    return distinct


def _utc_or_local(fields: Fields, reading: Ordered) -> Ints:
    return reading.local - fields.offset if len(fields.offset) else reading.local


def _ascends(fields: Fields, reading: Ordered) -> bool:
    """Return whether no stamp goes back, and none is there twice where no clock can repeat it."""
    return reading.ascends and not (len(fields.offset) and (np.diff(_utc_or_local(fields, reading)) == 0).any())


def _order_question(path: Path, fields: Fields, readings: Sequence[Ordered], reason: str) -> AmbiguousStamps:
    rows = np.unique(np.linspace(0, len(fields.first) - 1, _SAMPLES).astype(int)).tolist()
    lines = [f"{'as written':<18}{'day_first=True':<18}{'day_first=False':<18}"]
    columns = {reading.day_first: reading.local for reading in readings}
    for row in rows:
        shown = [_minute(columns[order][row]) if order in columns else "-" for order in (True, False)]
        lines.append(f"{fields.text(row):<18}" + "".join(f"{text:<18}" for text in shown))
    table = "\n  ".join(line.rstrip() for line in lines)
    return AmbiguousStamps(
        f"{path.name}: day and month cannot be told apart, no number is above 12 and {reason}:\n  {table}\n"
        "Pass day_first=True or day_first=False."
    )


def _minute(seconds: np.int64) -> str:
    return str(np.datetime64(int(seconds), "s").astype("M8[m]")).replace("T", " ")


# -- bar length ---------------------------------------------------------------------------------------
def _length(path: Path, timeframe: str | None, stamps: Ints) -> tuple[int, str]:
    """Return the minutes of a bar and the evidence; `stamps` are instants where they carry offsets.

    Raises `UnknownTimeframe` when nothing says it, or when the stamps contradict what was asked for.
    """
    steps, step = _steps(stamps)
    named = parse_name(path)
    label = timeframe if timeframe is not None else named.timeframe if named else None
    if label is None:
        if step is None or step % 60:
            raise UnknownTimeframe(
                f"{path.name}: the stamps do not show the length of a bar. Pass timeframe=, e.g. '30min'."
            )
        return step // 60, f"timeframe: {timeframe_of(step // 60).label}, the usual step between stamps"
    minutes = parse_timeframe(label).minutes
    if step is not None and (step % (minutes * 60) or minutes * 60 not in steps):
        origin = "asked for" if timeframe is not None else "in the file's name"
        raise UnknownTimeframe(
            f"{path.name}: the timeframe {origin} is {label}, but the stamps are usually {step / 60:g} minutes apart. "
            "Pass the timeframe= that the file has."
        )
    origin = "as given" if timeframe is not None else "from the file's name"
    return minutes, f"timeframe: {label}, {origin}"


def _steps(stamps: Ints) -> tuple[Ints, int | None]:
    """Return the distinct steps forward and the most frequent one, seconds."""
    steps = np.diff(stamps)
    values, counts = np.unique(steps[steps > 0], return_counts=True)
    return values, int(values[np.argmax(counts)]) if len(values) else None


# -- evidence -----------------------------------------------------------------------------------------
def _form(dialect: Dialect) -> str:
    columns = ", ".join(
        f"{role}={'+'.join(names)}" for role, names in dialect.columns.items() if names != (role.capitalize(),)
    )
    kind = "with a header" if dialect.header else "without a header"
    delimiter = {"\t": "tab"}.get(dialect.delimiter, repr(dialect.delimiter))
    decimal = f", decimal mark {dialect.decimal!r}" if dialect.decimal != "." else ""
    used = {name for names in dialect.columns.values() for name in names}
    others = ", ".join(name for name in dialect.names if name not in used)
    unused = f"; not used: {others}" if others else ""
    return f"table: {delimiter} between columns, {kind}{decimal}" + (f"; {columns}" if columns else "") + unused


def _labels(fields: Fields, ordered: Ordered) -> tuple[str, ...]:
    return tuple(
        replace(layout, order=order).label for layout, order in zip(fields.layouts, ordered.orders, strict=True)
    )


def _layouts(fields: Fields, ordered: Ordered) -> str:
    rows = np.bincount(fields.layout, minlength=len(fields.layouts))
    counted = sorted(zip(rows.tolist(), _labels(fields, ordered), strict=True), reverse=True)
    shown = (f"{label} in {count:,} rows" for count, label in counted)
    return f"layout: {', '.join(shown)}"


def _day_order(ordered: Ordered) -> tuple[str, ...]:
    if not ordered.why:
        return ()
    order = {True: "day first", False: "month first", None: "mixed"}[ordered.day_first]
    return (f"day order: {order}; {ordered.why}",)
