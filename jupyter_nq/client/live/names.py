"""The names of live streams, and the sandbox that no replay can leave.

All that a replay feeds, and all that is built from it, has a name that begins with `replay.`; nothing else has. So what
was recorded can never be taken for what is traded, and no order cell that reads `NQ.5min.live` sees a replay.
"""

from __future__ import annotations

from jupyter_nq.buffers import check_name
from jupyter_nq.errors import InvalidArgument

SANDBOX = "replay"
"""First part of the name of every stream of a replay."""
CLOSED, FORMING, LATE, NOTICES = ".live", ".forming", ".late", ".notices"
"""Endings of what a worker publishes: closed bars, the open bar, rows set aside, and what is to be known of it."""
CLOCK = ".clock"
"""Ending of the clock of a replay, behind the name of its rows."""


def is_sandboxed(name: str) -> bool:
    """Tell whether a name belongs to a replay.

    >>> is_sandboxed("replay.NQ.1min"), is_sandboxed("NQ.1min"), is_sandboxed("replayed.NQ")
    (True, False, False)
    """
    return name == SANDBOX or name.startswith(f"{SANDBOX}.")


def prefix_of(given: str | None) -> str:
    """Return the prefix of a replay's streams.

    Raises
    ------
    InvalidName, InvalidArgument
        It is no name; or none of a sandbox: a replay does not publish where live streams are.
    """
    prefix = SANDBOX if given is None else check_name(given)
    if not is_sandboxed(prefix):
        raise InvalidArgument(
            f"the prefix {prefix!r} is no sandbox: a replay publishes only on names that begin with {SANDBOX!r}, never "
            f"on a live one. Take {f'{SANDBOX}.{prefix}'!r}."
        )
    return prefix


def out_of(given: str | None, symbol: str, source: str) -> str:
    """Return what the names of a worker's streams begin with: the symbol, in the sandbox of its source where it is one.

    Raises
    ------
    InvalidArgument
        It would bring what is built from a replay out of the sandbox.
    """
    if given is None:
        prefix = source.partition(f".{symbol}.")[0] if f".{symbol}." in source else SANDBOX
        return check_name(f"{prefix}.{symbol}" if is_sandboxed(source) else symbol)
    if is_sandboxed(source) and not is_sandboxed(given):
        raise InvalidArgument(
            f"out={given!r}: what is built from the replay {source!r} stays in its sandbox. Take "
            f"out={f'{SANDBOX}.{given}'!r}, or leave it out."
        )
    return check_name(given)


def is_output(name: str, out: str) -> bool:
    """Tell whether a stream is one that a worker with this `out` publishes, and none whose `out` begins with it."""
    kind, dot, ending = name.removeprefix(f"{out}.").rpartition(".")
    if not name.startswith(f"{out}.") or "." in kind:
        return False
    return f".{ending}" in ((CLOSED, FORMING) if dot else (LATE, NOTICES))
