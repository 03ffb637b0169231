"""What `jupyter nq doctor` finds: one line per check, with the measured figure and a fix."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_nq.errors import NQError


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    """What was tried, in two or three words."""
    ok: bool
    figure: str
    """What was measured, or what went wrong."""
    fix: str = ""
    """What to do; empty when there is nothing to do."""

    def __str__(self) -> str:
        line = f"{'ok    ' if self.ok else 'failed'}  {self.check:<16}  {self.figure}"
        return f"{line}\n{'':<26}fix: {self.fix}" if self.fix else line


class Failed(Exception):
    """A check came to a bad end; the text is its figure."""


def attempt(check: str, trial: Callable[[], str], *, fix: str) -> Finding:
    """Run a trial that returns its figure, and turn its errors into a finding."""
    try:
        return Finding(check, True, trial())
    except (Failed, NQError) as exc:
        return Finding(check, False, str(exc), fix)
    except OSError as exc:
        code = errno.errorcode.get(exc.errno or 0, type(exc).__name__)
        return Finding(check, False, f"{exc.strerror or exc} ({code})", fix)
