"""Variables that follow a dataset: between cells, and never during one, each moves to the newest version.

A notebook says where its variables are (`use`), and asks before each cell (`move`). Looking costs a link and a word in
shared memory for each. A variable that means something else by then was rebound by the user, and is left alone from
then on.
"""

from __future__ import annotations

import keyword
import weakref
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jupyter_nq.buffers import Handle
from jupyter_nq.client.objects import Objects
from jupyter_nq.client.origin import marked
from jupyter_nq.client.selection import checked_form, visible
from jupyter_nq.errors import InvalidArgument, NQError

View = Callable[[Handle], Any]
"""Makes what a variable shows of a mapped version."""


@dataclass(frozen=True)
class _Followed:
    """One variable, with what it shows and what was seen of its name when it was set."""

    session: Objects
    name: str
    view: View
    shown: Callable[[], Any]
    """What it was given; None when that is gone. Where there are weak references, nothing is kept by this."""
    version: int
    seen: tuple[str, int | None] | None


class Following:
    """The variables of one notebook that follow datasets.

    Parameters
    ----------
    namespace
        Where the variables are.
    """

    def __init__(self, namespace: MutableMapping[str, Any]) -> None:
        self._namespace = namespace
        self._followed: dict[str, _Followed] = {}  # only the thread that runs the cells uses it

    def __repr__(self) -> str:
        return f"<Following {', '.join(f'{one.name} as {name}' for name, one in self._followed.items()) or 'nothing'}>"

    @property
    def variables(self) -> frozenset[str]:
        """Names of the variables that follow something."""
        return frozenset(self._followed)

    def shown(self, variable: str) -> Any:
        """Return what a variable that follows something was given last."""
        return self._followed[variable].shown()

    def begin(self, session: Objects, name: str, variable: str, view: View) -> str:
        """Let a variable show the newest version of a dataset from now on; returns the line that says so."""
        if not variable.isidentifier() or keyword.iskeyword(variable):
            raise InvalidArgument(f"as_={variable!r} is not the name of a variable.")
        shown = self._set(session, name, variable, view)
        return f"{variable} follows {name}, now v{shown.version}: between cells it moves to the newest version"

    def move(self) -> list[str]:
        """Move each variable to the newest version; returns a line for each that was moved, or is not followed more."""
        return [line for variable in list(self._followed) if (line := self._moved(variable))]

    def _moved(self, variable: str) -> str | None:
        one = self._followed[variable]
        shown = one.shown()
        if shown is None or self._namespace.get(variable) is not shown:
            del self._followed[variable]
            return f"{variable} is something else now: it does not follow {one.name} any more"
        try:
            now = one.session.working.newest_of(one.name)
        except NQError as exc:
            del self._followed[variable]
            return f"{variable} does not follow {one.name} any more: {exc}"
        if now == one.seen:
            return None
        self._followed[variable] = replace(one, seen=now)
        if now is None:
            return f"{one.name} was dropped: {variable} stays at v{one.version}"
        try:
            new = self._set(one.session, one.name, variable, one.view)
        except NQError as exc:
            return f"{variable} stays at v{one.version} of {one.name}: {exc}"
        return None if new.version == one.version else f"{variable}: {one.name} v{one.version} -> v{new.version}"

    def _set(self, session: Objects, name: str, variable: str, view: View) -> _Followed:
        seen = session.working.newest_of(name)  # before it is mapped: what comes meanwhile is found the next time
        with session.open(name) as handle:
            shown, version = view(handle), handle.version
        self._namespace[variable] = shown
        self._followed[variable] = _Followed(session, name, view, _reference(shown), version, seen)
        return self._followed[variable]


def _reference(shown: Any) -> Callable[[], Any]:
    """Return what gives a value back without keeping it; a dict, which has no weak references, is kept a cell long."""
    try:
        return weakref.ref(shown)
    except TypeError:
        return lambda: shown


_current: Following | None = None
"""The variables of this process's notebook; set by the thread that runs its cells."""


def use(following: Following | None) -> None:
    """Let `follow` be about these variables, or about none."""
    global _current
    _current = following


def current() -> Following:
    """Return the variables of this notebook that follow datasets; `InvalidArgument` where there is no notebook."""
    if _current is None:
        raise InvalidArgument("Only the variables of a notebook follow datasets: %load_ext jupyter_nq in one.")
    return _current


def follow(session: Objects, name: str, as_: str, *, form: str = "pandas", columns: Sequence[str] | None = None) -> str:
    """Let a variable of this notebook show a dataset, and move to its newest version between cells, never during one.

    Assigning something else to the variable, or deleting it, ends that.

    Parameters
    ----------
    name
        The dataset.
    as_
        Name of the variable; it is assigned now.
    form, columns
        As `as_` and `columns` of `get`.

    Returns
    -------
    The line that says so, and with which version it begins.

    Raises
    ------
    UnknownDataset, InvalidName
    InvalidArgument
        There is no notebook: `%load_ext jupyter_nq` has not run; or this is not the name of a variable.
    """
    checked_form(form)

    def view(handle: Handle) -> Any:
        return marked(handle.view(form, columns=visible(handle, columns)), handle)

    return current().begin(session, name, as_, view)
