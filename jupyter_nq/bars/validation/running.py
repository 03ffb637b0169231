"""The errors of bars that come in batches: those of single bars and of neighbours, which need no whole series."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from jupyter_nq.bars.instruments import instrument
from jupyter_nq.bars.rules import BAR_RULES
from jupyter_nq.bars.validation.row_rules import finding
from jupyter_nq.bars.validation.rows import KERNELS, SMALL_ROWS, RowChecks


class RunningErrors:
    """What cannot be real in a series of bars, batch by batch. Used by one thread.

    Parameters
    ----------
    minutes, symbol
        Length of a bar, and the instrument, None where they are not known.
    """

    def __init__(self, *, minutes: int | None, symbol: str | None) -> None:
        known = instrument(symbol) if symbol is not None else None
        self._checks = RowChecks(minutes=minutes, positive=known is not None and not known.negative_prices)
        self._rules = [rule for rule in BAR_RULES if rule.severity == "error"]
        self.rows = 0
        """Rows taken."""

    def add(self, batch: pa.Table | pa.RecordBatch) -> list[str]:
        """Take the next bars, and return a sentence for each rule that some of them break; rows count from the first.

        The rows that break a rule are those of `DataValidator`, whatever the batches are.
        """
        flags = self._checks.add(batch)
        first, self.rows = self.rows, self.rows + len(flags)
        if self.rows > SMALL_ROWS:
            KERNELS.ready()  # batches may be small, and yet many
        found = (finding(rule.name, rule.severity, flags & rule.bit != 0, rule.what) for rule in self._rules)
        moved = (replace(each, rows=tuple(first + row for row in each.rows)) for each in found if each is not None)
        return [each.sentence + each.where() for each in moved]
