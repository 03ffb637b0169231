"""Streams: messages in shared memory that every notebook publishes and reads without a server in between.

Names are resolved on first use, as those of `buffers`: a coordinator that only drops streams, and a server that only
shows them, need no numpy and no pyarrow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Message": "messages",
    "Options": "making",
    "Stream": "stream",
    "Subscription": "subscription",
    "make_stream": "making",
}

__all__ = ["Message", "Options", "Stream", "Subscription", "make_stream"]

if TYPE_CHECKING:
    from jupyter_nq.streams.making import Options, make_stream
    from jupyter_nq.streams.messages import Message
    from jupyter_nq.streams.stream import Stream
    from jupyter_nq.streams.subscription import Subscription


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jupyter_nq.streams' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jupyter_nq.streams.{home}"), name)
    globals()[name] = value
    return value
