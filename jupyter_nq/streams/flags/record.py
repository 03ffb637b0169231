"""What is known of a flag: who set or cleared it, when and why, and who owns its dead man's switch.

One JSON text is the record in memory and, with the changes before it, the copy on the disk.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_nq.errors import ChecksumError

# Two processes, a reason and what is between them fill a slot of 1,792 bytes.
_REASON_BYTES = 600
_NAME_BYTES = 64
_PATH_BYTES = 240


@dataclass(frozen=True)
class Who:
    """A process that did something with a flag."""

    program: str
    pid: int
    notebook: str | None = None
    """Path of its notebook; None of a script."""
    host: str = ""
    """Name of its machine."""

    def __str__(self) -> str:
        return f"{os.path.basename(self.notebook) if self.notebook else self.program} (pid {self.pid})"


@dataclass(frozen=True)
class Owner:
    """Who must beat, and how often."""

    who: Who
    seconds: float
    token: int
    """Random, so that no owner is taken for another."""


@dataclass(frozen=True)
class Record:
    """One change of a flag, complete."""

    generation: int
    """Counts the changes from 1; 0 of a flag that was never set."""
    is_set: bool
    key: int
    """The random number that means this setting, or the one that was cleared."""
    at_ns: int
    """Nanoseconds since 1970, UTC."""
    clock_ns: int
    """`now_ns` of that moment, which ends with the machine's run."""
    who: Who | None
    """None when it was found set, with nobody known."""
    why: str
    owner: Owner | None = None


@dataclass(frozen=True)
class State:
    """A flag as one reads it."""

    name: str
    is_set: bool
    generation: int
    """Counts the changes from 1; 0 of a flag that was never set."""
    at: datetime | None
    """UTC; None when nobody knows, or it was never set."""
    who: Who | None
    why: str
    unreadable: str | None = None
    """Why the flag cannot be read, and counts as set for that."""
    owner: Owner | None = None
    """Who must beat."""
    durable: bool = True
    """The disk has it: it outlives a restart of the machine."""

    def __str__(self) -> str:
        if self.unreadable is not None:
            return f"{self.name} counts as set: {self.unreadable}"
        if not self.generation:
            return f"{self.name} is clear, and was never set"
        verb = "set" if self.is_set else "cleared"
        when = f", {self.at:%Y-%m-%d %H:%M:%S} UTC" if self.at is not None else ""
        fleeting = "" if self.durable else " (in memory alone so far)"
        return f"{self.name} was {verb} by {self.who or 'nobody known'}{when}: {self.why}{fleeting}"


def now_ns() -> int:
    """Return the nanoseconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime_ns(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def fresh_key() -> int:
    """Return a number that no setting had before; never 0."""
    return secrets.randbits(64) | 1


def shortened(record: Record) -> Record:
    """Return a record that fits into its slot: long texts lose their end, long paths their beginning."""
    owner = record.owner and replace(record.owner, who=_shortened_who(record.owner.who))
    who = record.who and _shortened_who(record.who)
    return replace(record, why=_cut(record.why, _REASON_BYTES), who=who, owner=owner)


def _shortened_who(who: Who) -> Who:
    notebook = who.notebook and _cut(who.notebook[::-1], _PATH_BYTES)[::-1]
    return Who(_cut(who.program, _NAME_BYTES), who.pid, notebook, _cut(who.host, _NAME_BYTES))


def _cut(text: str, most_bytes: int) -> str:
    """Return a text that takes at most so many bytes as JSON; a longer one ends with an ellipsis."""
    text = text.encode("utf-8", "replace").decode()  # half of a surrogate pair becomes a question mark
    short = text[:most_bytes]
    while (excess := len(_dumped(short)) - most_bytes) > 0:
        short = short[: -max(excess // 6, 1)]  # a control character takes six bytes
    return short if short == text else f"{short[:-1]}…"


def _dumped(kept: Any) -> bytes:
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()


def encode(record: Record) -> bytes:
    """Return a record as JSON."""
    return _dumped(as_json(record))


def as_json(record: Record) -> dict[str, Any]:
    """Return what JSON has of a record; the 64-bit numbers are hexadecimal texts."""
    kept = asdict(record)
    kept["key"] = f"{record.key:016x}"
    if record.owner is not None:
        kept["owner"]["token"] = f"{record.owner.token:016x}"
    return kept


def decode(content: bytes) -> Record:
    """Read a record; raises `ChecksumError` when it is none."""
    try:
        return from_json(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise ChecksumError(f"its record cannot be read: {exc}") from exc


def from_json(kept: dict[str, Any]) -> Record:
    """Return the record that JSON has; raises `ValueError`, `TypeError` or `KeyError` for anything else."""
    owner = kept["owner"]
    return Record(
        int(kept["generation"]),
        _truth(kept["is_set"]),
        int(kept["key"], 16),
        int(kept["at_ns"]),
        int(kept["clock_ns"]),
        Who(**kept["who"]) if kept["who"] is not None else None,
        str(kept["why"]),
        Owner(Who(**owner["who"]), float(owner["seconds"]), int(owner["token"], 16)) if owner is not None else None,
    )


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value


UNFINISHED = "somebody began to set it, and has not said why, or died before that"


def shown(name: str, record: Record | None, key: int, *, durable: bool = True) -> State:
    """Return what a page says as one reads it: its record, None for a damaged one, and its key."""
    if record is None:
        return unreadable(name, "its record is damaged")
    if record.key != key:
        return State(name, True, record.generation + 1, None, None, UNFINISHED, owner=record.owner, durable=False)
    return state_of(name, record, durable=durable)


def unreadable(name: str, why: str) -> State:
    """Return the state of a flag that cannot be read."""
    return State(name, True, 0, None, None, why, unreadable=why, durable=False)


def state_of(name: str, record: Record, *, durable: bool) -> State:
    """Return a record as one reads it."""
    at = None
    if record.generation:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=record.at_ns // 1000)
    return State(
        name,
        record.is_set,
        record.generation,
        at,
        record.who,
        record.why,
        owner=record.owner,
        durable=durable,
    )
