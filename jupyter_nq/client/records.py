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

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Dataset:
        """Build a dataset row from a reply of the coordinator."""
        holders = tuple(Holder.from_wire(h) for h in row["holders"])
        created = datetime.fromtimestamp(row["created_ns"] / 1e9, UTC)
        return cls(row["name"], row["version"], row["rows"], row["bytes"], created, holders)


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

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Notebook:
        """Build a notebook row from a reply of the coordinator."""
        return cls(row["who"], row["pid"], row.get("kernel_id"), row.get("path"), tuple(row.get("holds", ())))


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
            tuple(Notebook.from_wire(r) for r in row["notebooks"]),
        )
