"""Checks of `jupyter nq doctor` that one process makes alone: the directory, its file system, its room.

Each check really does what the store does, with files of its own in a scratch directory inside the
store, so that mount options, quotas and sandboxes show themselves.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_nq.buffers.directory import MARKER, SOCKET
from jupyter_nq.cli.doctor.findings import Failed, Finding, attempt
from jupyter_nq.cli.text import seconds
from jupyter_nq.sizes import size

_SOCKET_LIMIT_BYTES = 107
_LEAST_ROOM_BYTES = 16 << 20  # 16 MiB: a year of 5-minute bars and its temporary file
_TRIAL_BYTES = 64 << 20  # 64 MiB, less where less is free
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "afs", "fuse.sshfs", "fuse.glusterfs"}
_MEMORY = {"tmpfs", "ramfs"}
_ELSEWHERE = "set JUPYTER_NQ_STORE (or NQApp.store_dir) to another directory, for example /dev/shm/nq-$(id -u)"


def directory(path: Path) -> Finding:
    """Is the store's directory there and ours, or can it be made?"""

    def trial() -> str:
        if not os.path.lexists(path):
            parent = existing_parent(path)
            if not os.access(parent, os.W_OK | os.X_OK):
                raise Failed(f"{path} is not there, and {parent} is not writable")
            return f"{path}: not there yet, the first use makes it"
        if not path.is_dir():
            raise Failed(f"{path} is not a directory")
        if not os.access(path, os.W_OK | os.X_OK):
            raise Failed(f"{path} is not writable")
        return f"{path}: {_content(path)}"

    return attempt("directory", trial, fix=_ELSEWHERE)


def _content(path: Path) -> str:
    if (path / MARKER).exists():
        marker = read_marker(path)
        return f"a store of layout {marker.get('layout')}"
    if any(path.iterdir()):
        raise Failed(f"{path} holds other files and no {MARKER}: it is not a store")
    return "empty, the first use makes a store of it"


def read_marker(path: Path) -> dict[str, object]:
    """Return the content of a store's marker; `Failed` when the directory is not a store of this package."""
    try:
        content = json.loads((path / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise Failed(f"{path / MARKER} cannot be read: {exc}") from exc
    if not isinstance(content, dict) or content.get("magic") != "jupyter-nq":
        raise Failed(f"{path / MARKER} was not written by jupyter-nq")
    return content


def existing_parent(path: Path) -> Path:
    """Return the nearest directory above `path` that exists."""
    return next(parent for parent in path.absolute().parents if parent.is_dir())


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Give an empty directory in the store's file system, and remove it with its content."""
    where = path if path.is_dir() else existing_parent(path)
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=where) as made:
        yield Path(made)


def permissions(path: Path) -> Finding:
    """May nobody else enter the directory?"""

    def trial() -> str:
        if not path.exists():
            return "will be 0700 when it is made"
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if found.st_uid != os.geteuid():
            raise Failed(f"owned by uid {found.st_uid}, this process runs as {os.geteuid()}")
        if mode & 0o077:
            raise Failed(f"mode {mode:04o}: other users can enter")
        return f"mode {mode:04o}, uid {found.st_uid}"

    return attempt("permissions", trial, fix=f"chmod 700 {path} as its owner, or {_ELSEWHERE}")


def socket_path(path: Path) -> Finding:
    """Is the path of the control socket short enough?"""

    def trial() -> str:
        length = len(os.fsencode(path.absolute() / SOCKET))
        if length > _SOCKET_LIMIT_BYTES:
            raise Failed(f"{length} bytes, a Unix socket's path ends at {_SOCKET_LIMIT_BYTES}")
        return f"{length} of {_SOCKET_LIMIT_BYTES} bytes"

    return attempt("socket path", trial, fix=_ELSEWHERE)


def file_system(path: Path) -> Finding:
    """Is it memory or a local disk?"""

    def trial() -> str:
        kind = file_system_kind(path)
        if kind in _NETWORK:
            raise Failed(f"{kind} is a network file system: locks and shared mappings do not reach across it")
        return kind if kind in _MEMORY else f"{kind}: a disk, slower than tmpfs"

    return attempt("file system", trial, fix=_ELSEWHERE)


def file_system_kind(path: Path, mounts: str = "/proc/self/mountinfo") -> str:
    """Return the type of the file system that a path lies on, `unknown` where the system does not tell."""
    where = os.path.realpath(path if path.exists() else existing_parent(path))
    best, kind = "", "unknown"
    try:
        lines = Path(mounts).read_text(encoding="utf-8").splitlines()
    except OSError:
        return kind
    for line in lines:
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].encode().decode("unicode_escape")  # a blank is written \040
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two mounts on one point the later one is on top
            best, kind = point, right.split(" ")[0]
    return kind


def room(where: Path) -> Finding:
    """Can memory be reserved, so that a full store is an error and not a dead kernel?"""

    def trial() -> str:
        free = free_bytes(where)
        if free < _LEAST_ROOM_BYTES:
            raise Failed(f"{size(free)} free, at least {size(_LEAST_ROOM_BYTES)} are needed")
        wanted = min(_TRIAL_BYTES, free // 4)
        with tempfile.TemporaryFile(dir=where) as file:
            start = time.perf_counter()
            os.posix_fallocate(file.fileno(), 0, wanted)
            took = time.perf_counter() - start
        return f"{size(free)} free; {size(wanted)} reserved in {seconds(took)}"

    larger = "enlarge the file system (docker run --shm-size=2g; in Kubernetes an emptyDir of medium Memory)"
    return attempt("room", trial, fix=f"jupyter nq clean, or {larger}")


def free_bytes(where: Path) -> int:
    """Return what an unprivileged user may still allocate there."""
    found = os.statvfs(where)
    return found.f_bavail * found.f_frsize
