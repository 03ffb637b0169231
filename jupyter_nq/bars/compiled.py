"""Kernels: plain Python loops over arrays, which numba compiles where it is installed.

A module of kernels is written once, as plain functions marked `@kernel`, and exists twice at run time: as
Python wrote it, and compiled. The compiled twin is the same source, executed under another module name with
numba's decorator in the place of the mark, so that both have the same arithmetic, operation by operation,
and give the same bits: no fast-math, no contraction, one thread inside a kernel.

Compiling takes seconds, so nobody waits for it who does not gain by it: `ready` starts it in the background
and returns None until it is done, `wait` waits. Compiled code is kept on disk, in a directory that only its
owner may enter (numba's own cache; the one place where the package reads such files).

The mutable state is `Kernels._twin` and `_thread`, guarded by `_lock`; numba's settings are touched only
with `_numba_lock` held. `announce` is set once, by who shows a person what goes on.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from jupyter_nq.errors import NQError

_F = TypeVar("_F", bound=Callable[..., Any])
_TWIN = "_compiled"
_MOST_THREADS = 8
_QUIET_SECONDS = 1.5  # loading what was compiled before takes a third of it
_log = logging.getLogger("jupyter_nq")
announce: Callable[[str], object] = _log.info
"""Told when somebody has to wait for a compiler; the magics print it."""
_numba_lock = threading.RLock()
_local = threading.local()


def kernel(function: _F) -> _F:
    """Mark a function as a kernel: compiled in the compiled twin of its module, as it stands elsewhere.

    A kernel calls only kernels of its own module, indexes its arguments and returns scalars or tuples. It
    must behave the same without numba: no division by zero, no integer that outgrows 64 bits.
    """
    jit = getattr(_local, "jit", None)
    return function if jit is None else jit(function)


def inlined(function: _F) -> _F:
    """Mark a small kernel whose code is put in the place of every call: a call costs more than it does."""
    jit = getattr(_local, "inlined", None)
    return function if jit is None else jit(function)


class Kernels:
    """The kernels of one module, plain and compiled.

    Parameters
    ----------
    module
        Dotted name of the module that defines them.
    practise
        Called with the compiled twin; it runs every kernel once on a few rows, with the dtypes of real use,
        so that nothing is left to compile. Compiled code is cached on disk by these dtypes.
    """

    def __init__(self, module: str, practise: Callable[[Any], None]) -> None:
        self.module = module
        self._practise = practise
        self._lock = threading.Lock()
        self._twin: ModuleType | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def __repr__(self) -> str:
        state = "compiled" if self._twin else "compiling" if self._thread else "plain"
        return f"<Kernels {self.module}: {state}>"

    @property
    def plain(self) -> Any:
        """The module as Python runs it."""
        return importlib.import_module(self.module)

    def ready(self) -> Any | None:
        """Return the compiled twin if it is there; else start compiling in the background and return None."""
        with self._lock:
            if self._twin is None and self._thread is None and self._failure is None and installed():
                self._thread = threading.Thread(target=self._compile, name="jupyter-nq-compile", daemon=True)
                self._thread.start()
            return self._twin

    def wait(self) -> Any | None:
        """Return the compiled twin, after compiling if need be; None without numba.

        Raises `NQError` when numba is installed and cannot compile the kernels.
        """
        twin = self.ready()
        thread = self._thread
        if twin is None and thread is not None:
            thread.join(_QUIET_SECONDS)
            if thread.is_alive():
                announce("Compiling kernels, once for an installation; `jupyter nq warmup` does it ahead ...")
            thread.join()
        if self._failure is not None:
            reason = str(self._failure).partition("\n")[0]
            raise NQError(
                f"numba cannot compile {self.module}: {reason}. Update numba, or set JUPYTER_NQ_COMPILE=0 to work "
                "without it; the results are the same."
            ) from self._failure
        return self._twin

    def for_rows(self, rows: int, small: int) -> Any:
        """Return the compiled twin when it is loaded or worth waiting for, else the plain module.

        `small` is the number of rows that plain Python works through before a cached compilation is loaded.
        """
        twin = self._twin
        if twin is None and rows > small:
            twin = self.wait()
        return self.plain if twin is None else twin

    def _compile(self) -> None:
        try:
            twin = _twin_of(self.module)
            self._practise(twin)
        except BaseException as exc:  # the root of a thread: who waits for it gets the error
            self._failure = exc
            _log.warning("numba cannot compile %s, which works on without it, slower: %s", self.module, exc)
        else:
            self._twin = twin


def installed() -> bool:
    """Tell whether numba is installed and not switched off by `JUPYTER_NQ_COMPILE=0`."""
    return os.environ.get("JUPYTER_NQ_COMPILE", "1") != "0" and _found()


@functools.cache
def _found() -> bool:
    return importlib.util.find_spec("numba") is not None


def processors() -> int:
    """Return how many threads are worth starting for kernels, which leave the interpreter to each other."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def warm_up(every: tuple[Kernels, ...]) -> dict[str, float]:
    """Compile all given kernels, and return the seconds that each module took; empty without numba."""
    taken: dict[str, float] = {}
    for kernels in every if installed() else ():
        start = time.perf_counter()
        kernels.wait()
        taken[kernels.module] = time.perf_counter() - start
    return taken


def cache_dir() -> Path:
    """Return the directory of compiled kernels, made with mode 0700 when it is not there.

    Raises `NQError` when somebody else owns it or may write there: compiled code is executed.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(base) / "jupyter-nq" / "kernels"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    stat = path.lstat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o022:
        raise NQError(f"{path} holds compiled code and others may write there. Run: chmod 0700 {path}")
    return path


def _twin_of(module: str) -> ModuleType:
    """Execute the module's source once more, with numba's decorator for the mark."""
    import numba

    original = importlib.import_module(module)
    name = module + _TWIN
    spec = importlib.util.spec_from_file_location(name, original.__file__)
    if spec is None or spec.loader is None:
        raise NQError(f"{module} has no source file to compile.")
    twin = importlib.util.module_from_spec(spec)
    with _numba_lock:
        settings: Any = numba.config
        usual, settings.CACHE_DIR = settings.CACHE_DIR, str(cache_dir())
        sys.modules[name] = twin
        options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
        _local.jit, _local.inlined = numba.njit(**options), numba.njit(**options, forceinline=True)
        try:
            spec.loader.exec_module(twin)
        finally:
            _local.jit = _local.inlined = None
            settings.CACHE_DIR = usual
    return twin
