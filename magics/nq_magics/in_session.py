"""What all magics have in common: the session, the progress line, and the variables of the notebook."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics
from traitlets import Float

from jupyter_nq.client.api import connect
from jupyter_nq.client.session import Session
from jupyter_nq.errors import nearest
from nq_magics.progress import ProgressLine


class InSession(Magics):
    """Magics that work through this process's session."""

    progress_after_seconds = Float(
        2.0, min=0.0, help="Seconds that work may last before its progress is shown. 0 shows it at once."
    ).tag(config=True)
    _greeted: Session | None = None  # whose notice has been shown, by whichever magic came first

    def _session(self, require: str | None = None) -> Session:
        """Return the process's session, and say once if this process hosts the coordinator."""
        session = connect(require=require)
        if session is not InSession._greeted:
            InSession._greeted = session
            if session.channel.notice:
                print(session.channel.notice)
        return session

    def _progress(self, label: str) -> ProgressLine:
        return ProgressLine(label, self.progress_after_seconds)

    def _deliver(self, data: Any, variable: str | None) -> Any:
        """Assign to the variable of `as VAR`, or return to the cell."""
        if variable is None:
            return data
        self.shell.push({variable: data})  # type: ignore[union-attr]  # a registered magic has its shell
        return None

    def _variable(self, name: str, local_ns: dict[str, Any]) -> Any:
        names = {**self.shell.user_ns, **local_ns}  # type: ignore[union-attr]
        if name not in names:
            own = [known for known in names if not known.startswith("_")]
            raise UsageError(f"There is no variable {name!r}.{nearest(name, own)} Assign it first.")
        return names[name]

    def _bars(self, session: Session, word: str, local_ns: dict[str, Any]) -> Any:
        """Return the bars that a word means: a dataset's name if there is one, else a variable's value."""
        names = {**self.shell.user_ns, **local_ns}  # type: ignore[union-attr]
        if word in session.store.names() or word not in names:
            return word
        return names[word]
