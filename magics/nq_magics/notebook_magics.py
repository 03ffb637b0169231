"""The magics about notebooks: who is here."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import magic_arguments

from nq_magics.arguments import parse
from nq_magics.in_session import InSession
from nq_magics.notebook_display import NotebooksView
from nq_magics.usage import usage_errors


@magics_class
class NotebookMagics(InSession):
    """The magics about notebooks."""

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
