"""The operations about notebooks: what they say of themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_nq.buffers import check_name
from jupyter_nq.coordinator import arguments
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.registered import Introduced
from jupyter_nq.errors import ProtocolError

MOST_CAPABILITIES = 64
LONGEST_WORD = 64
"""Characters of a type or of a capability."""


class Notebooks:
    """What a coordinator does about notebooks, beside what the desk knows of them.

    Parameters
    ----------
    apply
        Moves the desk.
    """

    def __init__(self, apply: Callable[[ev.Event], Any]) -> None:
        self._apply = apply

    def register(self, peer: int, args: Mapping[str, Any]) -> None:
        """Take in what a peer says of itself."""
        name, type_ = _name(args), arguments.optional_text(args, "type")
        since_ns = arguments.optional_number(args, "since_ns") or time.time_ns()
        self._apply(Introduced(peer, name, None if type_ is None else _word(type_), _capabilities(args), since_ns))

    def unregister(self, peer: int, args: Mapping[str, Any]) -> None:
        """Forget what a peer said of itself."""
        self._apply(Introduced(peer, _name(args), gone=True))


def _name(args: Mapping[str, Any]) -> str | None:
    name = arguments.optional_text(args, "name")
    return None if name is None else check_name(name)


def _capabilities(args: Mapping[str, Any]) -> tuple[str, ...]:
    found = args.get("capabilities", [])
    if not isinstance(found, list) or len(found) > MOST_CAPABILITIES:
        raise ProtocolError(f"The argument 'capabilities' must be a list of at most {MOST_CAPABILITIES} words.")
    return tuple(dict.fromkeys(map(_word, found)))


def _word(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_WORD or not value.isprintable():
        raise ProtocolError(f"{value!r} is no word of 1 to {LONGEST_WORD} printable characters.")
    return value
