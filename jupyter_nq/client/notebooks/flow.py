"""The specification's `DataFlowCoordinator`, thin over a session: it coordinates nothing itself.

Whichever process hosts the store's coordinator does that; any number of these objects, in any process, see the same
notebooks, streams and data.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jupyter_nq.client.notebooks.data_stream import DataStream, DataStreamType, checked_type
from jupyter_nq.client.notebooks.notebook_client import NotebookClient
from jupyter_nq.client.notebooks.registering import register, unregister
from jupyter_nq.client.notebooks.syncing import TIMEOUT_SECONDS, sync
from jupyter_nq.errors import InvalidArgument

if TYPE_CHECKING:
    from jupyter_nq.client.records import Notebook
    from jupyter_nq.client.session import Session

Where = str | os.PathLike[str] | None


class DataFlowCoordinator:
    """The notebooks, streams and data of one store.

    Parameters
    ----------
    where
        Directory of the store; None takes that of this process's session.
    enable_persistence
        Whether streams that were made here stay after `cleanup`.
    coordination_dir
        The specification's name for `where`.
    session
        Session to work through; None takes the process's own, or opens one for another directory.

    Examples
    --------
    >>> with DataFlowCoordinator() as coordinator:
    ...     risk = create_notebook_client("risk_management", "risk", coordinator)
    ...     create_notebook_client("execution_engine", "execution", coordinator).sync_data(
    ...         "risk_management", "limits", {"contracts": 3}
    ...     )
    ...     risk.get_synced_data("limits")
    True
    {'contracts': 3}
    """

    def __init__(
        self,
        where: Where = None,
        enable_persistence: bool = True,
        *,
        coordination_dir: Where = None,
        session: Session | None = None,
    ) -> None:
        if where is not None and coordination_dir is not None:
            raise InvalidArgument("where and coordination_dir are the same. Say one of them.")
        if not isinstance(enable_persistence, bool):
            raise InvalidArgument(f"enable_persistence={enable_persistence!r} is neither True nor False.")
        # _lock guards _clients, _made and _own.
        self._lock = threading.Lock()
        self.session, self._own = _session(coordination_dir if where is None else where, session)
        self._keeps = enable_persistence
        self._clients: dict[str, NotebookClient] = {}
        self._made: dict[str, DataStreamType] = {}  # streams that are here through this object

    def __repr__(self) -> str:
        return f"<DataFlowCoordinator of {self.session.store.path}, {len(self._clients)} clients>"

    def __enter__(self) -> DataFlowCoordinator:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.cleanup()

    # -- notebooks -----------------------------------------------------------------------------------
    def register_notebook(
        self, notebook_id: str, notebook_type: str | None = None, capabilities: Iterable[str] = ()
    ) -> Notebook:
        """Register a name for this process, as `nq.register` does."""
        return register(self.session, notebook_id, notebook_type, capabilities)

    def unregister_notebook(self, notebook_id: str) -> None:
        """Take a name of this process back; `UnknownNotebook` when it has not got it."""
        unregister(self.session, notebook_id)

    def client(self, notebook_id: str, notebook_type: str | None = None) -> NotebookClient:
        """Return a new client of this store; see `NotebookClient`."""
        made = NotebookClient(notebook_id, notebook_type, self)
        with self._lock:
            self._clients[notebook_id] = made
        return made

    def forget(self, client: NotebookClient) -> bool:
        """Forget a client; False when it is not the newest of its name, or was forgotten before."""
        with self._lock:
            if self._clients.get(client.notebook_id) is not client:
                return False
            del self._clients[client.notebook_id]
            return True

    # -- streams -------------------------------------------------------------------------------------
    def create_stream(
        self,
        stream_id: str,
        stream_type: DataStreamType | str = DataStreamType.MARKET_DATA,
        consumers: Iterable[str] = (),
    ) -> DataStream:
        """Return a handle of a stream, made unless it is there; see `NotebookClient.create_data_stream`."""
        kind = checked_type(stream_type)
        is_new = stream_id not in self.session.streaming.names()
        made = DataStream(self.session.stream(stream_id), kind, consumers)
        with self._lock:
            if is_new or stream_id in self._made:
                self._made[stream_id] = kind
        return made

    def get_stream(self, stream_id: str) -> DataStream:
        """Return a handle of a stream that is there; of the type that was said here, else market data.

        Raises
        ------
        UnknownStream
            With the nearest names.
        """
        stream = self.session.streaming.existing(stream_id)
        return DataStream(stream, self._made.get(stream_id, DataStreamType.MARKET_DATA))

    def remove_stream(self, stream_id: str) -> int:
        """Remove a stream for everybody; returns how many messages were ever published; `UnknownStream`."""
        messages = self.session.drop_stream(stream_id)
        with self._lock:
            self._made.pop(stream_id, None)
        return messages

    # -- data ----------------------------------------------------------------------------------------
    def synchronize_data(
        self,
        source_notebook: str,
        target_notebook: str | int,
        data_id: str,
        data: Any = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> bool:
        """Hand data from one notebook to another; True when the target holds them, else an error: see `nq.sync`.

        `source_notebook` is shown to the target as the sender if this process has registered it.
        """
        sync(self.session, target_notebook, data_id, data, timeout=timeout, sender=source_notebook)
        return True

    def get_coordination_status(self) -> dict[str, Any]:
        """Return who is here and which streams there are, as plain values, with the state of the store."""
        return {
            "store": asdict(self.session.status()),
            "notebooks": [asdict(row) for row in self.session.notebooks()],
            "streams": [asdict(row) for row in self.session.list_streams()],
        }

    def cleanup(self) -> None:
        """Clean up all clients; without persistence remove the streams that were made here. Twice is fine."""
        with self._lock:
            clients, made = list(self._clients.values()), list(self._made)
            self._made = {} if not self._keeps else self._made
        for client in clients:
            client.cleanup()
        there = self.session.streaming.names()
        for name in made if not self._keeps else ():
            if name in there:
                self.session.drop_stream(name)
        with self._lock:
            own, self._own = self._own, None
        if own is not None:
            own.close()


def create_notebook_client(
    notebook_id: str, notebook_type: str | None = None, coordinator: DataFlowCoordinator | None = None
) -> NotebookClient:
    """Register a notebook and return its client: streams, and data that it hands to others and takes from them.

    Parameters
    ----------
    notebook_id, notebook_type
        The name to register, and for example "execution" or "risk".
    coordinator
        Whose store it works in; None takes that of this process's session.

    Raises
    ------
    NameTaken
        Another living process has the name; the message says which.
    InvalidName, InvalidArgument, CoordinatorUnavailable
    """
    if coordinator is not None and not isinstance(coordinator, DataFlowCoordinator):
        raise InvalidArgument(f"coordinator={coordinator!r} is no DataFlowCoordinator.")
    return (coordinator or DataFlowCoordinator()).client(notebook_id, notebook_type)


def _session(where: Where, session: Session | None) -> tuple[Session, Session | None]:
    """Return the session to work through, and it once more if it is to be closed with its user."""
    from jupyter_nq.client.api import connect, opened
    from jupyter_nq.client.session import Session

    if session is not None and where is not None:
        raise InvalidArgument("A session has its directory. Say session or where.")
    if session is not None:
        return session, None
    if where is None:
        return connect(), None
    mine = opened()
    if mine is not None and os.path.realpath(mine.store.path) == os.path.realpath(where):
        return mine, None
    made = Session(where)
    return made, made
