"""Tests of the REST routes against a real server, a real coordinator and a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPClientError

import jupyter_nq.server
from jupyter_nq.client.session import Session
from jupyter_nq.testing import wait_until


@pytest.fixture
def session(jp_serverapp: ServerApp, nq_store_dir: Path) -> Iterator[Session]:
    """Give a session on the server's store, opened while its loop rests: it needs the host's thread only."""
    with Session(nq_store_dir, require="server") as session:
        yield session


async def _get(jp_fetch: Any, *path: str) -> Any:
    return json.loads((await jp_fetch("jupyter-nq", *path)).body)


async def _refusal(jp_fetch: Any, *path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("jupyter-nq", *path, **options)
    assert caught.value.response is not None
    assert caught.value.response.headers["Content-Type"] == "application/json"
    assert caught.value.response.headers["Cache-Control"] == "no-store"
    return caught.value.code, json.loads(caught.value.response.body)


async def test_status_names_the_host_and_the_store(jp_serverapp: ServerApp, jp_fetch: Any, nq_store_dir: Path) -> None:
    """The server hosts the coordinator of the configured store."""
    status = await _get(jp_fetch, "status")
    assert status["store"] == str(nq_store_dir)
    assert status["host"]["role"] == "server"
    assert status["datasets"] == 0
    assert set(status["pool"]) == {"limit", "used", "free", "spare"}
    assert status["since"].endswith("+00:00")


async def test_answers_are_never_cached(jp_serverapp: ServerApp, jp_fetch: Any) -> None:
    """A browser must ask again every time."""
    assert (await jp_fetch("jupyter-nq", "status")).headers["Cache-Control"] == "no-store"


async def test_datasets_show_what_was_put(session: Session, jp_fetch: Any) -> None:
    """A dataset is listed with its load cell and its holder, alone and among all."""
    assert await _get(jp_fetch, "datasets") == []
    session.put("NQ.30min", {"close": np.arange(10.0)})
    kept = session.get("NQ.30min", as_="numpy")
    session.ls()  # any request announces what is held
    (row,) = await _get(jp_fetch, "datasets")
    assert (row["name"], row["version"], row["rows"]) == ("NQ.30min", 1, 10)
    assert row["load"] == "import jupyter_nq as nq\nNQ_30min = nq.get('NQ.30min')"
    assert await _get(jp_fetch, "datasets", "NQ.30min") == row
    assert len(kept["close"]) == 10


async def test_notebooks_list_the_connected_processes(session: Session, jp_fetch: Any) -> None:
    """The session of this test is one of them."""
    session.put("a", {"x": np.arange(3)})
    assert any(row["connected"] for row in await _get(jp_fetch, "notebooks"))


async def test_delete_removes_the_name(session: Session, jp_fetch: Any) -> None:
    """A dropped dataset is gone, and dropping it again says so."""
    session.put("signals", {"x": np.arange(3)})
    response = await jp_fetch("jupyter-nq", "datasets", "signals", method="DELETE")
    dropped = json.loads(response.body)
    assert (dropped["name"], dropped["versions"]) == ("signals", 1)
    assert session.ls() == []
    code, body = await _refusal(jp_fetch, "datasets", "signals", method="DELETE")
    assert (code, body["reason"]) == (404, "UnknownDataset")


async def test_unknown_dataset_names_the_nearest(session: Session, jp_fetch: Any) -> None:
    """A 404 says what was meant."""
    session.put("signals", {"x": np.arange(3)})
    code, body = await _refusal(jp_fetch, "datasets", "signal")
    assert (code, body["reason"]) == (404, "UnknownDataset")
    assert "Did you mean 'signals'?" in body["message"]


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fetc", "a%00b", "a%0Ab", "%CE%9DQ", "x" * 129, ".hidden"])
@pytest.mark.parametrize("verb", ["GET", "DELETE"])
async def test_name_that_is_not_allowed_is_a_400(
    jp_serverapp: ServerApp, jp_base_url: str, http_server_client: Any, jp_auth_header: Any, name: str, verb: str
) -> None:
    """Nothing but a dataset name is looked up, however it is encoded."""
    with pytest.raises(HTTPClientError) as caught:
        await http_server_client.fetch(f"{jp_base_url}jupyter-nq/datasets/{name}", method=verb, headers=jp_auth_header)
    assert caught.value.code == 400
    assert caught.value.response is not None
    assert json.loads(caught.value.response.body)["reason"] == "InvalidName"


async def test_verb_that_a_route_lacks_is_a_405_in_json(jp_serverapp: ServerApp, jp_fetch: Any) -> None:
    """Errors of the framework have the same two fields."""
    assert await _refusal(jp_fetch, "status", method="DELETE") == (
        405,
        {"message": "Method Not Allowed", "reason": "Method Not Allowed"},
    )


async def test_loop_answers_while_the_coordinator_is_busy(session: Session, jp_fetch: Any) -> None:
    """Many requests at once are all answered."""
    session.put("a", {"x": np.arange(3)})
    first = _get(jp_fetch, "datasets")
    second = _get(jp_fetch, "status")
    assert (await second)["datasets"] == 1
    assert len(await first) == 1


def test_documentation_lists_every_route(jp_serverapp: ServerApp) -> None:
    """rest-api.yml has exactly the paths and verbs of the web application."""
    text = (Path(jupyter_nq.server.__file__).parent / "rest-api.yml").read_text()
    paths = yaml.safe_load(text)["paths"]
    written = {(verb.upper(), path) for path, item in paths.items() for verb in item if verb != "parameters"}
    app = jp_serverapp.extension_manager.extension_points["jupyter_nq"].app
    verbs = ("GET", "POST", "PUT", "PATCH", "DELETE")
    real = {
        (verb, pattern.replace("([^/]+)", "{name}"))
        for pattern, handler, *_ in app.handlers
        for verb in verbs
        if getattr(handler, verb.lower()).__qualname__.split(".")[0] not in ("RequestHandler", "APIHandler")
    }
    assert real == written


def test_kernels_inherit_the_store(jp_serverapp: ServerApp, nq_store_dir: Path, monkeypatch: Any) -> None:
    """A configured store is in the environment that kernels get."""
    import os

    assert os.environ["JUPYTER_NQ_STORE"] == str(nq_store_dir)
    wait_until(lambda: True)
