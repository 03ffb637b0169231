"""What the machine says: free bytes of a file system, who holds a lock, what a process has for itself.

Nothing here knows about stores. Linux is the platform; elsewhere the lock table and `/proc` are absent and the
answers are "nobody known" and "not known".
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
from pathlib import Path

_KEEP_SIZE = 0x01
_PUNCH_HOLE = 0x02
_MAP_FIXED = 0x10
_POPULATE_WRITE = 23  # of madvise, since Linux 5.14
_MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}


def punch_hole(fd: int, offset: int, nbytes: int) -> bool:
    """Give the pages of a range back at once, whoever still maps them; False where that is not possible."""
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if fallocate is None or nbytes <= 0:
        return False
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return bool(fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, nbytes) == 0)


def populate(address: int, nbytes: int) -> bool:
    """Map the pages of a range of a writable mapping at once, whole pages; False where that is not possible.

    It takes memory where the file has none yet. Unlike `mmap.madvise`, it lets other threads run.
    """
    madvise = getattr(ctypes.CDLL(None, use_errno=True), "madvise", None)
    if madvise is None:
        return False
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return bool(madvise(address, nbytes, _POPULATE_WRITE) == 0)


def map_private(address: int, nbytes: int, fd: int) -> None:
    """Map a file, from its start, copy-on-write over a range that is mapped, in one step.

    Raises
    ------
    OSError
        The system refuses; the range is mapped as before.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    libc.mmap.restype = ctypes.c_void_p
    flags = mmap.MAP_PRIVATE | _MAP_FIXED | getattr(mmap, "MAP_NORESERVE", 0)  # few of the pages are ever copied
    if libc.mmap(address, nbytes, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0) != address:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def file_system_free(path: Path) -> int:
    """Return the bytes that this user can still write there."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return the bytes that programs can still take without swapping; 0 where the system does not tell."""
    try:
        for line in meminfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) << 10  # it counts in KiB
    except (OSError, ValueError):
        pass
    return 0


@functools.lru_cache(maxsize=64)
def is_in_memory(device: int, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """Tell whether a device (`st_dev`) is a tmpfs, whose pages count against the memory limit."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mountinfo.read_text().splitlines()
    except OSError:
        return False
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return after.split()[0] in _MEMORY_FILE_SYSTEMS
    return False


def lock_holders(path: Path, table: Path = Path("/proc/locks")) -> list[int]:
    """Return the pids that took a `flock` on the file and still hold it, or whose children do."""
    try:
        found = os.stat(path)
        lines = table.read_text().splitlines()
    except OSError:
        return []
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    pids = set()
    for line in lines:
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == wanted:  # a waiter has "->" there
            pids.add(int(fields[4]))
    return sorted(pids)


def process_is_alive(pid: int) -> bool:
    """Tell whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def private_bytes(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return the anonymous memory of a process that is in RAM: shared pages do not count.

    None when there is no such process, or it is somebody else's.
    """
    try:
        lines = (proc / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    kibibytes = (line.split()[1] for line in lines if line.startswith("RssAnon:"))
    return next((int(count) << 10 for count in kibibytes), None)
