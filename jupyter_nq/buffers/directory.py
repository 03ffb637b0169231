"""The store directory: made by whoever comes first, recognised by its marker, refused when it is not ours."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_nq.buffers.layout import LAYOUT
from jupyter_nq.buffers.refusals import refusal, refused
from jupyter_nq.errors import StoreError

MARKER = "store.json"
SOCKET = "ctl.sock"
NOTES = "notes"
POOL = "pool"
STREAMS = "streams"
COLD = "cold"
"""A symbolic link to the directory of cold copies, on a disk; whoever opens the store follows it."""
MAGIC = "jupyter-nq"
_PARTS = ("tmp", "obj", "names", POOL, STREAMS)
_SOCKET_PATH_BYTES = 107  # AF_UNIX keeps the path in 108 bytes, the last one zero


@dataclass(frozen=True)
class Marker:
    """What `store.json` says."""

    epoch: str
    """32 hexadecimal digits, new with every directory."""
    created_ns: int


def open_directory(path: Path, *, create: bool) -> Marker:
    """Check the directory, make it when it is absent or empty, and return its marker.

    Raises
    ------
    StoreError
        It is not a directory, belongs to somebody else or is open to others, holds other files, has another layout,
        cannot be written, or its path is too long for a socket. Nothing is left behind.
    """
    _check_length(path)
    made = _make(path) if create else False
    _check_link(path)
    _check_owner(path)
    if not (path / MARKER).is_file():
        if not create:
            raise StoreError(f"{path} is not a store of jupyter-nq: it has no {MARKER}. Check the path.")
        _initialise(path, made)
    _check_private(path)
    marker = _read_marker(path)
    for part in _PARTS:
        with refused(path / part):
            (path / part).mkdir(mode=0o700, exist_ok=True)
    return marker


def _check_length(path: Path) -> None:
    length = len(os.fsencode(path / SOCKET))
    if length > _SOCKET_PATH_BYTES:
        raise StoreError(
            f"The path {path} is too long: a socket in it would have {length} bytes, {_SOCKET_PATH_BYTES} are possible."
            " Choose a shorter store directory."
        )


def _make(path: Path) -> bool:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    except OSError as exc:
        raise StoreError(
            f"The store directory {path} cannot be made: {exc.strerror}. Make it yourself or choose another "
            "(store_dir, JUPYTER_NQ_STORE)."
        ) from exc
    return True


def _check_link(path: Path) -> None:
    """Refuse a symbolic link that somebody else could have planted to lead the data elsewhere."""
    with refused(path):
        try:
            found, parent = os.lstat(path), os.stat(path.parent)
        except FileNotFoundError:
            return
    if not stat.S_ISLNK(found.st_mode):
        return
    shared = parent.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if found.st_uid != os.geteuid() or shared:
        raise StoreError(
            f"{path} is a symbolic link {'where others may write' if shared else f'of user {found.st_uid}'}. Remove "
            "it, or name the directory it leads to (store_dir, JUPYTER_NQ_STORE)."
        )


def _check_owner(path: Path) -> None:
    try:
        found = os.stat(path)
    except OSError as exc:
        raise StoreError(f"The store directory {path} cannot be opened: {exc.strerror}. Check the path.") from exc
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{path} is not a directory. Choose another store directory.")
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"{path} belongs to user {found.st_uid}, you are {os.geteuid()}. A store is private: "
            "choose a directory of your own."
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise StoreError(
            f"{path} cannot be written. Change its permission (chmod 700) or choose another store directory."
        )


def _check_private(path: Path) -> None:
    with refused(path):
        mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError(f"Others may enter the store {path} (mode {mode:o}). Close it: chmod 700 {path}")


def _initialise(path: Path, made: bool) -> None:
    with refused(path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # several processes may come first at once
        if (path / MARKER).is_file():
            return
        foreign = sorted(n for n in os.listdir(path) if n not in _PARTS and n != f".{MARKER}")
        if foreign:
            raise StoreError(
                f"{path} holds other files ({', '.join(foreign[:3])}) and is not a store. "
                "Choose an empty or new directory."
            )
        os.chmod(path, 0o700)
        _write_marker(path)
    except OSError as exc:
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(path)
        if isinstance(exc, StoreError):
            raise
        raise StoreError(f"The store directory {path} cannot be written: {exc.strerror}. Choose another.") from exc
    finally:
        os.close(fd)


def _write_marker(path: Path) -> None:
    content = {"magic": MAGIC, "layout": LAYOUT, "epoch": os.urandom(16).hex(), "created": time.time_ns()}
    draft = path / f".{MARKER}"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            json.dump(content, file)
        os.rename(draft, path / MARKER)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _read_marker(path: Path) -> Marker:
    try:
        content: Any = json.loads((path / MARKER).read_text(encoding="ascii"))
        magic, layout = content["magic"], content["layout"]
        marker = Marker(epoch=str(content["epoch"]), created_ns=int(content["created"]))
    except OSError as exc:
        raise refusal(path / MARKER, exc) from exc
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise StoreError(f"{path / MARKER} cannot be read ({exc}). Remove the directory or choose another.") from exc
    if magic != MAGIC:
        raise StoreError(f"{path} is not a store of jupyter-nq. Choose an empty or new directory.")
    if layout != LAYOUT:
        raise StoreError(
            f"The store {path} has layout {layout}, this jupyter-nq reads layout {LAYOUT}. Upgrade the older of "
            "the two environments, or use another store directory."
        )
    return marker
