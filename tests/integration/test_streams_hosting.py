"""Streams of a feed script as Jupyter servers come, take the coordinator over, are killed and come back."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.testing import wait_until
from tests.integration.jupyter_process import JupyterProcess, script

_FEED = """
import sys, threading
import jupyter_nq as nq
stream = nq.stream("ticks", {"n": "int64"}, retention_bytes=64 << 20)
stop = threading.Event()
def publish():
    n = 0
    while not stop.wait(0.0005):
        assert stream.publish_rows([(n,)]) == 1
        n += 1
    print(n, flush=True)
thread = threading.Thread(target=publish)
thread.start()
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "stop":
        break
    print(nq.status().host_pid, flush=True)
stop.set()
thread.join()
"""
_READ = """
import jupyter_nq as nq
reader = nq.stream("ticks").subscribe("earliest", name="notebook")
numbers = [n for found in iter(reader.read_batches, []) for batch in found for n in batch.column(0).to_pylist()]
reader.ack()
print(numbers[0], numbers[-1], numbers == list(range(numbers[0], numbers[-1] + 1)))
reader.close()
"""


def _ask(feed: subprocess.Popen[str], what: str = "host") -> int:
    assert feed.stdin is not None
    assert feed.stdout is not None
    feed.stdin.write(f"{what}\n")
    feed.stdin.flush()
    return int(feed.stdout.readline())


def _read(server: JupyterProcess, path: str) -> tuple[int, int]:
    """Read on in a new notebook of a server; returns the first and the last number, all between them having come."""
    first, last, whole = server.kernel(path).run(_READ).split()
    assert whole == "True"
    return int(first), int(last)


def test_a_feed_that_was_there_first_loses_nothing_whatever_becomes_of_servers(
    tmp_path: Path, nq_store_dir: Path
) -> None:
    """A server takes the coordinator over, is killed, and is started again, while rows are published all the time.

    Notebooks of both read on under one name: every row is there once, in its order.
    """
    settings = Settings(store_dir=str(nq_store_dir), connect_seconds=20)
    with script(_FEED, tmp_path / "feed", nq_store_dir) as feed, Session(settings=settings) as watching:
        assert feed.stdout is not None
        assert feed.stdout.readline() == "ready\n"
        assert _ask(feed) in (feed.pid, watching.status().host_pid)
        server = JupyterProcess(tmp_path / "one", nq_store_dir)
        with server:
            wait_until(lambda: _ask(feed) == server.pid, 20, "the hand-over")
            assert (first := _read(server, "a.ipynb"))[0] == 0
            server.stop(signal.SIGKILL)
            start = time.monotonic()
            assert watching.stream("b").publish("x") == 0  # which needs a coordinator
            back = time.monotonic() - start
            before = _messages(watching)
            wait_until(lambda: _messages(watching) > before, 20, "rows without a server")
            server.start()
            wait_until(lambda: _ask(feed) == server.pid, 20, "the hand-over to the next server")
            second = _read(server, "b.ipynb")
        assert second[0] == first[1] + 1
        published = _ask(feed, "stop")
        with watching.stream("ticks").subscribe("earliest") as reader:
            rows: list[Any] = [batch for found in iter(reader.read_batches, []) for batch in found]
            assert [n for batch in rows for n in batch.column(0).to_pylist()] == list(range(published))
            assert reader.lost == 0
    print(f"\n{published:,} rows through a hand-over, a kill -9 and a restart; control was back in {back:.3f} s")


def _messages(session: Session) -> int:
    return next(row.messages for row in session.list_streams() if row.name == "ticks")
