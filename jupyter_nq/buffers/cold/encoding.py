"""How the bytes of a lane are made smaller, a chunk at a time, and come back bit for bit.

Prices on a grid are stored as counts of ticks, and counts and times as their differences (Parquet's
DELTA_BINARY_PACKED). The high bytes of other floats repeat and only the low ones differ: BYTE_STREAM_SPLIT puts
the first bytes of all numbers behind each other, then the second ones, and zstd finds what repeats. The rest goes to
zstd as it is, and what does not shrink is stored raw. All of them keep every bit: payloads of NaN and the sign of
zero too.

Only bytes whose digest is right may be decoded: the decoders of Arrow are not made for hostile input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jupyter_nq.buffers.cold.ticks import DIVISORS, from_ticks, to_ticks
from jupyter_nq.errors import ChecksumError

CHUNK_BYTES = 4 << 20  # 4 MiB: whole pieces of a digest, enough for zstd, little memory for each thread
RAW, ZSTD, SPLIT, DELTA, TICKS = range(5)
Buffer: TypeAlias = bytes | bytearray | memoryview | pa.Buffer

_ENCODINGS = {SPLIT: "BYTE_STREAM_SPLIT", DELTA: "DELTA_BINARY_PACKED"}
_LEVEL = 1
_NUMBER = re.compile(r"<([fciumM])([0-9]+)")
_PRICES = "<f8"
_DIVISOR_BYTES = 4
_WORTH = 0.98  # less than this is not worth a decoder


def codecs(dtype: str) -> tuple[int, ...]:
    """Return the codecs that may suit a lane of a numpy dtype, the likeliest first.

    >>> codecs("<f8"), codecs("<M8[ns]"), codecs("|b1")
    ((4, 2, 1), (3, 1), (1,))
    """
    kind = _number(dtype)
    if kind is None:
        return (ZSTD,)
    if pa.types.is_floating(kind):
        return (TICKS, SPLIT, ZSTD) if dtype == _PRICES else (SPLIT, ZSTD)
    return (DELTA, ZSTD)


def encode(data: memoryview, dtype: str, choices: Sequence[int]) -> tuple[int, Buffer]:
    """Return the codec that makes `data` smallest, and what it becomes; `RAW` and the data when none does."""
    encoded = [_encode(data, dtype, codec) for codec in choices]
    codec, smallest = min([*encoded, (RAW, data)], key=lambda found: len(found[1]))
    return (codec, smallest) if len(smallest) < _WORTH * len(data) else (RAW, data)


def decode(data: Buffer, dtype: str, codec: int, nbytes: int) -> list[Buffer]:
    """Return the `nbytes` that were encoded, in one buffer or several.

    Raises
    ------
    ChecksumError
        They are not what the codec writes, or of another length. The digest of `data` was checked before.
    """
    try:
        parts = list(_decode(data, dtype, codec, nbytes))
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise ChecksumError(f"it cannot be decoded ({exc})") from exc
    found = sum(map(len, parts))
    if found != nbytes:
        raise ChecksumError(f"it holds {found:,} bytes instead of {nbytes:,}")
    return parts


def _number(dtype: str) -> pa.DataType | None:
    """Return as which numbers a lane is stored in Parquet: whole ones for times, pairs for complex ones."""
    found = _NUMBER.match(dtype)
    if found is None:
        return None
    kind, size = found[1], int(found[2])
    if kind in "fc":
        return {4: pa.float32(), 8: pa.float64()}.get(size if kind == "f" else size // 2)
    return {4: pa.int32(), 8: pa.int64()}.get(size)


def _encode(data: memoryview, dtype: str, codec: int) -> tuple[int, Buffer]:
    """Encode with a codec, or with SPLIT what are no ticks."""
    if codec == ZSTD:
        return codec, pa.Codec("zstd", _LEVEL).compress(data)
    if codec == TICKS:
        found = to_ticks(np.frombuffer(data, _PRICES))
        if found is not None:
            divisor, counts = found
            prefix = divisor.to_bytes(_DIVISOR_BYTES, "little")
            return codec, prefix + _write_parquet(counts, pa.int32(), DELTA).to_pybytes()
        codec = SPLIT
    kind = _number(dtype)
    assert kind is not None  # `codecs` offers no other
    return codec, _write_parquet(data, kind, codec)


def _write_parquet(data: Any, kind: pa.DataType, codec: int) -> pa.Buffer:
    buffer = pa.py_buffer(data)
    count = buffer.size // (kind.bit_width // 8)
    values = pa.Array.from_buffers(kind, count, [None, buffer])
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table([values], schema=pa.schema([pa.field("v", kind, nullable=False)])),
        sink,
        row_group_size=max(count, 1),
        use_dictionary=False,
        compression="zstd",
        compression_level=_LEVEL,
        column_encoding={"v": _ENCODINGS[codec]},
        write_statistics=False,
        store_schema=False,
    )
    return sink.getvalue()


def _decode(data: Buffer, dtype: str, codec: int, nbytes: int) -> Iterator[Buffer]:
    if codec == RAW:
        yield data
    elif codec == ZSTD:
        yield pa.Codec("zstd").decompress(data, nbytes)
    elif codec == TICKS and dtype == _PRICES:
        divisor = int.from_bytes(data[:_DIVISOR_BYTES], "little")
        if divisor not in DIVISORS:
            raise ChecksumError(f"it counts ticks of 1/{divisor}")
        for part in _read_parquet(memoryview(data)[_DIVISOR_BYTES:], pa.int32(), nbytes // 2):
            yield from_ticks(divisor, np.frombuffer(part, np.int32)).view(np.uint8).data
    elif codec in _ENCODINGS and (kind := _number(dtype)) is not None:
        yield from _read_parquet(data, kind, nbytes)
    else:
        raise ChecksumError(f"it has codec {codec}, which its dtype {dtype} does not have")


def _read_parquet(data: Buffer, kind: pa.DataType, nbytes: int) -> Iterator[Buffer]:
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)))
    width = kind.bit_width // 8
    if file.metadata.num_rows * width != nbytes or file.schema_arrow.types != [kind]:
        raise ChecksumError("it holds other numbers than its lane has")
    for chunk in file.read(use_threads=False).column(0).chunks:
        yield chunk.buffers()[1][chunk.offset * width : (chunk.offset + len(chunk)) * width]
