"""Messages of other programs: what their values mean is said once, for a whole topic."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from jupyter_nq.buffers.layout import UNREADABLE
from jupyter_nq.errors import InvalidArgument, UnreadableMessage, nearest
from jupyter_nq.streams.kafka.unpacked import MOST_BYTES, check_cells, check_packed


def _arrow(value: bytes, most_bytes: int) -> pa.RecordBatch:
    """Return the batches of an Arrow stream as one."""
    check_packed(value, most_bytes)
    found = pa.ipc.open_stream(value).read_all()
    found.validate(full=True)  # before anything looks at its values, which may be said to lie anywhere
    batches = found.combine_chunks().to_batches()
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=found.schema)
    check_cells(batches[0])
    return batches[0]


_READ: dict[str, Callable[[bytes, int], Any]] = {
    "json": lambda value, _: json.loads(value),
    "bytes": lambda value, _: value,
    "arrow": _arrow,
}
FOREIGN = tuple(_READ)
"""What a value may be."""


def check_foreign(foreign: str | None) -> None:
    """Refuse what is no form of a value; raises `InvalidArgument`."""
    if foreign is not None and foreign not in FOREIGN:
        hint = nearest(str(foreign), FOREIGN)
        raise InvalidArgument(f"foreign={foreign!r} is none of {', '.join(FOREIGN)}.{hint}")


def read_foreign(value: bytes | None, foreign: str, most_bytes: int = MOST_BYTES) -> Any:
    """Return what a value holds; `UnreadableMessage` when it does not, or becomes more than so many bytes."""
    if value is None:
        raise UnreadableMessage("It has no value.")
    try:
        return _READ[foreign](value, most_bytes)
    except (NotImplementedError, OSError, *UNREADABLE) as exc:
        raise UnreadableMessage(f"Its value is not {foreign}: {exc}") from exc
