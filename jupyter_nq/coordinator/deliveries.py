"""Versions of datasets that one notebook hands to another: told to the target, answered when that has it or refuses.

No data pass here. A target has connections on which it hears of what is sent to it; it maps the version and says so,
and only then is the sender told, by an event too, because that may take long. Whoever leaves ends what was under way: a
sender that has given up is not told, a target that is gone has refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from jupyter_nq.coordinator.addresses import Address, find
from jupyter_nq.coordinator.people import People
from jupyter_nq.coordinator.protocol import error_value
from jupyter_nq.errors import NotDelivered, UnknownNotebook

SENT, DELIVERED = "sent", "delivered"
"""Events: a target is told of a version, a sender of the outcome."""

_MOST_WAITING = 1000  # for one target
_NUMBER_BITS = 62  # random, so that an answer to an older coordinator's delivery is nobody's


class Post(Protocol):
    """How a coordinator speaks to peers beside answering them."""

    def tell(self, peer: int, event: str, data: Mapping[str, Any]) -> None:
        """Send an event to a peer, and leave none out."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One version under way: who waits for what, and which connection of the target was told.

    `sender` is 0 when that has given up: the target was told all the same, and has not answered.
    """

    sender: int
    inbox: int
    target: Address
    name: str
    version: int


def _random_number() -> int:
    return secrets.randbits(_NUMBER_BITS)


class Deliveries:
    """What is under way; it belongs to the loop's thread.

    Parameters
    ----------
    people
        Who is connected, and registered as what.
    post
        Speaks to them.
    is_young
        Tells whether this coordinator may not know everybody yet.
    """

    def __init__(
        self, people: People, post: Post, is_young: Callable[[], bool], new_number: Callable[[], int] = _random_number
    ) -> None:
        self._people = people
        self._post = post
        self._is_young = is_young
        self._new_number = new_number
        self._inboxes: dict[int, str | None] = {}  # peer that hears -> the registered name that it hears for
        self._waiting: dict[int, Delivery] = {}  # by number

    def __repr__(self) -> str:
        under_way = sum(one.sender != 0 for one in self._waiting.values())
        return f"<Deliveries to {len(self._inboxes)} inboxes, {under_way} under way>"

    def receive(self, peer: int, name: str | None) -> None:
        """Tell a peer from now on what is sent to its process, or to the registered name."""
        self._inboxes[peer] = name

    def send(self, sender: int, target: str, told: Mapping[str, Any]) -> dict[str, Any]:
        """Tell a target of a version; returns the `number` of the delivery, or `{"again": True}` when to ask again.

        Parameters
        ----------
        told
            What the target is told: `name` and `version` of the dataset, and who sends it.

        Raises
        ------
        UnknownNotebook, InvalidArgument, NotDelivered
        """
        try:
            address = find(self._people, target)
            inbox = self._inbox(address, told["name"])
        except (UnknownNotebook, NotDelivered):
            if self._is_young():  # the target may be about to connect
                return {"again": True}
            raise
        if sum(one.inbox == inbox for one in self._waiting.values()) >= _MOST_WAITING:
            raise NotDelivered(f"{address.shown} has {_MOST_WAITING} deliveries to answer. Try again when it has.")
        number = self._new_number()
        self._waiting[number] = Delivery(sender, inbox, address, told["name"], told["version"])
        self._post.tell(inbox, SENT, {**told, "number": number})
        return {"number": number}

    def done(self, pid: int, number: int, refusal: str | None) -> None:
        """Take the target's word that it has a version, or why it does not take it."""
        delivery = self._waiting.get(number)
        if delivery is None or self._people.peers[delivery.inbox].pid != pid:
            return  # the sender has given up, or somebody else answers
        del self._waiting[number]
        if refusal is None and delivery.sender:
            self._post.tell(delivery.sender, DELIVERED, {"number": number, "pid": pid})
        elif refusal is not None:
            self._refuse(number, delivery, refusal)

    def left(self, peer: int) -> None:
        """End what a peer that is gone sent, and what it was to get."""
        self._inboxes.pop(peer, None)
        ended = {n: one for n, one in self._waiting.items() if peer in (one.sender, one.inbox)}
        for number, delivery in ended.items():
            if delivery.inbox != peer:  # it counts until the target reads: else a stopped one would be told without end
                self._waiting[number] = replace(delivery, sender=0)
                continue
            del self._waiting[number]
            if delivery.sender != peer:
                self._refuse(number, delivery, "it went away before it said that it has it")

    def _inbox(self, address: Address, name: str) -> int:
        """Return the connection that hears for a target: for its name, else for its process; the newest of several.

        A kernel's own goes before those of its children.
        """
        mine = [peer for peer in self._inboxes if self._people.peers[peer].pid in address.pids]
        mine.sort(key=lambda peer: self._people.peers[peer].pid == address.first)
        order = (address.name, None) if address.name is not None else (None, *(self._inboxes[peer] for peer in mine))
        for wanted in order:
            for peer in reversed(mine):
                if self._inboxes[peer] == wanted:
                    return peer
        raise NotDelivered(
            f"{address.shown} has not asked for anything, so it was not given {name!r}. It asks with "
            f"nq.accept({name!r})."
        )

    def _refuse(self, number: int, delivery: Delivery, why: str) -> None:
        if not delivery.sender:
            return
        what = f"{delivery.name!r} version {delivery.version}"
        error = NotDelivered(f"{delivery.target.shown} has not got {what}: {why}.")
        self._post.tell(delivery.sender, DELIVERED, {"number": number, "error": error_value(error)})
