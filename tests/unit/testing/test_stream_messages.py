"""Messages of the kill harness: made from two numbers, and told from any others."""

from __future__ import annotations

import doctest

import pyarrow as pa
import pytest

from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import Message
from jupyter_nq.testing import stream_messages
from jupyter_nq.testing.stream_messages import SCHEMA, check_batches, check_message, message_of


def test_the_example_runs() -> None:
    """The sizes of messages vary."""
    assert doctest.testmod(stream_messages).failed == 0


@pytest.mark.parametrize("seq", range(3))
@pytest.mark.parametrize("form", ["tape", "log"])
def test_a_message_is_told_from_another(form: str, seq: int) -> None:
    """It is right as its own, and wrong as that of another lane or sequence."""
    data, metadata = message_of(form, 2, seq)
    check_message(Message(data, metadata or {}, 1, seq, 2, "s"))
    for lane, other in ((3, seq), (2, seq + 3)):
        with pytest.raises(ChecksumError, match=f"message {other} of lane {lane}"):
            check_message(Message(data, metadata or {}, 1, other, lane, "s"))


def test_batches_are_checked_to_the_last_row() -> None:
    """All messages of each lane, in any pieces; one that is missing, twice or changed is found."""
    batches = [message_of("tape", lane, seq)[0] for lane in (0, 1) for seq in range(4, 9)]
    start, stop = {0: 4, 1: 4}, {0: 9, 1: 9}
    check_batches("s", batches, start, stop)
    changed = batches[0].to_pydict()
    changed["noise"][0] += 1
    for wrong in (
        batches[:-1],
        batches[1:],
        [*batches, batches[-1]],
        [pa.RecordBatch.from_pydict(changed, schema=SCHEMA), *batches[1:]],
    ):
        with pytest.raises(ChecksumError, match="torn or missing"):
            check_batches("s", wrong, start, stop)
    check_batches("s", [], {}, {0: 0})
