"""Who is here: notebooks say what they are, and see what the others hold, publish and read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jupyter_nq.client.records import Notebook

if TYPE_CHECKING:
    from jupyter_nq.client.session import Session
    from jupyter_nq.client.streams.streaming import Listed


def register(
    session: Session, name: str | None = None, type: str | None = None, capabilities: Iterable[str] = ()
) -> Notebook:
    """Say what this notebook is: others see it (`nq.notebooks`) and reach it by its name (`nq.sync`).

    It is known as long as this process lives, whichever process coordinates, and forgotten when it is gone. A process
    may register several names; the same name again replaces what was said under it.

    Parameters
    ----------
    name
        `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, not digits alone; None gives this process a type and capabilities, and no
        name beside its own.
    type
        For example "execution" or "risk": a word of at most 64 characters.
    capabilities
        What it can do, for example ["orders", "limits"]: at most 64 words.

    Returns
    -------
    Notebook
        Its row of `nq.notebooks`.

    Raises
    ------
    NameTaken
        Another living process has the name; the message says which.
    InvalidName, InvalidArgument, CoordinatorUnavailable
    """
    session.roster.register(session.channel, name, type, capabilities)
    return next(row for row in notebooks(session) if (row.name, row.pid) == (name, os.getpid()))


def unregister(session: Session, name: str | None = None) -> None:
    """Take back what `register` said under a name; `UnknownNotebook` when this process did not say it."""
    session.roster.unregister(session.channel, name)


def notebooks(session: Session) -> list[Notebook]:
    """Return the connected processes, kernels with the notebook they run; one with several names has a row for each."""
    rows, streams = session.channel.request("notebooks"), session.streaming.listed()
    return [notebook for row in rows for notebook in Notebook.all_from_wire(row, **_streams_of(row, streams))]


def _streams_of(row: Mapping[str, Any], streams: Iterable[Listed]) -> dict[str, tuple[str, ...]]:
    """Return the streams that a process, or a child of it, publishes to and reads."""
    pids = {row["pid"], *row.get("pids", ())}
    return {
        "publishes": tuple(stream.name for stream in streams if pids & set(stream.publishers)),
        "reads": tuple(stream.name for stream in streams if pids & set(stream.consumer_pids)),
    }
