"""Rotation of master keys: the key of each file of a durable stream is sealed by the current one, in its place.

The head of a file is 256 bytes at its beginning, which a disk writes whole or not at all; whoever appends to the file
goes on meanwhile with the same key of the file.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jupyter_nq.buffers.cold.encryption import key_about
from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams.consumers import CONSUMERS
from jupyter_nq.streams.control import CONTROL
from jupyter_nq.streams.durable.frames import Head
from jupyter_nq.streams.durable.home import head_of, is_unborn, lanes, parts
from jupyter_nq.streams.durable.schema import schema_files


def rewrap(home: Path, keys: KeyRing) -> Counter[str]:
    """Seal the keys of all files of a stream with the current master key.

    Returns
    -------
    Counter
        How many files were `sealed` now, were so `before`, and are `plain`.

    Raises
    ------
    UnknownKey
        The master key of a file is not among `keys`; the message names the id.
    ChecksumError, StoreError
        A file is damaged, or the disk refuses. What was done so far is done.
    """
    found: Counter[str] = Counter()
    for path in _files(home):
        with contextlib.suppress(FileNotFoundError):  # it went meanwhile
            found[_rewrap(path, keys)] += 1
    return found


def _files(home: Path) -> Iterator[Path]:
    for lane in range(lanes(home)):
        yield from (part.path for part in parts(home, lane) if part.path.exists() and not is_unborn(part.path))
    if (home / CONSUMERS).is_dir():
        yield from (path for path in sorted((home / CONSUMERS).iterdir()) if not path.name.startswith("."))
    yield from (home / name for name in schema_files(home))
    yield home / CONTROL  # last: with its key the stream counts as encrypted with that


def _rewrap(path: Path, keys: KeyRing) -> str:
    head = head_of(path)
    if head.key is None:
        return "plain"
    if head.key.key_id == keys.current_id:
        return "before"
    about = key_about(head.stream_id)
    try:
        data_key = keys.unwrap(head.key, about)
    except ChecksumError as exc:
        raise ChecksumError(f"{path} is damaged: {exc}.") from exc
    _write(path, replace(head, key=keys.wrap(data_key, about)))
    return "sealed"


def _write(path: Path, head: Head) -> None:
    with refused(path):
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(fd, head.encode(), 0)
            os.fdatasync(fd)
        finally:
            os.close(fd)
