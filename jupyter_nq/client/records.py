"""What a session tells about the store: frozen rows, built from the coordinator's replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Holder:
    """One process that holds a view of a dataset."""

    who: str
    """Notebook file name, else the program's name."""
    pid: int
    kernel_id: str | None
    """Jupyter's kernel id; None for a script."""
    path: str | None
    """Notebook path relative to its server's root; None for a script."""
    version: int
    """The newest version of the dataset that this process holds."""

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Holder:
        """Build a holder from a reply of the coordinator."""
        return cls(row["who"], row["pid"], row.get("kernel_id"), row.get("path"), row["version"])


@dataclass(frozen=True)
class Dataset:
    """One named dataset at its newest version."""

    name: str
    version: int
    """Counts from 1."""
    rows: int
    bytes: int
    """Bytes of shared memory that the newest version's object takes."""
    created: datetime
    """UTC."""
    holders: tuple[Holder, ...]
    pinned: bool = False
    """It stays in memory, whatever needs room."""
    disk_bytes: int = 0
    """Bytes of its copy on the disk; 0 without one. With `bytes` 0 it is there alone, and comes back when it is got."""
    durable: bool = False
    """Its copy on the disk is kept for good."""

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Dataset:
        """Build a dataset row from a reply of the coordinator."""
        holders = tuple(Holder.from_wire(h) for h in row["holders"])
        created = datetime.fromtimestamp(row["created_ns"] / 1e9, UTC)
        disk = row.get("disk") or {}
        return cls(
            row["name"],
            row["version"],
            row["rows"],
            row["bytes"],
            created,
            holders,
            bool(row.get("pinned")),
            disk.get("bytes", 0),
            bool(disk.get("durable")),
        )


@dataclass(frozen=True)
class Stored:
    """What a `put` or an `append` made."""

    name: str
    version: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Notebook:
    """One connected process: a kernel with its notebook, or a program."""

    who: str
    pid: int
    kernel_id: str | None
    path: str | None
    holds: tuple[str, ...]
    """Names of the datasets that it holds."""
    name: str | None = None
    """What it registered as (`nq.register`); a process with several names has a row for each."""
    type: str | None = None
    capabilities: tuple[str, ...] = ()
    since: datetime | None = None
    """When it registered, UTC; else when its process began, None where nobody knows that."""
    publishes: tuple[str, ...] = ()
    """Streams to which it publishes; known in the rows of `nq.notebooks`."""
    reads: tuple[str, ...] = ()
    """Streams of which it has a consumer; known in the rows of `nq.notebooks`."""

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Notebook:
        """Build the first row of a process from a reply of the coordinator."""
        return cls.all_from_wire(row)[0]

    @classmethod
    def all_from_wire(cls, row: Mapping[str, Any], **more: Any) -> list[Notebook]:
        """Build the rows of a process and its children from a reply of the coordinator: one for each registration."""
        said = row.get("registered", [])
        nameless = {"pid": row["pid"], "name": None, "type": None, "capabilities": ()}
        own = [one for one in said if one["pid"] == row["pid"]] or [{**nameless, "since_ns": row.get("started_ns", 0)}]
        return [cls._registered(row, one, more) for one in (*own, *(one for one in said if one["pid"] != row["pid"]))]

    @classmethod
    def _registered(cls, row: Mapping[str, Any], said: Mapping[str, Any], more: Mapping[str, Any]) -> Notebook:
        holds, capabilities = tuple(row.get("holds", ())), tuple(said["capabilities"])
        process = row["who"], said["pid"], row.get("kernel_id"), row.get("path"), holds
        return cls(*process, said["name"], said["type"], capabilities, _moment(said["since_ns"]), **more)


def _moment(at_ns: int) -> datetime | None:
    return datetime.fromtimestamp(at_ns / 1e9, UTC) if at_ns else None


@dataclass(frozen=True)
class Status:
    """The state of the store and its coordinator."""

    store: str
    """Directory of the store."""
    host_pid: int
    host: str
    """Who runs the coordinator: `jupyter server` or a program's name."""
    pool_limit_bytes: int
    pool_used_bytes: int
    pool_free_bytes: int
    datasets: int
    peers: int
    """Connected processes."""
    problem: str | None
    """The newest problem that anybody met, with who met it; None when there was none."""
    problem_at: datetime | None = None
    """When it was met, UTC."""
    superseded_bytes: int = 0
    """What versions take that no name leads to any more: replaced or dropped, and still held."""
    pool_spare_bytes: int = 0
    """Memory of freed datasets that waits for the next write; free, and not part of what is used."""

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Status:
        """Build the status from a reply of the coordinator."""
        host, pool, problem = row["host"], row["pool"], row["problem"]
        name = "jupyter server" if host["role"] == "server" else host["program"]
        return cls(
            row["store"],
            host["pid"],
            name,
            pool["limit"],
            pool["used"],
            pool["free"],
            row["datasets"],
            row["peers"],
            f"{problem['who']}: {problem['text']}" if problem else None,
            datetime.fromtimestamp(problem["at_ns"] / 1e9, UTC) if problem else None,
            row["superseded"]["bytes"],
            pool.get("spare", 0),
        )


@dataclass(frozen=True)
class Desk:
    """Everything that the panel and `%nq` show, taken at one moment."""

    status: Status
    datasets: tuple[Dataset, ...]
    notebooks: tuple[Notebook, ...]

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Desk:
        """Build the desk from a reply of the coordinator."""
        return cls(
            Status.from_wire(row["status"]),
            tuple(Dataset.from_wire(r) for r in row["datasets"]),
            tuple(notebook for r in row["notebooks"] for notebook in Notebook.all_from_wire(r)),
        )
