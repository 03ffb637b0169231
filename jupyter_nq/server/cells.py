"""The text of the cell that the lab panel inserts for a dataset.

The name comes over a socket and goes into a cell that a user runs, so it is never trusted: a name of
the allowed alphabet is written as it is into a magic, every other string becomes a Python literal.
"""

from __future__ import annotations

import builtins
import keyword
import re

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def load_cell(name: str) -> str:
    """Return the cell that loads the dataset `name` into a variable named after it.

    >>> print(load_cell("NQ.30min"))
    %load_ext jupyter_nq
    %nq_get NQ.30min as NQ_30min
    """
    variable = variable_for(name)
    if _PLAIN_NAME.fullmatch(name):
        return f"%load_ext jupyter_nq\n%nq_get {name} as {variable}"
    return f"import jupyter_nq as nq\n{variable} = nq.get({name!r})"


def variable_for(name: str) -> str:
    """Return a Python variable name made from a dataset's name; it hides no keyword and no built-in.

    >>> variable_for("30min-bars"), variable_for("class"), variable_for("NQ.30min")
    ('data_30min_bars', 'class_', 'NQ_30min')
    """
    word = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    if not word or word[0].isdigit():
        word = f"data_{word}".rstrip("_")
    taken = keyword.iskeyword(word) or keyword.issoftkeyword(word) or hasattr(builtins, word)
    return f"{word}_" if taken or word == "nq" else word
