"""A mutex with a lease: one holder at a time among all processes and threads of a store, and never a dead one.

A holder that dies has let go, because the system takes its lock away. A holder that lives and neither lets go nor
renews loses it when its lease has ended and somebody else wants it; it may be stopped just then and not know. So each
holder has a token, greater than those of all before: whoever writes on a holder's word can refuse a smaller token than
it has seen, and `check` tells a holder that it is none any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jupyter_nq.buffers import Catalogue, check_name
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.locks import is_current, kept_from_children, open_lock_file, try_flock
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.client.api import opened
from jupyter_nq.client.mutex.record import Record, now_ns, read, write
from jupyter_nq.client.mutex.waiting import Watcher
from jupyter_nq.config import default_store_dir, load_settings
from jupyter_nq.coordinator.identity import program
from jupyter_nq.errors import InvalidArgument, InvalidName, LeaseLost, MutexTimeout

MUTEXES = "mutexes"
"""Directory of a store's mutexes."""
LEASE_SECONDS = 30.0

_RECORD = "record"
_NEVER_NS = 1 << 62
_LONGEST_LEASE_SECONDS = 30 * 86_400.0


def mutex(name: str, lease_seconds: float = LEASE_SECONDS, timeout: float | None = None) -> Mutex:
    """Return the mutex of a name, for a `with` statement; it needs no coordinator.

    >>> with mutex("orders", lease_seconds=10) as lease:  # doctest: +SKIP
    ...     lease.check()  # raises LeaseLost if somebody else has it by now
    ...     send(order, fencing_token=lease.token)

    Parameters
    ----------
    name
        `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`; its own kind of names, beside those of datasets and streams.
    lease_seconds
        For so long it is the holder's, unless that lets go or dies before; `lease.renew()` begins anew.
    timeout
        Seconds to wait for it; None waits as long as it takes, 0 not at all.

    Raises
    ------
    InvalidName, InvalidArgument, StoreError
    """
    session = opened()
    path = session.store.path if session is not None else Path(load_settings().store_dir or default_store_dir())
    return Mutex(path, name, lease_seconds, timeout)


class Mutex:
    """A mutex of a store; threads may share it.

    Parameters
    ----------
    store
        Directory of the store.
    name, lease_seconds, timeout
        As for `nq.mutex`.
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        name: str,
        lease_seconds: float = LEASE_SECONDS,
        timeout: float | None = None,
    ) -> None:
        self.name = check_name(name, "mutex")
        self._lease_ns = _lease_ns(lease_seconds)
        self._timeout = _checked_timeout(timeout)
        self._path = Catalogue(store).path / MUTEXES / name
        self._entered: dict[int, Lease] = {}  # thread -> its lease of a `with`; each thread changes its own alone

    def __repr__(self) -> str:
        record = self.holder()
        return f"<Mutex {self.name}, {f'held by {record}' if record is not None else 'free'}>"

    def __enter__(self) -> Lease:
        lease = self._entered[threading.get_ident()] = self.acquire()
        return lease

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        lease = self._entered.pop(threading.get_ident())
        try:
            lease.release()
        except LeaseLost:
            if kind is None:  # else the error that is under way says more
                raise

    def acquire(self, timeout: float | None = None) -> Lease:
        """Take the mutex, waiting for it; an interrupt ends the wait. Keep the lease: one that is forgotten has let go.

        Parameters
        ----------
        timeout
            Seconds; None takes those of the mutex.

        Raises
        ------
        MutexTimeout
            Somebody else has it for so long; the message says who.
        InvalidArgument
            This thread has it.
        ChecksumError, StoreError, StoreFull
        """
        seconds = self._timeout if timeout is None else _checked_timeout(timeout)
        deadline = None if seconds is None else time.monotonic() + seconds
        found = self._try()
        if isinstance(found, Lease):
            return found
        watcher = Watcher(self._path / _RECORD)
        try:
            watcher.open()
            return self._wait(watcher, deadline, seconds)
        finally:
            watcher.close()

    def _wait(self, watcher: Watcher, deadline: float | None, seconds: float | None) -> Lease:
        ended = 0  # token of a holder whose process has ended, while something that it left has the lock
        while True:
            watcher.heard()
            found = self._try()
            if isinstance(found, Lease):
                return found
            pid = 0 if found.token == ended else found.pid
            if watcher.wait(pid, self._pause(found, deadline, seconds)):
                ended = found.token

    def holder(self) -> Record | None:
        """Return who has it now; None when it is free."""
        if not (self._path / _RECORD).exists():
            return None
        with _looking(self._path) as fd:
            record = _read(fd, self._path)
            return record if self._is_held(record) else None

    def remove(self) -> bool:
        """Remove the mutex unless somebody has it; the tokens of its next holders begin anew.

        Who has let its lease end and lives has it, as long as nobody else takes it: it may renew that.
        """
        with _looking(self._path) as fd:
            record = _read(fd, self._path)
            if record.held and _is_locked(_held(self._path, record.token)):
                return False
            for file in self._path.iterdir():
                file.unlink()
        with contextlib.suppress(OSError):  # somebody made it again
            self._path.rmdir()
        return True

    def _try(self) -> Lease | Record:
        """Take it if it is free, else return who has it."""
        with _looking(self._path) as fd:
            record = _read(fd, self._path)
            if not self._is_held(record):
                return self._take(fd, record.token + 1, before=record)
        if (record.pid, record.thread) == (os.getpid(), threading.get_native_id()):
            raise InvalidArgument(f"This thread has the mutex {self.name!r}: it would wait for itself.")
        return record

    def _take(self, fd: int, token: int, *, before: Record) -> Lease:
        held = own(open_lock_file(_held(self._path, token)))
        try:
            if not try_flock(held, fcntl.LOCK_EX):
                raise LeaseLost(f"Somebody holds {_held(self._path, token)}, and is not the holder. Remove that file.")
            expires_ns, thread = now_ns() + self._lease_ns, threading.get_native_id()
            identity = True, os.getpid(), thread, time.time_ns(), self._lease_ns, expires_ns, _who()
            write(fd, self._path / _RECORD, Record(token, *identity))
        except BaseException:
            _let_go(held)
            raise
        _held(self._path, before.token).unlink(missing_ok=True)
        return Lease(self._path, self.name, token, self._lease_ns, held)

    def _is_held(self, record: Record) -> bool:
        return record.held and not record.expired and _is_locked(_held(self._path, record.token))

    def _pause(self, record: Record, deadline: float | None, seconds: float | None) -> float:
        """Return how long to wait for a holder; raises when the time is over."""
        lease = max(0.0, (record.expires_ns - now_ns()) / 1e9)
        if deadline is None:
            return lease
        left = deadline - time.monotonic()
        if left <= 0:
            raise MutexTimeout(
                f"The mutex {self.name!r} could not be had within {seconds:g} s: it is held by {record}. Wait "
                "longer, end that process, or have it let go."
            )
        return min(lease, left)


class Lease:
    """A holder's hold of a mutex, until it lets go, dies, or loses it; made by `Mutex.acquire`."""

    def __init__(self, path: Path, name: str, token: int, lease_ns: int, held: int) -> None:
        self.name = name
        self.token = token
        """Fencing token: greater than that of every holder before."""
        self._path = path
        self._lease_ns = lease_ns
        self._held = held  # its lock
        self._let_go = weakref.finalize(self, _let_go, held)  # of the lock; also when an interrupt loses this
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<Lease {self.token} of {self.name}{'' if self._let_go.alive else ', ended'}>"

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def check(self) -> None:
        """Return if this is the holder, with time left; `LeaseLost` else.

        Somebody else may take it right after, when the lease ends: what must not happen twice is told the token.
        """
        with self._own_record() as (_, record):
            if record.expired:
                raise LeaseLost(
                    f"The lease of the mutex {self.name!r} has ended: anybody may take it now. Renew it before it "
                    "ends, or now, if nobody has taken it."
                )

    def renew(self, lease_seconds: float | None = None) -> None:
        """Begin the lease anew; also one that has ended, if nobody else took the mutex; `LeaseLost` else."""
        lease_ns = self._lease_ns if lease_seconds is None else _lease_ns(lease_seconds)
        with self._own_record() as (fd, record):
            fresh = replace(record, lease_ns=lease_ns, expires_ns=now_ns() + lease_ns)
            write(fd, self._path / _RECORD, fresh)

    def release(self) -> None:
        """Let go; whoever waits gets it. Twice is fine.

        Raises
        ------
        LeaseLost
            Somebody else took it meanwhile: what was done under it may have been done by two.
        """
        if not self._let_go.alive or self._pid != os.getpid():
            return
        try:
            with _looking(self._path) as fd:
                record = _read(fd, self._path)
                self._check_mine(record)
                write(fd, self._path / _RECORD, replace(record, held=False))
                _held(self._path, self.token).unlink(missing_ok=True)
        finally:
            self._let_go()

    @contextlib.contextmanager
    def _own_record(self) -> Iterator[tuple[int, Record]]:
        """Give the locked record if it is this holder's."""
        if not self._let_go.alive or self._pid != os.getpid():
            raise LeaseLost(f"This process let go of the mutex {self.name!r}, or is a fork of its holder.")
        with _looking(self._path) as fd:
            record = _read(fd, self._path)
            self._check_mine(record)
            yield fd, record

    def _check_mine(self, record: Record) -> None:
        if record.token == self.token and not is_current(self._held, _held(self._path, self.token)):
            raise LeaseLost(
                f"The mutex {self.name!r} was removed by hand while this had it, and its tokens began anew. Somebody "
                f"else may have had it with token {self.token} too."
            )
        if record.token != self.token:
            raise LeaseLost(
                f"The mutex {self.name!r} was lost: its lease ended, and with token {record.token}, greater than "
                f"{self.token}, it went to {record}. Renew a lease before it ends, or make it longer."
            )


def held_by(store: Path) -> dict[str, Record | None]:
    """Return the mutexes of a store, by name, with who has them; None for those that nobody has."""
    directory = store / MUTEXES
    found: dict[str, Record | None] = {}
    for name in sorted(os.listdir(directory)) if directory.is_dir() else ():
        with contextlib.suppress(InvalidName):  # not ours
            found[name] = Mutex(store, name).holder()
    return found


@contextlib.contextmanager
def _looking(path: Path) -> Iterator[int]:
    """Give the open record of a mutex, locked for a moment."""
    record = path / _RECORD
    while True:
        if not path.is_dir():
            with refused(path):
                path.parent.mkdir(mode=0o700, exist_ok=True)
                path.mkdir(mode=0o700, exist_ok=True)
        with kept_from_children(lambda: open_lock_file(record)) as fd:
            with refused(record):
                fcntl.flock(fd, fcntl.LOCK_EX)
            if is_current(fd, record):  # else it was removed meanwhile
                yield fd
                return


def _read(fd: int, path: Path) -> Record:
    """Return the record; one that was removed by hand is what a holder's lock tells of it."""
    record = read(fd, path / _RECORD)
    if record.token:
        return record
    left = [int(number) for _, _, number in (one.name.partition("held-") for one in path.iterdir()) if number.isdigit()]
    if not left:
        return record
    return Record(max(left), True, expires_ns=_NEVER_NS, who="somebody whose record was removed")


def _held(path: Path, token: int) -> Path:
    return path / f"held-{token}"


def _is_locked(path: Path) -> bool:
    """Tell whether a holder's lock is held: it lives, and has not let go."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _let_go(fd: int) -> None:
    disown(fd)
    os.close(fd)


def _who() -> str:
    """Return this process as one reads it: what it registered as, else its program."""
    session = opened()
    return (session.roster.called() if session is not None else "") or program(os.getpid())


def _lease_ns(seconds: float) -> int:
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 < seconds <= _LONGEST_LEASE_SECONDS:
        raise InvalidArgument(f"lease_seconds={seconds!r} is no time above 0 and up to 30 days.")
    return int(seconds * 1e9)


def _checked_timeout(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < float("inf"):
        raise InvalidArgument(f"timeout={seconds!r} is no number of seconds. None waits as long as it takes.")
    return float(seconds)
