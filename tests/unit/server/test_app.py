"""Tests of the extension as a whole: how it starts, what it leaves behind, and what a bad setting does."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPClientError
from traitlets.config import Config

from jupyter_nq.config import setting_names
from jupyter_nq.errors import ConfigError
from jupyter_nq.server.app import NQApp


def _app(server: ServerApp) -> NQApp:
    app = server.extension_manager.extension_points["jupyter_nq"].app
    assert isinstance(app, NQApp)
    return app


def _logged(capfd: pytest.CaptureFixture[str], level: str) -> list[str]:
    """Return what the extension wrote to the server's log at a level ("W", "E") since the test began."""
    lines = re.findall(rf"\[{level} [^\]]* NQApp\](?:\x1b\S*)? (.*)", capfd.readouterr().err)
    return [line for line in lines if "wrote error" not in line]


async def _refusal(jp_fetch: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("jupyter-nq", "status")
    assert caught.value.response is not None
    return caught.value.code, json.loads(caught.value.response.body)


def test_every_setting_is_a_trait() -> None:
    """`c.NQApp` has all settings, each with a sentence of help."""
    for name in setting_names():
        trait = NQApp.class_traits(config=True)[name]
        assert trait.help.endswith("."), name


async def test_extension_hosts_the_store_of_its_traits(jp_serverapp: ServerApp, nq_store_dir: Path) -> None:
    """After the start hook the server hosts the coordinator, and its kernels inherit the store."""
    app = _app(jp_serverapp)
    status = await app.link.request("status")
    assert status["store"] == str(nq_store_dir)
    assert (status["host"]["role"], status["host"]["pid"]) == ("server", os.getpid())
    assert os.environ["JUPYTER_NQ_STORE"] == str(nq_store_dir)
    await app.stop_extension()
    await app.stop_extension()
    assert "JUPYTER_NQ_STORE" not in os.environ
    assert not (nq_store_dir / "ctl.sock").exists()


class TestVariableIsThere:
    """The environment names the store already."""

    @pytest.fixture
    def nq_traits(self, nq_store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """Configure another store than the environment's."""
        monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
        return {"store_dir": str(tmp_path / "other")}

    async def test_environment_wins_is_logged_and_stays(
        self, capfd: pytest.CaptureFixture[str], jp_serverapp: ServerApp, nq_store_dir: Path
    ) -> None:
        """The kernels see the variable, so the server obeys it too, and leaves it alone when it stops."""
        assert (await _app(jp_serverapp).link.request("status"))["store"] == str(nq_store_dir)
        (warning,) = _logged(capfd, "W")
        assert "which overrides c.NQApp.store_dir" in warning
        await _app(jp_serverapp).stop_extension()
        assert os.environ["JUPYTER_NQ_STORE"] == str(nq_store_dir)


class TestForeignStore:
    """The configured directory belongs to somebody else."""

    @pytest.fixture
    def nq_traits(self, tmp_path: Path) -> dict[str, Any]:
        """Point to a directory with a stranger's file in it."""
        foreign = tmp_path / "foreign"
        foreign.mkdir(mode=0o700)
        (foreign / "thesis.txt").write_text("mine")
        return {"store_dir": str(foreign), "identity_seconds": 0.1}

    async def test_server_lives_and_says_why(
        self, capfd: pytest.CaptureFixture[str], jp_serverapp: ServerApp, jp_fetch: Any, tmp_path: Path
    ) -> None:
        """One error in the log, a 503 with the sentence, the server's own routes unharmed, nothing left behind."""
        code, body = await _refusal(jp_fetch)
        assert (code, body["reason"]) == (503, "StoreError")
        assert str(tmp_path / "foreign") in body["message"]
        assert (await jp_fetch("api", "status")).code == 200
        assert _logged(capfd, "E") == [f"jupyter-nq shares nothing: {body['message']}"]
        assert [path.name for path in (tmp_path / "foreign").iterdir()] == ["thesis.txt"]

    async def test_feed_tells_the_problem(self, jp_serverapp: ServerApp, jp_ws_fetch: Any) -> None:
        """The panel shows the sentence instead of an empty table."""
        feed = await jp_ws_fetch("jupyter-nq", "feed")
        message = json.loads(await asyncio.wait_for(feed.read_message(), 20))
        assert (message["kind"], message["reason"]) == ("problem", "StoreError")
        feed.close()


class TestBadSetting:
    """`c.NQApp` holds a name that is no setting, or a value that is no value for it."""

    @pytest.fixture(params=["unknown", "type", "range"])
    def bad(self, request: pytest.FixtureRequest) -> tuple[dict[str, Any], str]:
        """Give bad traits and a part of the sentence about them."""
        return {
            "unknown": ({"pool_byte": 1}, "Did you mean 'pool_bytes'"),
            "type": ({"pool_bytes": "abc"}, "'pool_bytes' trait of a NQApp instance expected an int"),
            "range": ({"feed_hz": 1e9}, "should not be greater than 60.0"),
        }[request.param]

    @pytest.fixture
    def nq_traits(self, bad: tuple[dict[str, Any], str], nq_store_dir: Path) -> dict[str, Any]:
        """Configure the bad one and a store, which must not be touched."""
        return {**bad[0], "store_dir": str(nq_store_dir)}

    @pytest.fixture
    def jp_server_config(self, jp_server_config: Config) -> Config:
        """Start as a user's server does, which does not raise for an extension."""
        jp_server_config.ServerApp.reraise_server_extension_failures = False
        return jp_server_config

    @pytest.mark.filterwarnings("ignore:Config option")
    async def test_nothing_is_shared_and_the_mistake_is_told(
        self,
        capfd: pytest.CaptureFixture[str],
        bad: tuple[dict[str, Any], str],
        jp_serverapp: ServerApp,
        jp_fetch: Any,
        nq_store_dir: Path,
    ) -> None:
        """A misspelt quota must not be a quota of nothing: the extension stands still and says what was meant."""
        code, body = await _refusal(jp_fetch)
        assert (code, body["reason"]) == (503, "ConfigError")
        assert bad[1] in body["message"]
        assert f"jupyter-nq shares nothing: {body['message']}" in _logged(capfd, "E")
        assert list(nq_store_dir.iterdir()) == []
        assert "JUPYTER_NQ_STORE" not in os.environ

    @pytest.mark.filterwarnings("ignore:Config option")
    def test_strict_server_does_not_start(
        self, bad: tuple[dict[str, Any], str], jp_configurable_serverapp: Any, jp_server_config: Config
    ) -> None:
        """A server that is told to fail with its extensions raises the sentence."""
        jp_server_config.ServerApp.reraise_server_extension_failures = True
        with pytest.raises(ConfigError, match=re.escape(bad[1])):
            jp_configurable_serverapp(config=jp_server_config)


class TestYaml:
    """Settings come from the YAML file."""

    @pytest.fixture
    def nq_traits(self, nq_store_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """Write the store and a quota into the file, and another quota into the traits."""
        path = tmp_path / "settings.yaml"
        path.write_text(f"store_dir: {nq_store_dir}\npool_bytes: 1000000\nfeed_hz: 7.0\n")
        monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(path))
        return {"pool_bytes": 2_000_000}

    async def test_file_lies_under_the_traits(self, jp_serverapp: ServerApp, nq_store_dir: Path) -> None:
        """The store of the file and the quota of the traits hold."""
        status = await _app(jp_serverapp).link.request("status")
        assert (status["store"], status["pool"]["limit"]) == (str(nq_store_dir), 2_000_000)
