"""GET jupyter-nq/datasets, and GET and DELETE jupyter-nq/datasets/<name>."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from jupyter_nq.buffers.names import check_name
from jupyter_nq.errors import InvalidName, UnknownDataset, nearest
from jupyter_nq.server import documents
from jupyter_nq.server.route import Route, refused


class DatasetsRoute(Route):
    """All named datasets."""

    @web.authenticated
    @authorized(action="read", resource="nq-datasets")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answer with the newest version of every dataset, by name."""
        self.answer([documents.dataset(row) for row in await self.ask("ls")])


class DatasetRoute(Route):
    """One dataset by its name."""

    @web.authenticated
    @authorized(action="read", resource="nq-datasets")  # type: ignore[untyped-decorator]
    async def get(self, name: str) -> None:
        """Answer with the newest version of the dataset."""
        _check(name)
        rows = {row["name"]: row for row in await self.ask("ls")}
        if name not in rows:
            unknown = UnknownDataset(f"There is no dataset {name!r}.{nearest(name, rows)}")
            raise refused(unknown) from unknown
        self.answer(documents.dataset(rows[name]))

    @web.authenticated
    @authorized(action="write", resource="nq-datasets")  # type: ignore[untyped-decorator]
    async def delete(self, name: str) -> None:
        """Remove the name and all its versions; who holds a view keeps it."""
        _check(name)
        self.answer(await self.ask("drop", name=name))


def _check(name: str) -> None:
    try:
        check_name(name)
    except InvalidName as exc:
        raise refused(exc) from exc
