"""A mapped object and its lease.

The descriptor that took `LOCK_SH` is closed as soon as the file is mapped: CPython's mmap keeps a duplicate
of it, and a `flock` belongs to the open file that both share. So the lock, and with it the lease, lives
exactly as long as the mapping, and the mapping as long as the handle or any view made from it. It dies with
the process. A forked child shares it until it exits.
"""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jupyter_nq.buffers import layout, words
from jupyter_nq.buffers.cold.encryption import exclude_from_core_dumps
from jupyter_nq.buffers.objects import ObjectInfo, info_of, read_static
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.values import arrow_views, pandas_views, polars_views, views
from jupyter_nq.errors import UnknownDataset

if TYPE_CHECKING:
    from jupyter_nq.buffers.opening import Opening

FORMS = ("pandas", "arrow", "numpy", "torch", "polars")
"""What a view may be: names of methods of `Handle`."""


class MappedFile(mmap.mmap):
    """A mapping that may keep another one alive."""

    origin: mmap.mmap | None = None
    is_dumped = True
    """Whether its pages may be in a core dump."""


class Watch(NamedTuple):
    """What a mapping is, without keeping it."""

    mapping: weakref.ref[MappedFile]
    static: layout.Static

    def rows(self) -> int | None:
        """Return the rows that the object has by now, None when no view is left; `ChecksumError` for a damaged header.

        It reads one word in shared memory.
        """
        found = self.mapping()
        if found is None:
            return None
        with memoryview(found) as raw, raw[: layout.PAGE] as page, page.cast("Q") as header:
            return words.value(header, self.static, "committed_rows")

    def addresses(self) -> tuple[tuple[int, int], ...]:
        """Return where it lies, the end exclusive; nothing when no view is left."""
        found = self.mapping()
        if found is None:
            return ()
        first: int = np.frombuffer(found, np.uint8).__array_interface__["data"][0]
        return ((first, first + self.static.file_bytes),)


class Handle:
    """One version of an object, mapped into this process; made by `Store.open`."""

    def __init__(self, store: Opening, mapping: MappedFile, static: layout.Static, info: ObjectInfo, rows: int) -> None:
        # _mapping is mutable: close() forgets it, and nobody else writes it; so are _shown and rows, until it is given
        # to whoever asked for it.
        self._mapping: MappedFile | None = mapping
        self._store = store
        self._static = static
        self.info = info
        self.rows = rows
        """Rows of the version that was opened."""
        self._shown: int | None = None

    def __repr__(self) -> str:
        state = "closed" if self._mapping is None else "mapped"
        return f"<Handle {self.info.name} v{self.version} {self.rows:,} rows {self.info.nbytes:,} bytes {state}>"

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def version(self) -> int:
        """Version that was opened; 0 when the object is not published."""
        if self._shown is not None:
            return self._shown
        if self.rows == self.info.rows:
            return self.info.version
        return next((v for v, rows, _ in reversed(self.info.versions) if rows == self.rows), self.info.version)

    def show(self, version: int, rows: int) -> None:
        """Show a version of which the caller knows the rows: one that has left the header's list of versions, too."""
        self._shown, self.rows = version, min(rows, self.info.rows)

    @property
    def address(self) -> int:
        """Address of the mapping's first byte."""
        address: int = np.frombuffer(self.mapping(), np.uint8).__array_interface__["data"][0]
        return address

    @property
    def nbytes(self) -> int:
        """Bytes of the mapping, the reserve included: every view lies in [address, address + nbytes)."""
        return self._static.file_bytes

    def numpy(self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> Any:
        """Return views: a dict of 1-D arrays for a table, one array for an array.

        Numbers with nulls are masked arrays; text, categories, decimals and nested columns are copied into arrays of
        objects.

        Parameters
        ----------
        columns
            Names of a table's columns; None means all, the column of a pandas index included.
        start, stop
            Rows, stop exclusive; None means all committed rows of this version.
        """
        return views.to_numpy(self._window(start, stop), columns)

    def pandas(self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> Any:
        """Return a frame of views, with the row numbers of the whole object; a Series for what was one.

        Text, nested columns, and columns with nulls that came from Arrow have an `ArrowDtype`, or are objects where
        pandas has none; a frame that was shared has its own dtypes again. Copied are date32 columns, which pandas
        cannot hold, the masks of nulls, columns of objects, and an index of several levels.
        """
        return pandas_views.to_pandas(self._window(start, stop), columns)

    def arrow(self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> Any:
        """Return a `pyarrow.Table` of views, a `pyarrow.Tensor` for an array. Copied are what Arrow
        packs in bits: bool columns, and which rows of a column are there.
        """
        return arrow_views.to_arrow(self._window(start, stop), columns)

    def torch(self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> Any:
        """Return tensors over a private mapping: copy-on-write per page, so writing stays in this process.

        torch cannot mark a tensor read-only, and writing through a read-only mapping would kill the kernel.
        """
        window = self._window(start, stop)
        if _is_readonly(window.mapping):
            private = self._store.map_private(self.info.id)
            private.origin = window.mapping  # so that on_release waits for the tensors too
            if not self.mapping().is_dumped:
                _exclude(private)
            window = replace(window, mapping=private)
        return views.to_torch(window, columns)

    def polars(self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None) -> Any:
        """Return a frame of polars over the mapping, a Series for an array of one dimension.

        Copied are bools, the places of text, and what polars lays out in its own way; see `polars_views`.
        """
        return polars_views.to_polars(self._window(start, stop), columns)

    def view(
        self, as_: str = "pandas", columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> Any:
        """Return the data in one of `FORMS`; bytes and JSON values as they are, for `pandas`."""
        if as_ not in FORMS:
            raise ValueError(f"as_ is {as_!r}; use one of {', '.join(FORMS)}")
        if as_ == "pandas" and columns is None and views.is_plain(self._static):
            return views.plain_value(self._window(start, stop))
        return getattr(self, as_)(columns, start, stop)

    def verify(self) -> bool:
        """Compare the bytes with their digest.

        Returns
        -------
        bool
            True when they agree, False when the object has no digest. One that is pending is waited for, or completed
            here when who owed it is dead; then the bytes that it did not cover yet are taken as they are.

        Raises
        ------
        ChecksumError
            Names the column and the piece of 1 MiB that differ.
        """
        return self._store.verify(self.info.id)

    def note(self) -> bytes | None:
        """Return the note of the object as it is now, None when it has none: see `Store.annotate`."""
        return self._store.annotation(self.info.id)

    def exclude_from_core_dumps(self) -> None:
        """Keep its pages out of core dumps, and those of tensors that come from it."""
        _exclude(self.mapping())

    def watch(self) -> Watch:
        """Return what knows of this mapping, and keeps nothing mapped."""
        return Watch(weakref.ref(self.mapping()), self._static)

    def on_release(self, callback: Callable[[], object]) -> weakref.finalize[Any, Any]:
        """Call `callback` when the handle and the last view are gone, and with them the lease."""
        finalizer = weakref.finalize(self.mapping(), callback)
        finalizer.atexit = False
        return finalizer

    def close(self) -> None:
        """Let go of the mapping; views that exist keep it. Closing twice is fine."""
        self._mapping = None

    def mapping(self) -> MappedFile:
        """Return the mapping itself; `ValueError` after close."""
        if self._mapping is None:
            raise ValueError(f"this handle of {self.info.name} is closed")
        return self._mapping

    def _window(self, start: int, stop: int | None) -> views.Window:
        first, last, _ = slice(start, stop).indices(self.rows)
        return views.Window(self.mapping(), self._static, first, max(first, last))


def _exclude(mapping: MappedFile) -> None:
    exclude_from_core_dumps(mapping)
    mapping.is_dumped = False


def _is_readonly(mapping: mmap.mmap) -> bool:
    """Tell whether writing to this mapping is refused."""
    with memoryview(mapping) as view:
        return view.readonly


def map_locked(store: Opening, fd: int, path: Path, version: int | None, *, private: bool) -> Handle:
    """Map an open object file whose shared lock is held."""
    static = read_static(fd, path)
    arrow_views.check_types(path, static)
    with refused(path):
        mapping = MappedFile(fd, static.file_bytes, access=mmap.ACCESS_COPY if private else mmap.ACCESS_READ)
    with memoryview(mapping) as raw, raw[: layout.PAGE].cast("Q") as words:
        info = info_of(fd, path, static, words)
    return Handle(store, mapping, static, info, _rows_of(info, version))


def _rows_of(info: ObjectInfo, version: int | None) -> int:
    if version is None:
        return info.rows
    for number, rows, _ in info.versions:
        if number == version:
            return rows
    raise UnknownDataset(
        f"{info.name} has no version {version} in this object; it holds {info.versions[0][0]} to {info.version}."
    )
