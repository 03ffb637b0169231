"""How much was published lately, by the times of the messages themselves, so that one look tells."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.forms import Epochs
from jupyter_nq.streams.starting import first_of


def published_within(control: MappedControl, seconds: float, now_ns: int | None = None) -> int:
    """Return how many messages were published in the last seconds, of those that are kept.

    Parameters
    ----------
    control
        The stream's control file.
    seconds
        How far to look back.
    now_ns
        Nanoseconds since 1970, UTC; None takes the clock's.

    Raises
    ------
    ChecksumError
        A message that should be there is damaged.
    """
    now = datetime.fromtimestamp((time.time_ns() if now_ns is None else now_ns) / 1e9, UTC)
    since, form = now - timedelta(seconds=seconds), Epochs(control)
    return sum(max(0, lane.head - first_of(control, form, lane, since)) for lane in control.lanes())
