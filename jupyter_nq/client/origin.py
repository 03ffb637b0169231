"""What a frame or table of bars is: carried with it, so that a join needs not be told what it joins.

A frame from `load` or `get` has it in `frame.attrs["nq"]`, an Arrow table in the metadata of its schema. It is a
note and not a view: a frame derived from it may have lost it, and then the caller says what it is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd
import pyarrow as pa

from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.request import source_of
from jupyter_nq.errors import InvalidArgument

_KEY = "nq"


@dataclass(frozen=True)
class Origin:
    """Where bars come from."""

    dataset: str
    version: int
    symbol: str | None = None
    minutes: int | None = None
    """Length of a bar."""
    calendar: str | None = None
    """Name of the trading calendar, None when it is not known."""

    def note(self, data: Any) -> Any:
        """Return a frame with this note, set in place, or a table with it, whose columns are not copied."""
        if isinstance(data, pd.DataFrame):
            data.attrs[_KEY] = asdict(self)
            return data
        note = {_KEY.encode(): json.dumps(asdict(self)).encode()}
        return data.replace_schema_metadata({**(data.schema.metadata or {}), **note})


def marked(data: Any, handle: Handle) -> Any:
    """Return a view of a dataset of bars with the note of its origin; what is no such view as it is. Copies nothing."""
    source = source_of(handle.info.meta)
    profile: Any = source.get("profile")
    if not profile or not isinstance(data, (pd.DataFrame, pa.Table)):
        return data
    symbol: Any = source.get("symbol")
    what = symbol, profile.get("minutes"), profile.get("calendar")
    return Origin(handle.info.name, handle.version, *what).note(data)


def origin_of(data: Any) -> Origin | None:
    """Return where a frame or table of bars comes from, None when it does not say.

    Raises
    ------
    InvalidArgument
        Its note is not one that this package wrote.
    """
    if isinstance(data, pd.DataFrame):
        note = data.attrs.get(_KEY)
    elif isinstance(data, pa.Table):
        text = (data.schema.metadata or {}).get(_KEY.encode())
        note = None if text is None else json.loads(text)
    else:
        note = None
    if note is None:
        return None
    if not isinstance(note, dict) or set(note) != {f.name for f in fields(Origin)}:
        raise InvalidArgument(
            f"the note {_KEY!r} of the data is not one of jupyter-nq. Remove it, or load the data again."
        )
    return Origin(**note)


def dataset_of(data: Any, called: str | None = None) -> str:
    """Return the name of the dataset that a name means, or that a frame or table shows.

    Raises
    ------
    InvalidArgument
        It does not say so; `called` is what the message calls it.
    """
    if isinstance(data, str):
        return data
    origin = origin_of(data)
    if origin is None:
        what = called or f"the {type(data).__name__}"
        raise InvalidArgument(f"{what} does not say which dataset it shows. Write the name, as nq.ls() has it.")
    return origin.dataset
