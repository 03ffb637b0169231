"""Rules of one's own over shared datasets, and a check of all of them at one moment.

A rule says what is wrong: an expression over the columns of one dataset, or over what several are (rows, versions,
first and last bars), or a function of their tables. Expressions are those of `bars.validation`, without `eval`. Rules
belong to the process that made them: a function cannot be handed to another one without executing what it sends.

All versions of a check are the newest of one moment: they are mapped, and looked at together by the coordinator, until
what is mapped is what was there. That writes nothing, so a process that dies over it leaves nothing.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from jupyter_nq.bars.rules import SEVERITIES
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.validation.expressions import broken_by, parsed
from jupyter_nq.buffers import Handle, check_name
from jupyter_nq.client.bars.request import source_of
from jupyter_nq.client.listing import plain, table
from jupyter_nq.client.objects import Objects
from jupyter_nq.errors import ChecksumError, InvalidArgument, NQError, StoreError, UnknownDataset, nearest
from jupyter_nq.sizes import counted

HEADER, CHECKSUM = "header", "checksum"
"""The checks that every dataset has: it can be read; its bytes are those of its digest."""

_WAIT_SECONDS = 10.0
_NS = 10**9
Over = str | Sequence[str] | Mapping[str, str]
Broken = str | Callable[..., Any]


@dataclass(frozen=True)
class Rule:
    """One rule; `remove` ends it."""

    label: str
    broken: Broken
    severity: str
    datasets: Mapping[str, str]
    """What each dataset is called in the expression -> its name."""
    _others: dict[tuple[str, ...], Rule]

    def __repr__(self) -> str:
        return f"<Rule {self.label!r} over {', '.join(self.datasets.values())}, {self.severity}>"

    @property
    def key(self) -> tuple[str, ...]:
        """By what it is told from others: its label and its datasets."""
        return self.label, *self.datasets.values()

    def remove(self) -> None:
        """Check it no more; removing it twice is fine."""
        with _lock:
            self._others.pop(self.key, None)


@dataclass(frozen=True)
class Checked:
    """What became of one rule."""

    name: str
    """The dataset, or several with commas."""
    version: int | None
    """The version that was checked; None of several, and of one that cannot be read."""
    rule: str
    severity: str
    passed: bool
    why: str = ""
    """What is wrong, or why that could not be found out."""


@dataclass(frozen=True)
class Consistency:
    """The outcome of a check: a row for each dataset and rule. Printed, it is a table."""

    rows: tuple[Checked, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing of the severity `error` failed."""
        return not any(row.severity == "error" for row in self.failed)

    @property
    def failed(self) -> tuple[Checked, ...]:
        """What did not pass."""
        return tuple(row for row in self.rows if not row.passed)

    def __str__(self) -> str:
        cells = [
            (
                row.name,
                "" if row.version is None else f"v{row.version}",
                plain(row.rule),
                "passed" if row.passed else row.severity,
                plain(row.why),
            )
            for row in self.rows
        ]
        first = f"{counted(len(self.rows), 'check')}, {len(self.failed):,} failed"
        return "\n".join([first, table(("dataset", "version", "rule", "outcome", "why"), cells)]) if cells else first


_lock = threading.Lock()  # guards _rules, and the dicts in it
_rules: weakref.WeakKeyDictionary[Objects, dict[tuple[str, ...], Rule]] = weakref.WeakKeyDictionary()


def rule(session: Objects, name: Over, broken: Broken, severity: str = "error", *, label: str | None = None) -> Rule:
    """Add a rule over one dataset or several, which `check_consistency` checks in this process; returns it.

    >>> rule(session, "signals", "size > 10 or size < -10")  # doctest: +SKIP
    >>> rule(session, {"bars": "NQ.30min", "slow": "NQ.3h"}, "bars_end != slow_end", "warning")  # doctest: +SKIP

    Parameters
    ----------
    name
        The dataset. Or several: a list, or what each is called in the expression -> its name.
    broken
        An expression that is true where the rule is broken. Over one dataset it is about each row, and knows the
        columns of numbers (times are seconds since 1970). Over several it is about each as a whole: `bars_rows`,
        `bars_version`, and, where there is a column `timestamp`, `bars_first`, `bars_last` (starts, in seconds since
        1970) and of bars `bars_end`, when the last one has closed. Or a function of their Arrow tables, in this order,
        that returns a mask of the rows that break it (of one dataset), True, or what is wrong; or False, None or an
        empty text.
    severity
        "error", "warning" or "note".
    label
        What the report calls it; None takes the expression, or the name of the function. The same label over the same
        datasets replaces a rule.

    Raises
    ------
    InvalidName, InvalidArgument
    """
    datasets = _called(name, expression=isinstance(broken, str))
    if not isinstance(broken, str) and not callable(broken):
        raise InvalidArgument(f"A rule is an expression or a function, not {type(broken).__name__}.")
    if isinstance(broken, str):
        parsed(broken)
    if severity not in SEVERITIES:
        raise InvalidArgument(
            f"{severity!r} is no severity.{nearest(str(severity), SEVERITIES)} There are {', '.join(SEVERITIES)}."
        )
    called = str(label or (broken if isinstance(broken, str) else getattr(broken, "__name__", "function")))
    if called in (HEADER, CHECKSUM):
        raise InvalidArgument(f"There is a check {called!r} of every dataset. Give the rule another label.")
    with _lock:
        mine = _rules.setdefault(session, {})
        made = Rule(called, broken, severity, datasets, mine)
        mine[made.key] = made
    return made


def _called(name: Over, *, expression: bool) -> dict[str, str]:
    """Return what each dataset is called in an expression, and its name."""
    if isinstance(name, Mapping):
        datasets = {str(called): check_name(of) for called, of in name.items()}
    else:
        names = [name] if isinstance(name, str) else list(name)
        datasets = {check_name(of): of for of in names}
    wrong = [called for called in datasets if not called.isidentifier()]
    if expression and len(datasets) > 1 and wrong:
        raise InvalidArgument(
            f"{wrong[0]!r} cannot be written in an expression. Say what it is called: {{'bars': {wrong[0]!r}, ...}}."
        )
    if not datasets:
        raise InvalidArgument("A rule is over one dataset or several.")
    return datasets


def check_consistency(session: Objects, *names: str, checksum: bool = False) -> Consistency:
    """Check datasets at one moment: that they can be read, the rules over them, and on request their bytes.

    Parameters
    ----------
    names
        Which datasets; none means all. A rule over several is checked when one of them is among these.
    checksum
        Compare all bytes with their digests.

    Returns
    -------
    Consistency
        A row for each dataset and check (name, version, rule, passed, why), with `ok` and `failed`. A rule that cannot
        be evaluated has not passed.

    Raises
    ------
    InvalidName, UnknownDataset
    StoreError
        The datasets change faster than they can be mapped together.
    StoreFull
        No room for one that has to be brought back to memory.
    """
    with _lock:
        rules = list(_rules.get(session, {}).values())
    known = {row["name"] for row in session.channel.request("ls")}
    chosen = list(dict.fromkeys(map(check_name, names))) or sorted(known)
    for name in set(chosen) - known:
        session.open(name).close()  # raises with the nearest names, or it has just come
    rules = [one for one in rules if not names or not set(chosen).isdisjoint(one.datasets.values())]
    wanted = dict.fromkeys([*chosen, *(of for one in rules for of in one.datasets.values())])
    with _of_one_moment(session, list(wanted)) as (handles, problems):
        rows = [_header(name, handles, problems) for name in chosen]
        if checksum:
            rows += [_checksum(handles[name]) for name in chosen if name in handles]
        rows += [_checked(one, handles) for one in rules]
    return Consistency(tuple(rows))


@contextmanager
def _of_one_moment(session: Objects, names: list[str]) -> Iterator[tuple[dict[str, Handle], dict[str, str]]]:
    """Give the newest versions of one moment, mapped, and why others cannot be."""
    deadline = time.monotonic() + _WAIT_SECONDS
    handles: dict[str, Handle] = {}
    try:
        while True:
            problems = _map(session, [name for name in names if name not in handles], handles)
            now = {row["name"]: (row["id"], row["rows"]) for row in session.channel.request("ls")}
            late = [name for name, handle in handles.items() if now.get(name) != (handle.info.id, handle.rows)]
            if not late:
                break
            for name in late:
                handles.pop(name).close()
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{', '.join(late)} changed faster than all could be mapped together: nq.snapshot takes them so."
                )
        yield handles, problems
    finally:
        for handle in handles.values():
            handle.close()


def _map(session: Objects, names: list[str], handles: dict[str, Handle]) -> dict[str, str]:
    """Map the newest versions of these names, as far as they can be read; returns why the others cannot."""
    problems = {}
    for name in names:
        try:
            handles[name] = session.open(name)
        except (ChecksumError, UnknownDataset) as exc:
            problems[name] = str(exc)
    return problems


def _header(name: str, handles: Mapping[str, Handle], problems: Mapping[str, str]) -> Checked:
    version = handles[name].version if name in handles else None
    return Checked(name, version, HEADER, "error", name in handles, problems.get(name, ""))


def _checksum(handle: Handle) -> Checked:
    why = ""
    try:
        if not handle.verify():
            why = "it has no digest to compare with"
    except ChecksumError as exc:
        why = str(exc)
    return Checked(handle.info.name, handle.version, CHECKSUM, "error", not why, why)


def _checked(one: Rule, handles: Mapping[str, Handle]) -> Checked:
    names = list(one.datasets.values())
    version = handles[names[0]].version if len(names) == 1 and names[0] in handles else None
    missing = [name for name in names if name not in handles]
    gone = f"{', '.join(missing)} cannot be read, or is not there"
    why = gone if missing else _what_is_wrong(one, handles)
    return Checked(", ".join(names), version, one.label, one.severity, not why, why)


def _what_is_wrong(one: Rule, handles: Mapping[str, Handle]) -> str:
    """Return how a rule is broken, or why it cannot be evaluated; empty when it passes."""
    mapped = {called: handles[name] for called, name in one.datasets.items()}
    try:
        if not isinstance(one.broken, str):
            return _said(one.broken(*(handle.arrow() for handle in mapped.values())))
        if len(mapped) == 1:
            return _said(_broken_rows(one.broken, next(iter(mapped.values()))))
        facts = {key: value for called, handle in mapped.items() for key, value in _facts(called, handle).items()}
        if broken_by(one.broken, facts)[0]:
            return ", ".join(_shown(key, facts[key][0]) for key in facts if key in one.broken)
    except NQError as exc:
        return f"it cannot be evaluated: {exc}"
    except Exception as exc:  # a function of the user's
        return f"it cannot be evaluated: {type(exc).__name__}: {exc}"
    return ""


def _broken_rows(expression: str, handle: Handle) -> Any:
    """Return which rows break a rule; of a dataset without rows there are none."""
    return broken_by(expression, _columns(handle)) if handle.rows else False


def _said(outcome: Any) -> str:
    """Return in words what a rule returned."""
    if outcome is None or isinstance(outcome, str):
        return outcome or ""
    mask = np.asarray(outcome)
    if mask.dtype != bool:
        raise InvalidArgument(f"it returned {type(outcome).__name__}: return a mask, True or False, or what is wrong.")
    if mask.ndim == 0:
        return "it is broken" if mask else ""
    places = np.flatnonzero(mask)
    return f"{counted(len(places), 'row')}, the first is row {places[0]:,}" if len(places) else ""


def _columns(handle: Handle) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of numbers, times as seconds since 1970; a null is NaN."""
    found = handle.numpy()
    if not isinstance(found, dict):
        is_column = isinstance(handle.view(), np.ndarray | pd.Series) and found.ndim == 1  # no bytes, no JSON value
        found = {"value": found} if is_column else {}
    plain_columns = {}
    for name, values in found.items():
        if values.dtype.kind == "M":
            plain_columns[name] = values.astype("datetime64[ns]").astype(np.int64) / _NS
        elif values.dtype.kind in "iufb":
            plain_columns[name] = np.ma.filled(values.astype(np.float64), np.nan)
    if not plain_columns:
        raise InvalidArgument(f"{handle.info.name} has no column of numbers. Write a function.")
    return plain_columns


def _facts(called: str, handle: Handle) -> dict[str, npt.NDArray[np.float64]]:
    """Return what an expression over several datasets knows of one of them."""
    facts: dict[str, float] = {"rows": handle.rows, "version": handle.version}
    schema = handle.info.schema
    if schema is not None and "timestamp" in schema.names and handle.rows:
        stamps = handle.numpy(columns=["timestamp"])["timestamp"]
        with suppress(TypeError, ValueError):  # a column of that name that has no times
            starts = stamps[[0, -1]].astype("datetime64[ns]").astype(np.int64)
            facts["first"], facts["last"] = (starts / _NS).tolist()
            facts |= _end_of(starts, source_of(handle.info.meta).get("profile"))
    return {f"{called}_{key}": np.array([float(value)]) for key, value in facts.items()}


def _end_of(starts: npt.NDArray[Any], profile: Any) -> dict[str, float]:
    if not isinstance(profile, Mapping) or not profile.get("minutes"):
        return {}
    return {"end": availability(starts, int(profile["minutes"]), profile.get("calendar"))[-1] / _NS}


def _shown(fact: str, value: float) -> str:
    """Return a fact as people read it: times are dates."""
    if fact.endswith(("_rows", "_version")):
        return f"{fact} {value:,.0f}"
    return f"{fact} {np.datetime64(int(value), 's')} UTC"
