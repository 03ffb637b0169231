"""Messages that cannot go into a stream: kept in another one, with why, so that none is lost without a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_nq.errors import NQError
from jupyter_nq.sizes import shortened
from jupyter_nq.streams.stream import Stream

RETENTION_BYTES = 8 << 20  # 8 MiB
_MOST_BYTES = 1 << 20  # 1 MiB of a value, and 4 KiB of what else there is
_MOST_HEADER_BYTES = 4 << 10
_MOST_HEADERS = 64
_MOST_NAME = 256  # characters of the name of a header
_MOST_WHY = 1_000


class DeadLetters:
    """Where the messages of one bridge go that it cannot publish.

    Parameters
    ----------
    open_stream
        Opens the stream of dead letters, made unless it is there; called with the first one.
    """

    def __init__(self, open_stream: Callable[[], Stream]) -> None:
        self._open = open_stream
        self._stream: Stream | None = None
        self.count = 0
        """Messages that went there."""

    def __repr__(self) -> str:
        return f"<DeadLetters, {self.count:,} messages>"

    def put(self, message: Any, why: NQError) -> None:
        """Keep a message of Kafka: its value as bytes, and the rest as metadata."""
        if self._stream is None:
            self._stream = self._open()
        value = message.value() or b""
        headers = [[name[:_MOST_NAME], _cut(content)] for name, content in (message.headers() or ())[:_MOST_HEADERS]]
        metadata = {
            "why": shortened(str(why), _MOST_WHY),
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "key": _cut(message.key()),
            "headers": headers,
            "value_bytes": len(value),
        }
        self._stream.publish(value[:_MOST_BYTES], metadata)
        self.count += 1

    def close(self) -> None:
        """Let go of the stream."""
        if self._stream is not None:
            self._stream.close()


def _cut(content: bytes | None) -> bytes | None:
    return None if content is None else content[:_MOST_HEADER_BYTES]
