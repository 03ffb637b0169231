"""Which column of a sheet is what: by its name, with the aliases of texts; an index of pandas may be the stamp."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from jupyter_nq.bars.answers import Answers
from jupyter_nq.bars.columnar.sheets import Sheet
from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.sniffing.columns import ALIASES, check_once, said_columns
from jupyter_nq.errors import UnreadableSource
from jupyter_nq.sizes import together

_STAMP = "timestamp"
_PAIRS = {_STAMP: (("date", "day"), ("time", "hour")), "volume": (("up",), ("down",))}
"""Columns that together are one, and their aliases."""
_ALONE = {_STAMP: ("date", "time", "day")}
"""Aliases of one column that are tried when there is no pair."""
_UNNAMED_INDEX = "__index_level_0__"


def dialect_of(sheet: Sheet, said: Answers | None = None) -> Dialect:
    """Return which column is what; the columns of `said` win.

    Raises
    ------
    UnreadableSource
        A column is missing, or there twice.
    InvalidArgument
        The answers name a column that is not there.
    """
    names = tuple(str(name) for name in sheet.schema.names)
    found = said_columns(Path(sheet.label), names, said or Answers())
    found |= {role: columns for role in ROLES if role not in found and (columns := _find(sheet, names, role))}
    index = _index_of(sheet.schema)
    if _STAMP not in found and index is not None:
        found[_STAMP] = (index,)
    missing = [role for role in ROLES if role not in found]
    if missing:
        raise UnreadableSource(_missing(sheet, names, missing))
    check_once(Path(sheet.label), found)
    return Dialect("", True, 0, names, {role: found[role] for role in ROLES}, ".")


def _find(sheet: Sheet, names: tuple[str, ...], role: str) -> tuple[str, ...]:
    plain = [name.strip().lower() for name in names]

    def one(aliases: tuple[str, ...]) -> tuple[str, ...]:
        alias = next((alias for alias in aliases if alias in plain), None)
        if alias is not None and plain.count(alias) > 1:
            raise UnreadableSource(f"{sheet.label} has two columns {alias!r}. Rename the one that is not meant.")
        return () if alias is None else (names[plain.index(alias)],)

    pair = [one(aliases) for aliases in _PAIRS.get(role, ())] if not one(ALIASES[role]) else []
    both = pair[0] + pair[1] if pair and all(pair) else ()
    return one(ALIASES[role]) or both or one(_ALONE.get(role, ()))


def _index_of(schema: pa.Schema) -> str | None:
    """Return the column that was the index of a pandas frame, None when there is none or more than one."""
    said = (schema.metadata or {}).get(b"pandas")
    levels = json.loads(said).get("index_columns", []) if said else [_UNNAMED_INDEX]
    named = [level for level in levels if isinstance(level, str) and level in schema.names]
    return named[0] if len(named) == 1 else None


def _missing(sheet: Sheet, names: tuple[str, ...], missing: list[str]) -> str:
    hint = f"Rename the columns; understood are {', '.join('/'.join(ALIASES[role][:3]) for role in missing)}."
    if any(name.startswith("('") for name in names):
        hint = "The columns have several levels: keep one, with frame.columns.droplevel."
    return f"{sheet.label}: the columns {', '.join(names)!r} have none for {together(missing)}. {hint}"
