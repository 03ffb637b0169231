"""Rotation of the master key for durable streams, which lie beside the copies of datasets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jupyter_nq.buffers import KeyRing
from jupyter_nq.client.cold.rotating import Rotated
from jupyter_nq.errors import ChecksumError, UnknownKey
from jupyter_nq.streams.durable import home
from jupyter_nq.streams.durable.rotation import rewrap


def with_streams(done: Rotated, copies: Path, keys: KeyRing) -> Rotated:
    """Give the durable streams to the current master key too, and add them to what a rotation did.

    Raises
    ------
    StoreError
        The disk refuses; what was done so far is done.
    """
    directory = home.directory_beside(copies)
    lines: dict[str, list[str]] = {"sealed": [], "before": [], "plain": [], "refused": []}
    for name in home.names(directory):
        what, line = _rotated(directory / name, keys)
        lines[what].append(line)
    return replace(
        done,
        sealed=(*done.sealed, *lines["sealed"]),
        before=(*done.before, *lines["before"]),
        plain=(*done.plain, *lines["plain"]),
        refused=(*done.refused, *lines["refused"]),
    )


def _rotated(there: Path, keys: KeyRing) -> tuple[str, str]:
    """Give one stream to the current master key; returns what that was, and its line."""
    line = f"stream {there.name}"
    try:
        found = rewrap(there, keys)
    except (UnknownKey, ChecksumError) as exc:
        return "refused", f"{line}: {exc}"
    return next(what for what in ("sealed", "plain", "before") if found[what]), line
