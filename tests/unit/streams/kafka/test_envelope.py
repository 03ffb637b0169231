"""Messages as Kafka carries them: what was published comes back, and what is no message says why."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.errors import UnreadableMessage
from jupyter_nq.streams.kafka.envelope import decode, encode, fingerprint
from jupyter_nq.streams.messages import Message

_DOCUMENT = Path(__file__).parents[4] / "jupyter_nq" / "streams" / "kafka" / "KAFKA.md"
_ID = "ab" * 16
_SCHEMA = pa.schema([("at", pa.timestamp("ns", "UTC")), ("price", pa.float32()), ("size", pa.uint64())])
_BATCH = pa.RecordBatch.from_pydict({"text": ["a", None], "list": [[1], []]})


def _message(data: Any, metadata: dict[str, Any] | None = None) -> Message:
    return Message(data, metadata or {}, 1_700_000_000_123_456_789, 42, 3, "signals")


def _headers(data: Any, **changed: bytes | None) -> list[tuple[str, bytes | None]]:
    sent = dict(encode(_message(data), _ID, None, tape=False).headers)
    given = {f"nq.{name}": value for name, value in changed.items()}
    return [(name, value) for name, value in {**sent, **given}.items() if value is not None]


@pytest.mark.parametrize(
    "data", [b"", b"\x00raw", {"a": [1, None]}, [], "text", 0, _BATCH, pa.Table.from_batches([_BATCH])], ids=repr
)
def test_what_was_published_comes_back(data: Any) -> None:
    """With its place in the stream, its time to the nanosecond, its type and its metadata."""
    sent = encode(_message(data, {"model": 7}), _ID, None, tape=False)
    found = decode(sent.value, sent.headers)
    assert type(found.data) is type(data)
    assert found.data == data
    assert (found.stream, found.stream_id, found.lane, found.sequence) == ("signals", _ID, 3, 42)
    assert (found.published_ns, found.metadata, found.is_row) == (1_700_000_000_123_456_789, {"model": 7}, False)
    assert sent.key == b"3"


@pytest.mark.parametrize("text", [["a", "b", "a"], pd.Categorical(["a", "b", "a"])], ids=["plain", "categories"])
def test_frames_come_back(text: Any) -> None:
    """With index, dtypes and categories, which stand before the batch."""
    frame = pd.DataFrame({"x": [1.5, np.nan, 3.0], "text": text}, index=pd.Index([7, 8, 9], name="id"))
    sent = encode(_message(frame), _ID, None, tape=False)
    pd.testing.assert_frame_equal(decode(sent.value, sent.headers).data, frame)


def test_rows_come_back_as_a_batch() -> None:
    """Nanoseconds, single precision and large integers included."""
    row = {"at": pd.Timestamp(1_700_000_000_123_456_789, tz="UTC"), "price": 0.1, "size": 2**64 - 1}
    row["price"] = float(np.float32(0.1))
    sent = encode(_message(row), _ID, _SCHEMA, tape=True)
    found = decode(sent.value, sent.headers)
    assert found.is_row
    assert found.data.schema == _SCHEMA
    assert found.data.to_pylist() == [row]


@pytest.mark.parametrize("data", [_BATCH, pd.DataFrame({"c": pd.Categorical(["a", "b"])})], ids=["batch", "categories"])
def test_header_and_value_are_an_arrow_stream(data: Any) -> None:
    """Another program needs nothing but Arrow."""
    sent = encode(_message(data), _ID, None, tape=False)
    table = pa.ipc.open_stream(dict(sent.headers)["nq.arrow"] + sent.value).read_all()
    assert table.num_rows == 2


def test_each_header_is_documented() -> None:
    """`KAFKA.md` names them all."""
    text = _DOCUMENT.read_text()
    sent = encode(_message(_BATCH, {"a": 1}), _ID, None, tape=False)
    assert [name for name, _ in sent.headers if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("headers", "value", "says"),
    [
        (None, b"", r"no header 'nq\.version': no stream sent it"),
        (_headers(b"", version=b"2"), b"", "version b'2', and b'1' is known here"),
        (_headers(b""), None, "no value"),
        (_headers(b"", lane=None), b"", r"no header 'nq\.lane'"),
        (_headers(b"", sequence=b"-1"), b"", r"'nq\.sequence' is no number"),
        (_headers(b"", sequence=b"9" * 20), b"", "is no number"),
        (_headers(b"", kind=b"pickle"), b"", "unknown kind b'pickle'"),
        (_headers({}), b"\xc1", "cannot be read"),
        (_headers(b"", stream=b"\xff"), b"", "cannot be read"),
        (_headers(b"", metadata=b"\xc1"), b"", "cannot be read"),
        (_headers(b"", metadata=b"\xc0"), b"", "metadata are NoneType"),
        (_headers(b"", metadata=b"\x05"), b"", "metadata are int"),
        (_headers(b"", stream=b"x" * 1_000_000), b"", "cannot be read"),
        (_headers(b"", stream_id=b"x" * 1_000_000), b"", "no identity of a stream: 'x{40}'"),
        (_headers(b"", version=b"x" * 1_000_000), b"", "version b'x{40}'"),
        (_headers(_BATCH), b"", "cannot be read"),
        (_headers(_BATCH), b"\xff" * 200, "cannot be read"),
        (_headers(_BATCH, schema=b"0" * 16), b"", "differs from its fingerprint"),
    ],
)
def test_what_is_no_message_says_why(headers: Any, value: bytes | None, says: str) -> None:
    """Whatever is missing, unknown or damaged: one error, which goes to the dead letters."""
    with pytest.raises(UnreadableMessage, match=says):
        decode(value, headers)


def test_damaged_schemas_are_unreadable_or_read() -> None:
    """Whatever bytes of a schema are others, also where Arrow then says that it knows no such type."""
    batch = pa.RecordBatch.from_pydict({"size": [1, 2], "text": ["a", "b"]})
    sent = encode(_message(batch), _ID, None, tape=False)
    arrow = dict(sent.headers)["nq.arrow"]
    for place in range(8, len(arrow)):
        for value in (0, 7, 127, 255):
            damaged = arrow[:place] + bytes([value]) + arrow[place + 1 :]
            headers = {**dict(sent.headers), "nq.arrow": damaged, "nq.schema": fingerprint(damaged)}
            with contextlib.suppress(UnreadableMessage):
                decode(sent.value, list(headers.items()))


def test_a_damaged_value_never_gives_another_batch_unchecked() -> None:
    """Offsets that lead out of their buffer are found before anybody follows them."""
    batch = pa.RecordBatch.from_pydict({"text": ["abc", "defg"]})
    sent = encode(_message(batch), _ID, None, tape=False)
    place = sent.value.index((3).to_bytes(4, "little") + (7).to_bytes(4, "little"))
    value = sent.value[:place] + (1 << 30).to_bytes(4, "little") + sent.value[place + 4 :]
    with pytest.raises(UnreadableMessage, match="cannot be read"):
        decode(value, sent.headers)
