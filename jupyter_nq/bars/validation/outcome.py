"""What comes of the actions: the bars that stay, the rows that do not, and whether what stays is in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.reading.lenient import Bad
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.rules import BAR_RULES, Action
from jupyter_nq.bars.validation.actions import Mask, names_of, shown, taken_out, write_quarantine
from jupyter_nq.bars.validation.report import Finding
from jupyter_nq.bars.validation.row_rules import first_of
from jupyter_nq.bars.validation.rows import Flags
from jupyter_nq.bars.validation.series import NO_STAMP, starts_in

Texts = Callable[[list[int]], list[tuple[int, str]]]
_DISORDER = ("backwards", "duplicate", "missing stamp")
_OF_BARS = {rule.name for rule in BAR_RULES}


class Outcome:
    """What comes of the actions on bars whose flags are known.

    Parameters
    ----------
    table
        The bars, sorted when that was asked for.
    places
        Their rows in the source.
    flags, own
        What they break: bits of the rules there are, and a mask for each rule of one's own.
    todo
        The actions by rule.
    """

    def __init__(
        self, table: pa.Table, places: Ints, flags: Flags, own: Mapping[str, Mask], todo: Mapping[str, Action]
    ) -> None:
        self._table, self._places, self._flags, self._own, self._todo = table, places, flags, own, todo
        self._moved = taken_out(flags, own, todo, "quarantine")
        self._out = taken_out(flags, own, todo, "drop") | self._moved

    @cached_property
    def result(self) -> pa.Table:
        """The bars that stay, with their flags as the last column."""
        column = pa.array(shown(self._flags, self._todo))
        at = self._table.schema.get_field_index("flags")
        table = self._table
        flagged = table.append_column("flags", column) if at < 0 else table.set_column(at, "flags", column)
        return flagged.filter(pa.array(~self._out)) if self._out.any() else flagged

    def action_on(self, found: Finding) -> Action:
        """Return what was done with the bars of a finding: they may all have been taken out for another reason."""
        action = self._todo.get(found.rule, found.action)
        if action not in ("keep", "flag") or not (found.rule in _OF_BARS or found.rule in self._own):
            return action
        if not self._out[found.all_rows].all():
            return action
        return "quarantine" if self._moved[found.all_rows].all() else "drop"

    def left_wrong(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield what is wrong with the bars that stay as a whole: that there are none, or that they are not in order.

        `findings` are those about the bars as they came; what they say is not said twice.
        """
        if not self._table.num_rows:
            yield Finding("no bars", "error", 0, "there are no bars, so there is nothing to validate")
        elif self._out.all():
            yield Finding("no bars", "error", 0, "no bar is left after the actions")
        if not self._todo or any(each.rule in _DISORDER and not each.handled for each in findings):
            return
        kept = np.flatnonzero(~self._out)
        starts = starts_in(self._table)[kept]
        late = kept[np.flatnonzero((np.diff(starts) <= 0) & (starts[1:] != NO_STAMP)) + 1]
        if len(late):
            bars = f"{len(late):,} bars that are left start" if len(late) > 1 else "1 bar that is left starts"
            what = f"{bars} with the bar above, so that they are not in order; drop or repair 'repeated bar' too"
            yield Finding("order", "error", len(late), what, tuple(int(self._places[row]) for row in first_of(late)))

    def write_quarantine(
        self, path: str | os.PathLike[str], bad: tuple[Bad, ...], texts: Texts | None, source: Path | None
    ) -> int:
        """Write the rows of the quarantine, and return how many there are."""
        out = np.flatnonzero(self._moved)
        at = {int(self._places[row]): row for row in out.tolist()}
        why = {place: ", ".join(names_of(int(self._flags[row]), self._own, row)) for place, row in at.items()}
        why |= {each.row: f"{each.rule}: {each.reason}" for each in bad if self._todo.get(each.rule) == "quarantine"}
        rows = sorted(why)
        if texts is not None:
            lines = texts(rows) if rows else []
            found = ((line, why[row], text) for row, (line, text) in zip(rows, lines, strict=True))
            return write_quarantine(path, "line", found, source)
        return write_quarantine(path, "row", ((row, why[row], self._text(at[row])) for row in rows))

    def _text(self, row: int) -> str:
        return ",".join(str(column[row].as_py()) for column in self._table.columns)
