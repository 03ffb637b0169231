"""GET jupyter-nq/streams, and GET and DELETE jupyter-nq/streams/<name>."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado import web

from jupyter_nq.buffers.names import check_name
from jupyter_nq.errors import InvalidArgument, InvalidName, NQError, UnknownStream, nearest
from jupyter_nq.server import documents
from jupyter_nq.server.people import People
from jupyter_nq.server.preview import MOST_ROWS, preview
from jupyter_nq.server.route import Route, refused

if TYPE_CHECKING:
    from jupyter_nq.server.lookout import Lookout


class _StreamsBase(Route):
    """What both routes need; each leaf decorates its own verbs."""

    @property
    def lookout(self) -> Lookout:
        """What reads the streams."""
        lookout: Lookout = self.extensionapp.lookout  # type: ignore[attr-defined]
        return lookout

    async def listed(self) -> dict[str, documents.Document]:
        """Return all streams by name."""
        people = People(await self.ask("notebooks"))
        try:
            return {seen["name"]: documents.stream(seen, people) for seen in await self.lookout.look()}
        except NQError as exc:
            raise refused(exc) from exc


class StreamsRoute(_StreamsBase):
    """All streams."""

    @web.authenticated
    @authorized(action="read", resource="nq-streams")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Answer with every stream, by name."""
        self.answer(list((await self.listed()).values()))


class StreamRoute(_StreamsBase):
    """One stream by its name."""

    @web.authenticated
    @authorized(action="read", resource="nq-streams")  # type: ignore[untyped-decorator]
    async def get(self, name: str) -> None:
        """Answer with the stream and its newest row, or as many as `rows` says."""
        _check(name)
        rows = self._rows()
        streams = await self.listed()
        if name not in streams:
            unknown = UnknownStream(f"There is no stream {name!r}.{nearest(name, streams)}")
            raise refused(unknown) from unknown
        try:
            found = await self.lookout.newest(name, rows)
        except NQError as exc:
            raise refused(exc) from exc
        self.answer({**streams[name], "newest": None if found is None else preview(found)})

    @web.authenticated
    @authorized(action="write", resource="nq-streams")  # type: ignore[untyped-decorator]
    async def delete(self, name: str) -> None:
        """Remove the stream for everybody; who holds batches of it keeps them."""
        _check(name)
        self.answer(await self.ask("drop_stream", name=name))

    def _rows(self) -> int:
        given = self.get_query_argument("rows", "1")
        if not given.isdecimal() or not 1 <= int(given[:6]) <= MOST_ROWS:
            wrong = InvalidArgument(f"rows={given[:20]!r} is no number of rows: 1 to {MOST_ROWS} are shown.")
            raise refused(wrong) from wrong
        return int(given)


def _check(name: str) -> None:
    try:
        check_name(name, "stream")
    except InvalidName as exc:
        raise refused(exc) from exc
