"""A message of a stream as Kafka carries it, and back. `KAFKA.md` is the same for programs in other languages.

Each message can be read by itself, wherever a reader begins: its schema lies in a header, and the header with the value
behind it are a stream of Arrow's IPC format.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import xxhash

from jupyter_nq.buffers.layout import UNREADABLE
from jupyter_nq.buffers.names import check_name
from jupyter_nq.errors import UnreadableMessage, UnsupportedData
from jupyter_nq.streams.kafka.unpacked import MOST_BYTES, check_cells, check_packed
from jupyter_nq.streams.kinds import BATCH, BYTES, FRAME, JSON, ROW, TABLE, as_batch, from_batch, pack, unpack
from jupyter_nq.streams.messages import Message

VERSION = b"1"
_KINDS = {b"row": ROW, b"batch": BATCH, b"table": TABLE, b"frame": FRAME, b"json": JSON, b"bytes": BYTES}
_NAMES = {kind: name for name, kind in _KINDS.items()}

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Sent:
    """What goes to Kafka."""

    key: bytes
    """Number of the lane, so that all of a lane lies in one partition, in its order."""
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class Arrived:
    """What came from Kafka."""

    stream: str
    """Name of the stream that it was published to."""
    stream_id: str
    """32 hexadecimal digits: another stream of that name has others."""
    lane: int
    sequence: int
    published_ns: int
    """When it was published there, nanoseconds since 1970, UTC."""
    data: Any
    """Of a row its batch."""
    is_row: bool
    """Whether it was published as one row of a tape."""
    metadata: dict[str, Any]


def encode(message: Message, stream_id: str, schema: pa.Schema | None, *, tape: bool) -> Sent:
    """Return a message as Kafka carries it.

    Parameters
    ----------
    message
        As a consumer got it.
    stream_id
        32 hexadecimal digits.
    schema
        That of the stream's batches.
    tape
        Whether a dict is a row.
    """
    kind, value, arrow = _payload(message.data, schema, tape=tape)
    headers = [
        ("nq.version", VERSION),
        ("nq.stream", message.stream_id.encode()),
        ("nq.stream_id", stream_id.encode()),
        ("nq.lane", str(message.lane).encode()),
        ("nq.sequence", str(message.sequence_number).encode()),
        ("nq.published_ns", str(message.timestamp_ns).encode()),
        ("nq.kind", _NAMES[kind]),
    ]
    if arrow is not None:
        headers += [("nq.schema", fingerprint(arrow)), ("nq.arrow", arrow)]
    if message.metadata:
        headers.append(("nq.metadata", pack(message.metadata, "The metadata")))
    return Sent(str(message.lane).encode(), value, headers)


def fingerprint(arrow: bytes) -> bytes:
    """Return 16 hexadecimal digits that tell schemas apart."""
    return xxhash.xxh3_64_hexdigest(arrow).encode()


def _payload(data: Any, schema: pa.Schema | None, *, tape: bool) -> tuple[int, bytes, bytes | None]:
    """Return kind, value, and the schema of columns."""
    if isinstance(data, bytes):
        return BYTES, data, None
    if tape and isinstance(data, Mapping):
        return ROW, *_columns(pa.RecordBatch.from_pylist([dict(data)], schema=schema))
    found = as_batch(data, None)
    if found is None:
        return JSON, pack(data, f"The {type(data).__name__}"), None
    return found[1], *_columns(found[0])


def _columns(batch: pa.RecordBatch) -> tuple[bytes, bytes]:
    """Return what stands behind the schema in an Arrow stream, and the schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    written = sink.getvalue()
    arrow: bytes = batch.schema.serialize().to_pybytes()
    return written.slice(len(arrow)).to_pybytes(), arrow


def decode(value: bytes | None, headers: Headers | None, most_bytes: int = MOST_BYTES) -> Arrived:
    """Return what was published, unless its columns are compressed and become more than so many bytes.

    Raises
    ------
    UnreadableMessage
        It is no message of this package, of another version, damaged, or too large.
    """
    found = dict(headers or ())
    version = found.get("nq.version")
    if version is None:
        raise UnreadableMessage("It has no header 'nq.version': no stream sent it. For such messages give foreign=.")
    if version != VERSION:
        told = f"It has the version {version[:40]!r}, and {VERSION!r} is known here. Update jupyter-nq."
        raise UnreadableMessage(told)
    if value is None:
        raise UnreadableMessage("It has no value.")
    try:
        return Arrived(
            check_name(_text(found, "nq.stream")),
            _id(found),
            _number(found, "nq.lane"),
            _number(found, "nq.sequence"),
            _number(found, "nq.published_ns"),
            _data(value, found, most_bytes),
            found.get("nq.kind") == _NAMES[ROW],
            _metadata(found),
        )
    except (EOFError, NotImplementedError, OSError, StopIteration, UnsupportedData, *UNREADABLE) as exc:
        raise UnreadableMessage(f"It cannot be read: {exc}") from exc


def _header(headers: Mapping[str, bytes | None], name: str) -> bytes:
    found = headers.get(name)
    if found is None:
        raise UnreadableMessage(f"It has no header {name!r}.")
    return found


def _text(headers: Mapping[str, bytes | None], name: str) -> str:
    return _header(headers, name).decode()


def _id(headers: Mapping[str, bytes | None]) -> str:
    text = _text(headers, "nq.stream_id")
    if len(text) != 32 or not set(text) <= set("0123456789abcdef"):
        raise UnreadableMessage(f"Its header 'nq.stream_id' is no identity of a stream: {text[:40]!r}.")
    return text


def _metadata(headers: Mapping[str, bytes | None]) -> dict[str, Any]:
    found = unpack(headers["nq.metadata"]) if "nq.metadata" in headers else {}
    if not isinstance(found, dict):
        raise UnreadableMessage(f"Its metadata are {type(found).__name__}, and no names with values.")
    return found


def _number(headers: Mapping[str, bytes | None], name: str) -> int:
    text = _header(headers, name)
    if not text.isdigit() or len(text) > 19:
        raise UnreadableMessage(f"Its header {name!r} is no number: {text[:40]!r}.")
    return int(text)


def _data(value: bytes, headers: Mapping[str, bytes | None], most_bytes: int) -> Any:
    name = _header(headers, "nq.kind")
    kind = _KINDS.get(name)
    if kind is None:
        raise UnreadableMessage(f"It is of the unknown kind {name[:40]!r}.")
    if kind == BYTES:
        return value
    if kind == JSON:
        return unpack(value)
    arrow = _header(headers, "nq.arrow")
    if fingerprint(arrow) != _header(headers, "nq.schema"):
        raise UnreadableMessage("Its schema differs from its fingerprint.")
    batch = _batch(arrow, value, most_bytes)
    batch.validate(full=True)
    check_cells(batch)
    return batch if kind == ROW else from_batch(batch, kind)


def _batch(arrow: bytes, value: bytes, most_bytes: int) -> pa.RecordBatch:
    schema, plain = _schema(arrow)
    stream = value if plain else arrow + value  # a schema's header may have more than that behind it
    check_packed(stream, most_bytes)
    if plain:
        return pa.ipc.read_record_batch(pa.py_buffer(stream), schema)
    return pa.ipc.open_stream(stream).read_next_batch()


@functools.lru_cache(maxsize=64)
def _schema(arrow: bytes) -> tuple[pa.Schema, bool]:
    """Return a schema, and whether its batches stand without categories before them."""
    schema = pa.ipc.read_schema(pa.py_buffer(arrow))
    return schema, "dictionary<" not in str(schema)
