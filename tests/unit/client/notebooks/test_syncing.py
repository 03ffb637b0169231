"""Versions handed from one real process to another: the sender goes on when the target holds them, or is told why."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.client.notebooks import syncing
from jupyter_nq.client.notebooks.syncing import Delivered, accept, decline, sync, synced
from jupyter_nq.client.session import Session
from jupyter_nq.coordinator import notebooks
from jupyter_nq.errors import InvalidArgument, NotDelivered, SyncTimeout, UnknownDataset, UnknownNotebook
from jupyter_nq.testing import Child, wait_until
from tests.unit.client.child import session_child
from tests.unit.client.notebooks.conftest import Target

_ACCEPTS = 'accept(session)\nsay("ready")\n'
_BLOCKS = _ACCEPTS + "input()\n"  # a cell that blocks: its thread is in a call of the system
_ANSWERS = _ACCEPTS + "while True: say(eval(input()))\n"


def _holders(session: Session, name: str) -> list[int]:
    return [holder.pid for row in session.ls() if row.name == name for holder in row.holders]


def _under_way(session: Session) -> str:
    """Return what the coordinator in this process says of its deliveries."""
    service = session.channel._service
    assert service is not None
    return repr(service._operations.notebooks)


class _Told:
    """A call in a thread, and what came of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.outcome: Any = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self._call()
        except Exception as exc:
            self.outcome = exc

    def join(self) -> Any:
        """Return what it returned or raised."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.outcome


def _stopped(child: Child) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_the_target_holds_it_when_the_sender_goes_on(session: Session, target: Target) -> None:
    """While its cell blocks; the coordinator lists it among the holders, with the version."""
    child = target(_BLOCKS)
    frame = pd.DataFrame({"close": np.arange(1000.0)})
    done = sync(session, "risk", "features", frame)
    assert (done.target, done.target_pid, done.name, done.version) == ("risk", child.pid, "features", 1)
    assert _holders(session, "features") == [child.pid]
    assert sync(session, child.pid, "features", frame).version == 2
    assert _holders(session, "features") == [child.pid]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (pd.DataFrame({"x": [1.5, 2.5]}), "list(synced(session, 'd').data['x'])"),
        (np.array([1.5, 2.5]), "list(map(float, synced(session, 'd').view('numpy')))"),
        ({"x": [1.5, 2.5]}, "synced(session, 'd').data['x']"),
        ([1.5, 2.5], "synced(session, 'd').data"),
        (b"[1.5, 2.5]", "eval(bytes(synced(session, 'd').data))"),
    ],
)
def test_the_target_reads_what_was_put(session: Session, target: Target, data: Any, shown: str) -> None:
    """Everything that a put takes arrives as a get returns it, with who sent it."""
    child = target(_ANSWERS)
    sync(session, "risk", "d", data)
    child.tell(shown)
    assert child.line() == "[1.5, 2.5]"
    child.tell("(lambda a: (a.version, a.sender_pid))(synced(session, 'd'))")
    assert child.line() == f"(1, {os.getpid()})"


def test_what_is_there_is_handed_over_without_data(session: Session, target: Target) -> None:
    """Its newest version, and none is made."""
    session.put("limits", {"max": 1})
    session.put("limits", {"max": 2})
    target(_BLOCKS)
    assert sync(session, "risk", "limits").version == 2
    assert session.ls()[0].version == 2
    with pytest.raises(UnknownDataset, match="Did you mean 'limits'"):
        sync(session, "risk", "limit")


def test_versions_arrive_in_order(session: Session, target: Target) -> None:
    """Each of fifty is told once, one after the other."""
    child = target('seen = []\non_sync(session, "n", lambda a: seen.append((a.version, a.data)))\n' + _ANSWERS)
    for i in range(50):
        sync(session, "risk", "n", i)
    child.tell("wait_until(lambda: len(seen) == 50) and seen == [(i + 1, i) for i in range(50)] or seen")
    assert child.line() == "True"


def test_an_old_version_never_replaces_a_newer(session: Session, target: Target) -> None:
    """Its sender is told what the target has; the same version again is fine, and calls nobody back."""
    child = target("calls = []\non_sync(session, 'n', calls.append)\n" + _ANSWERS)
    session.put("n", np.arange(1))
    with session.open("n", 1) as old:
        sync(session, "risk", "n", np.arange(2))
        sending = syncing._Sending(session, "risk", old, time.monotonic() + 10, None)
        with pytest.raises(NotDelivered, match=r"has not got 'n' version 1: it has version 2, which is newer\."):
            sending.run()
    assert sync(session, "risk", "n").version == 2
    child.tell("wait_until(lambda: calls) and session.inboxes.of()._caller._calls.empty()")
    assert child.line() == "True"
    child.tell("[arrival.version for arrival in calls], synced(session, 'n').version")
    assert child.line() == "([2], 2)"


def test_a_target_that_has_not_asked_refuses(session: Session, target: Target) -> None:
    """For anything, or for this; nothing of it stays with the target."""
    child = target('say("ready")\naccept(session, input(), input())\nsay("asks")\ninput()\n')
    with pytest.raises(NotDelivered, match=r"'risk' \(pid \d+\) has not asked for anything.*nq\.accept\('features'\)"):
        sync(session, "risk", "features", {"x": 1})
    child.tell("limits\nhalts")
    assert child.line() == "asks"
    with pytest.raises(NotDelivered, match="it has not asked for it, only for halts, limits"):
        sync(session, "risk", "features", {"x": 1})
    assert _holders(session, "features") == []
    assert sync(session, "risk", "limits", {"x": 1}).target_pid == child.pid


def test_an_unknown_target_is_told_the_nearest(session: Session, target: Target) -> None:
    """Before anybody waits; the data are there all the same."""
    target(_BLOCKS)
    with pytest.raises(UnknownNotebook, match=r"No notebook 'rsik' is connected\. Did you mean 'risk'\?"):
        sync(session, "rsik", "features", {"x": 1})
    assert session.get("features") == {"x": 1}


def test_damage_is_a_refusal(session: Session, target: Target) -> None:
    """The target has compared the bytes with their digest; it names the column and keeps nothing."""
    session.put("d", pd.DataFrame({"x": np.arange(100_000.0)}))
    with session.open("d") as handle:
        with open(session.store.path / "obj" / handle.info.id, "r+b") as file:
            file.seek(4096 * 20)
            byte = file.read(1)[0]
            file.seek(4096 * 20)
            file.write(bytes([byte ^ 1]))
        child = target(_ANSWERS)
        with pytest.raises(NotDelivered, match=r"has not got 'd' version 1: .*column 'x' is damaged"):
            sync(session, "risk", "d")
    child.tell("session.inboxes.of().arrivals()")
    assert child.line() == "[]"


def test_a_target_that_is_stopped_is_waited_for(session: Session, target: Target) -> None:
    """Until the time is over; it gets the version when it goes on, and the next one too."""
    child = target(_BLOCKS)
    os.kill(child.pid, signal.SIGSTOP)
    wait_until(lambda: _stopped(child))
    start = time.monotonic()
    with pytest.raises(SyncTimeout, match=r"'risk' has not said in time that it has 'd' version 1"):
        sync(session, "risk", "d", {"x": 1}, timeout=0.2)
    assert 0.2 <= time.monotonic() - start < 5
    os.kill(child.pid, signal.SIGCONT)
    wait_until(lambda: _holders(session, "d") == [child.pid])
    assert sync(session, "risk", "d", {"x": 2}).version == 2


def test_a_target_that_is_killed_meanwhile_is_told_of(session: Session, target: Target) -> None:
    """At once, whatever the timeout."""
    child = target(_BLOCKS)
    os.kill(child.pid, signal.SIGSTOP)
    wait_until(lambda: _stopped(child))
    sending = _Told(lambda: sync(session, "risk", "d", {"x": 1}, timeout=60))
    wait_until(lambda: "1 under way" in _under_way(session))
    child.kill()
    outcome = sending.join()
    assert type(outcome) is NotDelivered
    assert "it went away before it said that it has it" in str(outcome)


def test_a_delivery_outlives_the_coordinator(
    nq_store_dir: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host is killed while the target is stopped: the next one waits for the target, and the sender is told."""
    monkeypatch.setattr(notebooks, "SETTLING_SECONDS", 60.0)
    with session_child(nq_store_dir, "say(session.channel.is_host)\ninput()\n") as host:
        assert host.line() == "True"
        child = target(_BLOCKS)
        with Session(nq_store_dir) as session:
            os.kill(child.pid, signal.SIGSTOP)
            wait_until(lambda: _stopped(child))
            sending = _Told(lambda: sync(session, "risk", "d", {"x": 1}, timeout=60))
            wait_until(lambda: session.store.names().get("d"))
            host.kill()
            wait_until(lambda: session.channel.is_host, message="this process to coordinate")
            os.kill(child.pid, signal.SIGCONT)
            outcome = sending.join()
            assert isinstance(outcome, Delivered), outcome
            assert outcome.target_pid == child.pid
            assert _holders(session, "d") == [child.pid]


def test_an_interrupt_ends_the_wait(session: Session, target: Target) -> None:
    """At once; the next delivery is not mixed up with the one that was given up."""
    child = target(_ANSWERS)
    os.kill(child.pid, signal.SIGSTOP)
    wait_until(lambda: _stopped(child))
    here = threading.main_thread().ident
    assert here is not None

    def interrupt() -> None:
        wait_until(lambda: "1 under way" in _under_way(session))
        signal.pthread_kill(here, signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        sync(session, "risk", "d", {"x": 1}, timeout=60)
    helper.join()
    wait_until(lambda: "0 under way" in _under_way(session), message="the coordinator to forget it")
    os.kill(child.pid, signal.SIGCONT)
    assert sync(session, "risk", "d", {"x": 2}).version == 2


def test_a_process_may_hand_something_to_itself(session: Session) -> None:
    """It has asked, and holds it."""
    accept(session, "d")
    assert sync(session, os.getpid(), "d", {"x": 1}).target_pid == os.getpid()
    assert synced(session, "d").data == {"x": 1}
    decline(session, "d")
    with pytest.raises(NotDelivered, match="nor for anything"):
        sync(session, os.getpid(), "d")


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "10", True])
def test_a_timeout_is_a_time(session: Session, timeout: Any) -> None:
    """And refused before anything is put."""
    session.put("d", 1)
    with pytest.raises(InvalidArgument, match="no number of seconds"):
        sync(session, "risk", "d", timeout=timeout)
