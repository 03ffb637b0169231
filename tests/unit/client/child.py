"""A process with a channel to the same store directory."""

from __future__ import annotations

from pathlib import Path

from jupyter_nq import testing

_PRELUDE = """
import numpy as np
from jupyter_nq.buffers import Store
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import Settings
settings = Settings(connect_seconds=10)
def put(name, rows=10):
    plan = store.plan(np.arange(float(rows)))
    ticket = channel.request("reserve", name=name, bytes=plan.nbytes)["ticket"]
    info = store.write(name, plan)
    return channel.request("publish", id=info.id, ticket=ticket)
store = Store(sys.argv[1])
"""


class Child(testing.Child):
    """A process that runs `code` with `store`, `Channel` and `put` at hand."""

    def __init__(self, store_dir: Path, code: str) -> None:
        super().__init__(_PRELUDE + code, str(store_dir))


def session_child(store_dir: Path, code: str) -> testing.Child:
    """Return a process that runs `code` with a `session` of the store at hand."""
    prelude = """
import numpy as np
from jupyter_nq.client.session import Session
session = Session(sys.argv[1])
"""
    return testing.Child(prelude + code, str(store_dir))
