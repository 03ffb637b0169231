"""Drafts: shared objects that a notebook fills in place, and publishes without a copy.

Publishing gives the object its name and returns. What takes longer follows in a thread: first the views that the
notebook still has turn copy-on-write, then the object is digested, so that the digest is of what everybody else sees.
A process that ends before leaves the digest to the next one that verifies, appends, or writes it to the disk.
"""

from __future__ import annotations

import _thread
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.drafts import Unsealed
from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.client.records import Stored
from jupyter_nq.client.writing import Writer
from jupyter_nq.errors import InvalidArgument, NQError, UnknownDataset, UnsupportedData

Prepare = Callable[[str], Callable[[str], object]]
"""Refuses a name that is not to be put, or returns what is to be done with the id of its next version."""

_log = logging.getLogger("jupyter_nq")


class Draft:
    """An object that is being written; made by `nq.empty`.

    `draft["close"]` is a column as a writable numpy array over shared memory, `draft.numpy()` all of them. Leaving
    a `with` block, deleting the draft, or an error removes what was not published.

    A forked child can neither publish nor remove a draft, and what it writes there stays its own.
    """

    def __init__(
        self, store: Store, writer: Writer, unsealed: Unsealed, prepare: Callable[[str], Callable[[str], object]]
    ) -> None:
        # _unsealed is the mutable state: None once published or discarded; whoever takes it away, under the lock, ends
        # the draft.
        self._store = store
        self._writer = writer
        self._prepare = prepare
        self._unsealed: Unsealed | None = unsealed
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._state = "being written"
        self.name = unsealed.static.name
        self.rows = unsealed.rows
        self.nbytes = unsealed.nbytes
        """Bytes of shared memory that it takes."""

    def __repr__(self) -> str:
        return f"<Draft {self.name} {self.rows:,} rows {self.nbytes:,} bytes, {self._state}>"

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.discard()

    # -- writing ---------------------------------------------------------------------------------
    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; none for an array."""
        static = self._open().static
        return () if static.kind == "array" else static.columns

    def __getitem__(self, column: str) -> Array:
        """Return a column as a writable array: times in UTC, dates as days since 1970.

        Raises
        ------
        UnsupportedData
            With the nearest names; or it is an array, which has no columns.
        InvalidArgument
            The draft is published or discarded.
        """
        unsealed = self._open()
        if unsealed.static.kind == "array":
            raise UnsupportedData(f"{self.name} is an array and has no columns. Use draft.numpy().")
        return unsealed.column(column)

    def numpy(self) -> Any:
        """Return all columns as a dict of writable arrays, or the one array."""
        unsealed = self._open()
        if unsealed.static.kind == "array":
            return unsealed.array()
        return {name: unsealed.column(name) for name in unsealed.static.columns}

    # -- ending ----------------------------------------------------------------------------------
    def publish(self) -> Stored:
        """Give it its name, as a new version if the name exists. Copies nothing: it takes milliseconds at any size.

        Views that were taken before stay readable, and what is written there once `wait` has returned True stays in
        this process. Before that it may still reach those who read the object. The digest follows too: until then
        `digest_state` is "pending", and who verifies waits for it. When the version before was durable, this one is
        written to the disk first.

        Raises
        ------
        InvalidArgument
            It was published or discarded before.
        UnsupportedData
            The name is a dataset that was loaded from a file.
        StoreError, StoreFull, CoordinatorUnavailable
            It could not be published, and is gone; views that exist stay readable.
        """
        finish = self._prepare(self.name)
        unsealed = self._take("published")
        named = False
        try:
            stored = self._writer.name(unsealed)
            named = True
        except BaseException:
            self._state = "lost"
            raise
        finally:
            _thread.start_new_thread(self._settle, (unsealed, named))  # `threading` would wait until it runs
        finish(unsealed.id)
        return stored

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what follows a `publish` is done: views are this process's own, and the object has its digest.

        Parameters
        ----------
        timeout
            Seconds; None waits as long as it takes.

        Returns
        -------
        bool
            False when the time is over, or nothing was published.
        """
        if self._unsealed is not None:
            return False
        return self._settled.wait(timeout)

    def discard(self) -> None:
        """Remove it, unless it was published. Views that exist keep their memory. Discarding twice is fine."""
        with self._lock:
            unsealed, self._unsealed = self._unsealed, None
            if unsealed is not None:
                self._state = "discarded"
        if unsealed is not None:
            unsealed.discard()

    def _open(self) -> Unsealed:
        unsealed = self._unsealed
        if unsealed is None:
            raise InvalidArgument(f"The draft of {self.name} is {self._state}. Begin another with nq.empty.")
        return unsealed

    def _take(self, state: str) -> Unsealed:
        with self._lock:
            unsealed = self._open()
            self._unsealed, self._state = None, state
        return unsealed

    def _settle(self, unsealed: Unsealed, named: bool) -> None:
        """Do what follows: part from the object, then have it digested. The last view may go here, which takes long."""
        id_ = unsealed.id
        try:
            unsealed.part()
            del unsealed
            if named:
                self._store.complete(id_)
        except UnknownDataset:
            pass  # dropped meanwhile
        except (NQError, OSError) as exc:
            _log.warning("%s is published, but has no digest: %s", self.name, exc)
        finally:
            self._settled.set()
