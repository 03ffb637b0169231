"""Damaged files: the error names the file, and nothing crashes, hangs or gives a wrong message in silence."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pyarrow as pa
import pytest

from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.errors import ChecksumError, Lagged, UnknownStream
from jupyter_nq.streams import Stream, Subscription, layout
from tests.unit.streams.conftest import SCHEMA, SMALL, Make, ticks


def _flip(path: Path, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(bit // 8)
        old = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([old ^ 1 << bit % 8]))


def _read(consumer: Subscription) -> None:
    """Read all that is there; more than once, as an error waits for what was read before it."""
    for _ in range(9):
        consumer.get_messages(2)


def _filled(make: Make, form: str) -> Path:
    stream = make(schema=SCHEMA, form=form, **SMALL)
    for number in range(6):
        stream.publish(ticks(300, number))
    stream.close()
    return stream._control.path


@pytest.mark.parametrize("form", ["tape", "log"])
def test_flipped_bit_of_a_segments_header(make: Make, form: str) -> None:
    """Each bit of the header counts: a reader and the next publisher refuse it with the file's name."""
    path = _filled(make, form)
    for bit in [*range(0, 8 * 128, 5), *range(8 * 248, 8 * 256, 7)]:
        _flip(path / "0-1", bit)
        with pytest.raises(ChecksumError, match=str(path / "0-1")):
            Stream(path).subscribe("earliest").get_messages()
        _flip(path / "0-1", bit)
    _flip(path / "0-1", 80)
    with Stream(path) as stream, pytest.raises(ChecksumError, match=str(path / "0-1")):
        stream.publish(ticks(1))
    _flip(path / "0-1", 80)
    with Stream(path) as stream:
        assert stream.publish(ticks(1)) == 6


def test_a_message_of_a_tape_that_ends_before_it_begins(make: Make) -> None:
    """Times of rows are not put beside others: the error names the file."""
    path = _filled(make, "tape")
    with (path / "0-1").open("rb") as file:
        ends = PAGE + 8 * layout.decode_segment(file.read(layout.STATIC_BYTES)).slots
    _flip(path / "0-1", 8 * ends + 9)  # of the first message, which had 300 rows
    with Stream(path) as stream, pytest.raises(ChecksumError, match=str(path / "0-1")):
        stream.subscribe("earliest").read_as_published()


def test_flipped_bit_of_a_logs_slot(make: Make) -> None:
    """Each bit of a slot counts: the messages before it are read, then the error names the file."""
    path = _filled(make, "log")
    size = (path / "0-1").stat().st_size
    consumer = Stream(path).subscribe("earliest")
    for bit in range(8 * (size - 128), 8 * (size - 64)):
        _flip(path / "0-1", bit)
        consumer.seek("earliest")
        assert len(consumer.get_messages()) == 1
        with pytest.raises(ChecksumError, match=str(path / "0-1")):
            consumer.get_messages()
        _flip(path / "0-1", bit)


def test_flipped_bit_of_a_tapes_slot(make: Make) -> None:
    """A slot that leads out of its segment, backwards, or to no kind is named; rows never come from elsewhere."""
    path = _filled(make, "tape")
    with (path / "0-1").open("rb") as file:
        ends = PAGE + 8 * layout.decode_segment(file.read(layout.STATIC_BYTES)).slots
    for bit in [*range(9, 40), *range(43, 64)]:
        _flip(path / "0-1", 8 * ends + bit)
        consumer = Stream(path).subscribe("earliest")
        with pytest.raises(ChecksumError, match=str(path / "0-1")):
            _read(consumer)
        _flip(path / "0-1", 8 * ends + bit)


@pytest.mark.parametrize("size", [0, 100, 300, 5000, 60_000])
@pytest.mark.parametrize("form", ["tape", "log"])
def test_truncated_segment(make: Make, form: str, size: int) -> None:
    """A segment that is shorter than it says is refused by readers and by the next publisher, with its name."""
    path = _filled(make, form)
    os.truncate(path / "0-1", size)
    with pytest.raises(ChecksumError, match=str(path / "0-1")):
        Stream(path).subscribe("earliest").get_messages()
    with Stream(path) as stream, pytest.raises(ChecksumError, match=str(path / "0-1")):
        stream.publish(ticks(1))


def test_missing_segment(make: Make) -> None:
    """A segment that somebody removed is named, and the consumer can go on elsewhere."""
    path = _filled(make, "log")
    newest = max(int(found.name[2:]) for found in path.glob("0-*"))
    (path / f"0-{newest}").unlink()
    consumer = Stream(path).subscribe("earliest")
    with pytest.raises(ChecksumError, match=f"0-{newest} is damaged or gone"):
        _read(consumer)
    consumer.seek("latest")
    assert consumer.get_messages() == []


@pytest.mark.parametrize("word", range(4))
@pytest.mark.parametrize("value", [0, 1, 5, 1000, 2**63, 2**64 - 1])
@pytest.mark.parametrize("form", ["tape", "log"])
def test_garbage_in_a_lanes_words(make: Make, form: str, word: int, value: int) -> None:
    """Whatever a lane's words say, reading and publishing end, with messages that were published or an error."""
    path = _filled(make, form)
    stream = Stream(path)
    stream._control.lane(0).set(word, value)
    consumer = stream.subscribe({0: 0})
    with contextlib.suppress(ChecksumError):
        for _ in range(9):
            with contextlib.suppress(Lagged):
                for message in consumer.get_messages(timeout=0.001):
                    assert message.data.equals(ticks(300, message.sequence_number))
    consumer.close()
    with contextlib.suppress(ChecksumError):
        stream.publish(ticks(300))
    stream.close()


def test_damaged_control_file(make: Make) -> None:
    """Each bit of what a stream is counts: it is refused with the file's name and what to do."""
    path = _filled(make, "tape")
    metadata = 8 * layout.METADATA_OFFSET
    for bit in [*range(0, 8 * 56, 5), *range(8 * 248, 8 * 256, 7), *range(metadata, metadata + 800, 9)]:
        _flip(path / "control", bit)
        with pytest.raises(ChecksumError, match=f"{path / 'control'} is damaged"):
            Stream(path)
        _flip(path / "control", bit)
    Stream(path).close()
    for size in (0, 100, PAGE):
        os.truncate(path / "control", size)
        with pytest.raises(ChecksumError, match=f"{path / 'control'} is damaged"):
            Stream(path)
    (path / "control").unlink()
    with pytest.raises(UnknownStream, match="no stream 's'"):
        Stream(path)


def test_damaged_schema_of_a_log(make: Make) -> None:
    """The file with a log's schema, damaged, is named."""
    stream = make()
    stream.publish(ticks(1))
    path = stream._control.path / "schema"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(ChecksumError, match=str(path)):
        assert isinstance(Stream(path.parent).schema, pa.Schema)
