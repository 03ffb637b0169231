"""The magics about flags: halt everybody, see who has heard it, and clear it again."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import itertools
import time
from argparse import Namespace

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from jupyter_nq.client.flags import flag, flags
from nq_magics.arguments import parse
from nq_magics.flag_display import FlagsView, acknowledged_lines, state_line
from nq_magics.in_session import InSession
from nq_magics.usage import interruptible, usage_errors

_HALT = "halt"
_LONGEST_WAIT_SECONDS = 1.0


@magics_class
class FlagMagics(InSession):
    """The magics about flags."""

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_halt [REASON] [--clear] [--flag NAME]")
    @argument("reason", nargs="*", metavar="REASON", help="Why; shown to everybody who is halted.")
    @argument("--clear", action="store_true", help="Clear what was seen; refused when it was set anew since.")
    @argument("--flag", default=_HALT, metavar="NAME", help="Another flag than `halt`.")
    @usage_errors()
    def nq_halt(self, line: str) -> None:
        """Halt everybody: set the flag `halt`, and say which notebooks and programs have seen it, and how fast.

        %nq_halt 'daily loss limit'     set it; waits up to a second for those who have the flag open
        %nq_halt                        how it is: who set or cleared it, when and why
        %nq_halt --clear 'limits reset'

        An order cell begins with nq.flag('halt').check(), which raises Halted with who, when and why.
        The reason needs no quotes, and is taken as it is typed.

        It is set without the coordinator, stays set whatever is restarted, and counts as set when it
        cannot be read. Clearing it takes away what was seen here, by %nq_halt or by an error, and nothing newer.
        """
        args = self._halt_arguments(line)
        found, reason = flag(args.flag), " ".join(args.reason)
        if args.clear and not reason:
            raise UsageError(f"Say why it is cleared: %nq_halt --clear 'reason'. {state_line(found.state)}.")
        if args.clear:
            found.clear(reason)
        elif reason:
            found.set(reason)
        print(state_line(found.state))
        if reason and not args.clear:
            start = time.perf_counter()
            with interruptible("the flag is set; who has seen it is not known"):
                heard = found.acknowledged(_LONGEST_WAIT_SECONDS)
            print(*acknowledged_lines(heard, time.perf_counter() - start), sep="\n")

    def _halt_arguments(self, line: str) -> Namespace:
        """Return the arguments of a line; what stands beside its options is the reason, however it is written."""
        try:
            return parse(self.nq_halt, line)
        except UsageError:
            options, reason = _halt_words(line)
            args = parse(self.nq_halt, " ".join(options))  # raises when it is the options that are wrong
            args.reason = reason
            return args

    @line_magic
    @magic_arguments()
    @usage_errors()
    def nq_flags(self, line: str) -> FlagsView:
        """List the flags: set or clear, by whom, since when, why, and whose heartbeat each waits for.

        %nq_flags
        halted = [f.name for f in _ if f.is_set]
        """
        parse(self.nq_flags, line)
        return FlagsView(flags())


def _halt_words(line: str) -> tuple[list[str], list[str]]:
    """Return the options of a line, and its other words as they were typed.

    >>> _halt_words("it's over --flag desk")
    (['--flag', 'desk'], ["it's", 'over'])
    """
    options: list[str] = []
    reason: list[str] = []
    words = iter(line.split())
    for word in words:
        if word == "--flag":
            options += [word, *itertools.islice(words, 1)]
        else:
            (options if word.startswith("--") else reason).append(word)
    return options, reason
