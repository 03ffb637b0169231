"""Streams in the panel of a real JupyterLab: real kernels publish and read, and a real browser counts its messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from jupyter_nq.testing import wait_until
from tests.e2e.browser import SECONDS, dark, open_notebook, open_panel, picture
from tests.e2e.proxy import CuttingProxy
from tests.integration.jupyter_process import JupyterProcess, Kernel

pytestmark = pytest.mark.e2e

ODD_NAME = "feed <b>&amp; 100%1 é.ipynb"
FEED = """
import threading, time
import jupyter_nq as nq
ticks = nq.stream("ticks", {"at": "datetime64[ns, UTC]", "price": "float64"})
stop = threading.Event()
def publish():
    while not stop.wait(0.005):
        ticks.publish((time.time_ns(), 20000.25))
thread = threading.Thread(target=publish, daemon=True)
thread.start()
"""
# Notes when each message of the feed came, and how many of its sockets are open.
COUNT = """
window.nqFeed = {at: [], open: 0};
const Native = window.WebSocket;
window.WebSocket = class extends Native {
  constructor(...args) {
    super(...args);
    if (!String(args[0]).includes('jupyter-nq/feed')) return;
    window.nqFeed.open += 1;
    this.addEventListener('message', () => window.nqFeed.at.push(performance.now()));
    this.addEventListener('close', () => { window.nqFeed.open -= 1; });
  }
};
"""
MOST_HZ = 10


@pytest.fixture
def feed(lab: JupyterProcess) -> Kernel:
    """Give the kernel of a notebook with an odd name, which publishes 200 messages a second."""
    kernel = lab.kernel(ODD_NAME)
    kernel.run(FEED)
    return kernel


def _changes(cell: Locator) -> None:
    """Wait until a cell shows something else."""
    expect(cell).not_to_have_text(cell.inner_text(), timeout=20 * SECONDS)


def _busiest_second(page: Page, messages: int) -> int:
    """Return how many messages of the feed came in the busiest second of the next ones."""
    begin = page.evaluate("window.nqFeed.at.length")
    page.wait_for_function(f"window.nqFeed.at.length >= {begin + messages}")
    at = page.evaluate(f"window.nqFeed.at.slice({begin})")
    return max(sum(start <= one < start + 1000 for one in at) for start in at)


def test_stream_is_followed(lab: JupyterProcess, page: Page) -> None:
    """A stream appears with its rate, lag and people; its newest row moves, the rest stays where it is."""
    page.add_init_script(COUNT)
    open_notebook(lab, page)
    panel = open_panel(page)
    expect(panel).to_contain_text("There is no stream yet", timeout=20 * SECONDS)
    expect(panel).to_contain_text("%nq_publish signals my_frame")
    feed, risk = lab.kernel(ODD_NAME), lab.kernel("risk_management.ipynb")
    feed.run(FEED)
    risk.run("import jupyter_nq as nq; reader = nq.stream('ticks').subscribe(name='risk')")
    stream = panel.locator('tbody[data-stream="ticks"]')
    rate, readers, lag, lost = (stream.locator(".jp-nq-Table-figures td").nth(place) for place in range(4))
    expect(rate).to_have_text(re.compile(r"^\d{2,3}/s$"), timeout=20 * SECONDS)
    expect(readers).to_have_text("1 consumer", timeout=20 * SECONDS)
    expect(lag).to_have_text(re.compile(r"^lag [1-9]"), timeout=20 * SECONDS)
    expect(lost).to_have_text("lost 0")
    _changes(lag)
    assert 2 <= _busiest_second(page, 40) <= MOST_HZ + 1  # one more when the edges of the second are just in time

    stream.get_by_role("button", name="ticks tape").focus()
    page.keyboard.press("Enter")
    details = stream.locator(".jp-nq-StreamTable-details")
    expect(details).to_contain_text(ODD_NAME, timeout=20 * SECONDS)
    expect(details).to_contain_text("risk, risk_management.ipynb")
    newest = details.locator("dl")
    expect(newest).to_contain_text("20000.25", timeout=20 * SECONDS)
    places = stream.bounding_box(), details.bounding_box()
    _changes(newest)
    feed.run("stop.set(); thread.join(); ticks.publish((0, 12345.5))")
    expect(newest).to_contain_text("12345.5", timeout=20 * SECONDS)
    expect(newest).to_contain_text("1970-01-01 00:00:00")
    expect(rate).to_have_text("0/s", timeout=20 * SECONDS)
    assert places == (stream.bounding_box(), details.bounding_box())


def test_stream_is_read_by_a_cell_and_dropped(lab: JupyterProcess, page: Page) -> None:
    """The inserted cell reads the stream and is seen to; dropping asks first, and is for everybody."""
    feed = lab.kernel("feed.ipynb")
    feed.run("import jupyter_nq as nq; ticks = nq.stream('ticks', {'price': 'float64'}); ticks.publish((1.5,))")
    notebook = open_notebook(lab, page)
    panel = open_panel(page)
    stream = panel.locator('tbody[data-stream="ticks"]')
    stream.get_by_role("button", name="ticks tape").click()
    stream.get_by_role("button", name="Insert a cell that reads ticks").click()
    expect(notebook.locator(".jp-mod-active.jp-CodeCell")).to_contain_text("ticks = nq.stream('ticks').subscribe()")
    page.keyboard.press("Shift+Enter")
    expect(stream).to_contain_text("1 consumer", timeout=30 * SECONDS)
    feed.run("ticks.publish((54321.5,))")
    expect(notebook).to_contain_text("54321.5", timeout=30 * SECONDS)
    expect(stream).to_contain_text("execution_engine.ipynb")

    stream.get_by_role("button", name="Drop ticks").click()
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("Drop the stream “ticks”?")
    page.keyboard.press("Enter")  # the default does nothing
    expect(dialog).to_have_count(0)
    expect(stream).to_have_count(1)
    stream.get_by_role("button", name="Drop ticks").click()
    dialog.get_by_role("button", name="Drop", exact=True).click()
    expect(panel).to_contain_text("There is no stream yet", timeout=20 * SECONDS)
    assert feed.run("print([s.name for s in nq.list_streams()])") == "[]"


def test_closed_panel_is_sent_nothing(lab: JupyterProcess, page: Page, feed: Kernel) -> None:
    """While the panel is closed there is no feed, so that the server has nobody to look for; open again it goes on."""
    page.add_init_script(COUNT)
    open_notebook(lab, page)
    panel = open_panel(page)
    rate = panel.locator('tbody[data-stream="ticks"] .jp-nq-Table-figures td').first
    expect(rate).to_have_text(re.compile(r"^\d{2,3}/s$"), timeout=20 * SECONDS)
    open_panel(page)
    page.wait_for_function("window.nqFeed.open === 0")
    heard = page.evaluate("window.nqFeed.at.length")
    published = int(feed.run("print(ticks.messages)"))
    while int(feed.run("print(ticks.messages)")) < published + 200:
        pass
    assert page.evaluate("window.nqFeed.at.length") == heard
    open_panel(page)
    page.wait_for_function(f"window.nqFeed.open === 1 && window.nqFeed.at.length > {heard + 5}")


def test_many_streams_by_keyboard_and_palette(lab: JupyterProcess, page: Page) -> None:
    """Long names wrap, all kinds of messages are shown as text, lost messages are counted, the palette drops."""
    other = lab.kernel("risk_management.ipynb")
    name = "a" * 128
    other.run(
        f"""
import jupyter_nq as nq
from jupyter_nq.errors import Lagged
nq.stream({name!r}).publish({{"html": "<img src=x onerror=alert(1)>"}})
small = nq.stream("small", retention_bytes=131072, segment_bytes=65536)
slow = small.subscribe("latest")
for _ in range(60):
    small.publish(bytes(10_000))
try:
    slow.get_messages()
except Lagged:
    pass
"""
    )
    open_notebook(lab, page)
    panel = open_panel(page)
    long = panel.locator(f'tbody[data-stream="{name}"]')
    expect(long).to_contain_text(name, timeout=20 * SECONDS)
    box, whole = long.bounding_box(), panel.bounding_box()
    assert box is not None
    assert whole is not None
    assert box["width"] <= whole["width"]
    long.locator(".jp-nq-Open").click()
    expect(long.locator("pre")).to_have_text('{"html": "<img src=x onerror=alert(1)>"}', timeout=20 * SECONDS)
    small = panel.locator('tbody[data-stream="small"]')
    expect(small.locator('.jp-nq-Table-figures [data-lost="true"]')).to_have_text(re.compile(r"^lost [1-9]"))
    small.get_by_role("button", name="small log").press("Space")
    expect(small.locator("pre")).to_contain_text("10,000 bytes: 00 00", timeout=20 * SECONDS)
    picture(page, "streams-many.png")

    page.keyboard.press("Control+Shift+C")
    page.locator("#command-palette input").fill("Drop a Stream")
    page.locator(".lm-CommandPalette-item", has_text="Drop a Stream").click()
    page.locator(".jp-Dialog select, .jp-Dialog input").first.select_option("small")
    page.get_by_role("button", name="Drop…").click()
    page.locator(".jp-Dialog").get_by_role("button", name="Drop", exact=True).click()
    expect(small).to_have_count(0, timeout=20 * SECONDS)


def test_what_the_disk_has_of_a_stream_that_evolved(lab: JupyterProcess, page: Page) -> None:
    """How many messages are safe, and which schema it has now."""
    lab.kernel("orders.ipynb").run(
        """
import jupyter_nq as nq
orders = nq.stream("orders", {"at": "int64"}, durable=True)
orders.publish({"at": 1})
orders.evolve(orders.schema.append(orders.schema.field("at").with_name("size")))
orders.publish({"at": 2, "size": 3})
orders.flush()
"""
    )
    open_notebook(lab, page)
    orders = open_panel(page).locator('tbody[data-stream="orders"]')
    orders.get_by_role("button", name="orders tape").press("Space")
    expect(orders).to_contain_text("Durable: the disk has 2 of 2 messages", timeout=20 * SECONDS)
    expect(orders).to_contain_text("Its schema changed, for the last time in epoch 1")


@pytest.fixture
def proxy(lab: JupyterProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[CuttingProxy]:
    """Stand between the lab and whoever comes after this."""
    standing = CuttingProxy(lab.port, "jupyter-nq/feed")
    monkeypatch.setattr(lab, "port", standing.port)
    yield standing
    standing.close()


def test_90_a_feed_that_is_cut_in_the_middle_of_a_message_is_taken_up_again(
    lab: JupyterProcess, proxy: CuttingProxy, page: Page
) -> None:
    """Several times; then the panel shows all that was published, each dataset and each message once."""
    page.add_init_script(COUNT)
    open_notebook(lab, page)
    panel = open_panel(page)
    feed = lab.kernel("feed.ipynb")
    feed.run(FEED)
    expect(panel.locator('tbody[data-stream="ticks"]')).to_have_count(1, timeout=20 * SECONDS)
    for cuts in range(1, 4):
        proxy.cut()
        feed.run(f"nq.put('bars{cuts}', b'x')")
        wait_until(lambda cuts=cuts: proxy.cuts == cuts, 20, "the feed to be cut")  # type: ignore[misc]
        heard = page.evaluate("window.nqFeed.at.length")
        page.wait_for_function(f"window.nqFeed.open === 1 && window.nqFeed.at.length > {heard + 2}")
    published = int(feed.run("stop.set(); thread.join(); print(ticks.messages)"))
    stream = panel.locator('tbody[data-stream="ticks"]')
    stream.get_by_role("button", name="ticks tape").press("Space")
    expect(stream).to_contain_text(f"{published:,} of {published:,} messages kept", timeout=20 * SECONDS)
    for cuts in range(1, 4):
        expect(panel.locator(f'tbody[data-dataset="bars{cuts}"]')).to_have_count(1)


def test_picture_of_the_panel(lab: JupyterProcess, page: Page) -> None:
    """Two notebooks share bars and streams: what the README shows, in both themes."""
    lab.kernel("feed.ipynb").run(FEED)
    notebook = open_notebook(lab, page)
    panel = open_panel(page)
    notebook.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    risk = lab.kernel("risk_management.ipynb")
    risk.run("import jupyter_nq as nq; bars = nq.load('NQ', '30min')")
    risk.run("nq.stream('signals').publish({'halt': False}); lazy = nq.stream('signals').subscribe(name='desk')")
    risk.run("listener = nq.stream('ticks').on_message(lambda message: None)")
    expect(panel.locator('tbody[data-dataset="NQ.30min"]')).to_contain_text("risk_management", timeout=60 * SECONDS)
    stream = panel.locator('tbody[data-stream="ticks"]')
    stream.get_by_role("button", name="ticks tape").press("Enter")
    expect(stream.locator("dl")).to_contain_text("20000.25", timeout=20 * SECONDS)
    notebook.locator(".jp-CodeCell").last.hover()
    expect(stream).to_contain_text(re.compile(r"\d{3}/s"))
    picture(page, "panel.png")
    dark(page)
    expect(stream.locator("dl")).to_contain_text("20000.25")
    picture(page, "panel-dark.png")
