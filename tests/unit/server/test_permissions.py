"""Every route and the feed refuse whoever has no token or no permission.

The routes are taken from the running web application, so a new one is tested without being listed here;
it only needs a line in `MATRIX`, and the test says so.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.auth.identity import User
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPClientError
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler
from traitlets.config import Config

MATRIX = {
    ("GET", r"/jupyter-nq/status"): ("read", "nq-status"),
    ("GET", r"/jupyter-nq/datasets"): ("read", "nq-datasets"),
    ("GET", r"/jupyter-nq/datasets/([^/]+)"): ("read", "nq-datasets"),
    ("DELETE", r"/jupyter-nq/datasets/([^/]+)"): ("write", "nq-datasets"),
    ("GET", r"/jupyter-nq/streams"): ("read", "nq-streams"),
    ("GET", r"/jupyter-nq/streams/([^/]+)"): ("read", "nq-streams"),
    ("DELETE", r"/jupyter-nq/streams/([^/]+)"): ("write", "nq-streams"),
    ("GET", r"/jupyter-nq/notebooks"): ("read", "nq-notebooks"),
    ("GET", r"/jupyter-nq/feed"): ("read", "nq-desk"),
}
NO_TOKEN = {"Authorization": "none"}


class Asked(Authorizer):
    """Notes what it is asked, and allows only what is in `allowed`."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012
    allowed: set[tuple[str, str]] = set()  # noqa: RUF012

    def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:
        self.asked.append((action, resource))
        return (action, resource) in self.allowed


@pytest.fixture
def jp_server_config(jp_server_config: Config) -> Config:
    """Ask the authorizer of this file."""
    Asked.asked, Asked.allowed = [], set()
    jp_server_config.ServerApp.authorizer_class = Asked
    return jp_server_config


def _routes(app: ServerApp) -> list[tuple[str, str, type[RequestHandler]]]:
    """Return (verb, pattern below base_url, handler) for everything that this package registered."""
    found = []
    rules = [rule for group in app.web_app.default_router.rules for rule in getattr(group.target, "rules", ())]
    for rule in rules:
        if getattr(rule.target, "__module__", "").startswith("jupyter_nq."):
            pattern = rule.matcher.regex.pattern.removesuffix("$").removeprefix(app.base_url.rstrip("/"))
            verbs = [v for v in rule.target.SUPPORTED_METHODS if v != "OPTIONS" and _implements(rule.target, v)]
            found += [(verb, pattern, rule.target) for verb in verbs]
    return found


def _implements(handler: type[RequestHandler], verb: str) -> bool:
    return getattr(handler, verb.lower()) is not RequestHandler._unimplemented_method


def _path(pattern: str) -> str:
    return re.sub(r"\([^)]*\)", "NQ.30min", pattern)


async def _code(jp_fetch: Any, jp_ws_fetch: Any, verb: str, pattern: str, handler: Any, headers: Any = None) -> int:
    """Return the status of a request; 101 for an upgraded connection."""
    fetch = jp_ws_fetch if issubclass(handler, WebSocketHandler) else jp_fetch
    more = {} if fetch is jp_ws_fetch else {"method": verb, "allow_nonstandard_methods": True}
    try:
        response = await fetch(_path(pattern), headers=dict(headers or {}), **more)
    except HTTPClientError as exc:
        return exc.code
    if fetch is jp_ws_fetch:
        response.close()
        return 101
    return int(response.code)


async def test_every_route_is_in_the_matrix(jp_serverapp: ServerApp) -> None:
    """The web application has exactly the routes that the matrix lists."""
    assert {(verb, pattern) for verb, pattern, _ in _routes(jp_serverapp)} == set(MATRIX)


async def test_no_token_is_refused_everywhere(jp_serverapp: ServerApp, jp_fetch: Any, jp_ws_fetch: Any) -> None:
    """Without a token each verb of each route, implemented or not, is refused before it is authorised."""
    for _, pattern, handler in _routes(jp_serverapp):
        verbs = ["GET"] if issubclass(handler, WebSocketHandler) else ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        for verb in verbs:
            assert await _code(jp_fetch, jp_ws_fetch, verb, pattern, handler, NO_TOKEN) == 403, (verb, pattern)
    assert Asked.asked == []


async def test_each_route_asks_for_its_own_permission(jp_serverapp: ServerApp, jp_fetch: Any, jp_ws_fetch: Any) -> None:
    """With a token, each verb asks for exactly the action and resource of the matrix, every time, and obeys."""
    for _ in range(2):  # the first call must not fix the resource of the next
        for verb, pattern, handler in _routes(jp_serverapp):
            Asked.asked, Asked.allowed = [], set()
            wanted = MATRIX[verb, pattern]
            assert await _code(jp_fetch, jp_ws_fetch, verb, pattern, handler) == 403
            assert Asked.asked == [wanted]
            Asked.allowed = {wanted}
            assert await _code(jp_fetch, jp_ws_fetch, verb, pattern, handler) in (101, 200, 404)
            Asked.allowed = set(MATRIX.values()) - {wanted}
            assert await _code(jp_fetch, jp_ws_fetch, verb, pattern, handler) == 403


async def test_refusal_is_json_and_tells_nothing(jp_serverapp: ServerApp, jp_fetch: Any) -> None:
    """The body of a 403 has the two fields and no data."""
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("jupyter-nq", "datasets", headers=NO_TOKEN)
    assert caught.value.response is not None
    body = json.loads(caught.value.response.body)
    assert body == {"message": "Forbidden", "reason": "Forbidden"}
    assert caught.value.response.headers["Cache-Control"] == "no-store"


async def test_cross_origin_without_token_is_refused(jp_serverapp: ServerApp, jp_ws_fetch: Any) -> None:
    """Another site's page cannot open the feed with the browser's cookie alone."""
    headers = {**NO_TOKEN, "Origin": "http://evil.example"}
    with pytest.raises(HTTPClientError) as caught:
        await jp_ws_fetch("jupyter-nq", "feed", headers=headers)
    assert caught.value.code == 403
