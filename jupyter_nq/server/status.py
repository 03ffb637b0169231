"""GET jupyter-nq/status: the store and its coordinator."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from jupyter_nq.server import documents
from jupyter_nq.server.route import Route


class StatusRoute(Route):
    """The store, who hosts it, its pool, and the newest problem."""

    @web.authenticated
    @authorized(action="read", resource="nq-status")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answer with the status."""
        self.answer(documents.status(await self.ask("status")))
