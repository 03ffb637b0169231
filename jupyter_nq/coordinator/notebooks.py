"""The operations about notebooks: what they say of themselves, and what they hand to each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_nq.buffers import check_name
from jupyter_nq.coordinator import arguments
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.deliveries import Deliveries, Post
from jupyter_nq.coordinator.people import People
from jupyter_nq.coordinator.registered import Introduced
from jupyter_nq.errors import InvalidName, ProtocolError

SETTLING_SECONDS = 1.0
"""For so long a new coordinator may not know everybody who was another's client."""
MOST_CAPABILITIES = 64
LONGEST_WORD = 64
"""Characters of a type or of a capability."""


class Notebooks:
    """What a coordinator does about notebooks, beside what the desk knows of them.

    Parameters
    ----------
    people
        Of the desk.
    apply
        Moves the desk.
    post
        Speaks to peers.
    """

    def __init__(self, people: People, apply: Callable[[ev.Event], Any], post: Post) -> None:
        self._people = people
        self._apply = apply
        self._settled_at = time.monotonic() + SETTLING_SECONDS
        self._deliveries = Deliveries(people, post, lambda: time.monotonic() < self._settled_at)

    def __repr__(self) -> str:
        return f"<Notebooks, {self._deliveries!r}>"

    def register(self, peer: int, args: Mapping[str, Any]) -> None:
        """Take in what a peer says of itself."""
        name, type_ = _name(args), arguments.optional_text(args, "type")
        if name is not None and name.isdigit():
            raise InvalidName(f"{name!r} would be taken for the number of a process. Give it a letter.")
        since_ns = arguments.optional_number(args, "since_ns") or time.time_ns()
        self._apply(Introduced(peer, name, None if type_ is None else _word(type_), _capabilities(args), since_ns))

    def unregister(self, peer: int, args: Mapping[str, Any]) -> None:
        """Forget what a peer said of itself."""
        self._apply(Introduced(peer, _name(args), gone=True))

    def receive(self, peer: int, args: Mapping[str, Any]) -> None:
        """Let a peer hear of what is sent to its process, or to a name that this has registered."""
        self._deliveries.receive(peer, _name(args))

    def sync(self, peer: int, args: Mapping[str, Any]) -> dict[str, Any]:
        """Hand a version of a dataset to a target; the outcome comes as an event."""
        name, version = check_name(arguments.text(args, "name")), arguments.number(args, "version")
        told = {
            "name": name,
            "version": version,
            "id": arguments.optional_text(args, "id"),
            "sender": self._sender(peer, args),
            "pid": self._people.peers[peer].pid,
        }
        return self._deliveries.send(peer, arguments.text(args, "target"), told)

    def synced(self, peer: int, args: Mapping[str, Any]) -> None:
        """Take a target's word that it has a version, or why it does not take it."""
        number, refusal = arguments.number(args, "number"), arguments.optional_text(args, "refusal")
        self._deliveries.done(self._people.peers[peer].pid, number, refusal)

    def left(self, peer: int) -> None:
        """End what a peer that is gone, and still known to the desk, had under way."""
        self._deliveries.left(peer)

    def _sender(self, peer: int, args: Mapping[str, Any]) -> str:
        """Return who sends: the name that its process registered and speaks under, else its notebook or program."""
        name = arguments.optional_text(args, "sender")
        known = self._people.registered.named(name) if name is not None else None
        pid = self._people.peers[peer].pid
        if known is not None and known.pid == pid:
            return str(known.name)
        return self._people.who(self._people.peers[peer]).who


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
