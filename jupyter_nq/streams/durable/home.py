"""The directory of a durable stream on a disk: what it is, and files of its lanes, schemas and consumers.

A stream leads to it by a symbolic link, so who opens the stream needs no setting to find it. It counts as soon as it
has a control file, which appears whole.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.buffers.cold.copies import sync_directory
from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.locks import exclusive, exclusive_within
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError, StoreError, UnknownKey
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import CONTROL, MappedControl
from jupyter_nq.streams.durable.frames import CONTROL as IS_CONTROL
from jupyter_nq.streams.durable.frames import HEAD_BYTES, Frame, FrameReader, FrameWriter, Head, decode_head
from jupyter_nq.streams.layout import Control, decode_control, encode_control

LINK = "disk"
"""Name, in the directory of a stream, of the link to its directory on the disk."""
_GONE = ".gone"
_DRAFT = ".draft"  # one at a time, so that there is never more than one of somebody who died
_LOCK = "draft.lock"
_LOCK_SUFFIX = ".lock"
_PATIENCE_SECONDS = 0.5  # in the coordinator's loop; a directory is made in milliseconds
_SUFFIX = ".streams"
_PART = re.compile(r"(\d+)-(\d+)\.(\d+)")


@dataclass(frozen=True, order=True)
class Part:
    """One file of messages of a lane."""

    number: int
    """Of the segment."""
    part: int
    path: Path


def directory_beside(copies: Path) -> Path:
    """Return the directory of the durable streams of a store whose copies of datasets lie in another.

    >>> directory_beside(Path("cold/0123")).name
    '0123.streams'
    """
    return copies.with_name(copies.name + _SUFFIX)


def home_of(control: MappedControl) -> Path | None:
    """Return the directory on the disk of a stream; None as long as it has none."""
    try:
        return Path(os.readlink(control.path / LINK))
    except FileNotFoundError:
        return None


def is_settled(control: MappedControl) -> bool:
    """Tell whether a stream has been given its directory on the disk; that may be away for now."""
    home = home_of(control)
    return home is not None and (any(lane.get(layout.DURABLE) for lane in control.lanes()) or _is_of(home, control))


def _is_of(home: Path, control: MappedControl) -> bool:
    """Tell whether a directory is that of a stream; one that is damaged is, as who writes there says."""
    with refused(home):
        if not (home / CONTROL).exists():
            return False
    try:
        return head_of(home / CONTROL).stream_id == control.static.stream_id
    except ChecksumError:
        return True


def settle(control: MappedControl, directory: Path, keys: KeyRing | None) -> Path:
    """Give a stream its directory on the disk, unless it has one, or was dropped; returns where that is.

    The link to it comes first: whoever drops the stream removes what was begun as well.

    Parameters
    ----------
    control
        The stream's control file.
    directory
        Of all durable streams of the store, on a disk.
    keys
        Master keys, None when nothing is to be encrypted.

    Raises
    ------
    StoreError
        The disk refuses, or has another stream of that name.
    """
    if (there := home_of(control)) is not None and is_settled(control):
        return there
    home = directory / control.static.name
    make_private(directory)
    with exclusive(_lock_of(home)):
        if not control.closed:
            _make(home, control, keys)
        if control.closed:  # by somebody who did not wait for this
            _remove(home, control)
    return home


def _make(home: Path, control: MappedControl, keys: KeyRing | None) -> None:
    with refused(home):
        made = (home / CONTROL).exists()
    if made:
        _check_same(home, control.static)
    _link(control, home)
    if not made:
        make_private(home)
        content = encode_control(control.static)
        write_whole(home, CONTROL, Head(control.static.stream_id, IS_CONTROL), content, keys)
        with refused(home.parent):
            sync_directory(home.parent)


def _lock_of(home: Path) -> Path:
    """Return the lock of who makes or removes a directory: beside it, as it may not be there."""
    return home.with_name(f".{home.name}{_LOCK_SUFFIX}")


def _link(control: MappedControl, home: Path) -> None:
    """Lead from memory to the disk; a link to where nothing was made gives way."""
    link = control.path / LINK
    with refused(link):
        if home_of(control) not in (None, home):
            link.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            os.symlink(home, link)


def _check_same(home: Path, static: Control) -> None:
    if head_of(home / CONTROL).stream_id != static.stream_id:
        raise StoreError(
            f"{home} has another stream of the name {static.name!r}, from before the store was made. Drop the one in "
            "memory (nq.drop_stream) and open it again: that brings the durable one back."
        )


def make_private(path: Path) -> None:
    """Make a directory that is its owner's alone, and those above it; the disk has their names."""
    with refused(path):
        made = [one for one in (path, *path.parents) if not one.exists()]
        for one in reversed(made):
            with contextlib.suppress(FileExistsError):
                one.mkdir(mode=0o700)
            sync_directory(one.parent)


def names(directory: Path) -> list[str]:
    """Return the names of the streams that the disk has; what was dropped half is removed."""
    try:
        with refused(directory), os.scandir(directory) as entries:
            found = sorted(entry.name for entry in entries)
    except StoreError:
        if directory.exists():
            raise
        return []
    for name in found:
        if name.endswith(_LOCK_SUFFIX) and name.startswith("."):
            _forget(directory / name)
        elif name.startswith("."):
            shutil.rmtree(directory / name, ignore_errors=True)
    return [name for name in found if not name.startswith(".") and (directory / name / CONTROL).exists()]


def _forget(lock: Path) -> None:
    """Remove the lock of who died over making or removing a directory."""
    with contextlib.suppress(StoreError), exclusive_within(lock, 0.0):  # which removes it
        pass


def remove(home: Path, control: MappedControl | None = None) -> None:
    """Remove the directory of a stream, all at once for who looks for it; nothing when there is none.

    Parameters
    ----------
    home
        The directory.
    control
        The stream, which was closed before: if the directory is another's by now, it stays. None means whichever.
    """
    if home.parent.is_dir():
        with exclusive_within(_lock_of(home), _PATIENCE_SECONDS):  # who is stopped over it sees later that it is closed
            _remove(home, control)


def _remove(home: Path, control: MappedControl | None) -> None:
    with refused(home):
        if control is not None and (home / CONTROL).exists() and not _is_of(home, control):
            return
    gone = home.with_name(f".{home.name}-{secrets.token_hex(4)}{_GONE}")
    with refused(home):
        try:
            os.rename(home, gone)
        except FileNotFoundError:
            return
        sync_directory(home.parent)
    shutil.rmtree(gone, ignore_errors=True)


def head_of(path: Path) -> Head:
    """Return what a file is; `ChecksumError` when its head is damaged."""
    try:
        with refused(path), open(path, "rb") as file:
            return decode_head(file.read(HEAD_BYTES))
    except ChecksumError as exc:
        raise ChecksumError(f"{path} is damaged: {exc}.") from exc


def is_unborn(path: Path) -> bool:
    """Tell whether a file has no head because its maker died over it: nothing in it was ever said to be there."""
    with refused(path), open(path, "rb") as file:
        content = file.read(HEAD_BYTES)
    return len(content) < HEAD_BYTES or not any(content)


def check_keys(home: Path, keys: KeyRing | None) -> None:
    """Refuse to write plain files beside encrypted ones; raises `UnknownKey`."""
    key = head_of(home / CONTROL).key
    if key is not None and keys is None:
        raise UnknownKey(
            f"{home} is encrypted with the master key {key.key_id}, and this process has none. Set JUPYTER_NQ_KEY, or "
            "key_file in the settings: nothing is written there unencrypted."
        )


def read_control(home: Path, keys: KeyRing | None) -> Control:
    """Return what the stream of a directory is.

    Raises
    ------
    ChecksumError, UnknownKey
    """
    return decode_control(FrameReader(home / CONTROL).only(keys))


def write_whole(home: Path, name: str, head: Head, content: bytes, keys: KeyRing | None) -> None:
    """Write a file that keeps one whole thing, in the place of the one before; what is returned from is on the disk."""
    draft, path = home / _DRAFT, home / name
    with exclusive(home / _LOCK):
        try:
            with refused(draft):
                draft.unlink(missing_ok=True)
            file = FrameWriter(draft, head, keys)
            try:
                file.append(Frame(0, 0, [(0, memoryview(content))]))
                file.sync()
            finally:
                file.close()
            with refused(path):
                os.rename(draft, path)
                sync_directory(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def parts(home: Path, lane: int) -> list[Part]:
    """Return the files of messages of a lane, in their order."""
    return sorted(part for number, part in _all_parts(home) if number == lane)


def lanes(home: Path) -> int:
    """Return how many lanes have, or had, messages on the disk."""
    return max((lane + 1 for lane, _ in _all_parts(home)), default=0)


def _all_parts(home: Path) -> Iterator[tuple[int, Part]]:
    with refused(home), os.scandir(home) as entries:
        found = [entry.name for entry in entries]
    for name in found:
        if (match := _PART.fullmatch(name)) is not None:
            lane, number, part = map(int, match.groups())
            yield lane, Part(number, part, home / name)


def part_path(home: Path, lane: int, number: int, part: int) -> Path:
    """Return where a file of messages lies.

    >>> part_path(Path("disk"), 0, 7, 1).name
    '0-7.1'
    """
    return home / f"{lane}-{number}.{part}"
