"""A zone's clock as a step function, and the reading of local stamps in UTC with it.

Over the span of a file a zone is a few instants at which its offset changes. They are found by asking
the zone once a week and halving the weeks in which the answer changed, so the time zone database is the
one Python has (the system's or the tzdata package), and whole columns are converted with two sorted
searches instead of a call per row.

A clock that goes forward skips an hour: a stamp in it is refused. A clock that goes back repeats one:
the rows of that hour are told apart by their order (the second pass starts where the clock jumps back);
when the order does not tell, the stamp is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.reading.stamps import BadStamp, Ints
from jupyter_nq.errors import UnknownZone, nearest

_WEEK = 7 * 86_400
_EPOCH = datetime(1970, 1, 1)
_MARGIN = 2 * 86_400  # local stamps lie within a day of their instant
_FIXED = re.compile(r"(?:UTC|GMT)?\s*(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?")

FAMILIAR = (
    "UTC", "America/New_York", "America/Chicago", "America/Los_Angeles", "Europe/London", "Europe/Berlin",
    "Asia/Jerusalem", "Europe/Athens", "Europe/Moscow", "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo",
    "Australia/Sydney",
)  # fmt: skip
"""The zones named first when several give one reading."""


Nanos = npt.NDArray[np.int64] | npt.NDArray[np.int32]
_WHOLE: Nanos = np.empty(0, np.int64)  # stamps of whole seconds


@lru_cache(maxsize=1024)
def find_zone(name: str) -> tzinfo:
    """Return the zone of an IANA name, `UTC`, or a fixed offset such as `UTC+3` or `-05:00`.

    Raises
    ------
    UnknownZone
        There is no such zone; the message names the nearest ones.
    """
    fixed = _FIXED.fullmatch(name.strip())
    if fixed is not None and int(fixed["hours"]) <= 14:
        distance = timedelta(hours=int(fixed["hours"]), minutes=int(fixed["minutes"] or 0))
        return timezone(distance if fixed["sign"] == "+" else -distance)
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise UnknownZone(
            f"tz={name!r} is not a time zone.{nearest(name, zone_names())} Pass an IANA name such as "
            "'America/New_York', 'UTC', or a fixed offset such as 'UTC+3'."
        ) from exc


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """Return the names of all zones, the familiar ones first."""
    try:
        names = set(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())
    except (ModuleNotFoundError, FileNotFoundError):
        names = available_timezones()
    rest = sorted(names - set(FAMILIAR) - {"Factory", "localtime"}, key=lambda name: ("/" not in name, name))
    return (*FAMILIAR, *rest)


def same_zone(names: tuple[str, ...]) -> bool:
    """Return whether all names are one zone's: links to it, equal at every time and not only in a span."""
    if len(names) == 1:
        return True
    clock = [_EPOCH + timedelta(seconds=t) for t in range(0, 2**31, _WEEK)]
    first, *others = map(find_zone, names)
    usual = [*map(first.utcoffset, clock)]
    return all([*map(other.utcoffset, clock)] == usual for other in others)


def _offset_at(zone: tzinfo, utc_seconds: int) -> int:
    offset = zone.utcoffset(datetime.fromtimestamp(utc_seconds, zone))
    return int(offset.total_seconds()) if offset is not None else 0


@dataclass(frozen=True)
class Steps:
    """A zone's distance from UTC over a span."""

    name: str
    at: Ints
    """Instants of change, seconds since the epoch, increasing."""
    offsets: Ints
    """Seconds east of UTC before the first change, then after each: one more than `at`."""

    def at_utc(self, utc: Ints) -> Ints:
        """Return the offset in force at each instant."""
        return self.offsets[np.searchsorted(self.at, utc, side="right")]

    def local_breaks(self) -> Ints:
        """Return the clock readings from which on each new offset is certain."""
        return self.at + np.maximum(self.offsets[:-1], self.offsets[1:])

    def doubtful(self, local: Ints) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which clock readings are skipped, and which occur twice."""
        none = np.zeros(len(local), bool)
        if not len(self.at):
            return none, none
        before, after = self.offsets[:-1], self.offsets[1:]
        change = np.searchsorted(self.at + np.minimum(before, after), local, side="right") - 1
        inside = (change >= 0) & (local < self.local_breaks()[change])
        forward = (after > before)[change]
        return inside & forward, inside & ~forward

    def to_utc(self, local: Ints, nanos: Nanos = _WHOLE) -> Ints:
        """Return the instants of clock readings, in row order; `nanos` is the rest of each reading, empty for none.

        Raises
        ------
        BadStamp
            The first reading that the clock skips, or repeats without the order telling which is meant.
        """
        skipped, twice = self.doubtful(local)
        if skipped.any():
            row = int(np.argmax(skipped))
            raise BadStamp(row, f"{_clock(local[row])} does not exist in {self.name}: its clocks went forward over it")
        first_pass = self.offsets[np.searchsorted(self.local_breaks(), local, side="right")]
        utc = local - first_pass
        if twice.any():
            self._second_pass(local, nanos, utc, np.flatnonzero(twice))
        return utc

    def _second_pass(self, local: Ints, nanos: Nanos, utc: Ints, rows: Ints) -> None:
        """Move the rows after the jump back into the second pass of the repeated hour, in place."""
        for hour in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            back = np.flatnonzero(goes_back(local[hour], nanos[hour] if len(nanos) else nanos))
            if not len(back):
                raise BadStamp(
                    int(hour[0]),
                    f"{_clock(local[hour[0]])} occurs twice in {self.name}, when its clocks go back, and the order of "
                    "the rows does not tell which is meant",
                )
            later = hour[back[0] + 1 :]
            change = int(np.searchsorted(self.local_breaks(), local[later[0]], side="right"))
            utc[later] = local[later] - self.offsets[change + 1]


def goes_back(local: Ints, nanos: Nanos) -> npt.NDArray[np.bool_]:
    """Return which clock readings, from the second on, are not behind the one before; `nanos` may be empty."""
    step = np.diff(local)
    return (step < 0) | ((step == 0) & (np.diff(nanos) <= 0)) if len(nanos) else step <= 0


def steps(name: str, first: int, last: int) -> Steps:
    """Return the steps of a zone between two times (seconds, UTC or local), with two days to spare."""
    zone = find_zone(name)
    probes = [*range(first - _MARGIN, last + _MARGIN, _WEEK), last + _MARGIN]
    at: list[int] = []
    offsets = [_offset_at(zone, probes[0])]
    if not isinstance(zone, timezone):
        for low, high in pairwise(probes):
            here = _offset_at(zone, high)
            if here != offsets[-1]:
                at.append(_change(zone, low, high))
                offsets.append(here)
    return Steps(name, np.array(at, np.int64), np.array(offsets, np.int64))


def _change(zone: tzinfo, low: int, high: int) -> int:
    """Return the first second at which the offset is that of `high`."""
    target = _offset_at(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset_at(zone, middle) == target else (middle, high)
    return high


def offset_label(seconds: int) -> str:
    """Return `UTC+3`, `UTC-4:30`, `UTC`."""
    if not seconds:
        return "UTC"
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"UTC{'+' if seconds > 0 else '-'}{hours}" + (f":{minutes:02d}" if minutes else "")


def _clock(local: np.int64) -> str:
    return datetime.fromtimestamp(int(local), UTC).strftime("%Y-%m-%d %H:%M:%S")
