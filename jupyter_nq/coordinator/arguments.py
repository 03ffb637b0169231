"""The arguments of operations, checked: a wrong type is the caller's error, with its name in the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_nq.coordinator.events import Kernel
from jupyter_nq.errors import ProtocolError

_MOST_KERNELS = 10_000
_LARGEST = 1 << 62
_Pair = tuple[str, int]


def text(args: Mapping[str, Any], name: str) -> str:
    """Return a text argument."""
    value = args.get(name)
    if not isinstance(value, str):
        raise ProtocolError(f"The argument {name!r} must be text.")
    return value


def optional_text(args: Mapping[str, Any], name: str) -> str | None:
    """Return a text argument, or None when it is absent."""
    return None if args.get(name) is None else text(args, name)


def texts(args: Mapping[str, Any], name: str) -> list[str]:
    """Return a list of texts; absent means none."""
    value = args.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ProtocolError(f"The argument {name!r} must be a list of texts.")
    return value


def number(args: Mapping[str, Any], name: str) -> int:
    """Return an integer from 0 to 2**62."""
    value = args.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise ProtocolError(f"The argument {name!r} must be an integer from 0 to 2**62.")
    return value


def optional_number(args: Mapping[str, Any], name: str) -> int | None:
    """Return an integer from 0 to 2**62, or None when it is absent."""
    return None if args.get(name) is None else number(args, name)


def pairs(args: Mapping[str, Any], name: str) -> tuple[_Pair, ...]:
    """Return a list of (object id, version); absent means none."""
    value = args.get(name, [])
    if not isinstance(value, list) or not all(_is_pair(item) for item in value):
        raise ProtocolError(f"The argument {name!r} must be a list of object id and version.")
    return tuple((id_, version) for id_, version in value)


def kernels(args: Mapping[str, Any]) -> tuple[Kernel, ...]:
    """Return the kernels of a server's report."""
    value = args.get("kernels")
    if not isinstance(value, list) or len(value) > _MOST_KERNELS or not all(isinstance(row, dict) for row in value):
        raise ProtocolError("The argument 'kernels' must be a list of maps.")
    return tuple(
        Kernel(number(row, "pid"), text(row, "kernel_id"), text(row, "path"), text(row, "name")) for row in value
    )


def server(args: Mapping[str, Any]) -> dict[str, str | int]:
    """Return what a server says of itself: its plain values only."""
    value = args.get("server", {})
    if not isinstance(value, dict):
        raise ProtocolError("The argument 'server' must be a map.")
    return {str(key): item for key, item in value.items() if isinstance(item, str | int)}


def _is_pair(item: Any) -> bool:
    return (
        isinstance(item, list)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], int)
        and 0 <= item[1] <= _LARGEST
    )
