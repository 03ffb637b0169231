"""The specification's `NotebookClient`: one registered notebook, its streams, and its inbox."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jupyter_nq.client.notebooks.data_stream import DataStream, DataStreamType
from jupyter_nq.client.notebooks.inbox import Arrival, Callback
from jupyter_nq.client.notebooks.registering import register, unregister
from jupyter_nq.client.notebooks.syncing import TIMEOUT_SECONDS, sync

if TYPE_CHECKING:
    from jupyter_nq.client.notebooks.flow import DataFlowCoordinator
    from jupyter_nq.client.streams.streaming import Listed


class NotebookClient:
    """A notebook that registers a name, makes and reads streams, and hands data to others and takes theirs.

    Making one asks for whatever others hand to its name: that lies in the client's inbox (`synced`), and no variable
    changes by itself. One process may have several clients; made again with the same name, as when a cell runs again, a
    client goes on with the same inbox.

    Parameters
    ----------
    notebook_id
        The name to register: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    notebook_type
        For example "execution" or "risk".
    coordinator
        Whose store it works in.

    Raises
    ------
    NameTaken
        Another living process has the name.
    InvalidName, InvalidArgument, CoordinatorUnavailable
    """

    def __init__(self, notebook_id: str, notebook_type: str | None, coordinator: DataFlowCoordinator) -> None:
        self.notebook_id = notebook_id
        self.notebook_type = notebook_type
        self.capabilities: tuple[str, ...] = ()
        self._coordinator = coordinator
        self._session = coordinator.session
        self._streams: weakref.WeakSet[DataStream] = weakref.WeakSet()
        register(self._session, notebook_id, notebook_type)
        self._inbox = self._session.inboxes.of(notebook_id)
        self._inbox.accept()

    def __repr__(self) -> str:
        return f"<NotebookClient {self.notebook_id}, {self.notebook_type or 'of no type'}>"

    def __enter__(self) -> NotebookClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.cleanup()

    def add_capability(self, capability: str) -> None:
        """Say that it can do something more; others see it in `nq.notebooks`."""
        wanted = tuple(dict.fromkeys((*self.capabilities, capability)))
        register(self._session, self.notebook_id, self.notebook_type, wanted)
        self.capabilities = wanted

    # -- streams -----------------------------------------------------------------------------------
    def create_data_stream(
        self,
        stream_id: str,
        stream_type: DataStreamType | str = DataStreamType.MARKET_DATA,
        consumers: Iterable[str] = (),
    ) -> DataStream:
        """Return a handle of a stream, made unless it is there; it reads what comes from now on.

        Parameters
        ----------
        consumers
            The notebooks for which it is meant; they need not be there. Every notebook can read it.

        Raises
        ------
        InvalidName, InvalidArgument, StoreError, CoordinatorUnavailable
        """
        made = self._coordinator.create_stream(stream_id, stream_type, consumers)
        self._streams.add(made)
        return made

    def get_data_stream(self, stream_id: str) -> DataStream:
        """Return a handle of a stream that is there, which reads what comes from now on; `UnknownStream`."""
        found = self._coordinator.get_stream(stream_id)
        self._streams.add(found)
        return found

    def get_streams(self) -> list[Listed]:
        """Return all streams of the store, as `nq.list_streams` does."""
        return self._session.list_streams()

    # -- data ----------------------------------------------------------------------------------------
    def sync_data(
        self, target_notebook: str | int, data_id: str, data: Any = None, timeout: float = TIMEOUT_SECONDS
    ) -> bool:
        """Hand data to another notebook; True when that holds them, which is also what a cell of it may wait for.

        It never returns False: why a target has not got the data is an error. Without data the newest version of the
        dataset is handed over. See `nq.sync` for the arguments and the errors.
        """
        sync(self._session, target_notebook, data_id, data, timeout=timeout, sender=self.notebook_id)
        return True

    def synced(self, data_id: str, timeout: float = 0.0, newer_than: int = 0) -> Arrival:
        """Return the newest version that was handed to this client under a name, as `nq.synced` does."""
        return self._inbox.arrival(data_id, timeout, newer_than)

    def get_synced_data(self, data_id: str, timeout: float = 0.0) -> Any:
        """Return the data of `synced`."""
        return self.synced(data_id, timeout).data

    def on_sync(self, data_id: str, callback: Callback) -> None:
        """Have a callback called with each `Arrival` under a name, as `nq.on_sync` does."""
        self._inbox.on_sync(data_id, callback)

    def cleanup(self) -> None:
        """Stop its streams' handles, let go of what came, and give the name back. Cleaning up twice is fine.

        Streams and datasets stay. A client that was made again since leaves its name to its successor.
        """
        for stream in list(self._streams):
            stream.stop()
        if self._coordinator.forget(self):
            self._inbox.close()
            unregister(self._session, self.notebook_id)
