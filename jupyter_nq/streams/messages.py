"""A message as a consumer gets it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """One message, as it was published.

    Data of columns lie in the stream's memory, which they keep: they are read-only.
    """

    data: Any
    """What was published: a frame, an Arrow batch or table, a dict, bytes; of one row of a tape a dict."""
    metadata: dict[str, Any]
    """What was given with it."""
    timestamp_ns: int
    """When it was published, nanoseconds since 1970, UTC; it never goes back within a lane."""
    sequence_number: int
    """Counts up from 0 in its lane, without a gap."""
    lane: int
    """Number of its publisher's lane."""
    stream_id: str
    """Name of the stream."""
    epoch: int = 0
    """Which schema it has: 0 is the first, and each that followed one more."""

    @property
    def timestamp(self) -> datetime:
        """Return when it was published, to the microsecond."""
        return _EPOCH + timedelta(microseconds=self.timestamp_ns // 1000)
