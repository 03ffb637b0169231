"""The operations about streams: making one, room for a publisher, dropping one.

Messages never pass here. A publisher asks once, for the memory that it may fill: from then on it and its consumers
need no coordinator. Arrow is imported where a stream is made: a server that hosts pays for it when there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from jupyter_nq.buffers import Catalogue, check_name
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.coordinator import arguments
from jupyter_nq.errors import InvalidArgument, ProtocolError, UnknownStream
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.directory import drop_stream, open_control, promised_bytes, sweep
from jupyter_nq.streams.lanes import is_taken

if TYPE_CHECKING:
    import pyarrow as pa

    from jupyter_nq.streams.making import Options

_SHARE = 8  # of the pool that the messages of one publisher take, unless somebody says more
_SEGMENTS = 8  # of one publisher


class Streaming:
    """What a coordinator does about streams; it keeps no state beside the directory.

    Parameters
    ----------
    store
        The opened store.
    hold_disk
        Called before a durable stream is made; raises when another machine uses that directory.
    """

    def __init__(self, store: Catalogue, hold_disk: Callable[[], None] = lambda: None) -> None:
        self._parent = store.path / STREAMS
        self._hold_disk = hold_disk

    def __repr__(self) -> str:
        return f"<Streaming in {self._parent}>"

    def start(self) -> None:
        """Remove what an older coordinator left unfinished."""
        sweep(self._parent)

    def promised_bytes(self) -> int:
        """Return what publishers may have in memory."""
        return promised_bytes(self._parent)

    def make(self, args: Mapping[str, Any], limit_bytes: int) -> dict[str, Any]:
        """Make a stream unless it is there; returns what it is, which may be another than what was asked for."""
        from jupyter_nq.streams.making import make_stream

        name, form = check_name(arguments.text(args, "name"), "stream"), arguments.optional_text(args, "form")
        schema = args.get("schema")
        if schema is not None and not isinstance(schema, bytes):
            raise ProtocolError("The schema of a stream is not bytes.")
        parsed = None if schema is None else _parsed(schema)
        options = _options(args.get("options"), limit_bytes)
        if options.durable:
            self._hold_disk()
        return _shown(self._there(name) or make_stream(self._parent, name, parsed, form, options))

    def _there(self, name: str) -> MappedControl | None:
        try:
            return MappedControl(self._parent / name)
        except UnknownStream:
            return None

    def retention_bytes(self, name: str, promised: int = 0) -> int:
        """Return what one more publisher of a stream needs: nothing when it can go on in the lane of one that is gone.

        Parameters
        ----------
        name
            Of the stream.
        promised
            How many publishers were promised room and may not have taken their lane: a free one is for each of them.

        Raises
        ------
        UnknownStream
        """
        control = open_control(self._parent, name)
        free = sum(not is_taken(control, lane.number) for lane in control.lanes())
        if free > promised:
            return 0
        return int(control.static.options["retention_bytes"])

    def drop(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Remove a stream."""
        name = check_name(arguments.text(args, "name"), "stream")
        return {"name": name, "messages": drop_stream(self._parent, name)}


def _parsed(schema: bytes) -> pa.Schema:
    import pyarrow as pa

    try:
        return pa.ipc.read_schema(pa.py_buffer(schema))
    except (pa.ArrowException, OSError) as exc:
        raise ProtocolError(f"The schema of a stream cannot be read: {exc}.") from exc


def _options(given: Any, limit_bytes: int) -> Options:
    """Return the options of a new stream: what is not given follows the pool, so that it works in a small one."""
    from jupyter_nq.streams.making import LEAST_BYTES, Options

    known = {field.name: field.type for field in fields(Options)}
    told = {} if given is None else given
    if not isinstance(told, dict) or not told.keys() <= known.keys():
        raise InvalidArgument(f"The options of a stream are {', '.join(known)}; not {given!r}.")
    _check_kinds(told)
    share = min(Options.retention_bytes, max(2 * LEAST_BYTES, limit_bytes // _SHARE))
    retention = told.get("retention_bytes", share)
    segment = min(Options.segment_bytes, max(LEAST_BYTES, retention // _SEGMENTS))
    return Options(**{"segment_bytes": segment, **told, "retention_bytes": retention})


def _check_kinds(told: Mapping[str, Any]) -> None:
    """Refuse options of another type; whether their values make a stream is checked where it is made."""
    for name in ("retention_bytes", "segment_bytes"):
        if type(value := told.get(name, 0)) is not int:
            raise InvalidArgument(f"{name}={value!r} is no whole number of bytes. Write for example 64 << 20.")
    if type(value := told.get("retention_rows", 0)) is not int:
        raise InvalidArgument(f"retention_rows={value!r} is no whole number of rows.")
    for name in ("block_seconds", "retention_seconds"):
        if type(value := told.get(name, 0)) not in (int, float):
            raise InvalidArgument(f"{name}={value!r} is no number of seconds.")
    for name in ("exclusive", "durable"):
        if type(value := told.get(name, False)) is not bool:
            raise InvalidArgument(f"{name}={value!r} is neither True nor False.")


def _shown(control: MappedControl) -> dict[str, Any]:
    from jupyter_nq.streams.schema import schema_of

    static = control.static
    schema = schema_of(control.path, static, control.epoch)
    told = None if schema is None else schema.serialize().to_pybytes()
    return {"name": static.name, "form": static.form, "schema": told, "options": static.options}
