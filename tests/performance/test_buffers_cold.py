"""Cold copies beside the usual Parquet file, and encryption beside copying: sizes, and ratios in one run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jupyter_nq.bars.sample import sample_bars
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.buffers import ColdCopies, KeyRing, Store, freeze, thaw
from jupyter_nq.buffers.cold.encoding import CHUNK_BYTES
from jupyter_nq.buffers.cold.encryption import TAG_BYTES, Cipher
from jupyter_nq.buffers.parallel import in_order
from tests.performance.measuring import medians

pytestmark = pytest.mark.performance

ROWS, ROUNDS = 2_000_000, 7
SEALED_BYTES = 64 << 20  # 64 MiB

# Half of what was measured on two busy cores. A thaw fills new pages of tmpfs, which take half of its time in a nested
# virtual machine (28 ms to allocate 100 MiB, 15 ms to free them), and Parquet is read into memory that it has already.
FREEZING = {"plain": 0.5, "encrypted": 0.5}
THAWING = {"plain": 0.2, "encrypted": 0.17}
SMALLER = 1.6
SEALING, OPENING = 0.4, 0.35


def test_freezing_and_thawing_beside_parquet(tmp_path: Path, nq_store_dir: Path) -> None:
    """A cold copy is smaller than zstd Parquet, is written and read at a share of its speed, and checks every byte."""
    bars = sample_bars("1min", rows=ROWS, seed=2)
    bars = bars.append_column(BAR_SCHEMA.field("flags"), pa.array(np.zeros(ROWS, np.uint32))).cast(BAR_SCHEMA)
    store, other, cold = Store(nq_store_dir / "a"), Store(nq_store_dir / "b"), ColdCopies(tmp_path / "cold")
    info, keys, usual = store.write("NQ.1min", bars), KeyRing([os.urandom(32)]), tmp_path / "usual.parquet"

    def write_parquet() -> None:
        pq.write_table(bars, usual, compression="zstd")
        with usual.open("rb") as file:
            os.fsync(file.fileno())

    def thawed(ring: KeyRing | None) -> None:
        thaw(other, info.id, cold, keys=ring)
        assert other.collect(info.id)

    sizes = {}
    for name, ring in (("plain", None), ("encrypted", keys)):
        sizes[name] = freeze(store, info.id, cold, keys=ring).nbytes / info.nbytes
        took = medians(
            {
                "freeze": lambda ring=ring: freeze(store, info.id, cold, keys=ring),  # type: ignore[misc]
                "thaw": lambda ring=ring: thawed(ring),  # type: ignore[misc]
                "write of zstd Parquet, synced": write_parquet,
                "read of zstd Parquet": lambda: pq.read_table(usual),
            },
            ROUNDS,
        )
        print(f"\n{ROWS:,} bars, {name}: {sizes[name]:.3f} of the bytes in memory")
        for call, seconds in took.items():
            print(f"  {call}: {seconds * 1e3:.0f} ms, {info.nbytes / seconds / 1e9:.2f} GB/s")
        freezing = took["write of zstd Parquet, synced"] / took["freeze"]
        thawing = took["read of zstd Parquet"] / took["thaw"]
        print(f"  {freezing:.2f} times as fast as writing Parquet, {thawing:.2f} times as fast as reading it")
        assert freezing > FREEZING[name]
        assert thawing > THAWING[name]
    parquet = usual.stat().st_size / info.nbytes
    print(f"  zstd Parquet: {parquet:.3f} of the bytes in memory, {parquet / sizes['plain']:.2f} times the plain copy")
    assert sizes["plain"] <= 0.15
    assert sizes["encrypted"] <= 0.15
    assert parquet / sizes["plain"] > SMALLER


def test_sealing_beside_copying() -> None:
    """AES-256-GCM into a buffer that is there costs about as much as copying, in one thread and by those of a copy."""
    data, copy = np.frombuffer(os.urandom(SEALED_BYTES), np.uint8), np.empty(SEALED_BYTES, np.uint8)
    cipher = Cipher(bytes(32), bytes(8), "0" * 32, 1, 1)
    sealed, plain = bytearray(SEALED_BYTES + TAG_BYTES), bytearray(SEALED_BYTES)
    cipher.seal_into(0, data.data, sealed)
    chunks = [(i, data.data[i * CHUNK_BYTES :][:CHUNK_BYTES]) for i in range(SEALED_BYTES // CHUNK_BYTES)]
    buffers = [bytearray(CHUNK_BYTES + TAG_BYTES) for _ in chunks]

    def seal_chunks() -> None:
        with in_order(lambda chunk: cipher.seal_into(*chunk, buffers[chunk[0]]), chunks) as results:
            for _ in results:
                pass

    seal_chunks()
    took = medians(
        {
            "copy": lambda: np.copyto(copy, data),
            "seal": lambda: cipher.seal_into(0, data.data, sealed),
            "open": lambda: cipher.open_into(0, memoryview(sealed), plain),
            "seal in chunks, as copies are written": seal_chunks,
        },
        3 * ROUNDS,
    )
    print(f"\n{SEALED_BYTES >> 20} MiB:")
    for name, seconds in took.items():
        ratio = took["copy"] / seconds
        print(f"  {name}: {seconds * 1e3:.1f} ms, {SEALED_BYTES / seconds / 1e9:.2f} GB/s, {ratio:.2f} of copying")
    assert took["copy"] / took["seal"] > SEALING
    assert took["copy"] / took["open"] > OPENING
    assert took["copy"] / took["seal in chunks, as copies are written"] > SEALING
