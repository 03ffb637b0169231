"""The directory on a disk where copies of a store's datasets lie: which it is, and whose.

A store is one machine's own, the disk may not be: several machines or containers can have one home directory, and
stores at the same path. So each directory belongs to the machine that used it first, by its name, which a file beside
it says; whoever hosts the coordinator holds a lock on that file. A machine that has no directory yet begins with the
durable copies of the one that was used last, unless that is in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
from pathlib import Path

from jupyter_nq.buffers import Catalogue, ColdCopies
from jupyter_nq.buffers.cold.copies import sync_directory
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.locks import try_flock
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.config import Settings, spill_dir_of
from jupyter_nq.errors import StoreError

_SIGN = ".host"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger("jupyter_nq")


def machine() -> str:
    """Return the name of this machine, or container."""
    return os.uname().nodename


def directory_for(setting: str, store_path: Path) -> Path:
    """Return the directory of this machine for a store: the usual one, unless that is another machine's."""
    usual = spill_dir_of(setting, store_path)
    if _owner(usual) in (None, machine()):
        return usual
    return usual.with_name(f"{usual.name}-{re.sub(r'[^A-Za-z0-9.-]', '_', machine())}")


def find_again(store: Catalogue, settings: Settings, claim: Claim) -> None:
    """Lead a new store to the durable copies that an older one at the same path left, if there are any.

    Others are removed: they were made when their datasets left memory, and nobody knows what became of those since.

    Raises
    ------
    StoreError
        The directory is in use elsewhere, or cannot be used.
    """
    if os.path.lexists(store.path / COLD):
        return
    directory = directory_for(settings.spill_dir, store.path)
    if not directory.is_dir():
        _take_over(spill_dir_of(settings.spill_dir, store.path), directory)
    if not directory.is_dir():
        return
    copies = ColdCopies(directory)
    claim.hold(copies.path)
    named = set(store.names().values())  # none, unless somebody took the link away
    for info in copies.scan():
        if not info.durable and info.id not in named:
            copies.remove(info.id)
    lead_to(store.path, copies.path)  # last: with the link, all that is there is taken for the store's


def lead_to(store_path: Path, directory: Path) -> None:
    """Make the store's link to its copies; whoever comes first makes it."""
    with refused(store_path / COLD), contextlib.suppress(FileExistsError):
        os.symlink(directory, store_path / COLD)
    if os.path.realpath(store_path / COLD) != os.path.realpath(directory):
        raise StoreError(f"{store_path / COLD} leads elsewhere than to {directory}. Remove it, or change spill_dir.")


def sign_of(directory: Path) -> Path:
    """Return the file beside a directory of copies that says whose it is."""
    return directory.with_name(directory.name + _SIGN)


class Claim:
    """The host's lock on the directory of its store, from the first copy on until it is closed.

    Parameters
    ----------
    store_path
        Directory of the store.
    """

    def __init__(self, store_path: Path) -> None:
        self._store_path = store_path
        self._fd = -1

    def __repr__(self) -> str:
        return f"<Claim on {self._store_path / COLD}, {'held' if self._fd >= 0 else 'not held'}>"

    def hold(self, directory: Path | None = None) -> None:
        """Take the lock on a directory, None for that of the store if it has one; not every file system has locks.

        Raises
        ------
        StoreError
            The directory is in use elsewhere.
        """
        link = self._store_path / COLD
        if self._fd >= 0 or not (directory or os.path.lexists(link)):
            return
        directory = directory or Path(os.path.realpath(link))
        with refused(sign_of(directory)):
            fd = os.open(sign_of(directory), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            here = self._whose()
            if _is_locked(fd, fcntl.LOCK_EX):
                if _sign(directory)[:3] != here:
                    raise StoreError(
                        f"{directory} is in use by a store of {_owner(directory) or 'another machine'} that is not "
                        "this one. Set spill_dir (JUPYTER_NQ_SPILL) to a directory that nobody else has."
                    )
                return  # by an older store of this machine, whose host still runs
            with refused(fd):
                os.ftruncate(fd, 0)
                os.pwrite(fd, "\n".join(here).encode(), 0)
            self._fd, fd = own(fd), -1
        finally:
            if fd >= 0:
                os.close(fd)

    def close(self) -> None:
        """Give the lock back; closing twice is fine."""
        if self._fd >= 0:
            disown(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _whose(self) -> list[str]:
        """Return what tells this machine's store from all others that run now: two containers may have one name."""
        try:
            boot = _BOOT.read_text().strip()
        except OSError:
            boot = "unknown"
        return [machine(), boot, str(os.stat(self._store_path).st_dev)]


def _take_over(usual: Path, directory: Path) -> None:
    """Give a machine that has no directory the durable copies of the one that was used last, if nobody uses it."""
    from jupyter_nq.client.streams.taking import has_streams, take_streams  # most hosts have a directory

    signs = sorted(usual.parent.glob(f"{usual.name}*{_SIGN}"), key=lambda path: path.stat().st_mtime_ns)
    last = signs[-1].with_suffix("") if signs else None
    if last is None or not last.is_dir() or _is_used(last):
        return
    lasting = [info for info in ColdCopies(last, create=False).scan() if info.durable]
    if not (lasting or has_streams(last)):
        return
    draft = directory.with_name(f".{directory.name}.part")
    with refused(draft):
        if draft.is_dir():  # somebody died over it
            shutil.rmtree(draft)
    theirs, ours = ColdCopies(last, create=False), ColdCopies(draft)
    for info in lasting:  # links: a copy never changes, it is replaced
        with refused(ours.file(info.id)):
            os.link(theirs.file(info.id), ours.file(info.id))
    take_streams(last, directory)
    with refused(directory):  # all of them at once: who finds the directory takes it for whole
        sync_directory(draft)
        os.rename(draft, directory)
        sync_directory(directory.parent)
    _log.info("%s begins with %d durable datasets of %s", directory, len(lasting), last)


def _is_used(directory: Path) -> bool:
    """Tell whether somebody hosts a store of this directory now."""
    try:
        fd = os.open(sign_of(directory), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _is_locked(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _is_locked(fd: int, operation: int) -> bool:
    """Tell whether somebody else has a lock; else this descriptor has it, where the file system has locks."""
    try:
        return not try_flock(fd, operation)
    except StoreError as exc:
        _log.info("it is not known whether somebody else uses the same directory: %s", exc)
        return False


def _owner(directory: Path) -> str | None:
    """Return the machine whose directory it is; None when nobody has used it."""
    return next(iter(_sign(directory)), None)


def _sign(directory: Path) -> list[str]:
    try:
        return sign_of(directory).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
