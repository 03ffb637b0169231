"""What happens to snapshots, and what is to be done for it: plain values, as `events` has them for everything else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """One dataset of a snapshot: its object, and the version and rows that it had at that moment."""

    name: str
    id: str
    version: int
    rows: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Versions that stay until they are let go, all of them taken at one moment.

    `token` is random, of the process that asked: the same question again gets the same answer. `at_ns` is UTC, since
    the epoch; `who` is who took it, as shown then. `trouble` says why its record cannot be read: then its members are
    all that it may have.
    """

    label: str
    token: str
    at_ns: int
    who: str
    members: tuple[Member, ...]
    trouble: str = ""


# -- events --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """A peer wants the newest versions of these names to stay; no names mean all. Without a label it gets a free one.

    `at_ns` is now (UTC, since the epoch).
    """

    peer: int
    names: tuple[str, ...]
    label: str | None
    token: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class ReleaseSnapshot:
    """A peer lets a snapshot go, if it is still the one with this token."""

    peer: int
    label: str
    token: str


SnapshotEvent = TakeSnapshot | ReleaseSnapshot


# -- actions -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class RecordSnapshot:
    """Remember a snapshot, for the next coordinator too."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class ForgetSnapshot:
    """Remove the record of a snapshot."""

    label: str


SnapshotAction = RecordSnapshot | ForgetSnapshot
