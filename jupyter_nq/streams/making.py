"""Making a stream: a directory that appears whole, under its name, or not at all."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from jupyter_nq.buffers.names import check_name
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import InvalidArgument, SchemaMismatch, nearest
from jupyter_nq.streams.columns import check_same, columns_of, is_fixed
from jupyter_nq.streams.control import CONTROL, MappedControl
from jupyter_nq.streams.drafts import drafted
from jupyter_nq.streams.layout import FORMS, LANES, METADATA_LIMIT_BYTES, Control, encode_control
from jupyter_nq.streams.publisher import POLICIES
from jupyter_nq.streams.schema import schema_of

LEAST_BYTES = 1 << 16  # 64 KiB
"""Of a segment."""


@dataclass(frozen=True)
class Options:
    """How a stream behaves; fixed when it is made."""

    retention_bytes: int = 64 << 20  # 64 MiB
    """Memory for the messages of each publisher; the oldest go when it is full."""
    segment_bytes: int = 8 << 20  # 8 MiB
    """Memory comes and goes in pieces of this size. Of large messages several go into one, which has up to a quarter of
    the retention, and a message that is larger still gets one of its size."""
    overflow: str = "drop_oldest"
    """What happens when the retention is full of what a gating consumer has not read; one of `POLICIES`."""
    block_seconds: float = 10.0
    """How long `block` waits for the slowest consumer."""
    exclusive: bool = False
    """Whether one publisher at a time may write to it."""
    retention_rows: int = 0
    """Rows that each publisher's messages keep, the newest message whatever it has; 0 for as many as have room."""
    retention_seconds: float = 0.0
    """How long messages are kept; 0 for as long as they have room."""
    durable: bool = False
    """Whether it outlives the machine: what is published is copied to the disk in groups."""

    def check(self) -> None:
        """Refuse values that make no stream; raises `InvalidArgument`."""
        if self.overflow not in POLICIES:
            hint = nearest(str(self.overflow), POLICIES)
            raise InvalidArgument(f"overflow={self.overflow!r} is none of {', '.join(POLICIES)}.{hint}")
        if not LEAST_BYTES <= self.segment_bytes <= self.retention_bytes // 2:
            raise InvalidArgument(
                f"segment_bytes={self.segment_bytes:,} and retention_bytes={self.retention_bytes:,}: a segment has at "
                f"least {LEAST_BYTES:,} bytes, and the retention room for two."
            )
        self._check_limits()
        if not self.block_seconds >= 0:
            raise InvalidArgument(f"block_seconds={self.block_seconds!r} is no number of seconds.")

    def _check_limits(self) -> None:
        """Refuse limits that are none, or that contradict what the stream is to wait for."""
        for name, unit in (("retention_rows", "number of rows"), ("retention_seconds", "number of seconds")):
            value = getattr(self, name)
            if not 0 <= value < 1 << 62:
                raise InvalidArgument(f"{name}={value!r} is no {unit}. Leave it out for no limit.")
            if value and self.overflow != "drop_oldest":
                raise InvalidArgument(
                    f"{name}={value!r} and overflow={self.overflow!r}: a limit lets go of messages, whoever needs "
                    "them. Take overflow='drop_oldest', or retention_bytes alone."
                )


def make_stream(
    parent: Path, name: str, schema: pa.Schema | None = None, form: str | None = None, options: Options | None = None
) -> MappedControl:
    """Make a stream in a directory, unless it is there already; returns it either way.

    Parameters
    ----------
    parent
        Directory of the streams.
    name
        Of the stream; its directory has it.
    schema
        Of its batches; without one it is a log, and its first batch decides.
    form
        `tape` or `log`; None makes a tape of a schema whose columns all have a fixed width.
    options
        How it behaves; None takes the defaults.

    Raises
    ------
    InvalidName, InvalidArgument, UnsupportedData
        It cannot be made so.
    SchemaMismatch, InvalidArgument
        It is there, and another; only what was given counts.
    """
    check_name(name, "stream")
    asked, options = options, options or Options()
    options.check()
    form = _form(form, schema)
    _check_size(schema)
    serialized = None if schema is None else schema.serialize().to_pybytes()
    lanes = 1 if options.exclusive else LANES
    control = Control(secrets.token_hex(16), time.time_ns(), lanes, name, form, serialized, asdict(options))
    with drafted(parent, control.stream_id) as draft, refused(parent):
        _write(draft / CONTROL, encode_control(control))
        try:
            os.rename(draft, parent / name)
        except OSError:
            if not (parent / name / CONTROL).exists():
                raise
    found = MappedControl(parent / name)
    if found.static.stream_id != control.stream_id:
        _check_same(found, schema, form, asked)
    return found


def _check_same(found: MappedControl, schema: pa.Schema | None, form: str, options: Options | None) -> None:
    """Refuse to hand out a stream that is another than what was asked for."""
    there = found.static
    if schema is not None:
        current = schema_of(found.path, there, found.epoch)
        if current is None:
            raise SchemaMismatch(f"The stream {there.name!r} is there, and takes its schema from its first batch.")
        check_same(current, schema, there.name)
        if form != there.form:
            raise InvalidArgument(f"The stream {there.name!r} is there, and is a {there.form}, not a {form}.")
    if options is not None and asdict(options) != there.options:
        unlike = {name: value for name, value in there.options.items() if asdict(options).get(name) != value}
        shown = ", ".join(f"{name}={value!r}" for name, value in unlike.items())
        raise InvalidArgument(f"The stream {there.name!r} is there with {shown}. Take it so, or choose another name.")


def _check_size(schema: pa.Schema | None) -> None:
    limit = METADATA_LIMIT_BYTES // 2
    if schema is not None and (size := len(schema.serialize())) > limit:
        raise InvalidArgument(f"A schema of {size:,} bytes is too large for a stream: it may have {limit:,}.")


def _form(form: str | None, schema: pa.Schema | None) -> str:
    if form is None:
        return "log" if schema is None or not is_fixed(schema) else "tape"
    if form not in FORMS:
        raise InvalidArgument(f"form={form!r} is none of {', '.join(FORMS)}.{nearest(form, FORMS)}")
    if form == "tape":
        if not schema:  # none, or one without columns
            raise InvalidArgument("A tape needs a schema: the names and types of its columns.")
        columns_of(schema)
    return form


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
