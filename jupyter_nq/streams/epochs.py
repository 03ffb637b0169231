"""Epochs: a stream may get another schema, and whatever was published before keeps the one that it had.

Each segment says of which epoch it is. A publisher that finds that the stream has evolved begins another segment, so a
consumer reads all of the old schema in a lane before the first message of the new one.
"""

from __future__ import annotations

import pyarrow as pa

from jupyter_nq.buffers.locks import exclusive
from jupyter_nq.errors import InvalidArgument, SchemaMismatch, UnknownStream
from jupyter_nq.streams import layout, schema
from jupyter_nq.streams.columns import columns_of, differences
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.forms import form_of

_LOCK = "epoch.lock"


def evolve(control: MappedControl, wanted: pa.Schema) -> int:
    """Begin an epoch with another schema; returns its number, that of now when the stream has this schema.

    Raises
    ------
    InvalidArgument, UnsupportedData
        The schema has no columns, or some that a tape does not take.
    UnknownStream
        The stream was dropped.
    """
    if not isinstance(wanted, pa.Schema) or not wanted.names:
        raise InvalidArgument(f"A stream evolves to a pyarrow.schema with columns, not to {wanted!r}.")
    if control.static.form == "tape":
        columns_of(wanted)
    if control.closed:
        raise UnknownStream(f"The stream {control.static.name!r} was dropped.")
    with exclusive(control.path / _LOCK):
        found = form_of(control).known()
        if found is not None and (found.names, found.types) == (wanted.names, wanted.types):
            return control.epoch
        epoch = control.epoch + 1
        schema.write(control.path, epoch, wanted)
        control.words[layout.EPOCH] = epoch  # after the file: who sees the epoch finds its schema
    control.news.ring()
    return epoch


def check_epoch(control: MappedControl, epoch: int | None) -> None:
    """Refuse a row without names that was made for the schema of another epoch; raises `SchemaMismatch`."""
    if epoch is None or epoch == control.epoch:
        return
    before, now = form_of(control, epoch).known(), form_of(control).known()
    shown = differences(now, before) if before is not None and now is not None else ""
    raise SchemaMismatch(
        f"The stream {control.static.name!r} has evolved to epoch {control.epoch}, and this handle is of epoch "
        f"{epoch}: a row without names could be meant either way. Open it again (nq.stream), or publish dicts.{shown}"
    )
