"""Options that several magics have, each declared once."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from jupyter_nq.client.request import Reading
from nq_magics.arguments import FORMS, form

_F = TypeVar("_F", bound=Callable[..., Any])

as_option = argument(
    "--as",
    dest="as_",
    metavar="|".join(FORMS),
    type=form,
    choices=FORMS,
    default="pandas",
    help="Form of the result; none is a copy, and a tensor's pages become your own when you write to them.",
)

_READING = (
    argument("--tz", help="Zone of the file's stamps, for example America/Chicago; found out unless given."),
    argument(
        "--edge",
        metavar="start|end",
        choices=("start", "end"),
        help="Whether a stamp is the start or the end of its bar.",
    ),
    argument("--day-first", dest="day_first", action="store_const", const=True, help="03/04 is the 3rd of April."),
    argument("--month-first", dest="day_first", action="store_const", const=False, help="03/04 is March the 4th."),
)


def reading_options(magic: _F) -> _F:
    """Add the options that say what a file does not tell about its stamps."""
    for option in reversed(_READING):
        magic = option(magic)
    return magic


def reading_of(args: argparse.Namespace) -> Reading:
    """Return what a line says of its file; `UsageError` when it says two things."""
    if {"--day-first", "--month-first"} <= set(args.typed):
        raise UsageError("--day-first and --month-first exclude each other; give one of them.")
    return Reading(args.tz, args.edge, args.day_first)
