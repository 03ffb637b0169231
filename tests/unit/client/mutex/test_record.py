"""MUTEX.md: the documented offsets are the real ones."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import xxhash

from jupyter_nq.client.mutex import mutex, record
from jupyter_nq.client.mutex.mutex import MUTEXES, Mutex
from jupyter_nq.client.mutex.record import Record

_TEXT = Path(record.__file__).with_name("MUTEX.md").read_text(encoding="utf-8")
_OFFSETS = {name: int(offset) for offset, name in re.findall(r"\| (\d+) \| \S+ \| `(\w+)` \|", _TEXT)}


def test_whoever_knows_the_page_can_read_a_record(nq_store_dir: Path) -> None:
    """Every field is where the page says, and the digest is that of what is before it."""
    with Mutex(nq_store_dir, "orders", 10) as lease:
        content = (nq_store_dir / MUTEXES / "orders" / "record").read_bytes()
    word = {name: int.from_bytes(content[at : at + 8], "little") for name, at in _OFFSETS.items()}
    assert list(_OFFSETS) == [
        "magic",
        "token",
        "held",
        "pid",
        "thread",
        "taken_ns",
        "lease_ns",
        "expires_ns",
        "who_bytes",
        "who",
        "digest",
    ]
    assert (len(content), content[:8]) == (512, b"NQMUTEX1")
    assert (word["token"], word["held"], word["pid"]) == (lease.token, 1, os.getpid())
    assert (word["thread"], word["lease_ns"]) == (threading.get_native_id(), 10_000_000_000)
    assert word["expires_ns"] <= record.now_ns() + 10_000_000_000
    assert content[72 : 72 + word["who_bytes"]].decode() == mutex._who()
    assert word["digest"] == xxhash.xxh3_64_intdigest(content[:504])


def test_a_long_name_is_cut_between_characters(tmp_path: Path) -> None:
    """What is read is whole text."""
    path = tmp_path / "record"
    with open(path, "w+b") as file:
        record.write(file.fileno(), path, Record(3, True, 7, who="é" * 300 + "x"))
        found = record.read(file.fileno(), path)
    assert (found.token, found.who) == (3, "é" * 200)
