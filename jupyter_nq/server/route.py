"""What all REST routes of this package share: JSON, no caching, and errors as sentences.

Domain errors become HTTP errors here and nowhere else. The body of an error is
`{"message": sentence, "reason": name of the error}`.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from jupyter_nq import errors
from jupyter_nq.server import documents

if TYPE_CHECKING:
    from jupyter_nq.server.link import Link

_STATUS: dict[type[errors.NQError], HTTPStatus] = {
    errors.InvalidName: HTTPStatus.BAD_REQUEST,
    errors.InvalidArgument: HTTPStatus.BAD_REQUEST,
    errors.UnknownDataset: HTTPStatus.NOT_FOUND,
    errors.UnknownStream: HTTPStatus.NOT_FOUND,
    errors.StoreFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.CoordinatorUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.VersionMismatch: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ConfigError: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Route(ExtensionHandlerMixin, APIHandler):
    """Base of the REST routes; a leaf decorates each of its verbs with action and resource."""

    _track_activity = False  # the panel looks by itself; that must not keep an idle server alive

    @property
    def link(self) -> Link:
        """The server's line to the coordinator."""
        link: Link = self.extensionapp.link  # type: ignore[attr-defined]
        return link

    async def ask(self, op: str, **args: Any) -> Any:
        """Return the coordinator's answer, or raise its error as an HTTP error."""
        try:
            return await self.link.request(op, **args)
        except errors.NQError as exc:
            raise refused(exc) from exc

    def answer(self, document: documents.Document | list[documents.Document]) -> None:
        """Send a JSON document."""
        self.finish(json.dumps(document))

    def set_default_headers(self) -> None:
        """Forbid caching: every answer is the state of one moment."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Send `{"message", "reason"}`; an unexpected error tells nothing of its inside."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, web.HTTPError) and isinstance(error.__cause__, errors.NQError):
            self.answer(documents.refusal(error.__cause__))
            return
        phrase = HTTPStatus(status_code).phrase
        message = error.get_message() if isinstance(error, web.HTTPError) else None
        self.answer({"message": message or phrase, "reason": phrase})


def refused(error: errors.NQError) -> web.HTTPError:
    """Return the HTTP error of a domain error; raise it `from` that error."""
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)
    return web.HTTPError(status, "%s", str(error))
