"""One NQ dataset, loaded once, right the first time, and shared by every notebook.

Names are resolved on first use, so that importing the package costs little and has no side effect.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    **dict.fromkeys(["DataFlowCoordinator", "create_notebook_client"], "jupyter_nq.client.notebooks.flow"),
    **dict.fromkeys(["DataStreamType", "StreamStatus"], "jupyter_nq.client.notebooks.data_stream"),
    "mutex": "jupyter_nq.client.mutex.mutex",
    "NotebookClient": "jupyter_nq.client.notebooks.notebook_client",
    "DataPreprocessor": "jupyter_nq.bars.features.preprocess",
    "DataValidator": "jupyter_nq.bars.validation.validator",
    "Features": "jupyter_nq.bars.features.pipeline",
    **dict.fromkeys(["MinMax", "Robust", "Scaler", "ZScore"], "jupyter_nq.bars.features.scalers"),
    **dict.fromkeys(["flag", "flags"], "jupyter_nq.client.flags"),
    "MemoryManager": "jupyter_nq.client.memory.manager",
    **dict.fromkeys(["kafka_in", "kafka_out"], "jupyter_nq.client.streams.bridges"),
    "NQError": "jupyter_nq.errors",
    "process_concurrent": "jupyter_nq.client.processing.concurrent",
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
        ["accept", "decline", "on_sync", "register", "sync", "synced", "unregister"], "jupyter_nq.client.notebooks.api"
    ),
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
    **dict.fromkeys(
        [
            "check_consistency",
            "follow",
            "is_current",
            "restore",
            "rule",
            "save",
            "snapshot",
            "snapshot_of",
            "snapshots",
            "stale",
        ],
        "jupyter_nq.client.versions.api",
    ),
}

__all__ = [
    "DataFlowCoordinator",
    "DataPreprocessor",
    "DataStreamType",
    "DataValidator",
    "Features",
    "MemoryManager",
    "MinMax",
    "NQError",
    "NotebookClient",
    "Robust",
    "Scaler",
    "Session",
    "SharedMemoryPool",
    "StreamStatus",
    "UnifiedDataLoader",
    "ZScore",
    "__version__",
    "accept",
    "append",
    "asof",
    "check_consistency",
    "completeness",
    "connect",
    "continuous",
    "create_notebook_client",
    "decline",
    "disconnect",
    "drop",
    "drop_stream",
    "empty",
    "flag",
    "flags",
    "follow",
    "forget",
    "gc",
    "get",
    "is_current",
    "iterate",
    "kafka_in",
    "kafka_out",
    "list_streams",
    "live",
    "load",
    "load_ipython_extension",
    "ls",
    "mutex",
    "notebooks",
    "on_sync",
    "pin",
    "process_concurrent",
    "put",
    "refresh",
    "register",
    "replay",
    "resample",
    "restore",
    "roll_table",
    "rolls",
    "rotate_keys",
    "rule",
    "save",
    "snapshot",
    "snapshot_of",
    "snapshots",
    "sniff",
    "spill",
    "stale",
    "status",
    "stream",
    "sync",
    "synced",
    "unload_ipython_extension",
    "unpin",
    "unregister",
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
    from jupyter_nq.client.flags import flag, flags
    from jupyter_nq.client.live.api import live, replay
    from jupyter_nq.client.memory.manager import MemoryManager
    from jupyter_nq.client.memory.pool import SharedMemoryPool
    from jupyter_nq.client.mutex.mutex import mutex
    from jupyter_nq.client.notebooks.api import accept, decline, on_sync, register, sync, synced, unregister
    from jupyter_nq.client.notebooks.data_stream import DataStreamType, StreamStatus
    from jupyter_nq.client.notebooks.flow import DataFlowCoordinator, create_notebook_client
    from jupyter_nq.client.notebooks.notebook_client import NotebookClient
    from jupyter_nq.client.processing.concurrent import process_concurrent
    from jupyter_nq.client.session import Session
    from jupyter_nq.client.streams.bridges import kafka_in, kafka_out
    from jupyter_nq.client.versions.api import (
        check_consistency,
        follow,
        is_current,
        restore,
        rule,
        save,
        snapshot,
        snapshot_of,
        snapshots,
        stale,
    )
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
