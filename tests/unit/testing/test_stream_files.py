"""What a crash leaves in the directory of a stream is named, and removed by whoever comes next."""

from __future__ import annotations

import pytest

from jupyter_nq.streams import Stream, layout
from jupyter_nq.testing.stream_files import clean_streams, stream_leftovers
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, make, ticks

__all__ = ["make"]


@pytest.fixture
def stream(make: Make) -> Stream:
    """A stream with messages in two segments, that nobody publishes to, and a consumer with a name."""
    stream = make(schema=SCHEMA, **SMALL)
    for number in range(2):
        stream.publish(ticks(1500, number))
    with stream.subscribe(name="risk"):
        pass
    stream.close()
    return stream


def test_a_stream_at_rest_has_no_leftovers(stream: Stream) -> None:
    """Its control file, locks, segments and consumers with names are what belongs there."""
    assert stream_leftovers(stream._control.path.parent) == []


@pytest.mark.parametrize("name", ["0-3.part", "0-9", "schema.0123.part", "consumers/.0123", "consumers/new"])
def test_what_a_crash_leaves_is_named_and_removed(stream: Stream, name: str) -> None:
    """Segments that are not the lane's, drafts, consumers that were never made."""
    parent = stream._control.path.parent
    (stream._control.path / name).write_bytes(b"")
    found = stream_leftovers(parent)
    assert found in ([f"s/{name}"], [])  # who looks at consumers removes those of the dead
    clean_streams(parent)
    assert stream_leftovers(parent) == []
    assert not (stream._control.path / name).exists()


def test_who_lives_and_what_was_dropped_by_half_are_named(stream: Stream) -> None:
    """A consumer with its process; a stream that says that it was dropped; what was made by half."""
    parent = stream._control.path.parent
    (parent / ".0123").mkdir()
    with stream._control.path.joinpath("0-1").open("ab") as file:
        file.write(bytes(SMALL["retention_bytes"]))
    stream._control.words[layout.CLOSED] = 1
    dot, dropped, beyond = stream_leftovers(parent)
    assert (dot, dropped) == (".0123", "s: it was dropped, and is there")
    assert beyond == "s: lane 0 takes 393,216 bytes of 262,144"
