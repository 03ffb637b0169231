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
    while (found := decided(stream)) is None:
        _propose(stream, schema)
    remove_drafts(stream)
    return found


def remove_drafts(stream: Path) -> None:
    """Remove what publishers left that died while they proposed a schema; one that lives proposes it once more."""
    with refused(stream):
        for draft in stream.glob(f"{_SCHEMA}.*.part"):
            draft.unlink(missing_ok=True)


def _propose(stream: Path, schema: pa.Schema) -> None:
    draft = stream / f"{_SCHEMA}.{secrets.token_hex(8)}.part"
    with refused(draft):
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(schema.serialize())
            with contextlib.suppress(FileExistsError, FileNotFoundError):  # somebody was first, or removed the draft
                os.link(draft, stream / _SCHEMA)
        finally:
            draft.unlink(missing_ok=True)
