"""Frames and messages: whole, in pieces, malformed."""

from __future__ import annotations

import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.coordinator.protocol import (
    REQUEST_LIMIT_BYTES,
    Decoder,
    Encoder,
    Request,
    error_value,
    parse_request,
    raise_error,
)
from jupyter_nq.errors import NQError, ProtocolError, StoreFull, UnknownDataset

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def _framed(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


@given(messages=st.lists(st.dictionaries(st.text(max_size=5), _VALUES, max_size=4), max_size=5), cut=st.integers(1, 40))
def test_messages_survive_any_cut_of_the_stream(messages: list[dict[str, Any]], cut: int) -> None:
    """What is encoded arrives, whatever the pieces in which the bytes come."""
    encoder, decoder = Encoder(), Decoder()
    stream = b"".join(encoder.frame(message) for message in messages)
    arrived = [m for start in range(0, len(stream), cut) for m in decoder.feed(stream[start : start + cut])]
    assert arrived == messages


def test_a_message_beyond_the_limit_is_not_sent() -> None:
    """The sender refuses what the receiver would refuse, with both sizes."""
    with pytest.raises(ProtocolError, match=str(REQUEST_LIMIT_BYTES)):
        Encoder().frame({"a": b"x" * REQUEST_LIMIT_BYTES})


@pytest.mark.parametrize("value", [object(), {1, 2}, 2**70, float])
def test_a_value_that_has_no_form_on_the_wire_is_refused(value: Any) -> None:
    """An object, a set, an integer beyond 64 bits: an error of the protocol, and the encoder still works."""
    encoder = Encoder()
    with pytest.raises(ProtocolError, match="cannot be sent"):
        encoder.frame({"a": value})
    assert Decoder().feed(encoder.frame({"a": 1})) == [{"a": 1}]


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack("<I", REQUEST_LIMIT_BYTES + 1),
        _framed(b""),
        _framed(b"\xc1"),
        _framed(msgpack.packb([1, 2])),
        _framed(msgpack.packb({"a": 1}) + b"tail"),
        _framed(b"\xdd\xff\xff\xff\xff"),
        _framed(b"\x91" * 5000 + b"\xc0"),
        _framed(b"\x81\x93\x01\x02\x03\x01"),
        _framed(b"\xa4\xff\xfe\xfd\xfc"),
    ],
    ids=["oversized", "empty", "reserved", "list", "tail", "huge array", "nested", "list as key", "not utf-8"],
)
def test_a_malformed_frame_is_an_error_of_the_protocol(stream: bytes) -> None:
    """Whatever the bytes, the answer is one kind of error, and no allocation follows an announced size."""
    with pytest.raises(ProtocolError):
        Decoder().feed(stream)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_message_or_an_error_of_the_protocol(data: bytes) -> None:
    """No bytes make the decoder raise anything else."""
    try:
        Decoder().feed(data)
        Decoder().feed(_framed(data))
    except ProtocolError:
        pass


def test_a_request_is_taken_apart() -> None:
    """A request has a number, a note has none."""
    assert parse_request({"i": 3, "op": "find", "a": {"name": "x"}}) == Request(3, "find", {"name": "x"})
    assert parse_request({"op": "hold"}) == Request(None, "hold", {})


@pytest.mark.parametrize(
    "message",
    [{}, {"op": 1}, {"op": "x", "a": []}, {"op": "x", "i": "1"}, {"op": "x", "i": True}, {"op": "x", "a": {1: 2}}],
)
def test_a_request_of_another_form_is_refused(message: dict[str, Any]) -> None:
    """Each part of a request has one type."""
    with pytest.raises(ProtocolError):
        parse_request(message)


@pytest.mark.parametrize("error", [StoreFull("full"), UnknownDataset("none"), NQError("any")])
def test_an_error_arrives_as_its_own_class(error: NQError) -> None:
    """The class name is the wire name, and the text is kept."""
    with pytest.raises(type(error)) as caught:
        raise_error(error_value(error))
    assert str(caught.value) == str(error)


def test_an_unknown_error_arrives_as_the_base_class() -> None:
    """A newer coordinator may raise what this version does not know; a built-in name is not trusted."""
    for name in ("FutureError", "SystemExit", "nearest"):
        with pytest.raises(NQError, match="later") as caught:
            raise_error({"type": name, "message": "later"})
        assert type(caught.value) is NQError
    with pytest.raises(ProtocolError):
        raise_error("text")
