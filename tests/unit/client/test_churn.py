"""Many objects: what comes and goes leaves nothing behind, and a thousand of them outlive their coordinator."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jupyter_nq import testing
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import Settings
from jupyter_nq.testing import wait_until
from tests.unit.client.child import Child

_OBJECTS = 10_000
_CHURN = """
import json
import numpy as np
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.testing.leftovers import settle

def counted():
    return len(os.listdir("/proc/self/fd")), len(open("/proc/self/maps").readlines())

with Session(settings=Settings(store_dir=sys.argv[1])) as session:
    def churn(first, last):
        for number in range(first, last):
            name = f"a{number % 10}"
            session.put(name, np.full(50, number))
            assert session.get(name, as_="numpy")[0] == number
            if number % 2:
                session.drop(name)
    churn(0, 1000)
    before = counted()
    churn(1000, int(sys.argv[2]))
    after = counted()
    pid = os.fork()
    if pid == 0:
        try:
            session.put("child", np.arange(10))
            os._exit(0 if session.get("child").sum() == 45 else 1)
        except BaseException as exc:
            say(repr(exc))
            os._exit(2)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    for row in session.ls():
        session.drop(row.name)
    left = settle(session.store)
    say(json.dumps([before, after, status, left, session.store.used_bytes()]))
"""
_MANY = 1000
_READER = """
channel = Channel(sys.argv[1], settings)
views = {}
for name, object_id in store.names().items():
    handle = store.open(name)
    channel.hold(object_id, handle.version)
    views[name] = handle.numpy()
say(len(views))
input()
assert all(view[0] == int(name[1:]) for name, view in views.items())
assert all(store.open(name).numpy()[0] == int(name[1:]) for name in views)
say("sound")
input()
"""
_HOST = """
channel = Channel(sys.argv[1], settings)
for number in range(int(input())):
    name = f"a{number}"
    info = store.write(name, np.full(100, number))
    channel.request("publish", id=info.id)
say("published")
input()
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Give a stack that ends what the test started."""
    with ExitStack() as stack:
        yield stack


def test_ten_thousand_objects_leave_no_descriptor_mapping_or_byte(nq_store_dir: Path) -> None:
    """Put, got and dropped by one process, which hosts; a child forked at the end puts and gets too."""
    start = time.monotonic()
    with testing.Child(_CHURN, str(nq_store_dir), str(_OBJECTS)) as child:
        before, after, status, left, used = json.loads(child.line())
    print(f"\n{_OBJECTS:,} objects in {time.monotonic() - start:.1f} s; descriptors and maps {before} -> {after}")
    assert after[0] <= before[0] + 2, "descriptors; a collection may be under way"
    assert after[1] <= before[1] + 30, "mappings; the allocator may have got some more"
    assert (status, left, used) == (0, [], 0)


def test_a_thousand_objects_outlive_their_coordinator(stack: ExitStack, nq_store_dir: Path) -> None:
    """It is killed while two readers hold all of them: nobody notices but by the new host, and all is held again."""
    host = stack.enter_context(Child(nq_store_dir, _HOST))
    host.tell(str(_MANY))
    assert host.line() == "published"
    readers = [stack.enter_context(Child(nq_store_dir, _READER)) for _ in range(2)]
    assert [reader.line() for reader in readers] == [str(_MANY)] * 2
    host.kill()
    start = time.monotonic()
    observer = stack.enter_context(Channel(nq_store_dir, Settings(connect_seconds=20), role="server"))
    assert observer.is_host
    rebuilt = time.monotonic()
    rows = observer.request("ls")
    assert [row["version"] for row in rows] == [1] * _MANY
    for reader in readers:
        reader.tell()
        assert reader.line() == "sound"
    pids = {reader.pid for reader in readers}
    wait_until(lambda: all({h["pid"] for h in row["holders"]} == pids for row in observer.request("ls")), timeout=30)
    print(f"\n{_MANY:,} objects known again after {rebuilt - start:.3f} s, held after {time.monotonic() - start:.2f} s")
    assert rebuilt - start < 5
