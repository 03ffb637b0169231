"""Tests of the kernel reporter against the real managers of a server and real kernels."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_nq.server.kernels import KernelPlace, KernelReporter

LOG = logging.getLogger("test.kernels")
DEADLINE_SECONDS = 30


class Coordinator:
    """Takes reports; says that it is away while `away`."""

    def __init__(self) -> None:
        self.reports: list[list[dict[str, Any]]] = []
        self.away = False

    async def send(self, kernels: list[dict[str, Any]]) -> bool:
        if not self.away:
            self.reports.append(kernels)
        return not self.away

    async def has(self, predicate: Callable[[list[list[dict[str, Any]]]], Any]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not predicate(self.reports):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def _session(jp_fetch: Any, path: str) -> AsyncIterator[dict[str, Any]]:
    model = {"path": path, "name": path.rpartition("/")[2], "type": "notebook", "kernel": {"name": "python3"}}
    response = await jp_fetch("api", "sessions", method="POST", body=json.dumps(model), request_timeout=60)
    session = json.loads(response.body)
    try:
        yield session
    finally:
        await jp_fetch("api", "sessions", session["id"], method="DELETE")


def _reporter(app: ServerApp, coordinator: Coordinator, seconds: float = 0.05) -> KernelReporter:
    return KernelReporter(app.kernel_manager, app.session_manager, coordinator.send, seconds, LOG)


async def test_no_kernels_are_reported_as_none(jp_serverapp: ServerApp) -> None:
    """The first report, even an empty one, tells the coordinator that this server exists; then it is quiet."""
    coordinator = Coordinator()
    reporter = _reporter(jp_serverapp, coordinator)
    assert repr(reporter) == "<KernelReporter every 0.05 s, nothing sent>"
    reporter.start()
    reporter.start()
    await coordinator.has(lambda reports: reports == [[]])
    reporter.wake()
    await coordinator.has(lambda reports: reports == [[], []])
    assert repr(reporter) == "<KernelReporter every 0.05 s, 0 kernels sent>"
    await reporter.close()
    await reporter.close()


async def test_kernel_is_reported_with_its_notebook_and_followed(jp_serverapp: ServerApp, jp_fetch: Any) -> None:
    """Start, rename and end of a notebook's kernel each make one report."""
    coordinator = Coordinator()
    reporter = _reporter(jp_serverapp, coordinator)
    reporter.start()
    async with _session(jp_fetch, "desk/risk.ipynb") as session:
        await coordinator.has(lambda reports: reports[-1] and reports[-1][0]["path"])  # it starts before it is named
        (place,) = coordinator.reports[-1]
        assert place["kernel_id"] == session["kernel"]["id"]
        assert (place["path"], place["name"]) == ("desk/risk.ipynb", "risk.ipynb")
        assert place["pid"] == jp_serverapp.kernel_manager.get_kernel(place["kernel_id"]).provisioner.pid
        renamed = json.dumps({"path": "desk/limits.ipynb", "name": "limits.ipynb"})
        await jp_fetch("api", "sessions", session["id"], method="PATCH", body=renamed)
        await coordinator.has(lambda reports: reports[-1][0]["path"] == "desk/limits.ipynb")
    await coordinator.has(lambda reports: reports[-1] == [])
    assert [len(report) for report in coordinator.reports[-3:]] == [1, 1, 0]
    await reporter.close()


async def test_notebook_names_a_kernel_that_a_console_shares(jp_serverapp: ServerApp, jp_fetch: Any) -> None:
    """Of two sessions on one kernel the notebook's counts, whichever came first."""
    reporter = _reporter(jp_serverapp, Coordinator())
    async with _session(jp_fetch, "a.ipynb") as notebook:
        model = {"path": "console-1", "name": "c", "type": "console", "kernel": {"id": notebook["kernel"]["id"]}}
        await jp_fetch("api", "sessions", method="POST", body=json.dumps(model))
        assert len(await jp_serverapp.session_manager.list_sessions()) == 2
        assert [place.path for place in await reporter.look()] == ["a.ipynb"]


async def test_kernel_without_a_session_is_named_by_its_id(jp_serverapp: ServerApp, jp_fetch: Any) -> None:
    """A kernel started through the kernels' API has no path."""
    body = json.dumps({"name": "python3"})
    kernel = json.loads((await jp_fetch("api", "kernels", method="POST", body=body, request_timeout=60)).body)
    (place,) = await _reporter(jp_serverapp, Coordinator()).look()
    assert place == KernelPlace(place.pid, kernel["id"], "", f"kernel {kernel['id'][:8]}")
    await jp_fetch("api", "kernels", kernel["id"], method="DELETE")


async def test_report_that_was_not_taken_is_sent_again(jp_serverapp: ServerApp) -> None:
    """A coordinator that is away gets the kernels when it is back."""
    coordinator = Coordinator()
    coordinator.away = True
    reporter = _reporter(jp_serverapp, coordinator)
    reporter.start()
    await asyncio.sleep(0)
    coordinator.away = False
    await coordinator.has(lambda reports: reports == [[]])
    await reporter.close()


async def test_failing_manager_costs_a_log_line_only(
    jp_serverapp: ServerApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A session manager of another package that raises does not end the reporter."""
    coordinator = Coordinator()
    reporter = _reporter(jp_serverapp, coordinator, 0.01)
    looks = []
    with monkeypatch.context() as patch:

        def broken() -> list[str]:
            looks.append(1)
            if len(looks) == 3:
                patch.undo()
            raise RuntimeError("no database")

        patch.setattr(jp_serverapp.kernel_manager, "list_kernel_ids", broken)
        reporter.start()
        await coordinator.has(lambda reports: reports == [[]])
    # Only this reporter's words: the server's own one may look, and fail, in the same moment.
    mine = [record for record in caplog.records if record.name == "test.kernels"]
    assert ["could not look at the kernels" in record.message for record in mine] == [True]
    await reporter.close()


async def test_kernel_that_vanishes_while_looking_is_left_out(jp_serverapp: ServerApp) -> None:
    """A kernel id without a kernel behind it is no kernel."""
    assert _reporter(jp_serverapp, Coordinator())._pid("no-such-kernel") is None


def test_wake_before_start_and_after_the_loop_is_harmless(jp_serverapp: ServerApp) -> None:
    """The coordinator's threads may call at any time."""
    _reporter(jp_serverapp, Coordinator()).wake()


@pytest.mark.parametrize("turns", range(6))
async def test_close_in_the_moment_of_a_question_ends(jp_serverapp: ServerApp, turns: int) -> None:
    """However few turns of the loop lie between a question and the end, the end is not lost."""
    coordinator = Coordinator()
    reporter = _reporter(jp_serverapp, coordinator, 3600)
    reporter.start()
    await coordinator.has(lambda reports: reports == [[]])
    reporter.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.wait_for(reporter.close(), DEADLINE_SECONDS)
