"""The schema of a log that was made without one: the first batch decides, for every publisher.

It lies in a file of its own, which appears whole or not at all; who comes second finds the first one's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import pyarrow as pa

from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError

_SCHEMA = "schema"


def decided(stream: Path) -> pa.Schema | None:
    """Return the schema that was decided on; None as long as there was no batch."""
    path = stream / _SCHEMA
    with refused(path):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
    try:
        return pa.ipc.read_schema(pa.py_buffer(content))
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise ChecksumError(f"{path} is damaged: it is no schema: {exc}. Remove the stream.") from exc


def decide(stream: Path, schema: pa.Schema) -> pa.Schema:
    """Make this the schema, unless there is one by now; returns the one that holds."""
    draft = stream / f"{_SCHEMA}.{secrets.token_hex(8)}.part"
    with refused(draft):
        try:
            draft.touch(0o600)
            draft.write_bytes(schema.serialize())
            with contextlib.suppress(FileExistsError):
                os.link(draft, stream / _SCHEMA)
        finally:
            draft.unlink(missing_ok=True)
    found = decided(stream)
    assert found is not None
    return found
