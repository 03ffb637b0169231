"""Messages that follow from their lane and their sequence, so that whoever reads one can tell that it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import Message

SCHEMA = pa.schema([("lane", pa.int64()), ("seq", pa.int64()), ("noise", pa.int64()), ("check", pa.int64())])
"""Of the batches: each row has its message, and a checksum."""
_MOST_ROWS = 200
_FACTOR = 0x9E3779B97F4A7C1  # odd, and large enough to move every bit
_LANE_SHIFT = 40


def rows_of(seq: int) -> int:
    """Return how many rows a message has.

    >>> rows_of(0), rows_of(1), rows_of(2)
    (1, 120, 39)
    """
    return 1 + (seq * 7919) % _MOST_ROWS


def message_of(form: str, lane: int, seq: int) -> tuple[Any, Any]:
    """Return a message and its metadata: on a tape a batch; in a log by turns a batch, JSON and bytes."""
    if form == "tape" or seq % 3 == 0:
        return _batch(lane, seq), None
    if seq % 3 == 1:
        return {"lane": lane, "seq": seq, "check": _text(lane, seq)}, None
    return _bytes(lane, seq), {"lane": lane, "seq": seq}


def check_message(message: Message) -> None:
    """Raise `ChecksumError` when a message is not the one of its lane and sequence."""
    form = "tape" if isinstance(message.data, pa.RecordBatch) else "log"
    wanted, noted = message_of(form, message.lane, message.sequence_number)
    same = message.data.equals(wanted) if form == "tape" else message.data == wanted
    if not same or (noted or {}) != message.metadata:
        raise ChecksumError(f"message {message.sequence_number} of lane {message.lane} is torn, or another")


def check_batches(
    name: str, batches: Sequence[pa.RecordBatch], start: Mapping[int, int], stop: Mapping[int, int]
) -> None:
    """Raise `ChecksumError` unless batches are, of each lane, exactly the messages from `start` to before `stop`."""
    for lane, end in stop.items():
        mine = [batch for batch in batches if batch.num_rows and batch.column("lane")[0].as_py() == lane]
        wanted = _columns(lane, range(start.get(lane, 0), end))
        for field, column in zip(SCHEMA.names, wanted, strict=True):
            found = [batch.column(field).to_numpy() for batch in mine]
            if not np.array_equal(np.concatenate([*found, column[:0]]), column):
                raise ChecksumError(f"{name}: {field} of lane {lane} is torn or missing before message {end}")


def _batch(lane: int, seq: int) -> pa.RecordBatch:
    return pa.record_batch(_columns(lane, range(seq, seq + 1)), schema=SCHEMA)


def _columns(lane: int, seqs: range) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    rows = [rows_of(seq) for seq in seqs]
    seq = np.repeat(np.arange(seqs.start, seqs.stop, dtype=np.int64), rows)
    noise = np.arange(len(seq), dtype=np.int64) - np.repeat(np.cumsum([0, *rows])[:-1], rows) if rows else seq
    check = (seq + (lane << _LANE_SHIFT)) * _FACTOR ^ noise
    return [np.full(len(seq), lane, np.int64), seq, noise, check]


def _text(lane: int, seq: int) -> str:
    return xxhash.xxh3_64_hexdigest(f"{lane} {seq}".encode())


def _bytes(lane: int, seq: int) -> bytes:
    return _text(lane, seq).encode() * rows_of(seq)
