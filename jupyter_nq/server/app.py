"""The server extension: settings as traits, routes, and the coordinator behind them.

The channel opens after the server listens, in a thread. With role "server" it hosts the coordinator
when nobody does, takes it over from a script, and stays a client when another server has it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import TraitError

from jupyter_nq.config import Settings
from jupyter_nq.errors import ConfigError
from jupyter_nq.server.board import Board
from jupyter_nq.server.datasets import DatasetRoute, DatasetsRoute
from jupyter_nq.server.feed import FeedSocket
from jupyter_nq.server.kernels import KernelReporter
from jupyter_nq.server.line import ServerLine, store_path
from jupyter_nq.server.link import Link
from jupyter_nq.server.lookout import Lookout
from jupyter_nq.server.notebooks import NotebooksRoute
from jupyter_nq.server.settlement import settle
from jupyter_nq.server.status import StatusRoute
from jupyter_nq.server.streams import StreamRoute, StreamsRoute

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp
    from traitlets.config import Config

_STORE_VARIABLE = "JUPYTER_NQ_STORE"


class NQApp(Settings, ExtensionApp):
    """Shares datasets among the notebooks of this server, and of everything that opens the same store."""

    name = "jupyter_nq"
    description = __doc__

    link: Link
    board: Board
    lookout: Lookout
    reporter: KernelReporter
    _parts: tuple[Lookout | Board | KernelReporter | Link, ...] = ()  # in the order in which they are closed
    _exported: str | None = None
    _config_error: ConfigError | None = None

    def update_config(self, config: Config) -> None:
        """Take the traits from a configuration; a bad value stops this extension, not the server.

        traitlets leaves the traits after a bad one at their defaults: they must not be used, or a misspelt
        quota would mean another store.
        """
        try:
            super().update_config(config)
        except TraitError as exc:
            self._refuse(ConfigError(f"c.NQApp: {exc}"))

    def initialize_settings(self) -> None:
        """Settle the settings and build the parts; nothing runs yet."""
        self._settled = Settings()
        if self._config_error is None:
            self._settle()
        self._build()

    def initialize_handlers(self) -> None:
        """Register the routes; the server puts its base_url before them."""
        self.handlers.extend(
            [
                (r"/jupyter-nq/status", StatusRoute),
                (r"/jupyter-nq/datasets", DatasetsRoute),
                (r"/jupyter-nq/datasets/([^/]+)", DatasetRoute),
                (r"/jupyter-nq/streams", StreamsRoute),
                (r"/jupyter-nq/streams/([^/]+)", StreamRoute),
                (r"/jupyter-nq/notebooks", NotebooksRoute),
                (r"/jupyter-nq/feed", FeedSocket),
            ]
        )

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Reach or host the coordinator, now that the server listens."""
        self.board.start()
        self.lookout.start()
        self.reporter.start()
        await self.link.open()

    async def stop_extension(self) -> None:
        """Send the panels home, hand the coordinator to whoever is next, and restore the environment."""
        for part in self._parts:
            await part.close()
        if self._exported is not None and os.environ.get(_STORE_VARIABLE) == self._exported:
            del os.environ[_STORE_VARIABLE]
            self._exported = None

    def _settle(self) -> None:
        try:
            self._settled, overruled = settle(self, self.config.NQApp)
        except ConfigError as exc:
            self._refuse(exc)
            return
        for sentence in overruled:
            self.log.warning(sentence)
        self._export_store()

    def _refuse(self, error: ConfigError) -> None:
        """Remember why nothing is shared; a server that is told to fail with its extensions fails here."""
        if self._server.reraise_server_extension_failures:
            raise error
        self._config_error = error

    @property
    def _server(self) -> ServerApp:
        """The server that this extension is linked to."""
        assert self.serverapp is not None
        return self.serverapp

    def _build(self) -> None:
        settings = self._settled
        self.link = Link(self._connect, self.log)
        self.board = Board(lambda: self.link.request("desk"), settings.feed_hz, self.log)
        self.lookout = Lookout(self._opened_store, self.board, settings.feed_hz, self.log)
        self.reporter = KernelReporter(
            self._server.kernel_manager,
            self._server.session_manager,
            self._send_kernels,
            settings.identity_seconds,
            self.log,
        )
        self._parts = (self.lookout, self.board, self.reporter, self.link)

    def _export_store(self) -> None:
        """Name the store in the environment that this server's kernels inherit, unless it is already there."""
        if self._settled.store_dir and _STORE_VARIABLE not in os.environ:
            os.environ[_STORE_VARIABLE] = self._exported = self._settled.store_dir

    def _opened_store(self) -> Path | None:
        """Return the store's directory once it was opened, and so found to be one, and ours."""
        return store_path(self._settled) if self.link.is_open else None

    def _connect(self) -> ServerLine:
        """Open the channel; runs in a thread of the link."""
        if self._config_error is not None:
            raise self._config_error
        return ServerLine(self._settled, changed=self.board.changed, who=self.reporter.wake)

    async def _send_kernels(self, kernels: list[dict[str, Any]]) -> bool:
        return await self.link.note("kernels", server=self._identity(), kernels=kernels)

    def _identity(self) -> Mapping[str, Any]:
        return {
            "pid": os.getpid(),
            "port": self._server.port,
            "base_url": self._server.base_url,
            "root_dir": self._server.root_dir,
        }
