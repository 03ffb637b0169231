"""What memory the cgroups of this process allow it: version 2, and the memory controller of version 1.

A limit holds for all that lies below it, so every directory on the way up counts. Shared memory counts as used, of a
container's own tmpfs too. File pages that the kernel would drop first (`inactive_file`) can be had back at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc/self/cgroup")
_ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # version 1 writes a number near 2**63 where version 2 writes "max"
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Names of the limit, the usage, and what of it can be dropped in `memory.stat`."""


@dataclass(frozen=True)
class Cgroup:
    """One cgroup that limits the memory of this process."""

    path: Path
    """Its directory."""
    limit_bytes: int
    used_bytes: int
    """What its processes take, page cache and shared memory included."""
    reclaimable_bytes: int
    """File pages among them that the kernel would drop first."""

    @property
    def rest_bytes(self) -> int:
        """Bytes that it still allows."""
        return max(0, self.limit_bytes - self.used_bytes + self.reclaimable_bytes)

    @property
    def used_fraction(self) -> float:
        """Share of the limit, 0 to 1, that cannot be had back at once."""
        return 1.0 - self.rest_bytes / self.limit_bytes if self.limit_bytes else 1.0


def tightest(proc: Path = _PROC, root: Path = _ROOT) -> Cgroup | None:
    """Return the cgroup on the way up that leaves this process the least; None means no limit."""
    return min(_limiting(proc, root), key=lambda found: found.rest_bytes, default=None)


def cgroup_rest(proc: Path = _PROC, root: Path = _ROOT) -> int | None:
    """Return the bytes that this process's memory cgroup, or one above it, still allows; None means no limit."""
    found = tightest(proc, root)
    return None if found is None else found.rest_bytes


def _limiting(proc: Path, root: Path) -> Iterator[Cgroup]:
    """Yield the cgroups of this process that have a limit, from the inside out."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield from _upwards(root, path, _V2)
        elif "memory" in controllers.split(","):
            yield from _upwards(root / "memory", path, _V1)


def _upwards(root: Path, path: str, names: tuple[str, str, str]) -> Iterator[Cgroup]:
    limit, usage, reclaimable = names
    # In a container the path may be the host's, which is not mounted: the root is then the container's own.
    inner = root / path.lstrip("/")
    ours = ".." not in inner.parts and (inner / limit).exists()
    for directory in [inner, *inner.parents] if ours else [root]:
        allowed, used = _number(directory / limit), _number(directory / usage)
        if allowed is not None and used is not None and allowed < _NO_LIMIT:
            yield Cgroup(directory, allowed, used, _stat(directory / "memory.stat", reclaimable))
        if directory == root:
            break


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None  # absent, or the word "max"


def _stat(path: Path, key: str) -> int:
    try:
        pairs = dict(line.split() for line in path.read_text().splitlines())
        return int(pairs.get(key, 0))
    except (OSError, ValueError):
        return 0
