"""What the operating system refuses, in the store's words: which file, why, and what to do."""

from __future__ import annotations

import errno
import os
from types import TracebackType

from jupyter_nq.errors import NQError, StoreError, StoreFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_ADVICE = {
    errno.EMFILE: "This process has too many files open: close some, or raise its limit (ulimit -n).",
    errno.ENFILE: "The machine has too many files open: end what nobody needs.",
    errno.EACCES: "Check its owner and its permission (files 600, directories 700).",
    errno.EPERM: "Check its owner and its permission (files 600, directories 700).",
    errno.ELOOP: "The store makes no such link: remove it.",
    errno.EROFS: "Its file system is mounted read-only: use a directory elsewhere.",
    errno.EIO: "The disk failed, see the system's log; use a directory on another one.",
    errno.ENOMEM: "This process may map no more memory: let go of what it does not need.",
}
_OTHERWISE = "Try again; if it stays so, use another store directory (store_dir, JUPYTER_NQ_STORE)."


class refused:  # noqa: N801 - it reads as a clause, and a generator's context costs four times as much
    """Turn an `OSError` of a call on a path or descriptor into `StoreError`, or `StoreFull` without space.

    It belongs around calls of the system only: what a caller's own callback raises is the caller's.
    """

    __slots__ = ("_where",)

    def __init__(self, where: str | os.PathLike[str] | int) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(exc, OSError) and not isinstance(exc, NQError):
            raise refusal(self._where, exc) from exc


def refusal(where: str | os.PathLike[str] | int, exc: OSError) -> NQError:
    """Return the error that says what `exc` means for the store."""
    path = _path_of(where) if isinstance(where, int) else os.fspath(where)
    reason = exc.strerror or str(exc)
    if exc.errno == errno.ENOSPC and _has_no_inodes(path):
        reason += ": its file system has room for bytes, and for no more files (inodes)"
    if exc.errno in FULL:
        return StoreFull(f"{path}: {reason}. Drop datasets that nobody needs, or give the store more room.")
    return StoreError(f"{path}: {reason}. {_ADVICE.get(exc.errno or 0, _OTHERWISE)}")


def _has_no_inodes(path: str) -> bool:
    try:
        found = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return found.f_files > 0 and not found.f_favail and found.f_bavail > 0


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "a file of the store"
