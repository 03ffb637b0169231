"""Rules of one's own: an expression or a function, and how serious it is when a bar breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.rules import RULES, SEVERITIES, Severity
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.bars.validation.expressions import broken_by
from jupyter_nq.bars.validation.series import Series
from jupyter_nq.errors import InvalidArgument, nearest

Mask = npt.NDArray[np.bool_]
Broken = str | Callable[[pa.Table], Any]
CustomRule = Broken | tuple[Broken, str]
"""An expression over the columns, see `expressions`, or a function from the table to a mask; true is broken. What
breaks it is a warning; `("high - low > 50", "error")` says another severity."""

OF_REPORTS = ("missing session", "hole", "unreadable", "no bars", "order")
"""Names under which a report says what is not about single bars."""


@dataclass(frozen=True)
class OwnRule:
    """A rule of one's own."""

    name: str
    broken: Broken
    severity: Severity

    @property
    def what(self) -> str:
        """Of a bar that breaks it, as it follows the number of bars."""
        if isinstance(self.broken, str):
            return f"for which {self.broken}"
        return f"breaking the rule {self.name!r}"

    def mask(self, table: pa.Table, series: Series) -> Mask:
        """Return which bars break it.

        Raises
        ------
        InvalidArgument
            The expression cannot be understood, or the function returned no mask.
        """
        if isinstance(self.broken, str):
            columns = {**dict(zip(PRICES, series.prices, strict=True)), "volume": series.volume}
            return broken_by(self.broken, columns)
        mask = np.asarray(self.broken(table))
        if mask.dtype != bool or mask.shape != (len(series),):
            raise InvalidArgument(
                f"the rule {self.name!r} returned {mask.dtype} of shape {mask.shape}; it must return one bool for each "
                f"of {len(series):,} bars, true where the bar breaks it."
            )
        return mask


def own_rules(given: Mapping[str, CustomRule] | None) -> dict[str, OwnRule]:
    """Return the rules that were given, by name.

    Raises
    ------
    InvalidArgument
        One has the name of a rule that there is, or is neither an expression, a function nor one of them with a
        severity.
    """
    return {name: _own(name, rule) for name, rule in (given or {}).items()}


def _own(name: str, rule: Any) -> OwnRule:
    if name in RULES or name in OF_REPORTS:
        raise InvalidArgument(f"rules[{name!r}]: there is a rule of this name. Give yours another one.")
    broken, severity = rule if _is_pair(rule) else (rule, "warning")
    if not isinstance(broken, str) and not callable(broken):
        raise InvalidArgument(
            f"rules[{name!r}] is {type(broken).__name__}. Pass an expression such as 'high - low > 50', a function "
            "from the table to a mask, or one of them with a severity: ('high - low > 50', 'error')."
        )
    if severity not in SEVERITIES:
        raise InvalidArgument(
            f"rules[{name!r}]: {severity!r} is no severity.{nearest(str(severity), SEVERITIES)} There are "
            f"{', '.join(SEVERITIES)}."
        )
    return OwnRule(name, broken, severity)


def _is_pair(rule: Any) -> bool:
    """Tell a rule with its severity; a configuration file writes it as a list."""
    return isinstance(rule, (tuple, list)) and len(rule) == 2
