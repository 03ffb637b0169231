"""Messages that are written for the Python call, as a user of the magics types what they ask for.

`tz='UTC'` becomes `--tz UTC`, and `profile={'tz': 'UTC', 'edge': 'end'}` becomes `--profile tz=UTC --profile edge=end`.
A line is read once, from left to right, so that nothing that was rewritten is taken for something to rewrite.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any

from nq_magics.arguments import quoted

_OPTIONS = {
    "as_": "--as",
    "columns": "--columns",
    "close_after_ms": "--close-after",
    "contract": "--contract",
    "data_dir": "--data-dir",
    "day_first": "--day-first or --month-first",
    "edge": "--edge",
    "end": "--end",
    "features": "--features",
    "gap": "--gap",
    "out": "--out",
    "prefix": "--as",
    "profile": "--profile",
    "quarantine": "--quarantine",
    "source_timeframe": "--source-timeframe",
    "speed": "--speed",
    "start": "--start",
    "suffix": "--suffix",
    "symbol": "--symbol",
    "tolerance_minutes": "--tolerance",
    "tz": "--tz",
    "version": "--version",
    "warmup": "--warmup",
}
_ORDERS = {"True": "--day-first", "False": "--month-first"}
_PHRASES = {
    "edge='start' (or 'end')": "--edge start (or --edge end)",
    "actions={'backwards': 'repair'}": "--action backwards=repair",
    "timeframe=, e.g. '30min'": "the timeframe, e.g. 30min",
    "timeframe=": "timeframe",  # it has no option, it is a word of its own
    "or set data_dir": "or give --data-dir",
    "leave require out": "leave --require out",
    "Make it: nq.stream(name)": "Make it: %nq_publish STREAM VAR",
    "Make it again: nq.stream(name)": "Make it again: %nq_publish STREAM VAR",
    "at a time, or at a position: {lane: sequence}": "at a time: --start 2024-01-31T14:30",
}
_TEXT = r"'[^'\"\\]*'"
_BRACES = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_EXAMPLE = "for example symbol='NQ'"
_ANY = re.compile(
    r"(?P<type>\btimestamp\[\w+, tz=[^\]]*\])"
    rf"|(?P<example>{re.escape(_EXAMPLE)}(?![\w,)]))"
    rf"|\btimeframe=(?P<timeframe>{_TEXT})"
    rf"|(?P<phrase>{'|'.join(map(re.escape, _PHRASES))})"
    r"|\bnq\.(?P<call>get|ls)\((?:'(?P<dataset>[^']*)')?\)"
    rf"|\bactions\['(?P<rule>\w+)'\]='(?P<action>\w+)'"
    rf"|\bprofile=(?P<answers>{_BRACES})"
    rf"|\b(?P<argument>{'|'.join(_OPTIONS)})=(?P<value>{_TEXT}|True\b|False\b|\d+\b|['\"])?(?P<gap>  +)?"
)


def as_typed(line: str, example: str | None = None) -> str:
    """Return a line of a message with options instead of keyword arguments; columns stay aligned.

    Parameters
    ----------
    example
        The whole line that says the symbol of a file, for the message that asks for it.

    >>> as_typed("Pass tz='UTC' or edge=.")
    'Pass --tz UTC or --edge.'
    >>> as_typed("Say profile={'tz': 'UTC', 'columns': {'close': 'Last'}}.")
    'Say --profile tz=UTC --profile columns.close=Last.'
    """
    return _ANY.sub(lambda match: _typed(match, example), line)


def _typed(match: re.Match[str], example: str | None) -> str:
    kinds: Mapping[str, Callable[[str], str]] = {
        "type": lambda text: text,  # of a column, as Arrow writes it: no argument
        "example": lambda _: f"for example `{example}`" if example else "for example --symbol NQ",
        "timeframe": lambda text: text[1:-1],
        "phrase": lambda text: _PHRASES[text],
        "call": lambda call: " ".join(filter(None, [f"%nq_{call}", match["dataset"]])),
        "rule": lambda rule: f"--action {rule}={match['action']}",
        "answers": lambda text: _answers(match[0], text),
        "argument": lambda name: _in_column(_option(name, match["value"] or ""), match["gap"] or "", len(match[0])),
    }
    return next(rewrite(match[kind]) for kind, rewrite in kinds.items() if match[kind] is not None)


def _answers(whole: str, text: str) -> str:
    """Return the answers of a profile as `--profile` takes them; what is no such text stays."""
    short, more = re.subn(r", \.\.\.(?=\})", "", text)
    try:
        said = ast.literal_eval(short)
    except (ValueError, SyntaxError):
        return whole
    words = [word for field, value in said.items() for word in _words(field, value)]
    return " ".join(f"--profile {quoted(word)}" for word in words) + (" ..." if more else "")


def _words(field: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{field}.{role}={_joined(names, '+')}" for role, names in value.items()]
    return [f"{field}={_joined(value, '|')}"]


def _joined(value: Any, mark: str) -> str:
    if value is ...:
        return "..."
    return mark.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _in_column(text: str, gap: str, width: int) -> str:
    """Return the heading of a column, which keeps its width, or a text with nothing behind it as it is."""
    return (text + gap).ljust(width) if gap else text


def _option(name: str, value: str) -> str:
    if name == "day_first":
        return _ORDERS.get(value, _OPTIONS[name])
    plain = value.strip("'") if len(value) > 1 else ""
    if plain and not re.search(r"[\s#]", plain):
        return f"{_OPTIONS[name]} {plain}"
    return f"{_OPTIONS[name]} {value}" if value else _OPTIONS[name]
