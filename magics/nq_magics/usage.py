"""What ends a magic early, as IPython shows it: errors and interrupts in one line, help as text.

An error of this package becomes a `UsageError`, of which IPython prints the message and no traceback. A
message is written for the Python call; `wording` turns it into what can be typed as it stands. Candidates keep
their lines, side by side.

An interrupt becomes a `UsageError` too: the cell counts as failed, so that "Run All" stops there, and
the frames of this package, which tell its user nothing, are not printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from IPython.core.error import UsageError

from jupyter_nq.client.listing import plain
from jupyter_nq.errors import NQError
from nq_magics.arguments import HelpAsked
from nq_magics.wording import as_typed


@contextmanager
def usage_errors(example: str | None = None) -> Iterator[None]:
    """Turn an error of this package into a `UsageError`, and print the help that a line asks for.

    Parameters
    ----------
    example
        The line that says the symbol of a file, for the message that asks for it.
    """
    try:
        yield
    except HelpAsked as asked:
        print(asked)
    except NQError as exc:
        raise UsageError("\n".join(plain(as_typed(line, example)) for line in str(exc).splitlines())) from exc


@contextmanager
def interruptible(outcome: str = "nothing was shared") -> Iterator[None]:
    """Turn an interrupt of work that removes what it began into a `UsageError` that says the outcome."""
    try:
        yield
    except KeyboardInterrupt:
        raise UsageError(f"interrupted: {outcome}") from None
