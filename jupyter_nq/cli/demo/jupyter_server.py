"""A real Jupyter server of the demo's own: started on a free port, asked over REST, stopped by pid.

It sees nothing of the user's Jupyter: configuration, data, runtime and IPython directories are new and
empty, while what is installed with this Python stays on the path, which is what enables the extension.
The token travels in the environment and in headers, never on a command line or in a URL; address and
port are read from the file that the server writes into its runtime directory.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_REQUEST_SECONDS = 30.0
_POLL_SECONDS = 0.02
_LOG_LINES = 12
_ISOLATED = ("CONFIG", "DATA", "RUNTIME")
# What a user may have set and what would reach into the demo: extra paths, a port, a token, settings.
_FOREIGN = (
    "JUPYTER_CONFIG_PATH",
    "JUPYTER_PATH",
    "JUPYTER_NO_CONFIG",
    "JUPYTER_PORT",
    "JUPYTER_PORT_RETRIES",
    "JUPYTER_TOKEN_FILE",
    "JUPYTER_NQ_CONFIG",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
)


class ServerFailed(Exception):
    """The demo's Jupyter server did not start or refused a request; the text quotes it."""


class JupyterServer:
    """One Jupyter server and what it started.

    Parameters
    ----------
    home
        Empty directory for everything that Jupyter writes.
    root
        Directory of the notebooks.
    variables
        Environment variables for the server and its kernels.
    """

    def __init__(self, home: Path, root: Path, variables: Mapping[str, str]) -> None:
        self._home, self._root = home, root
        self._token = secrets.token_urlsafe(32)
        self._environment = {**isolated(home), **variables, "JUPYTER_TOKEN": self._token}
        self._process: subprocess.Popen[bytes] | None = None
        self._kernels: list[psutil.Process] = []
        self._url = ""

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    @property
    def runtime(self) -> Path:
        """Directory of the kernels' connection files."""
        return self._home / "runtime"

    @property
    def log(self) -> Path:
        """File with the server's output."""
        return self._home / "server.log"

    def start(self) -> None:
        """Start the server and return when it answers; `ServerFailed` quotes the end of its log."""
        for name in _ISOLATED:
            (self._home / name.lower()).mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *self._flags()],
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the demo, which then stops the server
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None:
                raise ServerFailed(f"the Jupyter server stopped as it started:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"no answer from the Jupyter server in {_START_SECONDS:g} s:\n{self.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def _flags(self) -> list[str]:
        flags = {
            "ip": "127.0.0.1",
            "port": "0",
            "open_browser": "False",
            "root_dir": str(self._root),
            "jpserver_extensions": "{'jupyter_nq': True}",
        }
        as_root = ["--allow-root"] if os.geteuid() == 0 else []
        return [*(f"--ServerApp.{name}={value}" for name, value in flags.items()), *as_root]

    def _answers(self) -> bool:
        written = self.runtime / f"jpserver-{self.pid}.json"
        try:
            self._url = json.loads(written.read_text(encoding="utf-8"))["url"]
            self.get("api/status")
        except (FileNotFoundError, ValueError, urllib.error.URLError, ConnectionError):
            return False
        return True

    def log_tail(self) -> str:
        """Return the last lines of the server's output."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])

    # -- REST ------------------------------------------------------------------------------------
    def get(self, path: str) -> Any:
        """Return the JSON of a GET below the server's base URL."""
        return self._request("GET", path, None)

    def post(self, path: str, document: Mapping[str, Any]) -> Any:
        """Return the JSON of a POST below the server's base URL."""
        return self._request("POST", path, json.dumps(document).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"token {self._token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data=body, headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this server is not behind a proxy
        try:
            with opener.open(request, timeout=_REQUEST_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as exc:
            with exc:
                said = exc.read().decode("utf-8", "replace")[:300]
            raise ServerFailed(f"{method} {path}: the Jupyter server answers {exc.code}: {said}") from None

    def open_notebook(self, path: str) -> str:
        """Open a session with a new kernel for a notebook, as the lab does; return the kernel's id."""
        wanted = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        session = self.post("api/sessions", wanted)
        return str(session["kernel"]["id"])

    def kernel_pid(self, kernel_id: str) -> int:
        """Return the process id of a kernel of this server."""
        for child in psutil.Process(self.pid).children(recursive=True):
            if any(kernel_id in part for part in _command(child)):
                self._kernels.append(child)
                return child.pid
        raise ServerFailed(f"the kernel {kernel_id} ended as it started:\n{self.log_tail()}")

    # -- the end ---------------------------------------------------------------------------------
    def stop(self) -> None:
        """Stop the server, and what of its children is left, by process id. Stopping twice is fine."""
        process, started = self._process, self._kernels
        if process is None:
            return
        if process.poll() is None:
            started = [*started, *psutil.Process(process.pid).children(recursive=True)]
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        left = [child for child in set(started) if child.is_running()]  # is_running knows a pid that was given anew
        for child in left:
            child.kill()
        psutil.wait_procs(left, timeout=_STOP_SECONDS)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []  # it ended meanwhile


def isolated(home: Path) -> dict[str, str]:
    """Return this process's environment with Jupyter's and IPython's user directories moved to `home`."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    moved = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in _ISOLATED}
    return {**kept, **moved, "IPYTHONDIR": str(home / "ipython")}
