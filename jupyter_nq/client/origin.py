"""What a frame or table of bars is: carried with it, so that a join needs not be told what it joins.

A frame from `load` or `get` has it in `frame.attrs["nq"]`, an Arrow table in the metadata of its schema. It is a
note and not a view: a frame derived from it may have lost it, and then the caller says what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd
import pyarrow as pa

from jupyter_nq.client.request import source_of
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


def origin_in(name: str, version: int, meta: Mapping[str, Any]) -> Origin:
    """Return what an object's metadata says of its bars; without it only the name is known."""
    source = source_of(meta)
    profile: Any = source.get("profile", {})
    symbol: Any = source.get("symbol")
    return Origin(name, version, symbol, profile.get("minutes"), profile.get("calendar"))


def marked(data: Any, origin: Origin) -> Any:
    """Return a frame or table that says where it comes from; other forms as they are. Nothing is copied."""
    if isinstance(data, pd.DataFrame):
        data.attrs[_KEY] = asdict(origin)
    elif isinstance(data, pa.Table):
        note = {_KEY.encode(): json.dumps(asdict(origin)).encode()}
        return data.replace_schema_metadata({**(data.schema.metadata or {}), **note})
    return data


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
