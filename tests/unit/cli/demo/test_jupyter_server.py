"""The demo's own Jupyter server: isolated, asked with a token in a header, stopped with all it started."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from jupyter_nq.cli.demo.jupyter_server import JupyterServer, ServerFailed, isolated
from jupyter_nq.testing import wait_until


def test_the_user_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths, port, token and settings of the user do not reach the server."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "JUPYTER_PORT", "JUPYTER_NQ_CONFIG", "IPYTHONDIR"):
        monkeypatch.setenv(name, "/of/the/user")
    made = isolated(tmp_path)
    assert "/of/the/user" not in made.values()
    assert made["JUPYTER_RUNTIME_DIR"] == str(tmp_path / "runtime")
    assert made["PATH"] == os.environ["PATH"]


def test_life_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts on a free port, opens a notebook's kernel, hides its token, and leaves no process."""
    home, user = tmp_path / "home", tmp_path / "user"
    user.mkdir()
    (user / "jupyter_server_config.py").write_text("raise SystemExit('the configuration of the user was read')")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(user))
    server = JupyterServer(home, tmp_path, {"JUPYTER_NQ_STORE": str(tmp_path / "store")})
    try:
        server.start()
        kernel_id = server.open_notebook("book.ipynb")
        kernel = server.kernel_pid(kernel_id)
        assert [session["path"] for session in server.get("api/sessions")] == ["book.ipynb"]
        assert psutil.Process(kernel).environ()["JUPYTER_NQ_STORE"] == str(tmp_path / "store")
        with pytest.raises(ServerFailed, match="answers 404"):
            server.get("api/kernels/absent")
        with pytest.raises(ServerFailed, match="ended as it started"):
            server.kernel_pid("absent")
        assert server._token not in " ".join(psutil.Process(server.pid).cmdline())
        assert server._token not in server.log.read_text()
        wait_until(lambda: (server.runtime / f"kernel-{kernel_id}.json").exists(), message="the connection file")
        pid = server.pid
    finally:
        server.stop()
    server.stop()
    assert not psutil.pid_exists(pid)
    assert not psutil.pid_exists(kernel)


def test_kernels_of_a_killed_server(tmp_path: Path) -> None:
    """Kernels are stopped even when the server is gone before."""
    server = JupyterServer(tmp_path / "home", tmp_path, {})
    try:
        server.start()
        kernel = psutil.Process(server.kernel_pid(server.open_notebook("book.ipynb")))
        kernel.suspend()  # it cannot notice by itself that its server is gone
        psutil.Process(server.pid).kill()
    finally:
        server.stop()
    assert not kernel.is_running()


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    """The end of the server's log is quoted."""
    server = JupyterServer(tmp_path / "home", tmp_path, {})
    server._environment["PYTHONPATH"] = str(tmp_path)
    (tmp_path / "jupyter_server.py").write_text("raise SystemExit('no server today')")
    with pytest.raises(ServerFailed, match="no server today"):
        server.start()
    server.stop()


def test_a_server_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer in time is an error, and one that does not stop is killed."""
    monkeypatch.setattr("jupyter_nq.cli.demo.jupyter_server._START_SECONDS", 0.5)
    monkeypatch.setattr("jupyter_nq.cli.demo.jupyter_server._STOP_SECONDS", 0.2)
    server = JupyterServer(tmp_path / "home", tmp_path, {})
    server._environment["PYTHONPATH"] = str(tmp_path)
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()"
    (tmp_path / "jupyter_server.py").write_text(code)
    with pytest.raises(ServerFailed, match="no answer"):
        server.start()
    server.stop()
    assert not psutil.pid_exists(server.pid)
