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
    "ColdCopies": "cold.copies",
    "ColdInfo": "cold.copies",
    "Damaged": "objects",
    "Handle": "handle",
    "KeyRing": "cold.keys",
    "ObjectInfo": "objects",
    "Plan": "plan",
    "Store": "store",
    "check_cold": "cold.thawing",
    "check_name": "names",
    "freeze": "cold.freezing",
    "load_keys": "cold.keys",
    "new_key": "cold.keys",
    "rewrap": "cold.rotation",
    "thaw": "cold.thawing",
}

__all__ = [
    "BuildLock",
    "Catalogue",
    "ColdCopies",
    "ColdInfo",
    "Damaged",
    "Handle",
    "KeyRing",
    "ObjectInfo",
    "Plan",
    "Store",
    "check_cold",
    "check_name",
    "freeze",
    "load_keys",
    "new_key",
    "rewrap",
    "thaw",
]

if TYPE_CHECKING:
    from jupyter_nq.buffers.catalogue import Catalogue
    from jupyter_nq.buffers.cold.copies import ColdCopies, ColdInfo
    from jupyter_nq.buffers.cold.freezing import freeze
    from jupyter_nq.buffers.cold.keys import KeyRing, load_keys, new_key
    from jupyter_nq.buffers.cold.rotation import rewrap
    from jupyter_nq.buffers.cold.thawing import check_cold, thaw
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
