"""Encoding: every bit comes back, and what is not what a codec writes is an error."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nq.buffers.cold import encoding
from jupyter_nq.buffers.cold.encoding import DELTA, RAW, SPLIT, TICKS, ZSTD, codecs, decode, encode
from jupyter_nq.errors import ChecksumError
from tests.unit.buffers.cold.objects import ticks

DTYPES = (
    "<f8",
    "<f4",
    "<f2",
    "<f16",
    "<c8",
    "<c16",
    "<i8",
    "<u4",
    "|i1",
    "<u2",
    "<M8[ns]",
    "<m8[s]",
    "|b1",
    "<U5",
    "|S3",
)


def _back(data: bytes, dtype: str, codec: int, encoded: encoding.Buffer) -> bytes:
    return b"".join(bytes(part) for part in decode(encoded, dtype, codec, len(data)))


def test_examples() -> None:
    """The examples in the docstrings are true."""
    result = doctest.testmod(encoding)
    assert (result.attempted > 0, result.failed) == (True, 0)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(DTYPES), st.binary(min_size=1, max_size=64), st.integers(1, 300), st.data())
def test_any_bytes_come_back(dtype: str, pattern: bytes, times: int, data: st.DataObject) -> None:
    """With each codec that may be chosen, and whichever is best."""
    content = pattern * (times * np.dtype(dtype).itemsize)
    chosen = data.draw(st.sampled_from([codecs(dtype), *((codec,) for codec in codecs(dtype)), ()]))
    codec, encoded = encode(memoryview(content), dtype, chosen)
    assert len(encoded) <= len(content)
    assert _back(content, dtype, codec, encoded) == content


def test_the_codec_that_suits() -> None:
    """Prices are ticks, other floats split, times differences, noise raw."""
    random = np.random.default_rng(0)
    for values, codec in (
        (ticks(10_000), TICKS),
        (random.random(10_000), SPLIT),
        (np.arange(10_000).view("M8[ns]"), DELTA),
        (np.zeros(10_000, bool), ZSTD),
        (np.frombuffer(random.bytes(10_000), np.uint8), RAW),
    ):
        assert encode(memoryview(values.view(np.uint8)), values.dtype.str, codecs(values.dtype.str))[0] == codec


def test_what_is_off_the_grid_is_split() -> None:
    """A lane whose sample was on the grid may have a chunk that is not."""
    values = ticks(10_000)
    values[5000] = np.pi
    codec, encoded = encode(memoryview(values.view(np.uint8)), "<f8", (TICKS,))
    assert codec == SPLIT
    assert _back(values.tobytes(), "<f8", codec, encoded) == values.tobytes()


@pytest.mark.parametrize("dtype", ["<f8", "<i8", "|b1"])
def test_what_no_codec_wrote_is_an_error(dtype: str) -> None:
    """Garbage, another length, another codec: `ChecksumError`, never other bytes."""
    content = np.arange(8000, dtype="i8" if dtype == "|b1" else dtype).tobytes()
    for codec in codecs(dtype):
        used, encoded = encode(memoryview(content), dtype, (codec,))
        assert used == codec
        for wrong in (len(content) - 8, len(content) + 8, 0):
            with pytest.raises(ChecksumError):
                decode(encoded, dtype, used, wrong)
        for other in {ZSTD, TICKS, 5, 6} - {used}:  # Parquet files say how they are encoded
            with pytest.raises(ChecksumError):
                decode(encoded, dtype, other, len(content))
        with pytest.raises(ChecksumError):
            decode(b"garbage" * 9, dtype, codec, len(content))
    with pytest.raises(ChecksumError, match="bytes instead of"):
        decode(b"abc", dtype, RAW, 4)


def test_a_divisor_that_nobody_writes() -> None:
    """Zero is none, nor is a large one."""
    values = ticks(1000)
    _, encoded = encode(memoryview(values.view(np.uint8)), "<f8", (TICKS,))
    for divisor in (0, 3, 2**32 - 1):
        with pytest.raises(ChecksumError, match=f"ticks of 1/{divisor}"):
            decode(divisor.to_bytes(4, "little") + bytes(encoded)[4:], "<f8", TICKS, values.nbytes)
