"""Two versions of the package meet on one store: one sentence says which environment to upgrade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_nq.buffers.layout import LAYOUT

__all__ = ["LAYOUT", "upgrade_sentence"]


def upgrade_sentence(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Say that two greetings do not fit, and how to upgrade the older one."""
    older = min(one, other, key=_age)
    newer = other if older is one else one
    return (
        f"Two versions of jupyter-nq meet on this store: {_describe(one)} and {_describe(other)}. "
        f"Upgrade the older environment to {newer.get('package', 'the newer version')}: "
        f"`{older.get('python', 'python')} -m pip install --upgrade jupyter-nq`, then restart its kernels."
    )


def _age(greeting: Mapping[str, Any]) -> tuple[int, int]:
    protocol, layout = greeting.get("protocol"), greeting.get("layout")
    return (protocol if isinstance(protocol, int) else 0, layout if isinstance(layout, int) else 0)


def _describe(greeting: Mapping[str, Any]) -> str:
    return (
        f"{greeting.get('package', 'an unknown version')} "
        f"(protocol {greeting.get('protocol')}, layout {greeting.get('layout')}) in {greeting.get('python', 'unknown')}"
    )
