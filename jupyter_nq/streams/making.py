"""Making a stream: a directory that appears whole, under its name, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from jupyter_nq.buffers.names import check_name
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.streams.control import CONTROL, MappedControl
from jupyter_nq.streams.layout import LANES, Control, encode_control


def make_stream(parent: Path, name: str, schema: pa.Schema | None, form: str, options: dict[str, Any]) -> MappedControl:
    """Make a stream in a directory, unless it is there already; returns it either way."""
    check_name(name)
    lanes = 1 if options.get("exclusive") else LANES
    serialized = None if schema is None else schema.serialize().to_pybytes()
    control = Control(secrets.token_hex(16), time.time_ns(), lanes, name, form, serialized, options)
    draft = parent / f".{control.stream_id}"
    with refused(parent):
        draft.mkdir(mode=0o700)
        (draft / CONTROL).write_bytes(encode_control(control))
        os.chmod(draft / CONTROL, 0o600)
        try:
            os.rename(draft, parent / name)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(draft)
            if not (parent / name / CONTROL).exists():
                raise
    return MappedControl(parent / name)
