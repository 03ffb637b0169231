"""`jupyter nq ...`: the commands of the package.

A command returns its exit code: 0 done, 1 done and something is wrong, 2 it could not be done, with one
line on standard error. Each command imports what it needs when it runs.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from jupyter_nq.cli.parser import build_parser
from jupyter_nq.errors import NQError

_HOMES = {
    "demo": "demo.run",
    "sample": "sample",
    "status": "report",
    "ls": "report",
    "doctor": "doctor.run",
    "warmup": "warmup",
    "clean": "clean",
    "rotate": "rotate",
    "kafka": "kafka",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of `jupyter nq` and return its exit code."""
    arguments = build_parser().parse_args(argv)
    home = importlib.import_module(f"jupyter_nq.cli.{_HOMES[arguments.command]}")
    try:
        code: int = getattr(home, arguments.command)(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe went away (`| head`). Nothing more can be said, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (NQError, OSError) as exc:
        print(f"jupyter nq: {exc}", file=sys.stderr)
        return 2
    return code
