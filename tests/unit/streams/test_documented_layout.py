"""STREAMS.md: the documented offsets are the real ones, and whoever knows only them can read a stream."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pyarrow as pa
import pytest
import xxhash

from jupyter_nq.streams import Options, Stream, layout, make_stream

_TEXT = Path(layout.__file__).with_name("STREAMS.md").read_text(encoding="utf-8")
_ROW = re.compile(r"\| (\d+) \| (\S+) \| `(\w+)` \|")
_OPTIONS = Options(retention_bytes=1 << 17, segment_bytes=1 << 16)
_NOWHERE = (1 << 64) - 1


def _table(heading: str) -> dict[str, tuple[int, str]]:
    """Return the fields of the table under a heading: name -> offset and size, as they are written."""
    section = re.split(r"\n#+ ", _TEXT.split(f"# {heading}\n")[1])[0]
    return {name: (int(offset), size) for offset, size, name in _ROW.findall(section)}


_CONTROL, _LANE, _SEGMENT = _table("Control file"), _table("Words of a lane"), _table("Segment")
_SLOT, _CONSUMER = _table("Log"), _table("Consumer")


def _word(content: bytes, table: dict[str, tuple[int, str]], name: str, start: int = 0) -> int:
    offset = start + table[name][0]
    return int.from_bytes(content[offset : offset + 8], "little")


@pytest.fixture
def parent(nq_store_dir: Path) -> Path:
    """Give a directory for streams."""
    return nq_store_dir


@pytest.fixture
def tape(parent: Path) -> Iterator[Stream]:
    """Give a tape of two columns with two messages: one row, and then two."""
    schema = pa.schema([("n", pa.int16()), ("price", pa.float64())])
    make_stream(parent, "ticks", schema, options=_OPTIONS)
    with Stream(parent / "ticks") as stream:
        stream.publish_rows([(7, 1.5)])
        stream.publish({"n": pa.array([8, 9], pa.int16()), "price": pa.array([2.5, 3.5])})
        yield stream


@pytest.fixture
def log(parent: Path) -> Iterator[Stream]:
    """Give a log with JSON, bytes with metadata, and a batch."""
    make_stream(parent, "signals", options=_OPTIONS)
    with Stream(parent / "signals") as stream:
        stream.publish({"max": 3})
        stream.publish(b"raw", {"model": "v7"})
        stream.publish(pa.table({"side": ["buy", None]}))
        yield stream


def test_the_words_are_where_the_code_has_them() -> None:
    """Every word that changes is documented at its place."""
    words = {"wake": layout.WAKE, "waiting": layout.WAITING, "space": layout.SPACE}
    words |= {"space_waiting": layout.SPACE_WAITING, "closed": layout.CLOSED, "epoch": layout.EPOCH}
    assert {name: _CONTROL[name][0] // 8 for name in words} == words
    lane = {"head": layout.HEAD, "tail": layout.TAIL, "head_segment": layout.HEAD_SEGMENT}
    lane |= {"tail_segment": layout.TAIL_SEGMENT, "owner_pid": layout.OWNER_PID, "owner_started": layout.OWNER_STARTED}
    lane |= {"durable": layout.DURABLE, "missed": layout.MISSED}
    assert {name: offset // 8 for name, (offset, _) in _LANE.items()} == lane
    assert _CONTROL["lane_words"] == (layout.LANES_OFFSET, str(layout.LANES * layout.LANE_BYTES))
    assert _CONTROL["metadata"] == (layout.METADATA_OFFSET, "`metadata_bytes`")
    assert [_CONTROL["lane_words"][0] + 64 * n for n in (0, 63)] == [8 * layout.lane_word(n) for n in (0, 63)]
    assert _SEGMENT["end_seq"][0] == 8 * layout.END_SEQ
    assert _SEGMENT["owners"] == (8 * layout.OWNERS, str(24 * 149))


@pytest.mark.parametrize("table", [_CONTROL, _LANE, _SEGMENT, _SLOT, _CONSUMER])
def test_fields_do_not_overlap(table: dict[str, tuple[int, str]]) -> None:
    """Each byte belongs to one field, and each table was found."""
    spans = sorted((offset, int(size) if size.isdigit() else 0) for offset, size in table.values())
    assert len(spans) > 4
    assert all(a + size <= b for (a, size), (b, _) in itertools.pairwise(spans))


def test_the_control_file_has_what_is_documented(parent: Path, tape: Stream) -> None:
    """What the stream is, its digest, and the words of the lane that has published."""
    content = (parent / "ticks" / "control").read_bytes()
    assert content[:8] == b"NQSTREAM"
    assert (_word(content, _CONTROL, "layout"), _word(content, _CONTROL, "lanes")) == (layout.LAYOUT, 64)
    length = _word(content, _CONTROL, "metadata_bytes")
    metadata = content[8192 : 8192 + length]
    assert msgpack.unpackb(metadata)[:2] == ["ticks", "tape"]
    assert pa.ipc.read_schema(pa.py_buffer(msgpack.unpackb(metadata)[2])) == tape.schema
    assert msgpack.unpackb(metadata)[3]["retention_bytes"] == 1 << 17
    assert content[248:256] == xxhash.xxh3_64_digest(content[:248] + metadata)
    lane = {name: _word(content, _LANE, name, 4096) for name in _LANE}
    assert lane == {
        "head": 2,
        "tail": 0,
        "head_segment": 1,
        "tail_segment": 1,
        "owner_pid": os.getpid(),
        "owner_started": 0,
        "durable": 0,
        "missed": 0,
    }
    assert _word(content, _LANE, "owner_pid", 4096 + 64) == 0


def test_a_tape_can_be_read_by_the_table_alone(parent: Path, tape: Stream) -> None:
    """Header, times, ends and columns of its segment."""
    content = (parent / "ticks" / "0-1").read_bytes()
    assert content[:8] == b"NQSEGMNT"
    assert content[16:32] == (parent / "ticks" / "control").read_bytes()[16:32]
    names = ("lane", "number", "first_seq", "form", "file_bytes", "publisher_pid", "end_seq")
    assert [_word(content, _SEGMENT, name) for name in names] == [0, 1, 0, 0, len(content), os.getpid(), 0]
    assert content[248:256] == xxhash.xxh3_64_digest(content[:248])
    assert _word(content, _SEGMENT, "segment_epoch") == 0
    slots, rows = _word(content, _SEGMENT, "slots"), _word(content, _SEGMENT, "rows")
    assert slots == rows > 2000
    ends = memoryview(content)[4096 + 8 * slots : 4096 + 8 * slots + 16].cast("Q").tolist()
    assert [(end & ((1 << 40) - 1), end >> 40) for end in ends] == [(1, 0), (3, 1)]
    first = -(-(4096 + 16 * slots) // 64) * 64
    second = -(-(first + 2 * rows) // 64) * 64
    assert memoryview(content)[first : first + 6].cast("h").tolist() == [7, 8, 9]
    assert memoryview(content)[second : second + 24].cast("d").tolist() == [1.5, 2.5, 3.5]
    stamps = memoryview(content)[4096:4112].cast("q").tolist()
    assert stamps == [m.timestamp_ns for m in tape.subscribe("earliest").get_messages()]


def test_an_epoch_can_be_found_by_the_table_alone(parent: Path, tape: Stream) -> None:
    """The word, the schema in its file, and the segment that has it."""
    wanted = pa.schema([("n", pa.int64())])
    tape.evolve(wanted)
    tape.publish({"n": pa.array([1])})
    assert _word((parent / "ticks" / "control").read_bytes(), _CONTROL, "epoch") == 1
    assert pa.ipc.read_schema(pa.py_buffer((parent / "ticks" / "schema.1").read_bytes())) == wanted
    assert [_word((parent / "ticks" / name).read_bytes(), _SEGMENT, "segment_epoch") for name in ("0-1", "0-2")] == [
        0,
        1,
    ]


def test_a_log_can_be_read_by_the_table_alone(parent: Path, log: Stream) -> None:
    """The slots from the end, and what they lead to."""
    content = (parent / "signals" / "0-1").read_bytes()
    assert [_word(content, _SEGMENT, name) for name in ("form", "slots", "rows")] == [1, 0, 0]

    def slot(seq: int) -> dict[str, int]:
        start = len(content) - 64 * (seq + 1)
        return {name: _word(content, _SLOT, name, start) for name in _SLOT}

    def payload(seq: int) -> bytes:
        found = slot(seq)
        return content[found["payload_offset"] : found["payload_offset"] + found["payload_bytes"]]

    assert [(slot(seq)["kind"], slot(seq)["message_rows"]) for seq in range(3)] == [(4, 0), (5, 0), (2, 2)]
    assert [slot(seq)["message_seq"] for seq in range(3)] == [0, 1, 2]
    assert content[-8:] == xxhash.xxh3_64_digest(content[-64:-8])
    assert all(slot(seq)["payload_offset"] % 64 == 0 for seq in range(2))
    assert msgpack.unpackb(payload(0)) == {"max": 3}
    assert payload(1) == b"raw"
    noted = slot(1)["payload_offset"] + 3
    assert msgpack.unpackb(content[noted : noted + slot(1)["noted_bytes"]]) == {"model": "v7"}
    schema = pa.ipc.read_schema(pa.py_buffer((parent / "signals" / "schema").read_bytes()))
    batch = pa.ipc.read_record_batch(pa.py_buffer(payload(2)), schema)
    assert batch.to_pydict() == {"side": ["buy", None]}
    assert slot(2)["stamp_ns"] == log.subscribe(-1).get_messages()[0].timestamp_ns


def test_a_consumer_can_be_seen_by_the_table_alone(parent: Path, log: Stream) -> None:
    """Who it is, and where; the position of one with a name is what it acknowledged."""
    reader = log.subscribe("earliest", name="risk")
    reader.get_messages(2)
    path = parent / "signals" / "consumers" / "risk"
    content = path.read_bytes()
    assert len(content) == 4096
    assert [_word(content, _CONSUMER, name) for name in ("consumer_pid", "gating", "state", "lost")] == [
        os.getpid(),
        0,
        2,
        0,
    ]
    assert [_word(content, _CONSUMER, "positions", 8 * lane) for lane in (0, 1, 63)] == [0, _NOWHERE, _NOWHERE]
    reader.ack()
    assert _word(path.read_bytes(), _CONSUMER, "positions") == 2
    reader.close()
    assert _word(path.read_bytes(), _CONSUMER, "consumer_pid") == 0


def test_every_file_is_documented(parent: Path, log: Stream) -> None:
    """What lies in the directory of a stream stands in the table of paths."""
    readers = [log.subscribe(name="risk"), log.subscribe()]
    forms = [re.sub(r"<\w+>", r"[\\w]+", name.replace(".", r"\.")) for name in re.findall(r"\n\| `(\S+)` \|", _TEXT)]
    found = [str(path.relative_to(parent / "signals")) for path in (parent / "signals").rglob("*") if path.is_file()]
    assert {"control", "schema", "0.lock", "0-1", "consumers/risk"} < set(found)
    assert len([path for path in found if path.startswith("consumers/")]) == len(readers)
    assert [path for path in found if not any(re.fullmatch(form, path) for form in forms)] == []
