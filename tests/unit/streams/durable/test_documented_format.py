"""DURABLE.md: the documented offsets are the real ones, and whoever knows only them can read the disk."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import msgpack
import xxhash

from jupyter_nq.streams.durable import frames
from tests.unit.streams.conftest import SCHEMA, ticks
from tests.unit.streams.durable.conftest import Machine

_TEXT = Path(frames.__file__).with_name("DURABLE.md").read_text(encoding="utf-8")
_ROW = re.compile(r"\| (\d+) \| (\d+) \| `(\w+)` \|")


def _table(heading: str) -> dict[str, tuple[int, int]]:
    section = re.split(r"\n#+ ", _TEXT.split(f"## {heading}\n")[1])[0]
    return {name: (int(offset), int(size)) for offset, size, name in _ROW.findall(section)}


_FILE, _FRAME = _table("File"), _table("Frame")


def _word(content: bytes, table: dict[str, tuple[int, int]], name: str, start: int = 0) -> int:
    offset = start + table[name][0]
    return int.from_bytes(content[offset : offset + 8], "little")


def _frames(content: bytes) -> list[tuple[int, int, list[tuple[int, bytes]]]]:
    """Read frames by the tables alone."""
    found, at = [], 256
    while at < len(content):
        body = content[at + 48 : at + 48 + _word(content, _FRAME, "body_bytes", at)]
        assert content[at + 40 : at + 48] == xxhash.xxh3_64_digest(content[at : at + 40] + body)
        assert _word(content, _FRAME, "index", at) == len(found)
        count, pieces = _word(content, _FRAME, "pieces", at), []
        start = 16 * count
        table = memoryview(body[:start]).cast("Q")
        for place, nbytes in zip(table[::2], table[1::2], strict=True):
            pieces.append((place, body[start : start + nbytes]))
            start += nbytes
        found.append((_word(content, _FRAME, "first_seq", at), _word(content, _FRAME, "end_seq", at), pieces))
        at += 48 + len(body)
    return found


def test_fields_do_not_overlap() -> None:
    """Each byte belongs to one field, and each table was found."""
    for table, nbytes in ((_FILE, frames.HEAD_BYTES), (_FRAME, frames.FRAME_BYTES)):
        spans = sorted(table.values())
        assert len(spans) >= 6
        assert all(a + size <= b for (a, size), (b, _) in itertools.pairwise(spans))
        assert sum(spans[-1]) == nbytes


def test_the_disk_can_be_read_by_the_tables_alone(machine: Machine) -> None:
    """A tape's control, and its segment, byte by byte as memory has it."""
    stream = machine.make(schema=SCHEMA)
    stream.publish(ticks(5))
    stream.flush(10)
    stream.publish(ticks(7))
    stream.flush(10)
    home = machine.disk / "s"
    control = (home / "control").read_bytes()
    assert control[:8] == b"NQDURABL"
    assert control[248:256] == xxhash.xxh3_64_digest(control[:248])
    assert [_word(control, _FILE, name) for name in ("format", "what")] == [1, 0]
    ((_, _, [(place, kept)]),) = _frames(control)
    in_memory = (machine.memory / "s" / "control").read_bytes()
    assert (place, kept[:256], kept[8192:]) == (0, in_memory[:256], in_memory[8192:])
    assert msgpack.unpackb(kept[8192 : 8192 + int.from_bytes(kept[48:56], "little")])[0] == "s"
    content = (home / "0-1.0").read_bytes()
    assert [_word(content, _FILE, name) for name in ("what", "lane", "number", "part")] == [2, 0, 1, 0]
    assert content[16:32] == in_memory[16:32]
    segment, found = (machine.memory / "s" / "0-1").read_bytes(), _frames(content)
    assert [(first, end) for first, end, _ in found] == [(0, 1), (1, 2)]
    assert found[0][2][0] == (0, segment[:256])
    for _, _, pieces in found:
        assert all(segment[place : place + len(raw)] == raw for place, raw in pieces)


def test_every_file_is_documented(machine: Machine) -> None:
    """What lies in the directory of a stream stands in the table of paths."""
    stream = machine.make()
    stream.publish(ticks(5))
    reader = stream.subscribe("earliest", name="risk")
    reader.get_messages()
    reader.ack()
    stream.flush(10)
    named = re.findall(r"`([^`]+)`", re.findall(r"\n\| path .*?\n\n", _TEXT, re.DOTALL)[0])
    forms = [re.sub(r"<\w+>", r"[\\w]+", name.replace(".", r"\.")) for name in named]
    found = [str(path.relative_to(machine.disk / "s")) for path in (machine.disk / "s").rglob("*") if path.is_file()]
    assert {"control", "schema", "0.lock", "0-1.0", "consumers/risk"} <= set(found)
    assert [path for path in found if not any(re.fullmatch(form, path) for form in forms)] == []
    reader.close()
