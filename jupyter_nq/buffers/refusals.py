"""What the operating system refuses, in the store's words: which file, why, and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from jupyter_nq.errors import NQError, StoreError, StoreFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_ADVICE = {
    errno.EMFILE: "This process has too many files open: close some, or raise its limit (ulimit -n).",
    errno.ENFILE: "The machine has too many files open: end what nobody needs.",
    errno.EACCES: "Check its owner and its permission (files 600, directories 700).",
    errno.EPERM: "Check its owner and its permission (files 600, directories 700).",
    errno.ELOOP: "The store makes no such link: remove it.",
    errno.ENOMEM: "This process may map no more memory: let go of what it does not need.",
}
_OTHERWISE = "Try again; if it stays so, use another store directory (store_dir, JUPYTER_NQ_STORE)."


@contextlib.contextmanager
def refused(where: str | os.PathLike[str] | int) -> Iterator[None]:
    """Turn an `OSError` of a call on a path or descriptor into `StoreError`, or `StoreFull` without space.

    It belongs around calls of the system only: what a caller's own callback raises is the caller's.
    """
    try:
        yield
    except NQError:
        raise
    except OSError as exc:
        raise refusal(where, exc) from exc


def refusal(where: str | os.PathLike[str] | int, exc: OSError) -> NQError:
    """Return the error that says what `exc` means for the store."""
    path = _path_of(where) if isinstance(where, int) else os.fspath(where)
    reason = exc.strerror or str(exc)
    if exc.errno in FULL:
        return StoreFull(f"{path}: {reason}. Drop datasets that nobody needs, or give the store more room.")
    return StoreError(f"{path}: {reason}. {_ADVICE.get(exc.errno or 0, _OTHERWISE)}")


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return "a file of the store"
