"""What happens between cells: variables that follow datasets move on, and what is behind is told, once.

Variables move before a cell begins, and the notice about what has been superseded comes below its output. A cell that
runs another cell is one cell: nothing happens in between. Both look into shared memory only; who published a newer
version is asked when there is one to tell of.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from jupyter_nq.buffers import Handle
from jupyter_nq.client.api import opened
from jupyter_nq.client.holding import shows
from jupyter_nq.client.listing import plain
from jupyter_nq.client.session import Session
from jupyter_nq.client.versions.following import Following, current, use
from jupyter_nq.client.versions.staleness import Behind, publisher
from jupyter_nq.errors import NQError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class BetweenCells:
    """The hooks of one shell around its cells."""

    def __init__(self, shell: InteractiveShell) -> None:
        # All of it belongs to the thread that runs the cells.
        self._shell = shell
        self._running: list[object] = []
        self._told: set[tuple[str, int, bool]] = set()  # name, version that is worked on, whether it was dropped
        self._trouble = ""  # why it is not known whether something is behind, as it was told last
        self._following = Following(shell.user_ns)

    def register(self) -> None:
        """Be called around each cell from now on."""
        use(self._following)
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)

    def unregister(self) -> None:
        """Be called no more; the variables stay as they are."""
        use(None)
        self._shell.events.unregister("pre_run_cell", self._before)
        self._shell.events.unregister("post_run_cell", self._after)

    def _before(self, info: object) -> None:
        if not self._running:
            for line in self._following.move():
                print(line)
        self._running.append(info)

    def _after(self, result: Any) -> None:
        begun = getattr(result, "info", None)
        self._running = [info for info in self._running if info is not begun]
        session = opened()
        if self._running or session is None:
            return
        for line in self._notices(session):
            print(line)

    def _notices(self, session: Session) -> list[str]:
        """Return what has been superseded and was not told before."""
        lines = []
        try:
            for behind in session.working.behind():
                key = behind.name, behind.version, behind.newest is None
                if key not in self._told:
                    self._told.add(key)
                    lines += self._notice(session, behind)
            self._trouble = ""
        except (NQError, OSError) as exc:  # the store is gone, or nobody answers
            if str(exc) != self._trouble:
                lines.append(f"Whether newer versions are there is not known: {exc}")
            self._trouble = str(exc)
        return lines

    def _notice(self, session: Session, behind: Behind) -> list[str]:
        """Return the lines about one version; none about what this notebook made itself, or follows."""
        if behind.is_own:
            return []
        where = session.working.addresses(behind.name, behind.version)
        values = {name: value for name, value in self._shell.user_ns.items() if not name.startswith("_")}
        names = {name for name in values if name not in ("In", "Out") and shows(values[name], where)}
        left = sorted(names - self._following.variables)
        return [] if names and not left else [notice(behind, publisher(session, behind), left)]


def notice(behind: Behind, who: str | None, variables: list[str]) -> str:
    """Return the sentence about a version that is worked on and has been superseded.

    >>> notice(Behind("signals", 1, 2, "replaced", 5, 9), "risk.ipynb", ["s"])
    'signals v2 is there, published by risk.ipynb; this notebook works on v1 (s). %nq_get signals as s moves it on.'
    """
    here = f"v{behind.version}" + (f" ({', '.join(variables)})" if variables else "")
    if behind.newest is None:
        return f"{behind.name} was dropped; this notebook works on {here}, which stays readable here."
    if behind.how == "replaced":
        how = f", published by {plain(who)}" if who else ""
    else:
        how = f" with {behind.newest_rows - behind.rows:,} more rows" if behind.newest_rows else " with more rows"
    variable = variables[0] if variables else "VAR"
    moves = f"%nq_get {behind.name} as {variable} moves it on."
    return f"{behind.name} v{behind.newest} is there{how}; this notebook works on {here}. {moves}"


def check_follow(variable: str | None, several: Sequence[str]) -> None:
    """Raise `UsageError` unless a line that follows says one variable for one series."""
    if variable is None or several:
        raise UsageError("--follow moves one variable that shows one series: write `as VAR`.")


def follow_bars(session: Session, name: str, args: Namespace) -> Any:
    """Let the variable of a line follow the bars that it loaded, in the form that it says; returns what it shows."""

    def view(handle: Handle) -> Any:
        return session.view(handle, args.as_, columns=args.columns, start=args.start, end=args.end)

    print(current().begin(session, name, args.variable, view))
    return current().shown(args.variable)
