"""Copying by one thread or several: the same bytes, the same digests, and an end when it is cancelled."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from jupyter_nq.buffers import Store, copying, parallel
from jupyter_nq.buffers.copying import Copy, copy_lanes
from jupyter_nq.buffers.values.lanes import of_array


class _Memory:
    """A sink that remembers, and knows who wrote; on demand the first thread waits until a second one writes."""

    def __init__(self, nbytes: int, *, second: bool = False) -> None:
        self.content = np.zeros(nbytes, np.uint8)
        self.threads: set[int] = set()
        self._second = threading.Event()
        if not second:
            self._second.set()

    def write(self, offset: int, piece: Any) -> None:
        self.threads.add(threading.get_ident())
        if len(self.threads) > 1:
            self._second.set()
        self._second.wait(10)
        self.content[offset : offset + len(piece)] = piece


def _by_threads(monkeypatch: pytest.MonkeyPatch, at_once: int = 64 << 20) -> None:
    """Let small lanes be copied as large ones are, by four threads."""
    monkeypatch.setattr(copying, "_FOR_THREADS", 0)
    monkeypatch.setattr(copying, "_SMALLEST_SPAN", 1 << 20)
    monkeypatch.setattr(copying, "_AT_ONCE", at_once)
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda pid: set(range(4)))


@pytest.mark.parametrize("at_once", [64 << 20, 1])
@pytest.mark.parametrize("start", [0, 8 * 1001])
def test_threads_write_what_one_thread_writes(monkeypatch: pytest.MonkeyPatch, start: int, at_once: int) -> None:
    """Bytes and digests are equal, in pieces of the file's lane, wherever a lane begins."""
    values = np.random.default_rng(0).random(700_001)
    lanes = [of_array("x", values), of_array("y", values.astype("f4")), of_array("z", values[:0])]
    copies = [Copy(i * (8 << 20), lane, start) for i, lane in enumerate(lanes)]
    alone, together = _Memory(32 << 20), _Memory(32 << 20, second=True)
    expected = copy_lanes(alone, copies, digest=True, step=lambda n: None)
    assert len(alone.threads) == 1
    _by_threads(monkeypatch, at_once)
    assert copy_lanes(together, copies, digest=True, step=lambda n: None) == expected
    assert len(together.threads) > 1
    np.testing.assert_array_equal(alone.content, together.content)
    room = (1 << 20) - start % (1 << 20)
    assert expected[0][:16] == xxhash.xxh3_128_digest(values.view(np.uint8)[:room])


def test_progress_adds_up_and_may_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is told once, in the caller's thread; an error there ends the copy, and no thread goes on."""
    _by_threads(monkeypatch)
    lanes = [of_array("x", np.ones(1 << 19)) for _ in range(4)]
    told: list[int] = []
    copy_lanes(_Memory(32 << 20), [Copy(0, lane) for lane in lanes], digest=False, step=told.append)
    assert sum(told) == 4 * (4 << 20)
    running = threading.active_count()

    def cancel(nbytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_lanes(_Memory(32 << 20), [Copy(0, lane) for lane in lanes], digest=False, step=cancel)
    assert threading.active_count() == running


def test_an_error_of_a_thread_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sink or a lane raises comes out."""
    _by_threads(monkeypatch)

    class Full(_Memory):
        def write(self, offset: int, piece: Any) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        copy_lanes(Full(1), [Copy(0, of_array("x", np.ones(1 << 19)))], digest=True, step=lambda n: None)


@pytest.mark.parametrize("threads", [False, True])
def test_items_that_do_not_fill_a_piece(store: Store, monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    """Bytes of three in pieces of 1 MiB, and more of them behind: nothing is shifted."""
    if threads:
        _by_threads(monkeypatch)
    raw = np.random.default_rng(0).bytes(3 * 900_000)
    words = pa.array([raw[i : i + 3] for i in range(0, len(raw), 3)], pa.binary(3))
    table = pa.table({"x": words, "y": np.arange(900_000)})
    info = store.write("a", table.slice(0, 500_000), reserve_rows=400_000)
    store.append(info.id, table.slice(500_000))
    assert store.open_id(info.id).arrow().equals(table)
    assert store.verify(info.id)
    text = np.array(["abc", "de"], "U3")[np.arange(400_000) % 2]
    assert (store.open_id(store.write("b", text).id).numpy() == text).all()
