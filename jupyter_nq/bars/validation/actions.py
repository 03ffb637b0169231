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

_UNITS, _COLUMNS = ("line", "row"), ("rules", "text")

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

    The file appears with all rows in it, or stays as it was.

    Raises
    ------
    InvalidArgument
        As `check_quarantine`, or the file cannot be written.
    """
    check_quarantine(path, source)
    target = Path(path).resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    count = 0
    try:
        with draft.open("x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([unit, *_COLUMNS])
            for place, rules, text in rows:
                writer.writerow([place, safe_cell(rules), safe_cell(text)])
                count += 1
        draft.replace(target)
    except OSError as exc:
        raise InvalidArgument(f"quarantine={os.fspath(path)!r} cannot be written: {exc.strerror}.") from exc
    finally:
        draft.unlink(missing_ok=True)
    return count


def check_quarantine(path: str | os.PathLike[str], source: Path | None = None) -> None:
    """Refuse a quarantine file that is something else: only one that a quarantine has written is written over.

    Raises
    ------
    InvalidArgument
        The file is the source, there is a file that is no quarantine, or the directory is not there.
    """
    target, named = Path(path), f"quarantine={os.fspath(path)!r}"
    if source is not None and target.resolve() == source.resolve():
        raise InvalidArgument(f"{named} is the source itself. Name another file.")
    try:
        if target.exists() and not _is_quarantine(target):
            raise InvalidArgument(
                f"{named} is there already and was not written by a quarantine, so it is not written over. Name "
                "another file, or remove this one."
            )
        if not target.parent.is_dir():
            raise InvalidArgument(f"{named} cannot be written: there is no directory {target.parent}.")
    except OSError as exc:
        raise InvalidArgument(f"{named} cannot be looked at: {exc.strerror}.") from exc


def _is_quarantine(path: Path) -> bool:
    """Tell a file that a quarantine has written, by its first line."""
    heads = [",".join([unit, *_COLUMNS]).encode() + b"\n" for unit in _UNITS]
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline(len(max(heads, key=len))) in heads
