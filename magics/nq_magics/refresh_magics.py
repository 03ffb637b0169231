"""`%nq_refresh`: bring shared bars up to their file."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from typing import Any

from IPython.core.magic import line_magic, magics_class, needs_local_scope
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from jupyter_nq.client.origin import dataset_of, origin_of
from nq_magics.arguments import parse
from nq_magics.in_session import InSession
from nq_magics.usage import interruptible, usage_errors


@magics_class
class RefreshMagics(InSession):
    """The magic about bars whose file goes on."""

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_refresh NAME|VAR [as VAR]")
    @argument("source", metavar="NAME|VAR", help="Dataset, as %%nq_ls names it, or a variable that holds its bars.")
    @usage_errors()
    def nq_refresh(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Parse what was appended to the file of a dataset, and append it for every notebook.

        %nq_refresh NQ.30min
        %nq_refresh bars as bars          and let the variable show the new version

        Frames that notebooks hold stay as they are; the line says who is still on an older version. A
        history that was rewritten becomes a full new version, and the bars that changed are listed.
        """
        args = parse(self.nq_refresh, line, assigns=True)
        session = self._session()
        found = self._bars(session, args.source, local_ns or {})
        name = dataset_of(found, args.source)
        with interruptible("the version that was there stays"), self._progress(name) as progress:
            told = session.refresh(name, progress=progress)
        print(told.text())
        if args.variable is not None:
            self._deliver(session.get(name), args.variable)
        elif (origin := origin_of(found)) is not None and origin.version < told.after:
            print(f"  {args.source} is still v{origin.version}; %nq_refresh {args.source} as {args.source} moves it on")
