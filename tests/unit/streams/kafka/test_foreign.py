"""Values of other programs."""

from __future__ import annotations

import contextlib

import pyarrow as pa
import pytest

from jupyter_nq.errors import InvalidArgument, UnreadableMessage
from jupyter_nq.streams.kafka.foreign import FOREIGN, check_foreign, read_foreign


def _arrow(batches: list[pa.RecordBatch], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def test_each_form_is_read() -> None:
    """JSON, bytes as they are, and an Arrow stream, whose batches become one."""
    assert read_foreign(b'{"price": 1.5}', "json") == {"price": 1.5}
    assert read_foreign(b"\x00", "bytes") == b"\x00"
    batch = pa.RecordBatch.from_pydict({"x": [1, 2]})
    assert read_foreign(_arrow([batch, batch], batch.schema), "arrow").to_pydict() == {"x": [1, 2, 1, 2]}
    assert read_foreign(_arrow([], batch.schema), "arrow").num_rows == 0
    assert set(FOREIGN) == {"json", "bytes", "arrow"}


@pytest.mark.parametrize(("value", "form"), [(b"{", "json"), (b"\xff", "json"), (b"no", "arrow"), (None, "bytes")])
def test_what_cannot_be_read_says_why(value: bytes | None, form: str) -> None:
    """It goes to the dead letters."""
    with pytest.raises(UnreadableMessage, match=r"no value|is not (json|arrow)"):
        read_foreign(value, form)


def test_a_type_that_arrow_does_not_know_is_unreadable() -> None:
    """Such bytes end in the dead letters, and not the bridge."""
    sink = pa.BufferOutputStream()
    batch = pa.RecordBatch.from_pydict({"size": [1, 2]})
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    whole = sink.getvalue().to_pybytes()
    for place in range(8, len(whole)):
        with contextlib.suppress(UnreadableMessage):
            read_foreign(whole[:place] + b"\x07" + whole[place + 1 :], "arrow")


def test_an_unknown_form_is_refused() -> None:
    """With the nearest one."""
    check_foreign(None)
    with pytest.raises(InvalidArgument, match=r"foreign='jsn' is none of json, bytes, arrow\. Did you mean 'json'\?"):
        check_foreign("jsn")
