"""Who is at the other end of a Unix socket: the kernel says, not the peer.

`SO_PEERCRED` gives the process that connected; /proc gives its ancestors and its program. A notebook's
kernel is recognised by its own process or by an ancestor, so that a child of a kernel counts as its notebook.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")
_MOST_ANCESTORS = 64
_LONGEST_PROGRAM = 64
_PARENT, _STARTED = 1, 19  # places in /proc/PID/stat behind the command
_OPTIONS_WITH_VALUE = {"-W", "-X", "--check-hash-based-pycs"}
_PYTHON = re.compile(r"(python|pypy)[0-9.]*")


def peer_credentials(sock: socket.socket) -> tuple[int, int, int]:
    """Return pid, uid and gid of the process that made the connection."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    return pid, uid, gid


def ancestors(pid: int) -> tuple[int, ...]:
    """Return the pids of the parent, its parent and so on, up to but without the first process."""
    found: list[int] = []
    current = _parent(pid)
    while current > 1 and current not in found and len(found) < _MOST_ANCESTORS:
        found.append(current)
        current = _parent(current)
    return tuple(found)


def started_ns(pid: int) -> int:
    """Return when a process began (UTC, since the epoch, to 10 ms below); 0 when it is gone, or nobody knows.

    With it a process is told from an older one that had the same pid.
    """
    fields = _stat(pid)
    if not fields or not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boot_ns + int(fields[_STARTED]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def program(pid: int) -> str:
    """Return a short name for a process: its script, its module, or its command; `pid N` when it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"pid {pid}"
    return clean_program(_name_of([word for word in words if word])) or f"pid {pid}"


def clean_program(text: str) -> str:
    """Return printable text of at most 64 characters: names of programs are shown to others."""
    return "".join(c for c in text if c.isprintable()).strip()[:_LONGEST_PROGRAM]


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[_PARENT]) if fields else 0


def _stat(pid: int) -> list[bytes]:
    """Return what /proc says of a process, from its state on; nothing when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return []
    # The command stands in parentheses and may hold anything, more parentheses included.
    return stat[stat.rindex(b")") + 2 :].split()


def _name_of(words: list[str]) -> str:
    if not words:
        return ""
    command = os.path.basename(words[0])
    if not _PYTHON.fullmatch(command):
        return command
    rest = iter(words[1:])
    for word in rest:
        if word == "-m":
            return next(rest, command)
        if word == "-c":
            return f"{command} -c"
        if word in _OPTIONS_WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            return os.path.basename(word)
    return command
