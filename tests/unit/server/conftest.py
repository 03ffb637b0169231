"""Fixtures of the server's tests: pytest-jupyter's, and only here, because some of them act on every test.

pytest-jupyter never calls an extension's start hook; `jp_serverapp` does it here, and lets failures through.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from pytest_jupyter.jupyter_server import *  # noqa: F403
from traitlets.config import Config

TOKEN = "s3cret-token"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings and store out of the tests."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "no-config"))
    for name in ("JUPYTER_NQ_STORE", "JUPYTER_NQ_DATA", "JUPYTER_NQ_CONFIG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def nq_traits(nq_store_dir: Path) -> dict[str, Any]:
    """Give the section `c.NQApp`; a test overrides the fixture to change it."""
    return {"store_dir": str(nq_store_dir), "identity_seconds": 0.1, "feed_hz": 60.0}


@pytest.fixture
def jp_server_config(nq_traits: dict[str, Any]) -> Config:
    """Enable the extension on a server that refuses whatever is not authenticated."""
    return Config(
        {
            "ServerApp": {
                "jpserver_extensions": {"jupyter_nq": True, "jupyter_server_terminals": False},
                "allow_unauthenticated_access": False,
                "reraise_server_extension_failures": True,
            },
            "IdentityProvider": {"token": TOKEN},
            "NQApp": nq_traits,
        }
    )


@pytest.fixture
def jp_serverapp(
    jp_server_config: Config,
    jp_argv: list[str],
    jp_configurable_serverapp: Any,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> ServerApp:
    """Start a server and then, as the real one does once it listens, its extensions."""
    app: ServerApp = jp_configurable_serverapp(config=jp_server_config, argv=jp_argv)
    jp_asyncio_loop.run_until_complete(app.extension_manager.start_all_extensions())
    return app
