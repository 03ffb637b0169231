"""What is done with bars that break a rule: keep, flag, drop, repair, quarantine; and the file of a quarantine.

A bar that breaks several rules is taken out when one of them says so. Nothing is mended that would need a number
to be invented: a repair sorts, or keeps one of several equal bars.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.rules import RULES, Action
from jupyter_nq.bars.validation.cells import safe_cell
from jupyter_nq.bars.validation.rows import Flags
from jupyter_nq.errors import InvalidArgument, nearest

ACTIONS: tuple[Action, ...] = get_args(Action)
TAKEN_OUT = ("drop", "quarantine")
HANDLED = (*TAKEN_OUT, "repair")
"""Actions after which a finding no longer speaks against the bars."""

Mask = npt.NDArray[np.bool_]


def actions_of(
    given: Mapping[str, str] | None, own: Collection[str], quarantine: str | os.PathLike[str] | None
) -> dict[str, Action]:
    """Return the actions that were asked for, by rule.

    Raises
    ------
    InvalidArgument
        There is no such rule or action, the rule has no repair, or rows go to quarantine and no file is named.
    """
    todo: dict[str, Action] = {}
    known = [*RULES, *own]
    for rule, action in (given or {}).items():
        if rule not in known:
            raise InvalidArgument(f"no rule is called {rule!r}.{nearest(rule, known)} There are {', '.join(known)}.")
        if action not in ACTIONS:
            raise InvalidArgument(
                f"actions[{rule!r}]={action!r} is no action.{nearest(str(action), ACTIONS)} There are "
                f"{', '.join(ACTIONS)}."
            )
        if action == "repair" and not (rule in RULES and RULES[rule].repair):
            mended = ", ".join(f"{each.name} ({each.repair})" for each in RULES.values() if each.repair)
            raise InvalidArgument(
                f"what breaks the rule {rule!r} cannot be repaired without inventing numbers; drop or quarantine it. "
                f"Only these have a repair: {mended}."
            )
        if action == "quarantine" and quarantine is None:
            raise InvalidArgument(f"actions[{rule!r}]='quarantine' needs a file: pass quarantine='rows.csv'.")
        todo[rule] = action
    return todo


def taken_out(flags: Flags, own: Mapping[str, Mask], todo: Mapping[str, Action], action: str) -> Mask:
    """Return the rows that an action takes out; a repair of copies drops them."""
    out = np.zeros(len(flags), bool)
    for rule, chosen in todo.items():
        if chosen == action or (action == "drop" and chosen == "repair" and rule == "repeated bar"):
            out |= own[rule] if rule in own else flags & RULES[rule].bit != 0
    return out


def shown(flags: Flags, todo: Mapping[str, Action]) -> Flags:
    """Return the flags without the bits of rules whose bars are kept unflagged."""
    hidden = 0
    for rule, action in todo.items():
        if action == "keep" and rule in RULES:
            hidden |= RULES[rule].bit
    return flags & np.uint32(~hidden & 0xFFFFFFFF)


def names_of(flag: int, own: Mapping[str, Mask], row: int) -> list[str]:
    """Return the rules that a row breaks."""
    return [rule.name for rule in RULES.values() if flag & rule.bit] + [n for n, mask in own.items() if mask[row]]


def write_quarantine(
    path: str | os.PathLike[str], unit: str, rows: Iterable[tuple[int, str, str]], source: Path | None = None
) -> int:
    """Write rows to a CSV file, and return how many there were.

    Parameters
    ----------
    unit
        What the places count: "line" or "row".
    rows
        Place, rules, text of the row. A text that a spreadsheet would take for a formula gets a quote in front.
    source
        The file that the rows come from, which is never written to.

    Raises
    ------
    InvalidArgument
        The file is the source, or cannot be written.
    """
    target = Path(path)
    if source is not None and target.resolve() == source.resolve():
        raise InvalidArgument(f"quarantine={os.fspath(path)!r} is the source itself. Name another file.")
    count = 0
    try:
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([unit, "rules", "text"])
            for place, rules, text in rows:
                writer.writerow([place, safe_cell(rules), safe_cell(text)])
                count += 1
    except OSError as exc:
        raise InvalidArgument(f"quarantine={os.fspath(path)!r} cannot be written: {exc.strerror}.") from exc
    return count
