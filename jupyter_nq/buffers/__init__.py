"""Shared-memory objects: written once, mapped by every process, held by the kernel's own locks.

Names are resolved on first use. A coordinator needs only headers, names and locks (`Catalogue`), and a
Jupyter server that hosts one must not pay for numpy, pandas and pyarrow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "BuildLock": "locks",
    "Catalogue": "catalogue",
    "Damaged": "objects",
    "Handle": "handle",
    "ObjectInfo": "objects",
    "Plan": "plan",
    "Store": "store",
    "check_name": "names",
}

__all__ = ["BuildLock", "Catalogue", "Damaged", "Handle", "ObjectInfo", "Plan", "Store", "check_name"]

if TYPE_CHECKING:
    from jupyter_nq.buffers.catalogue import Catalogue
    from jupyter_nq.buffers.handle import Handle
    from jupyter_nq.buffers.locks import BuildLock
    from jupyter_nq.buffers.names import check_name
    from jupyter_nq.buffers.objects import Damaged, ObjectInfo
    from jupyter_nq.buffers.plan import Plan
    from jupyter_nq.buffers.store import Store


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jupyter_nq.buffers' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jupyter_nq.buffers.{home}"), name)
    globals()[name] = value
    return value
