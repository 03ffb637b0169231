"""A real `jupyter server` in a process of its own, with kernels started and renamed through REST."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_client.blocking import BlockingKernelClient

from jupyter_nq.testing import wait_until

TOKEN = "integration-token"
_START_SECONDS = 60.0
_HEARTBEAT_SECONDS = 10.0  # the default second is too short for a kernel that starts on a loaded machine
_LAB_EXTENSIONS = ("jupyterlab", "jupyter_lsp", "jupyter_server_terminals")
_NEVER = ("notebook", "notebook_shim")


class Answer(Exception):
    """An HTTP error with its JSON body."""

    def __init__(self, code: int, body: dict[str, Any]) -> None:
        super().__init__(f"{code} {body}")
        self.code = code
        self.body = body


class Kernel:
    """One kernel of a server, spoken to over its own connection file."""

    def __init__(self, session: dict[str, Any], connection_file: Path) -> None:
        self.id: str = session["kernel"]["id"]
        self.session: str = session["id"]
        self._client = BlockingKernelClient(connection_file=str(connection_file))
        self._client.load_connection_file()
        self._client.hb_channel.time_to_dead = _HEARTBEAT_SECONDS
        self._client.start_channels()
        wait_until(self._answers, _START_SECONDS, "the kernel to answer")

    def _answers(self) -> bool:
        """Wait until it answers; False when it was taken for dead, as one is that needs a second to start."""
        try:
            self._client.wait_for_ready(timeout=_START_SECONDS)
        except RuntimeError:
            return False
        return True

    def run(self, code: str) -> str:
        """Run a cell and return what it printed; an error of the cell is an error here."""
        printed: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])

        reply = self._client.execute_interactive(code, timeout=_START_SECONDS, output_hook=hook, store_history=False)
        if reply["content"]["status"] != "ok":
            raise AssertionError("\n".join(reply["content"]["traceback"]))
        return "".join(printed).strip()

    def start(self, code: str) -> None:
        """Send a cell without waiting for it."""
        self._sent = self._client.execute(code, store_history=False)

    def finish(self) -> None:
        """Wait for the cell that `start` sent; an error of the cell is an error here."""
        while True:
            reply = self._client.get_shell_msg(timeout=_START_SECONDS)
            if reply["parent_header"].get("msg_id") == self._sent:
                break
        if reply["content"]["status"] != "ok":
            raise AssertionError("\n".join(reply["content"]["traceback"]))

    def close(self) -> None:
        """Disconnect; the kernel itself belongs to the server."""
        self._client.stop_channels()


class JupyterProcess:
    """Starts on entry, is ended on exit if it still runs; `extension=False` starts it without this package."""

    def __init__(
        self,
        home: Path,
        store: Path,
        *options: str,
        base_url: str = "/a%40b/",
        lab: bool = False,
        extension: bool = True,
    ) -> None:
        self.home = home
        self.store = store
        self.base_url = base_url
        self.root = home / "notebooks"
        self._runtime = home / "runtime"
        self._data = home / "data"
        self.log_file = home / "server.log"
        self._options = [f"--NQApp.store_dir={store}", *options]
        if not any("identity_seconds" in option for option in options):
            self._options.append("--NQApp.identity_seconds=0.2")
        others = {**dict.fromkeys(_LAB_EXTENSIONS, lab), **dict.fromkeys(_NEVER, False)}
        self._extensions = {**others, "jupyter_nq": extension}
        self._kernels: list[Kernel] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> JupyterProcess:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop(signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        return self.log_file.read_text(errors="replace")

    def start(self) -> None:
        """Start and wait until it answers."""
        for directory in (self.root, self._runtime):
            directory.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), env=self._environment(), cwd=self.root, stdout=log, stderr=log
            )
        wait_until(lambda: self._alive() and self._find_port(), _START_SECONDS, "the server's runtime file")
        wait_until(self._answers, _START_SECONDS, "the server to answer")

    def _find_port(self) -> bool:
        """Read the port from the runtime file; False while the server has not written all of it."""
        try:
            self.port = json.loads((self._runtime / f"jpserver-{self.pid}.json").read_text())["port"]
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        return True

    def stop(self, with_signal: signal.Signals) -> None:
        """End it with a signal and reap it; a second call does nothing."""
        for kernel in self._kernels:
            kernel.close()
        self._kernels.clear()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(with_signal)
            self.process.wait(_START_SECONDS)

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """Call a route below base_url with the token; raises `Answer` for an HTTP error."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.base_url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
        except urllib.error.HTTPError as exc:
            with exc:
                raise Answer(exc.code, json.loads(exc.read() or b"{}")) from exc
        return json.loads(text) if text else None

    def install_kernel(self, name: str, python: str) -> None:
        """Make a kernel specification for another Python known to this server."""
        directory = self.home / "data" / "kernels" / name
        directory.mkdir(parents=True)
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": name, "language": "python"}
        (directory / "kernel.json").write_text(json.dumps(spec))

    def kernel(self, path: str, kernel_name: str = "python3") -> Kernel:
        """Start a kernel for a notebook path through a session, as the lab does."""
        name = path.rpartition("/")[2]
        wanted = {"path": path, "name": name, "type": "notebook", "kernel": {"name": kernel_name}}
        session = self.rest("POST", "api/sessions", wanted)
        connection = self._runtime / f"kernel-{session['kernel']['id']}.json"
        wait_until(connection.exists, _START_SECONDS, "the kernel's connection file")
        kernel = Kernel(session, connection)
        self._kernels.append(kernel)
        return kernel

    def holders(self, dataset: str) -> set[str]:
        """Return who holds a dataset, by the names the panel shows."""
        try:
            return {holder["who"] for holder in self.rest("GET", f"jupyter-nq/datasets/{dataset}")["holders"]}
        except Answer as exc:
            if exc.code not in (404, 503):
                raise
            return set()

    def _command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "jupyter_server",
            "--port=0",
            "--ip=127.0.0.1",
            "--no-browser",
            "--allow-root",
            f"--ServerApp.base_url={self.base_url}",
            f"--ServerApp.root_dir={self.root}",
            f"--ServerApp.jpserver_extensions={self._extensions}",
            "--ServerApp.allow_unauthenticated_access=False",
            f"--IdentityProvider.token={TOKEN}",
            *self._options,
        ]

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY"))}
        return {
            **own,
            "JUPYTER_RUNTIME_DIR": str(self._runtime),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "JUPYTER_NQ_CACHE": str(self.home / "cache"),
            "JUPYTER_NQ_SPILL": str(self.home / "cold"),
        }

    def _alive(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended:\n{self.log}")
        return True

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._alive() and self.rest("GET", "api/status"))
        return False


@contextlib.contextmanager
def script(code: str, home: Path, store: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script that talks over its pipes; its file is named `feed.py`."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "feed.py"
    path.write_text(code)
    environment = {**os.environ, "JUPYTER_NQ_STORE": str(store), "JUPYTER_CONFIG_DIR": str(home / "config")}
    process = subprocess.Popen(
        [sys.executable, str(path), *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
