"""How much a reader of a shared object wants of it: to write into a private copy, and to have its bytes compared."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

from jupyter_nq.buffers import Handle
from jupyter_nq.errors import ChecksumError, InvalidArgument, nearest

VERIFY = ("never", "first", "always")
Verified = set[tuple[str, int]]
"""Objects that were compared with their digests before, each with the rows that it had."""


def wants_private(writable: Any) -> bool:
    """Tell whether views are to be copy-on-write; `InvalidArgument` for what is neither False nor "private"."""
    if writable is False:
        return False
    if writable != "private":
        raise InvalidArgument(
            f"writable={writable!r} is neither False nor 'private'. Shared memory is not written by its readers: "
            "'private' copies each page that is written, for this process alone."
        )
    return True


def checked_verify(verify: str) -> str:
    """Return when to compare, or raise `InvalidArgument` with what there is."""
    if verify not in VERIFY:
        raise InvalidArgument(f"verify={verify!r}.{nearest(str(verify), VERIFY)} Use one of {', '.join(VERIFY)}.")
    return verify


def checked_rows(start: SupportsIndex | None, stop: SupportsIndex | None) -> tuple[int, int | None]:
    """Return the rows that are wanted, or raise `InvalidArgument` for what numbers no rows, such as a date."""
    try:
        return 0 if start is None else operator.index(start), None if stop is None else operator.index(stop)
    except TypeError:
        raise InvalidArgument(
            f"start={start!r}, stop={stop!r} are no row numbers. Write whole numbers, stop exclusive; rows by their "
            "dates are nq.load(start=..., end=...) for bars, or a selection of the frame."
        ) from None


def verify_as(handle: Handle, verify: str, verified: Verified) -> None:
    """Compare an object with its digest, when that is wanted.

    Raises
    ------
    ChecksumError
        Something differs, and the message says where; or there is no digest to compare with. One that is pending
        is waited for, or completed here: see `Handle.verify`.
    """
    seen = handle.info.id, handle.info.rows
    if verify == "never" or (verify == "first" and seen in verified):
        return
    if not handle.verify():
        raise ChecksumError(
            f"{handle.info.name} has no digest to compare with (it is {handle.info.digest_state}). Get it with "
            "verify='never', or put the data again."
        )
    verified.add(seen)
