"""FLAGS.md: the documented offsets are the real ones, and whoever knows only them can read a flag."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import fields
from pathlib import Path

import xxhash

from jupyter_nq.streams.flags import Places, page
from jupyter_nq.streams.flags.record import Record
from tests.unit.streams.flags.conftest import Opened

_TEXT = Path(page.__file__).with_name("FLAGS.md").read_text(encoding="utf-8")
_FIELDS = {
    name: (int(offset), int(size)) for offset, size, name in re.findall(r"\| (\d+) \| (\d+) \| `(\w+)` \|", _TEXT)
}


def test_the_documented_offsets_are_the_ones_of_the_code() -> None:
    """Each word and slot at its place, and none overlaps another."""
    words = {name: offset // 8 for name, (offset, size) in _FIELDS.items() if size == 8 and offset >= 256}
    assert words == {
        "key": page.KEY,
        "seq": page.SEQ,
        "news": page.NEWS,
        "news_waiting": page.NEWS_WAITING,
        "acks": page.ACKS,
        "acks_waiting": page.ACKS_WAITING,
        "deadline_ns": page.DEADLINE_NS,
        "durable_generation": page.DURABLE_GENERATION,
    }
    assert [_FIELDS[f"slot_{i}"] for i in range(2)] == [(offset, page.SLOT_BYTES) for offset in page.SLOT_OFFSETS]
    spans = sorted(_FIELDS.values())
    assert all(start + size <= after for (start, size), (after, _) in itertools.pairwise(spans))
    assert sum(spans[-1]) == page.PAGE_BYTES


def test_who_knows_only_the_tables_can_read_a_flag(opened: Opened, places: Places) -> None:
    """The page, its record, and the copy on the disk."""
    flag = opened()
    flag.set("limit")
    content = places.page("halt").read_bytes()

    def word(name: str) -> int:
        return int.from_bytes(content[_FIELDS[name][0] : _FIELDS[name][0] + 8], "little")

    slot = content[_FIELDS[f"slot_{word('seq') % 2}"][0] :]
    length = int.from_bytes(slot[16:24], "little")
    assert slot[:16] == xxhash.xxh3_128_digest(word("seq").to_bytes(8, "little") + slot[16 : 24 + length])
    record = json.loads(slot[24 : 24 + length])
    assert (record["is_set"], record["why"], int(record["key"], 16)) == (True, "limit", word("key"))
    assert (content[:8], word("layout"), word("durable_generation")) == (b"NQFLAG\0\0", 1, record["generation"])
    documented = re.findall(r"^\| `(\w+)` \|", _TEXT.split("## Record")[1], re.M)
    assert documented == [field.name for field in fields(Record)] == list(record)
    first, _, rest = places.copy("halt").read_bytes().partition(b"\n")
    assert first == f"NQFLAG1 {xxhash.xxh3_128_hexdigest(rest)}".encode()
    assert json.loads(rest) == [record]


def test_files_are_private(opened: Opened, places: Places) -> None:
    """Nobody else may read or set it."""
    opened().set("limit")
    for path in (places.memory, places.disk):
        assert path.stat().st_mode & 0o777 == 0o700
        assert {one.stat().st_mode & 0o777 for one in path.iterdir()} == {0o600}
