"""The panel in a real JupyterLab in a real browser: a dataset appears, and its load cell works."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import SECONDS, dark, open_notebook, open_panel, picture
from tests.integration.jupyter_process import JupyterProcess

pytestmark = pytest.mark.e2e


def test_dataset_appears_and_its_load_cell_works(lab: JupyterProcess, page: Page) -> None:
    """A cell loads bars, the panel shows them with their holders live, and inserts a cell that maps them."""
    notebook = open_notebook(lab, page)
    panel = open_panel(page)
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

    picture(page, "datasets.png")
    dataset.get_by_role("button").click()
    expect(notebook.locator(".jp-mod-active.jp-CodeCell")).to_contain_text("NQ_30min = nq.load(")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("print(len(NQ_30min), NQ_30min.equals(bars))")
    page.keyboard.press("Shift+Enter")
    expect(notebook).to_contain_text("20000 True", timeout=30 * SECONDS)

    other.run("nq.drop('signals')")
    expect(panel.locator('tbody[data-dataset="signals"]')).to_have_count(0, timeout=20 * SECONDS)
    dark(page)
    picture(page, "datasets-dark.png")
