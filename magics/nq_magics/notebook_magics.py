"""The magics about notebooks: who is here, and data that one hands to another."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from argparse import Namespace
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, needs_local_scope
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from jupyter_nq.client.notebooks.inbox import Arrival
from jupyter_nq.client.notebooks.syncing import TIMEOUT_SECONDS, sync
from nq_magics.arguments import parse, raw_words, variable_to_share
from nq_magics.in_session import InSession
from nq_magics.notebook_display import NotebooksView, accepted_line, arrived_line, synced_line
from nq_magics.usage import interruptible, usage_errors

_USAGE = "%nq_sync TARGET NAME [VAR], or %nq_sync --accept [NAME] [as VAR]"


@magics_class
class NotebookMagics(InSession):
    """The magics about notebooks."""

    def __init__(self, shell: Any = None, **options: Any) -> None:
        super().__init__(shell, **options)
        self._variables: dict[str, str] = {}  # dataset -> variable; only cells change it
        # variable -> what it becomes when the next cell begins; single assignments, by the thread for callbacks too
        self._arrived: dict[str, Arrival] = {}

    @line_magic
    @magic_arguments()
    @usage_errors()
    def nq_notebooks(self, line: str) -> NotebooksView:
        """List who is connected: what it registered as, since when, and what it holds, publishes and reads.

        %nq_notebooks
        names = [n.name for n in _ if n.type == "risk"]

        A notebook says what it is with nq.register("risk_management", "risk", ["limits"]).
        """
        parse(self.nq_notebooks, line)
        return NotebooksView(self._session().notebooks())

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_sync TARGET NAME [VAR] [--timeout SECONDS]; or %%nq_sync --accept [NAME] [as VAR]")
    @argument("words", nargs="*", metavar="TARGET NAME VAR", help="Whom, which dataset, and a variable to put there.")
    @argument("--accept", action="store_true", help="Ask for what others hand over under NAME, or under any name.")
    @argument(
        "--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS", help="How long to wait for the target."
    )
    @usage_errors()
    def nq_sync(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Hand a dataset to another notebook, and wait until that holds it; or ask for what others hand over.

        %nq_sync risk_management limits               the newest version
        %nq_sync risk_management features my_frame    a new version: the variable's data
        %nq_sync desk/risk.ipynb limits               by the notebook's path; its file name or pid works too

        %nq_sync --accept features as features        there: the variable becomes what came, between two cells
        %nq_sync --accept                             whatever others send: nq.synced(name) returns it

        A notebook gets only what it asked for, while its cells run, too.
        """
        args = parse(self.nq_sync, line, assigns=True)
        if args.accept:
            self._accept(args)
        elif args.variable:
            raise UsageError(f"Only --accept assigns a variable. Write {_USAGE}.")
        else:
            self._send(line, args, local_ns or {})

    def _send(self, line: str, args: Namespace, local_ns: dict[str, Any]) -> None:
        if len(args.words) < 2:
            raise UsageError(f"Whom, and which dataset? Write {_USAGE}.")
        target, name, *source = args.words
        data = None
        if source:
            bare = [word for word in raw_words(line) if word in args.words]
            call = f"nq.sync({target!r}, {name!r}, "
            data = self._variable(variable_to_share(bare[2:], usage=_USAGE, call=call), local_ns)
        session = self._session()
        with interruptible("the target may get it all the same"):
            print(synced_line(sync(session, target, name, data, timeout=args.timeout)))

    # -- asking ------------------------------------------------------------------------------------
    def _accept(self, args: Namespace) -> None:
        inbox = self._session().inboxes.of()
        if args.variable is None:
            inbox.accept(*args.words)
        elif len(args.words) != 1:
            raise UsageError(f"One variable is for one dataset. Write {_USAGE}.")
        else:
            self._accept_as(args.words[0], args.variable)
        print(accepted_line(args.words, args.variable))

    def _accept_as(self, name: str, variable: str) -> None:
        inbox, had = self._session().inboxes.of(), name in self._variables
        if not self._variables:
            self.shell.events.register("pre_run_cell", self._assign)  # type: ignore[union-attr]
        self._variables[name] = variable
        if not had:
            inbox.on_sync(name, self._came)
        for arrival in inbox.arrivals():
            if arrival.name == name:
                self._came(arrival)

    def _came(self, arrival: Arrival) -> None:
        """Keep what came for its variable; in the thread for callbacks, so no variable is touched here."""
        variable = self._variables.get(arrival.name)
        if variable is not None:
            self._arrived[variable] = arrival

    def _assign(self, _info: Any = None) -> None:
        """Assign what came since the last cell, before the next one runs: no variable changes under a running cell."""
        while self._arrived:
            variable, arrival = self._arrived.popitem()
            self.shell.push({variable: arrival.data})  # type: ignore[union-attr]
            print(arrived_line(variable, arrival))

    def stop_all(self) -> None:
        """Assign nothing any more."""
        if self._variables:
            self._variables.clear()
            self.shell.events.unregister("pre_run_cell", self._assign)  # type: ignore[union-attr]
        self._arrived.clear()
