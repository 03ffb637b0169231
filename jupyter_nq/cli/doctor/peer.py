"""The second process of `jupyter nq doctor`: `python -m jupyter_nq.cli.doctor.peer`.

It obeys one JSON line after the other on standard input and answers each with one line. It ends with
its input, so that it cannot outlive the doctor.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from jupyter_nq.cli.doctor.futex import Word

TIMEOUT_SECONDS = 5.0
_locks: dict[str, int] = {}  # descriptors by path; this process has one thread


def lock(path: str) -> dict[str, Any]:
    """Try to take the exclusive lock of a file, and keep it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return {"taken": False}
    _locks[path] = descriptor
    return {"taken": True}


def unlock(path: str) -> dict[str, Any]:
    """Give a lock back."""
    os.close(_locks.pop(path))
    return {}


def mirror(path: str) -> dict[str, Any]:
    """Map a file and copy its first half over its second half, through the mapping alone."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        half = len(mapping) // 2
        mapping[half:] = mapping[:half]
    return {}


def follow(link: str, last: str) -> dict[str, Any]:
    """Read a symbolic link again and again until it points to `last`; count the moments it was missing."""
    reads = missing = 0
    while True:
        try:
            target = os.readlink(link)
        except FileNotFoundError:
            missing += 1
            continue
        reads += 1
        if target == last:
            return {"reads": reads, "missing": missing}


def echo(path: str, rounds: int) -> dict[str, Any]:
    """Answer each odd value of the file's first word with the next even one, asleep in between."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        word = Word(mapping)
        try:
            for value in range(1, 2 * rounds, 2):
                word.wait_for(value, TIMEOUT_SECONDS)
                word.set(value + 1)
        finally:
            word.close()
    return {}


def connect(directory: str, name: str) -> dict[str, Any]:
    """Connect to a Unix socket; the way through /proc keeps its path short in any directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_SECONDS)
            connection.connect(f"/proc/self/fd/{descriptor}/{name}")
            connection.recv(1)
    finally:
        os.close(descriptor)
    return {}


_ORDERS: dict[str, Callable[..., dict[str, Any]]] = {
    "lock": lock,
    "unlock": unlock,
    "mirror": mirror,
    "follow": follow,
    "echo": echo,
    "connect": connect,
}


def main() -> None:
    """Obey the orders on standard input until it ends."""
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = _ORDERS[order.pop("do")](**order)
        except (OSError, TimeoutError, NotImplementedError) as exc:
            answer = {"error": f"{type(exc).__name__}: {exc}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
