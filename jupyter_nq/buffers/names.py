"""The names of datasets and the ids of objects, checked in full before they become part of a path."""

from __future__ import annotations

import os
import re

from jupyter_nq.errors import InvalidName

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_OBJECT_ID = re.compile(r"[0-9a-f]{32}")


def check_name(name: str, kind: str = "dataset") -> str:
    """Return `name` when it may name a dataset, or something of another kind, which the error then says.

    Raises
    ------
    InvalidName
        It is no text, has other characters than ASCII letters, digits, `.`, `_`, `-`, does not start with a
        letter or digit, or is longer than 128 characters.

    >>> check_name("NQ.30min")
    'NQ.30min'
    """
    if not isinstance(name, str) or not is_name(name):
        given = _shorten(name) if isinstance(name, str) else f"{_shorten(name)}, of type {type(name).__name__},"
        raise InvalidName(
            f"{given} is not a {kind} name. Use 1 to 128 letters, digits, '.', '_' or '-', "
            "the first one a letter or digit."
        )
    return name


def is_name(text: str) -> bool:
    """Tell whether `text` has the form of a dataset name."""
    return _NAME.fullmatch(text) is not None


def is_object_id(text: str) -> bool:
    """Tell whether `text` has the form of an object id: 32 lower-case hexadecimal digits."""
    return _OBJECT_ID.fullmatch(text) is not None


def new_object_id() -> str:
    """Return a fresh 128-bit id; it comes from the kernel, so that forked children differ."""
    return os.urandom(16).hex()


def _shorten(name: object) -> str:
    text = " ".join(repr(name).split())  # of a frame it has lines
    return text if len(text) <= 60 else f"{text[:57]}..."
