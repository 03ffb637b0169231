"""A running JupyterLab, and a browser that is logged in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from jupyter_nq.bars.sample import write_sample
from tests.e2e.browser import ARTIFACTS
from tests.integration.jupyter_process import TOKEN, JupyterProcess

# Without these Chromium looks for its vendor's servers at every start; the sandbox needs a user of its own.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _missing(reason: str) -> None:
    """Skip on a developer's machine; on the build machine, where all is installed, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def lab(tmp_path: Path, nq_store_dir: Path) -> Iterator[JupyterProcess]:
    """A running JupyterLab under a base URL, with two notebooks and generated bars."""
    try:
        distribution("jupyter-nq")
    except PackageNotFoundError:
        _missing("jupyter-nq is not installed, so JupyterLab has no panel: pip install '.[test]'")
    data = tmp_path / "data"
    write_sample(data, rows=20_000, seed=7)
    server = JupyterProcess(
        tmp_path / "lab", nq_store_dir, f"--NQApp.data_dir={data}", "--LabApp.news_url=None", lab=True
    )
    server.root.mkdir(parents=True)
    cells = [nbformat.v4.new_code_cell("%load_ext jupyter_nq\n%nq_load NQ 30min as bars")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": ""}})
    nbformat.write(notebook, server.root / "execution_engine.ipynb")
    settings = server.home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with server:
        yield server


@pytest.fixture
def page(lab: JupyterProcess) -> Iterator[Page]:
    """A browser page that is logged in, and that fails the test on any error or outside request."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        _missing("Chromium is not installed: apt-get install chromium")
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(f"{message.text} {message.location.get('url')}")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        opened = browser.new_page(viewport={"width": 1280, "height": 720})
        opened.on("console", note)
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        outside = opened.on("request", lambda r: wrong.append(r.url) if "127.0.0.1" not in r.url else None)
        assert outside is None
        opened.goto(f"http://127.0.0.1:{lab.port}{lab.base_url}login")
        opened.locator("input#password_input").fill(TOKEN)
        opened.locator("#login_submit").click()
        yield opened
        ARTIFACTS.mkdir(exist_ok=True)
        opened.screenshot(path=ARTIFACTS / "last.png")
        browser.close()
    assert [w for w in wrong if not w.startswith(("data:", "blob:"))] == []
