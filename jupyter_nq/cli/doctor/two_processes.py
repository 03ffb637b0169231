"""Checks of `jupyter nq doctor` that need a second process: locks, mappings, wake-ups, names, identity.

The second process is `peer`, a new one for each check, so that a failure cannot spoil the next one.
Where both must act at the same time, the order is sent, this side acts, and then the answer is read.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_nq.cli.doctor.findings import Failed, Finding, attempt
from jupyter_nq.cli.doctor.futex import Word
from jupyter_nq.cli.text import seconds
from jupyter_nq.sizes import size

_TIMEOUT_SECONDS = 10.0
_PAGE_BYTES = 64 << 10  # 64 KiB: several pages of any size in use
_WAKE_ROUNDS = 200
_RENAME_SECONDS = 0.1
_ELSEWHERE = "set JUPYTER_NQ_STORE to a directory on tmpfs or a local disk"


class Peer:
    """The second process, closed with its input."""

    def __init__(self) -> None:
        # -P keeps the current directory off the path, so that no file there can take a module's place.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "jupyter_nq.cli.doctor.peer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, do: str, **arguments: Any) -> None:
        """Give an order without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Return the answer to the last order; `Failed` when it is an error or does not come."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _TIMEOUT_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise Failed("the second process does not answer")
        content: dict[str, Any] = json.loads(line)
        if "error" in content:
            raise Failed(f"in the second process: {content['error']}")
        return content

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give an order and return its answer."""
        self.send(do, **arguments)
        return self.answer()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with _broken_pipe_ignored():
                    pipe.close()


@contextmanager
def _broken_pipe_ignored() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        return


def lock(where: Path, peer: Peer) -> Finding:
    """Does a lock of one process keep the other out, and let it in afterwards?"""

    def trial() -> str:
        path = _file(where, "lock", 1)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if peer.ask("lock", path=str(path))["taken"]:
                raise Failed("two processes hold the same exclusive lock")
            listed = _listed(descriptor)
        finally:
            os.close(descriptor)
        start = time.perf_counter()
        if not peer.ask("lock", path=str(path))["taken"]:
            raise Failed("a lock that was given back is still taken")
        took = time.perf_counter() - start
        peer.ask("unlock", path=str(path))
        return f"exclusive, handed over in {seconds(took)}; {listed}"

    return attempt("lock", trial, fix=_ELSEWHERE)


def _listed(descriptor: int) -> str:
    """Say whether the system tells who holds a lock; without it holders have no pid."""
    inode = os.fstat(descriptor).st_ino
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return "/proc/locks is missing, holders cannot be named"
    known = any(int(line.split()[5].rpartition(":")[2]) == inode for line in locks if line.split()[1] == "FLOCK")
    return "/proc/locks names holders" if known else "/proc/locks does not list it, holders cannot be named"


def crash(where: Path, peer: Peer) -> Finding:
    """Does a killed process give its lock back?"""

    def trial() -> str:
        path = _file(where, "crash", 1)
        peer.ask("lock", path=str(path))
        start = time.perf_counter()
        peer.kill()
        with open(path, "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise Failed("the lock of a killed process is still taken") from exc
        return f"its lock is free {seconds(time.perf_counter() - start)} after the kill"

    return attempt("crash", trial, fix=_ELSEWHERE)


def mapping(where: Path, peer: Peer) -> Finding:
    """Do both processes see the same memory?"""

    def trial() -> str:
        path = _file(where, "map", _PAGE_BYTES)
        half = _PAGE_BYTES // 2
        pattern = os.urandom(half)
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            peer.ask("mirror", path=str(path))  # untimed: the second process may still be starting
            mapped[:half] = pattern
            start = time.perf_counter()
            peer.ask("mirror", path=str(path))
            if mapped[half:] != pattern:
                raise Failed("what one process writes, the other does not see")
            return f"{size(half)} there and back in {seconds(time.perf_counter() - start)}"

    return attempt("shared mapping", trial, fix=_ELSEWHERE)


def wake(where: Path, peer: Peer) -> Finding:
    """Can one process put itself to sleep on a word and the other wake it?"""

    def trial() -> str:
        path = _file(where, "wake", mmap.PAGESIZE)
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            try:
                word = Word(mapped)
            except NotImplementedError as exc:
                return f"no futex here ({exc}): waiting polls every millisecond"
            try:
                took = _ping(word, path, peer)
            finally:
                word.close()
        return f"futex, there and back in {seconds(took)} (median of {_WAKE_ROUNDS})"

    return attempt("wake-up", trial, fix="allow the futex system call in the sandbox's seccomp profile")


def _ping(word: Word, path: Path, peer: Peer) -> float:
    peer.send("echo", path=str(path), rounds=_WAKE_ROUNDS)
    times = []
    try:
        for value in range(1, 2 * _WAKE_ROUNDS, 2):
            start = time.perf_counter()
            word.set(value)
            word.wait_for(value + 1, _TIMEOUT_SECONDS / 2)
            times.append(time.perf_counter() - start)
    except TimeoutError as exc:
        raise Failed(str(exc)) from exc
    finally:
        peer.answer()
    return statistics.median(times)


def rename(where: Path, peer: Peer) -> Finding:
    """Is a name that is replaced never missing, for a file and for a symbolic link?"""

    def trial() -> str:
        link = where / "name"
        os.symlink("0", link)
        peer.send("follow", link=str(link), last="last")
        took = _replace_for_a_while(link)
        seen = peer.answer()
        if seen["missing"]:
            raise Failed(f"the name was missing {seen['missing']} times while it was replaced")
        _replace_file(where)
        return f"symbolic link and file replaced in {seconds(took)}; {seen['reads']} reads met no gap"

    return attempt("rename", trial, fix=_ELSEWHERE)


def _replace_for_a_while(link: Path) -> float:
    """Point the link elsewhere again and again, and return the seconds that one replacement takes."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < _RENAME_SECONDS:
        count += 1
        _replace_link(link, str(count))
    took = (time.perf_counter() - start) / count
    _replace_link(link, "last")
    return took


def _replace_link(link: Path, target: str) -> None:
    fresh = link.with_suffix(".new")
    os.symlink(target, fresh)
    os.replace(fresh, link)


def _replace_file(where: Path) -> None:
    old, new = _file(where, "sealed", 1), _file(where, "fresh", 2)
    os.replace(new, old)
    if old.stat().st_size != 2 or new.exists():
        raise Failed("a file that was renamed over another did not take its place")


def credentials(where: Path, peer: Peer) -> Finding:
    """Does the system say which process is at the other end of a socket?"""

    def trial() -> str:
        directory = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.settimeout(_TIMEOUT_SECONDS)
                listener.bind(f"/proc/self/fd/{directory}/s")  # short in any directory
                listener.listen(1)
                pid, uid = _meet(listener, where, peer)
        finally:
            os.close(directory)
        if (pid, uid) != (peer.pid, os.geteuid()):
            raise Failed(f"the other end is pid {peer.pid} uid {os.geteuid()}, the system says pid {pid} uid {uid}")
        return f"pid {pid} and uid {uid} as they are"

    return attempt("identity", trial, fix="run notebooks and the server in one pid namespace, on Linux")


def _meet(listener: socket.socket, where: Path, peer: Peer) -> tuple[int, int]:
    peer.send("connect", directory=str(where), name="s")
    try:
        connection, _ = listener.accept()
    except TimeoutError as exc:
        raise Failed("nobody connected") from exc
    with connection:
        pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        connection.sendall(b"!")
    peer.answer()
    return pid, uid


def _file(where: Path, name: str, length: int) -> Path:
    descriptor, path = tempfile.mkstemp(prefix=f"{name}-", dir=where)
    os.posix_fallocate(descriptor, 0, length)
    os.close(descriptor)
    return Path(path)
