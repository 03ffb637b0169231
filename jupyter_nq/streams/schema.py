"""Schemas that a stream was not made with, each in a file of its own, which appears whole or not at all.

Of a log that was made without one the first batch decides, for every publisher; who comes second finds the first one's.
A stream that evolves has one for each epoch.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams.layout import Control

_SCHEMA = "schema"


def file_of(epoch: int) -> str:
    """Return the name of the file with the schema of an epoch.

    >>> file_of(0), file_of(2)
    ('schema', 'schema.2')
    """
    return _SCHEMA if epoch == 0 else f"{_SCHEMA}.{epoch}"


def schema_of(stream: Path, static: Control, epoch: int) -> pa.Schema | None:
    """Return the schema with which an epoch of a stream began; None of a log whose first batch decides.

    Raises
    ------
    ChecksumError
        Its file is damaged or gone.
    """
    if epoch == 0:
        return None if static.schema is None else pa.ipc.read_schema(pa.py_buffer(static.schema))
    found = _read(stream / file_of(epoch))
    if found is None:
        raise ChecksumError(f"{stream / file_of(epoch)} is gone, and messages need it. Remove the stream.")
    return found


def write(stream: Path, epoch: int, schema: pa.Schema) -> None:
    """Write the schema of an epoch that has not begun."""
    while not _placed(stream, schema, file_of(epoch), os.rename):
        pass


def decided(stream: Path) -> pa.Schema | None:
    """Return the schema that was decided on; None as long as there was no batch."""
    return _read(stream / _SCHEMA)


def _read(path: Path) -> pa.Schema | None:
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
        _placed(stream, schema, _SCHEMA, os.link)
    remove_drafts(stream)
    return found


def remove_drafts(stream: Path) -> None:
    """Remove what publishers left that died while they proposed a schema; one that lives writes it once more."""
    with refused(stream):
        for draft in stream.glob(f"{_SCHEMA}.*.part"):
            draft.unlink(missing_ok=True)


def _placed(stream: Path, schema: pa.Schema, name: str, place: Callable[[Path, Path], None]) -> bool:
    """Write a draft and give it its name; False when somebody was first, or removed the draft."""
    draft = stream / f"{_SCHEMA}.{secrets.token_hex(8)}.part"
    with refused(draft):
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(schema.serialize())
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                place(draft, stream / name)
                return True
        finally:
            draft.unlink(missing_ok=True)
    return False
