"""Finding out how a file is to be read, with the evidence for every answer.

The form comes from the first 64 KiB, everything about time from the whole stamp column, packed (`packed`) where its
rows are not wanted: a short file shows little, so nothing that it does show is left out. Day order first, then zone
and edge together, each day order with its own candidates; the user's answers win and are marked as given. When exactly
one reading in UTC remains it is taken, when several remain they are shown side by side. There is no default.
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
from jupyter_nq.bars.instruments import Instrument, instrument
from jupyter_nq.bars.names import named
from jupyter_nq.bars.profile import Dialect, Profile, check_edge
from jupyter_nq.bars.reading import fast, starts
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES, Progress, read_blocks, row_error, stamps_of
from jupyter_nq.bars.reading.fast import Scan
from jupyter_nq.bars.reading.opening import is_columnar
from jupyter_nq.bars.reading.stamps import BadStamp
from jupyter_nq.bars.sniffing.contracts import of_contract
from jupyter_nq.bars.sniffing.dayorder import Ordered, narrowed
from jupyter_nq.bars.sniffing.dialect import above, check_points, detect_dialect
from jupyter_nq.bars.sniffing.fitting import century, check_layouts, look, orders_said, sentences
from jupyter_nq.bars.sniffing.lengths import check_grid, length_of
from jupyter_nq.bars.sniffing.packed import Stamps
from jupyter_nq.bars.sniffing.placing import Placed, Question, place
from jupyter_nq.bars.sniffing.readings import Candidate
from jupyter_nq.bars.vendors import lookalikes
from jupyter_nq.bars.zones import find_zone
from jupyter_nq.errors import AmbiguousStamps, EmptyDataset

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
    return sniff_scanned(path, day_first, block_bytes, progress, stamps_only=True, **told)[0]


def sniff_scanned(
    path: Path,
    day_first: bool | None,
    block_bytes: int,
    progress: Progress | None,
    *,
    stamps_only: bool = False,
    **told: Any,
) -> tuple[Sniffed, Scan | None]:
    """Return what was found out about a file of text, and its rows where the fast path has read them.

    `told` are the answers that `decided` takes, and `profile` and `contract`. With `stamps_only` there are no rows, and
    memory is bounded: that of some blocks, and some bits of each stamp.
    """
    profile, contract = told.pop("profile", None), told.pop("contract", None)
    said = answers(profile)
    if told["tz"] is not None:
        find_zone(told["tz"])
    traded = known_instrument(path, told["symbol"])
    told["timeframe"] = timeframe_said(said, told["timeframe"])
    chosen = of_contract(path, detect_dialect(path, said), contract, block_bytes)
    dialect = chosen.table
    check_points(path, dialect, said, traded)
    evidence = (_form(dialect), *above(path, dialect, said), *sentences(dialect, said), *chosen.evidence)
    scan = None if stamps_only else fast.scan(path, dialect, progress=progress)
    known = Stamps.of(starts.fields_of(scan)) if scan else None
    if stamps_only:
        known = _packed_stamps(path, dialect, progress)
    found = _fast_orders(path, dialect, known, day_first, said)
    stamps, readings = found or _stamps(path, dialect, day_first, said, block_bytes, progress)
    chosen.check(ascends=any(_ascends(stamps, reading) for reading in readings))
    sniffed = decided(path, dialect, evidence, stamps, readings, said=said, **told)
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
    stamps: Stamps,
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
    minutes, length = length_of(path, timeframe, readings[0].instants(stamps))
    question = Question(
        name=path.name,
        minutes=minutes,
        instrument=known,
        tz=tz,
        edge=None if edge is None else check_edge(edge),
        carries_offset=stamps.carrying,
        dates=not any(layout.join for layout in stamps.layouts),
    )
    question = _with_profile(question, said or Answers(), dialect, stamps)
    ordered, placed = _decide(path, stamps, readings, question)
    check_grid(question, ordered.instants(stamps), placed.edge, placed.tz)
    vendor = look(question.lookalikes, contradicted=question.contradicts_vendor(ordered.instants(stamps)))
    form = (*((form,) if isinstance(form, str) else form), *vendor, *century(stamps, said or Answers()))
    evidence = (*form, _layouts(stamps, ordered), *_day_order(ordered), length, *placed.evidence)
    profile = Profile(
        **vars(dialect),
        layouts=_labels(stamps, ordered),
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


def _with_profile(question: Question, said: Answers, dialect: Dialect, stamps: Stamps) -> Question:
    """Fill in zone and edge of a profile, which the bars then have to fit, or else whose files these look like."""
    tz, edge = said.tz_said(question.instrument), said.edge_said
    used = (question.tz is None and tz) or (question.edge is None and edge)
    return replace(
        question,
        tz=question.tz or tz,
        edge=question.edge or edge,
        profile=said.called if used else "",
        lookalikes=() if said.vendor else tuple(lookalikes(dialect, [layout.label for layout in stamps.layouts])),
    )


def known_instrument(path: str | os.PathLike[str], symbol: str | None = None) -> Instrument | None:
    """Return the instrument that the caller or the file's name says, None when neither says a known one.

    Raises `UnknownInstrument` for a `symbol` that is not in the table.
    """
    if symbol is not None:
        return instrument(symbol)
    said = named(path).symbol
    return None if said is None else instrument(said)


# -- stamps -----------------------------------------------------------------------------------------
def _stamps(
    path: Path,
    dialect: Dialect,
    day_first: bool | None,
    said: Answers,
    block_bytes: int,
    progress: Progress | None,
) -> tuple[Stamps, list[Ordered]]:
    """Read the whole stamp column, and return it with the day orders that it allows."""
    stamps = Stamps()
    parts = len(dialect.columns["timestamp"])
    try:
        for batch in read_blocks(path, dialect, ["timestamp"], block_bytes=block_bytes, progress=progress):
            stamps.read(stamps_of(batch, parts))
        if not stamps.rows:
            raise EmptyDataset(f"{path} has no rows. Export it again.")
        check_layouts(path, dialect, stamps, said)
        return stamps, orders_said(stamps, day_first, said)
    except BadStamp as bad:
        given = f" day_first={day_first} was given." if day_first is not None else ""
        if day_first is None and said.called:
            given = f" {said.called} was given."
        raise row_error(path, dialect, bad.row, bad.reason, f"Correct the line.{given}") from bad


def _packed_stamps(path: Path, dialect: Dialect, progress: Progress | None) -> Stamps | None:
    """Read the whole stamp column the fast way, None when that is not possible."""
    stamps = Stamps()
    with suppress(BadStamp):  # the general path says what it is
        if fast.scan_stamps(path, dialect, lambda scan: stamps.add(starts.fields_of(scan)), progress=progress):
            return stamps
    return None


def _fast_orders(
    path: Path, dialect: Dialect, stamps: Stamps | None, day_first: bool | None, said: Answers
) -> tuple[Stamps, list[Ordered]] | None:
    """Return the stamps that the fast path has read with the day orders that they allow.

    None when there are none, or the general path has to say what is wrong with them.
    """
    if stamps is None:
        return None
    check_layouts(path, dialect, stamps, said)
    with suppress(BadStamp):
        return stamps, orders_said(stamps, day_first, said)
    return None


def orders_of(stamps: Stamps, day_first: bool | None) -> list[Ordered]:
    """Return the day orders that stamps allow; raises `BadStamp`, see `possible_orders`."""
    return orders_said(stamps, day_first, Answers())


def _decide(path: Path, stamps: Stamps, readings: Sequence[Ordered], question: Question) -> tuple[Ordered, Placed]:
    """Take the only day order that has a place on UTC."""
    readings = _with_true_dates(readings)
    if len(readings) > 1 and not readings[0].ascends:
        raise _order_question(path, stamps, readings, "under neither do the stamps ascend")
    if len(readings) > 1:
        open_ = [reading for reading in readings if question.fits(reading.instants(stamps))]
        if len(open_) == 1:
            readings = [replace(open_[0], why="with the other day order bars lie in hours when the exchange is closed")]
    readings = narrowed(readings)
    vendor = question.vendor
    if len(readings) > 1 and vendor is not None and vendor.day_first is not None:
        why = f"as {vendor.title} writes it; the file itself leaves it open"
        readings = [replace(reading, why=why) for reading in readings if reading.day_first is vendor.day_first]
    if len(readings) > 1:
        raise _order_question(path, stamps, readings, "both are possible")
    return readings[0], place(readings[0].instants(stamps), question)


def _with_true_dates(readings: Sequence[Ordered]) -> list[Ordered]:
    """Drop a day order that gives the same stamps as one before it (3 March is 3 March)."""
    distinct: list[Ordered] = []
    for reading in readings:
        if not any(reading.local.same(known.local) for known in distinct):
            distinct.append(reading)
    return distinct


def _ascends(stamps: Stamps, reading: Ordered) -> bool:
    """Return whether no stamp goes back, and none is there twice where no clock can repeat it."""
    return reading.ascends and not (stamps.carrying and reading.instants(stamps).repeats)


def _order_question(path: Path, stamps: Stamps, readings: Sequence[Ordered], reason: str) -> AmbiguousStamps:
    rows = np.unique(np.linspace(0, stamps.rows - 1, _SAMPLES).astype(int)).tolist()
    lines = [f"{'as written':<18}{'day_first=True':<18}{'day_first=False':<18}"]
    columns = {reading.day_first: reading.local for reading in readings}
    for row in rows:
        shown = [_minute(columns[order].at(row)) if order in columns else "-" for order in (True, False)]
        lines.append(f"{stamps.text(row):<18}" + "".join(f"{text:<18}" for text in shown))
    table = "\n  ".join(line.rstrip() for line in lines)
    return AmbiguousStamps(
        f"{path.name}: day and month cannot be told apart, no number is above 12 and {reason}:\n  {table}\n"
        "Pass day_first=True or day_first=False."
    )


def _minute(seconds: int) -> str:
    return str(np.datetime64(seconds, "s").astype("M8[m]")).replace("T", " ")


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


def _labels(stamps: Stamps, ordered: Ordered) -> tuple[str, ...]:
    return tuple(
        replace(layout, order=order).label for layout, order in zip(stamps.layouts, ordered.orders, strict=True)
    )


def _layouts(stamps: Stamps, ordered: Ordered) -> str:
    rows = [written.rows for written in stamps.written]
    counted = sorted(zip(rows, _labels(stamps, ordered), strict=True), reverse=True)
    shown = (f"{label} in {count:,} rows" for count, label in counted)
    return f"layout: {', '.join(shown)}"


def _day_order(ordered: Ordered) -> tuple[str, ...]:
    if not ordered.why:
        return ()
    order = {True: "day first", False: "month first", None: "mixed"}[ordered.day_first]
    return (f"day order: {order}; {ordered.why}",)
