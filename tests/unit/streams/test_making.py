"""Making a stream: what is checked, and that one that is there is not handed out as another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jupyter_nq.errors import InvalidArgument, InvalidName, SchemaMismatch, UnsupportedData
from jupyter_nq.streams import Options, make_stream
from tests.unit.streams.conftest import SCHEMA, Make


def test_a_stream_that_is_there_is_the_same(make: Make) -> None:
    """Making it again, with the same or nothing said, gives the same stream."""
    stream = make(schema=SCHEMA)
    stream.publish((1, 2.0, 3))
    assert [make(schema=SCHEMA).messages, make().messages] == [1, 1]


@pytest.mark.parametrize(
    ("schema", "form", "options", "error", "words"),
    [
        (pa.schema([("x", pa.int8())]), None, None, SchemaMismatch, "has ts timestamp.* the data have x int8"),
        (SCHEMA, "log", None, InvalidArgument, "is a tape, not a log"),
        (None, None, Options(overflow="block"), InvalidArgument, "is there with overflow='drop_oldest'"),
    ],
)
def test_another_is_refused(nq_store_dir: Path, schema: Any, form: Any, options: Any, error: Any, words: str) -> None:
    """Another schema, form or behaviour than the stream has is refused with what it has."""
    make_stream(nq_store_dir, "s", SCHEMA)
    with pytest.raises(error, match=words):
        make_stream(nq_store_dir, "s", schema, form, options)
    assert [path.name for path in nq_store_dir.iterdir()] == ["s"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("a/b",), InvalidName),
        (("s", None, "tape"), InvalidArgument),
        (("s", pa.schema([]), "tape"), InvalidArgument),
        (("s", None, "tap"), InvalidArgument),
        (("s", pa.schema([("x", pa.string())]), "tape"), UnsupportedData),
        (("s", pa.schema([(f"{'x' * 999}{n}", pa.string()) for n in range(600)])), InvalidArgument),
        (("s", None, None, Options(overflow="drop")), InvalidArgument),
        (("s", None, None, Options(segment_bytes=1000)), InvalidArgument),
        (("s", None, None, Options(segment_bytes=1 << 20, retention_bytes=1 << 20)), InvalidArgument),
        (("s", None, None, Options(block_seconds=float("nan"))), InvalidArgument),
    ],
)
def test_what_makes_no_stream_is_refused(nq_store_dir: Path, arguments: tuple[Any, ...], error: Any) -> None:
    """Names, forms, schemas and options that make no stream are refused, and leave no file."""
    with pytest.raises(error):
        make_stream(nq_store_dir, *arguments)
    assert list(nq_store_dir.iterdir()) == []
