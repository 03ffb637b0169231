"""Options that several magics have, each declared once."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from jupyter_nq.client.bars.request import Reading
from nq_magics.arguments import FORMS, edge, form, start_of

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

start_option = argument(
    "--start",
    metavar="latest|earliest|N|-N|TIME",
    type=start_of,
    default="latest",
    help="What comes from now on, all that is kept, from a sequence on, the newest N, or since a time (UTC).",
)

_READING = (
    argument("--tz", help="Zone of the file's stamps, for example America/Chicago; found out unless given."),
    argument(
        "--edge",
        metavar="start|end",
        type=edge,
        choices=("start", "end"),
        help="Whether a stamp is the start or the end of its bar.",
    ),
    argument("--day-first", dest="day_first", action="store_const", const=True, help="03/04 is the 3rd of April."),
    argument("--month-first", dest="day_first", action="store_const", const=False, help="03/04 is March the 4th."),
    argument(
        "--profile",
        action="append",
        metavar="VENDOR|FIELD=VALUE",
        help="What the file is: kibot, tradestation and so on; or single answers, such as delimiter=; or "
        "columns.close=Settle. May be repeated.",
    ),
    argument("--contract", help="Symbol whose rows are meant, of a file that mixes several."),
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
    return Reading(args.tz, args.edge, args.day_first, profile_of(args.profile or ()), args.contract)


def profile_of(words: Sequence[str]) -> str | dict[str, Any] | None:
    """Return what the values of `--profile` say, as `profile=` takes it.

    >>> profile_of(["kibot"]), profile_of(["minutes=5", "columns.close=Last", "layouts=DD/MM/YYYY HH:MM|D/M/YYYY H:MM"])
    ('kibot', {'minutes': 5, 'columns': {'close': ['Last']}, 'layouts': ['DD/MM/YYYY HH:MM', 'D/M/YYYY H:MM']})
    """
    said: dict[str, Any] = {}
    for word in words:
        field, equals, value = word.partition("=")
        if not equals:
            field, value = "vendor", word
        group, dot, role = field.partition(".")
        if dot:
            said.setdefault(group, {})[role] = [_number(part) for part in value.split("+")]
        elif field == "layouts":
            said[field] = value.split("|")
        elif field in ("header", "day_first"):
            said[field] = {"true": True, "yes": True, "false": False, "no": False}.get(value.lower(), value)
        else:
            said[field] = _number(value)
    return said.get("vendor") if set(said) == {"vendor"} else said or None


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text
