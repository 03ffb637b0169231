"""The panel in a real JupyterLab in a real browser: a dataset appears, and its load cell works."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from jupyter_nq.bars.sample import write_sample
from tests.integration.jupyter_process import TOKEN, JupyterProcess

pytestmark = pytest.mark.e2e

ARTIFACTS = Path(__file__).parent / "artifacts"
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
SECONDS = 1000.0


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


def test_dataset_appears_and_its_load_cell_works(lab: JupyterProcess, page: Page) -> None:
    """A cell loads bars, the panel shows them with their holders live, and inserts a cell that maps them."""
    page.goto(f"http://127.0.0.1:{lab.port}{lab.base_url}lab/tree/execution_engine.ipynb?reset")
    notebook = page.locator(".jp-NotebookPanel")
    expect(notebook.locator(".jp-CodeCell").first).to_be_visible(timeout=60 * SECONDS)
    # A cell that is run before its kernel is there does nothing.
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60 * SECONDS)
    expect(page.get_by_role("button", name=re.compile("Python 3.*Idle"))).to_be_visible(timeout=60 * SECONDS)
    page.locator('.jp-SideBar li[data-id="jupyter-nq-panel"]').click()
    panel = page.locator("#jupyter-nq-panel")
    expect(panel).to_contain_text("No dataset is shared yet", timeout=20 * SECONDS)

    notebook.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    dataset = panel.locator('tbody[data-dataset="NQ.30min"]')
    expect(dataset).to_contain_text("v1", timeout=60 * SECONDS)
    expect(dataset).to_contain_text("20,000 rows")
    expect(dataset).to_contain_text("execution_engine.ipynb")

    other = lab.kernel("risk_management.ipynb")
    other.run("%load_ext jupyter_nq\n%nq_load NQ 30min as bars")
    other.run("import jupyter_nq as nq, numpy as np; nq.put('signals', np.sign(np.diff(bars.close)))")
    expect(dataset).to_contain_text("risk_management.ipynb", timeout=20 * SECONDS)
    expect(panel.locator('tbody[data-dataset="signals"]')).to_contain_text("Not in use")

    _picture(page, "panel.png")
    dataset.get_by_role("button").click()
    expect(notebook.locator(".jp-mod-active.jp-CodeCell")).to_contain_text("NQ_30min = nq.load(")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("print(len(NQ_30min), NQ_30min.equals(bars))")
    page.keyboard.press("Shift+Enter")
    expect(notebook).to_contain_text("20000 True", timeout=30 * SECONDS)

    other.run("nq.drop('signals')")
    expect(panel.locator('tbody[data-dataset="signals"]')).to_have_count(0, timeout=20 * SECONDS)
    _dark(page)
    _picture(page, "panel-dark.png")


def _dark(page: Page) -> None:
    page.locator(".lm-MenuBar-itemLabel", has_text="Settings").click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).hover()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^JupyterLab Dark$")).click()
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false", timeout=20 * SECONDS)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=20 * SECONDS)  # it covers a change of theme


def _picture(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / name)
