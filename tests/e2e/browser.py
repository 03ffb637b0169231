"""What the browser tests do with the lab."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.integration.jupyter_process import JupyterProcess

ARTIFACTS = Path(__file__).parent / "artifacts"
SECONDS = 1000.0


def open_notebook(lab: JupyterProcess, page: Page) -> Locator:
    """Open the notebook in the lab, with a kernel that waits, and return it."""
    page.goto(f"http://127.0.0.1:{lab.port}{lab.base_url}lab/tree/execution_engine.ipynb?reset")
    notebook = page.locator(".jp-NotebookPanel")
    expect(notebook.locator(".jp-CodeCell").first).to_be_visible(timeout=60 * SECONDS)
    # A cell that is run before its kernel is there does nothing.
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60 * SECONDS)
    expect(page.get_by_role("button", name=re.compile("Python 3.*Idle"))).to_be_visible(timeout=60 * SECONDS)
    return notebook


def open_panel(page: Page) -> Locator:
    """Open the panel, or close it when it is open, and return it."""
    page.locator('.jp-SideBar li[data-id="jupyter-nq-panel"]').click()
    return page.locator("#jupyter-nq-panel")


def dark(page: Page) -> None:
    """Choose the dark theme."""
    page.locator(".lm-MenuBar-itemLabel", has_text="Settings").click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).hover()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^JupyterLab Dark$")).click()
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false", timeout=20 * SECONDS)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=20 * SECONDS)  # it covers a change of theme


def picture(page: Page, name: str) -> None:
    """Keep what can be seen."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / name)
