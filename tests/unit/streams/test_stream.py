"""A stream's handle: what its creator reads, its figures, and its end."""

from __future__ import annotations

import threading

import pytest

from jupyter_nq.errors import InvalidArgument
from jupyter_nq.testing import wait_until
from tests.unit.streams.conftest import Make


def test_handle_reads_since_it_was_made(make: Make) -> None:
    """Its own messages and others', from the moment it was made."""
    first = make()
    first.publish("before")
    second = make()
    second.publish("own")
    first.publish("other")
    assert [message.data for message in second.get_messages()] == ["own", "other"]
    assert [message.data for message in first.get_messages()] == ["before", "own", "other"]


def test_reading_does_not_keep_others_from_publishing(make: Make) -> None:
    """A thread that waits for messages holds nothing that the one needs who publishes the first."""
    stream = make()
    found: list[str] = []
    waiter = threading.Thread(target=lambda: found.extend(m.data for m in stream.get_messages(timeout=30)))
    waiter.start()
    wait_until(lambda: stream._control.words[33])  # it says that it waits
    stream.publish("x")
    waiter.join(10)
    assert found == ["x"]


def test_closed_handle_says_so(make: Make) -> None:
    """Closing twice is fine; publishing, reading and subscribing after it are refused."""
    stream = make()
    stream.publish("x")
    assert len(stream.get_messages()) == 1
    stream.close()
    stream.close()
    for use in (lambda: stream.publish("y"), stream.get_messages, stream.subscribe):
        with pytest.raises(InvalidArgument, match="closed here"):
            use()
    assert stream.consumers() == []


def test_figures(make: Make) -> None:
    """The figures say what was published and kept, and how far each consumer is."""
    stream = make()
    consumer = stream.subscribe(name="risk")
    for number in range(3):
        stream.publish(number)
    consumer.get_messages(1)
    consumer.ack()
    found = stream.stats()
    assert (found["messages"], found["kept"], len(found["publishers"])) == (3, 3, 1)
    assert [(one["name"], one["lag"], one["lost"]) for one in found["consumers"]] == [("risk", 2, 0)]
    assert repr(stream) == "<Stream s, a log, 3 messages>"
