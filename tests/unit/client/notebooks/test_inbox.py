"""The inbox of a notebook: what it asks for, what it keeps, and whom it calls back."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import pytest

from jupyter_nq.client.notebooks.inbox import Arrival, Inbox
from jupyter_nq.client.notebooks.registering import register
from jupyter_nq.client.notebooks.syncing import accept, on_sync, sync, synced
from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument, InvalidName, NotDelivered, UnknownDataset
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked


@pytest.fixture
def inbox(session: Session) -> Inbox:
    """Give the process's inbox, which asks for everything."""
    accept(session)
    return session.inboxes.of()


def _send(session: Session, name: str, data: Any) -> None:
    sync(session, os.getpid(), name, data)


def test_what_came_stays_while_somebody_holds_it(session: Session, inbox: Inbox) -> None:
    """The newest is in the inbox; an older one lives as long as its arrival, and no longer."""
    _send(session, "d", {"x": 1})
    first = synced(session, "d")
    _send(session, "d", {"x": 2})
    assert (first.version, first.data, synced(session, "d").data) == (1, {"x": 1}, {"x": 2})
    assert session.get("d", version=1) == {"x": 1}
    id_ = first.handle.info.id
    del first
    wait_until(lambda: not session.store.exists(id_), message="the old version to be freed")
    assert repr(inbox) == "<Inbox of this process, asked for everything, 1 arrived>"


def test_declining_lets_go(session: Session, inbox: Inbox) -> None:
    """Of one name, or of everything; who was to get more is told so."""
    for name in ("a", "b"):
        _send(session, name, {"x": 1})
    assert [arrival.name for arrival in inbox.arrivals()] == ["a", "b"]
    inbox.decline("a")
    assert [arrival.name for arrival in inbox.arrivals()] == ["b"]
    with pytest.raises(NotDelivered, match="it does not take 'a' any more"):
        _send(session, "a", {"x": 2})  # though everything else is taken
    inbox.accept("a")
    _send(session, "a", {"x": 2})
    inbox.decline("b")
    inbox.accept()  # everything, again
    _send(session, "b", {"x": 2})
    inbox.decline()
    assert inbox.arrivals() == []
    wait_until(lambda: all(not row.holders for row in session.ls()), message="nobody to hold anything")
    with pytest.raises(NotDelivered):
        _send(session, "a", {"x": 3})


def test_a_version_that_was_given_to_something_else_is_another(session: Session, inbox: Inbox) -> None:
    """Its memory was removed by hand, so versions began anew: who has the old one has not got what is sent now."""
    _send(session, "limits", {"contracts": 3})
    first = synced(session, "limits")
    (session.store.path / "obj" / first.handle.info.id).unlink()
    _send(session, "limits", {"contracts": 1})
    second = synced(session, "limits")
    assert (second.version, second.data) == (first.version, {"contracts": 1})


def test_what_is_declined_while_it_is_mapped_has_not_come(
    session: Session, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender is told so, and nothing is held."""
    map_it = session.open

    def and_decline(*arguments: Any, **options: Any) -> Any:
        handle = map_it(*arguments, **options)
        if threading.current_thread().name == "jupyter-nq-inbox":
            inbox.decline()
        return handle

    monkeypatch.setattr(session, "open", and_decline)
    with pytest.raises(NotDelivered, match="it has not asked for it"):
        _send(session, "limits", 1)
    assert inbox.arrivals() == []


def test_what_has_not_come_is_told(session: Session) -> None:
    """With the nearest name that has, and whether it was asked for; a wait ends with its time, or when it comes."""
    accept(session, "features")
    _send(session, "features", 1)
    with pytest.raises(UnknownDataset, match=r"under 'feature'\. Did you mean 'features'\? It was not asked for"):
        synced(session, "feature")
    with pytest.raises(UnknownDataset, match="Nothing newer than version 1 has been handed over here under 'features'"):
        synced(session, "features", timeout=0.05, newer_than=1)
    for timeout in (-1, float("nan"), float("inf"), "5"):
        with pytest.raises(InvalidArgument, match="no number of seconds"):
            synced(session, "features", timeout)  # type: ignore[arg-type]
    sender = threading.Thread(target=_send, args=(session, "features", 2))
    sender.start()
    assert synced(session, "features", timeout=20, newer_than=1).data == 2
    sender.join()


def test_callbacks_are_called_in_order_in_their_own_thread(session: Session) -> None:
    """The sender does not wait for a slow one; each name has its own."""
    go, seen, threads = threading.Event(), list[tuple[str, Any]](), set[str]()

    def slow(arrival: Arrival) -> None:
        go.wait(20)
        threads.add(threading.current_thread().name)
        seen.append((arrival.name, arrival.data))

    on_sync(session, "a", slow)
    on_sync(session, "b", slow)
    on_sync(session, "quiet")
    for name, data in (("a", 1), ("b", 2), ("a", 3), ("quiet", 4)):
        _send(session, name, data)
    assert seen == []
    go.set()
    wait_until(lambda: len(seen) == 3)
    assert seen == [("a", 1), ("b", 2), ("a", 3)]
    assert threads == {"jupyter-nq-callbacks"}


def test_a_callback_that_fails_ends_nothing(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once for each place, with where it came from."""
    seen = []

    def fails(arrival: Arrival) -> None:
        raise RuntimeError("bad")

    on_sync(session, "a", fails)
    on_sync(session, "a", seen.append)
    with caplog.at_level(logging.WARNING, "jupyter_nq"):
        for i in range(3):
            _send(session, "a", i)
        wait_until(lambda: len(seen) == 3)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [RuntimeError]


def test_what_cannot_be_asked_for_is_refused(session: Session) -> None:
    """And nothing is asked for."""
    with pytest.raises(InvalidName):
        accept(session, "a b")
    with pytest.raises(InvalidArgument, match="3 cannot be called"):
        on_sync(session, "a", 3)  # type: ignore[arg-type]
    assert repr(session.inboxes.of()) == "<Inbox of this process, asked for nothing, 0 arrived>"


def test_names_of_one_process_have_inboxes_of_their_own(session: Session) -> None:
    """What is sent to one is not in the other's; the process's own hears for a name without one."""
    for name in ("a", "b", "c"):
        register(session, name)
    session.inboxes.of("a").accept()
    session.inboxes.of("b").accept()
    sync(session, "a", "d", 1, sender="b")
    assert session.inboxes.of("a").arrival("d").sender == "b"
    assert session.inboxes.of("b").arrivals() == []
    accept(session)
    sync(session, "c", "d", 2)
    assert synced(session, "d").data == 2
    assert session.inboxes.of("a").arrival("d").version == 1
    assert repr(session.inboxes) == "<Inboxes of a, b, this process>"


def test_a_sender_s_name_is_its_own(session: Session) -> None:
    """Who says another's is shown as what it is."""
    accept(session)
    sync(session, os.getpid(), "d", 1, sender="risk")
    assert synced(session, "d").sender != "risk"


def test_a_forked_child_has_an_inbox_of_its_own(session: Session) -> None:
    """The parent's goes on; the child's is empty, hears what is sent to its pid, and its end harms nobody."""
    accept(session)
    _send(session, "d", 1)

    def work(say: Any) -> None:
        accept(session, "e")
        say([arrival.name for arrival in session.inboxes.of().arrivals()])
        say(synced(session, "e", timeout=20).data)
        session.inboxes.close()

    with Forked(work) as child:
        assert child.hear() == []
        assert sync(session, child.pid, "e", {"x": 5}).target_pid == child.pid
        assert child.hear() == {"x": 5}
        assert child.wait() == 0
    _send(session, "d", 2)
    assert synced(session, "d").data == 2


def test_who_closes_while_it_takes_something_says_so_first(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coordinator does not take it for gone before its word is there."""
    accept(session)
    inbox, receiver = session.inboxes.of(), session.inboxes.of()._receiver
    keep = Inbox._keep

    def and_close(self: Inbox, arrival: Arrival) -> str | None:
        refusal = keep(self, arrival)
        assert receiver is not None
        receiver.close()
        session.channel.request("status")  # after the coordinator has heard of an end
        return refusal

    monkeypatch.setattr(Inbox, "_keep", and_close)
    assert sync(session, os.getpid(), "d", {"x": 1}).version == 1
    assert inbox.arrival("d").data == {"x": 1}


def test_closing_ends_the_threads(session: Session) -> None:
    """Twice is fine, and a closed session takes nothing."""
    on_sync(session, "d", lambda arrival: None)
    _send(session, "d", 1)
    held = synced(session, "d")
    session.inboxes.close()
    session.inboxes.close()
    wait_until(lambda: not {t.name for t in threading.enumerate()} & {"jupyter-nq-inbox", "jupyter-nq-callbacks"})
    assert held.data == 1
