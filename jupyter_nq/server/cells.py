"""The text of the cells that the lab panel inserts for a dataset or a stream.

Names and paths come over a socket and go into a cell that a user runs, so they are never trusted: each is
written as a Python literal. Bars are loaded from their file, so that the cell works on an empty store too.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Mapping
from typing import Any

_READING = ("tz", "edge", "day_first", "profile", "contract")


def load_cell(name: str, source: Mapping[str, Any] | None = None) -> str:
    """Return the cell that loads the dataset `name` into a variable named after it.

    Parameters
    ----------
    name
        Of the dataset.
    source
        `path, symbol, timeframe, reading` of the file it was parsed from; None or empty for any other dataset.

    >>> print(load_cell("signals"))
    import jupyter_nq as nq
    signals = nq.get('signals')
    >>> print(load_cell("NQ.30min", {"path": "/data/a b.csv", "timeframe": "30min", "symbol": "NQ"}))
    import jupyter_nq as nq
    NQ_30min = nq.load('/data/a b.csv', '30min', symbol='NQ')
    """
    variable = variable_for(name)
    if not source:
        return f"import jupyter_nq as nq\n{variable} = nq.get({name!r})"
    reading = source.get("reading") or {}
    options = {"symbol": source["symbol"], **{key: reading[key] for key in _READING if key in reading}}
    written = "".join(f", {key}={value!r}" for key, value in options.items())
    return f"import jupyter_nq as nq\n{variable} = nq.load({source['path']!r}, {source['timeframe']!r}{written})"


def subscribe_cell(name: str) -> str:
    """Return the cell that makes a consumer of the stream `name`, and shows what comes within five seconds.

    >>> print(subscribe_cell("ticks"))
    import jupyter_nq as nq
    ticks = nq.stream('ticks').subscribe()
    ticks.get_messages(timeout=5)
    """
    variable = variable_for(name)
    return f"import jupyter_nq as nq\n{variable} = nq.stream({name!r}).subscribe()\n{variable}.get_messages(timeout=5)"


def variable_for(name: str) -> str:
    """Return a Python variable name made from a name; it hides no keyword and no built-in.

    >>> variable_for("30min-bars"), variable_for("class"), variable_for("NQ.30min")
    ('data_30min_bars', 'class_', 'NQ_30min')
    """
    word = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    if not word or word[0].isdigit():
        word = f"data_{word}".rstrip("_")
    taken = keyword.iskeyword(word) or keyword.issoftkeyword(word) or hasattr(builtins, word)
    return f"{word}_" if taken or word == "nq" else word
