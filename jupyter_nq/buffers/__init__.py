"""Shared-memory objects: written once, mapped by every process, held by the kernel's own locks."""

from __future__ import annotations

from jupyter_nq.buffers.handle import Handle
from jupyter_nq.buffers.locks import BuildLock
from jupyter_nq.buffers.names import check_name
from jupyter_nq.buffers.objects import Damaged, ObjectInfo
from jupyter_nq.buffers.plan import Plan
from jupyter_nq.buffers.store import Store

__all__ = ["BuildLock", "Damaged", "Handle", "ObjectInfo", "Plan", "Store", "check_name"]
