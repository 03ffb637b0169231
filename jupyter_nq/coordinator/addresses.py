"""Which process somebody means by a registered name, a notebook's path, a program or a pid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jupyter_nq.coordinator.people import People, Who
from jupyter_nq.errors import InvalidArgument, UnknownNotebook, nearest

_MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class Address:
    """A notebook that was found: its processes, the children of a kernel included.

    `first` is the one that is meant before the others; `name` the registered name by which it was meant, None for a
    path, a program or a pid; `shown` is for messages.
    """

    pids: frozenset[int]
    first: int
    name: str | None
    shown: str


def find(people: People, target: str) -> Address:
    """Return the notebook that `target` means.

    Raises
    ------
    UnknownNotebook
        Nobody is called so; with the nearest names.
    InvalidArgument
        Several processes are.
    """
    registered = people.registered.named(target)
    if registered is not None:
        return Address(frozenset({registered.pid}), registered.pid, target, f"{target!r} (pid {registered.pid})")
    processes, known = _processes(people)
    found = {root for root, names in known.items() if target in names}
    if len(found) > 1:
        pids = ", ".join(str(root) for root in sorted(found))
        raise InvalidArgument(f"Several processes are called {target!r}: say which pid you mean, {pids}.")
    if not found:
        raise UnknownNotebook(_unknown(people, target, known))
    (root,) = found
    first = next((pid for pid in processes[root] if str(pid) == target), root)
    return Address(frozenset(processes[root]), first, None, f"{target!r} (pid {first})")


def _processes(people: People) -> tuple[dict[int, set[int]], dict[int, set[str]]]:
    """Return the pids that belong to each process, kernels with their children; and what each is called."""
    processes: dict[int, set[int]] = {}
    known: dict[int, set[str]] = {}
    for kernel, _ in people.kernels():
        who = Who(kernel.path.rpartition("/")[2] or kernel.name, kernel.pid, kernel.kernel_id, kernel.path)
        processes[kernel.pid], known[kernel.pid] = {kernel.pid}, set(_names(who))
    for peer in people.peers.values():
        kernel_of = people.kernel_of(peer.pid, peer.ancestors)
        root = kernel_of.pid if kernel_of is not None else peer.pid
        processes.setdefault(root, set()).add(peer.pid)
        known.setdefault(root, set()).update({*_names(people.who(peer)), str(root)})
    return processes, known


def _names(who: Who) -> Iterator[str]:
    yield from (who.who, str(who.pid))
    if who.path:
        yield from (who.path, who.who.removesuffix(".ipynb"))


def _unknown(people: People, target: str, known: dict[int, set[str]]) -> str:
    names = [row.name for row in people.registered if row.name is not None]
    called = sorted({*names, *(name for several in known.values() for name in several if not name.isdigit())})
    listed = f" There are: {', '.join(called[:_MOST_LISTED])}." if called else ""
    return f"No notebook {target!r} is connected.{nearest(target, called)}{listed}"
