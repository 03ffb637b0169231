"""One NQ dataset, loaded once, right the first time, and shared by every notebook.

Names are resolved on first use, so that importing the package costs little and has no side effect.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "DataPreprocessor": "jupyter_nq.bars.features.preprocess",
    "DataValidator": "jupyter_nq.bars.validation.validator",
    "Features": "jupyter_nq.bars.features.pipeline",
    **dict.fromkeys(["MinMax", "Robust", "Scaler", "ZScore"], "jupyter_nq.bars.features.scalers"),
    "MemoryManager": "jupyter_nq.client.memory.manager",
    "NQError": "jupyter_nq.errors",
    "Session": "jupyter_nq.client.session",
    "SharedMemoryPool": "jupyter_nq.client.memory.pool",
    "UnifiedDataLoader": "jupyter_nq.client.bars.loader",
    **dict.fromkeys(
        [
            "append",
            "connect",
            "disconnect",
            "drop",
            "drop_stream",
            "empty",
            "gc",
            "get",
            "list_streams",
            "load",
            "ls",
            "notebooks",
            "pin",
            "put",
            "refresh",
            "rotate_keys",
            "spill",
            "status",
            "stream",
            "unpin",
        ],
        "jupyter_nq.client.api",
    ),
    **dict.fromkeys(["live", "replay"], "jupyter_nq.client.live.api"),
    **dict.fromkeys(
        [
            "asof",
            "completeness",
            "continuous",
            "forget",
            "iterate",
            "resample",
            "roll_table",
            "rolls",
            "sniff",
            "validate",
        ],
        "jupyter_nq.client.bars.api",
    ),
}

__all__ = [
    "DataPreprocessor",
    "DataValidator",
    "Features",
    "MemoryManager",
    "MinMax",
    "NQError",
    "Robust",
    "Scaler",
    "Session",
    "SharedMemoryPool",
    "UnifiedDataLoader",
    "ZScore",
    "__version__",
    "append",
    "asof",
    "completeness",
    "connect",
    "continuous",
    "disconnect",
    "drop",
    "drop_stream",
    "empty",
    "forget",
    "gc",
    "get",
    "iterate",
    "list_streams",
    "live",
    "load",
    "load_ipython_extension",
    "ls",
    "notebooks",
    "pin",
    "put",
    "refresh",
    "replay",
    "resample",
    "roll_table",
    "rolls",
    "rotate_keys",
    "sniff",
    "spill",
    "status",
    "stream",
    "unload_ipython_extension",
    "unpin",
    "validate",
]

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_nq.bars.features.pipeline import Features
    from jupyter_nq.bars.features.preprocess import DataPreprocessor
    from jupyter_nq.bars.features.scalers import MinMax, Robust, Scaler, ZScore
    from jupyter_nq.bars.validation.validator import DataValidator
    from jupyter_nq.client.api import (
        append,
        connect,
        disconnect,
        drop,
        drop_stream,
        empty,
        gc,
        get,
        list_streams,
        load,
        ls,
        notebooks,
        pin,
        put,
        refresh,
        rotate_keys,
        spill,
        status,
        stream,
        unpin,
    )
    from jupyter_nq.client.bars.api import (
        asof,
        completeness,
        continuous,
        forget,
        iterate,
        resample,
        roll_table,
        rolls,
        sniff,
        validate,
    )
    from jupyter_nq.client.bars.loader import UnifiedDataLoader
    from jupyter_nq.client.live.api import live, replay
    from jupyter_nq.client.memory.manager import MemoryManager
    from jupyter_nq.client.memory.pool import SharedMemoryPool
    from jupyter_nq.client.session import Session
    from jupyter_nq.errors import NQError


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jupyter_nq' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Register the magics: `%load_ext jupyter_nq`."""
    import nq_magics

    nq_magics.load_ipython_extension(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Remove the magics again: `%unload_ext jupyter_nq`."""
    import nq_magics

    nq_magics.unload_ipython_extension(ipython)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from jupyter_nq.server.app import NQApp

    return [{"module": "jupyter_nq", "app": NQApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "jupyter-nq"}]
