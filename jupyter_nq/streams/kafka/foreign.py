"""Messages of other programs: what their values mean is said once, for a whole topic."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from jupyter_nq.buffers.layout import UNREADABLE
from jupyter_nq.errors import InvalidArgument, UnreadableMessage, nearest


def _arrow(value: bytes) -> pa.RecordBatch:
    """Return the batches of an Arrow stream as one."""
    found = pa.ipc.open_stream(value).read_all().combine_chunks()
    found.validate(full=True)
    batches = found.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=found.schema)


_READ: dict[str, Callable[[bytes], Any]] = {"json": json.loads, "bytes": bytes, "arrow": _arrow}
FOREIGN = tuple(_READ)
"""What a value may be."""


def check_foreign(foreign: str | None) -> None:
    """Refuse what is no form of a value; raises `InvalidArgument`."""
    if foreign is not None and foreign not in FOREIGN:
        hint = nearest(str(foreign), FOREIGN)
        raise InvalidArgument(f"foreign={foreign!r} is none of {', '.join(FOREIGN)}.{hint}")


def read_foreign(value: bytes | None, foreign: str) -> Any:
    """Return what a value holds; `UnreadableMessage` when it does not."""
    if value is None:
        raise UnreadableMessage("It has no value.")
    try:
        return _READ[foreign](value)
    except (NotImplementedError, OSError, *UNREADABLE) as exc:
        raise UnreadableMessage(f"Its value is not {foreign}: {exc}") from exc
