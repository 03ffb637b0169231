"""The magics about bars: each parses its line, makes one call of the library, and shows the outcome."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from typing import Any

from IPython.core.magic import line_magic, magics_class, needs_local_scope
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from nq_magics.arguments import parse, whole_number
from nq_magics.in_session import InSession
from nq_magics.usage import usage_errors


@magics_class
class BarMagics(InSession):
    """The magics about bars."""

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_join LEFT RIGHT [as VAR] [options]")
    @argument("left", metavar="LEFT", help="Dataset, as %%nq_ls names it, or a variable that holds bars.")
    @argument("right", metavar="RIGHT", help="The same; usually of a longer timeframe.")
    @argument(
        "--at",
        metavar="close|open",
        choices=("close", "open"),
        default="close",
        help="Join what is known when the left bar closes, or when it opens.",
    )
    @argument("--suffix", help="Behind the names of the right columns; the right timeframe unless given: close_3h.")
    @argument(
        "--tolerance",
        metavar="MINUTES",
        type=whole_number,
        help="Do not join a bar that closed longer ago.",
    )
    @usage_errors()
    def nq_join(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Join timeframes without looking ahead: each left bar with the last right bar that had closed.

        %nq_join NQ.30min NQ.3h as both
        both = %nq_join bars slow --tolerance 240

        A bar is known when it has closed. Joined on the stamps of their starts, a long bar would tell
        the short ones their future.
        """
        from jupyter_nq.client.timeframes import asof

        args = parse(self.nq_join, line, assigns=True)
        session = self._session()
        sides = [self._bars(session, word, local_ns or {}) for word in (args.left, args.right)]
        joined = asof(session, *sides, at=args.at, suffix=args.suffix, tolerance_minutes=args.tolerance)
        ages = [name for name in joined.columns if name.startswith("age")]
        print(f"{len(joined):,} bars, {int(joined[ages[-1]].isna().sum()):,} of them before the first that had closed")
        return self._deliver(joined, args.variable)
