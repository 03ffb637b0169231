"""GET jupyter-nq/notebooks: who is connected, and what each holds."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from jupyter_nq.server import documents
from jupyter_nq.server.route import Route


class NotebooksRoute(Route):
    """The connected processes: kernels by their notebook, scripts by their program."""

    @web.authenticated
    @authorized(action="read", resource="nq-notebooks")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answer with the list of connected processes."""
        self.answer([documents.notebook(row) for row in await self.ask("notebooks")])
