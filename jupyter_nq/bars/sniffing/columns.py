"""Which column of a table is what: by the names of its header, or by place where there is none.

Vendors misspell and rename columns (`Llow`, `Last`), split the stamp into Date and Time, and split the volume into
Up and Down. The first alias that fits wins, a name that fits twice is refused, and a name one letter away is taken
when nothing else fits. Without a header the second column tells by its look whether date and time are apart, and
places that several vendors use differently are a question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from jupyter_nq.bars.answers import Answers
from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.vendors import UNUSED, VENDORS, Vendor
from jupyter_nq.errors import InvalidArgument, UnreadableSource, nearest

Columns = dict[str, tuple[str, ...]]
Rows = Sequence[Sequence[str]]

ALIASES: Mapping[str, tuple[str, ...]] = {
    "timestamp": ("timestamp", "datetime", "date time", "date_time", "dateandtime", "ts", "ts_event", "bar time"),
    "open": ("open", "o", "open price"),
    "high": ("high", "h", "hi", "high price"),
    "low": ("low", "llow", "l", "lo", "low price"),
    "close": ("close", "last", "c", "close price"),
    "volume": ("volume", "vol", "v", "vol.", "total volume"),
}
CONTRACT = ("symbol", "contract", "ticker", "raw_symbol", "instrument_id")
"""Names of the column that says which contract a row is of, the most telling first."""
_DATE, _TIME = ("date", "day"), ("time", "hour")
_UP, _DOWN = "up", "down"

_PRICES = ROLES[1:5]
_MOST_SHOWN = 40  # names of a header, in a message
_SHORTEST_GUESS = 3  # letters of a name that may be misspelt
_BAR = ROLES[1:]
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")
_DIGIT_CLOCK = re.compile(r"([01]?\d|2[0-3])[0-5]\d([0-5]\d)?")
_DATE_ALONE = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}|\d{8}")


# -- by name ----------------------------------------------------------------------------------------
def by_name(path: Path, names: Sequence[str], rows: Rows = (), said: Answers | None = None) -> Columns:
    """Return the columns of each role by the names of a header.

    Parameters
    ----------
    names, rows
        The header, and some rows behind it.
    said
        Its `columns` win.

    Raises
    ------
    UnreadableSource
        A name is there twice, or a role has no column, or none that is clear.
    InvalidArgument
        The answers name a column that is not there.
    """
    given = said_columns(path, names, said or Answers())
    check_once(path, given)
    given.pop("contract", None)
    taken = {name for columns in given.values() for name in columns}
    found = given | {role: columns for role, columns in _named(path, names, taken).items() if role not in given}
    missing = [role for role in ROLES if role not in found]
    if missing:
        found |= _misspelt(path, names, rows, found, missing)
    return {role: found[role] for role in ROLES}


def contract_column(path: Path, names: Sequence[str], said: Answers) -> Columns:
    """Return the column that says which contract a row is of, if a header has one or the answers name it."""
    given = said_columns(path, names, said)
    if "contract" in given:
        return {"contract": given["contract"]}
    plain = [_plain(name) for name in names]
    return next(({"contract": (names[plain.index(alias)],)} for alias in CONTRACT if plain.count(alias) == 1), {})


def _named(path: Path, names: Sequence[str], taken: set[str]) -> Columns:
    plain = [_plain(name) for name in names]
    bar = _end_of_bar(plain)

    def find(*aliases: str) -> str | None:
        for alias in aliases:
            if alias in plain and names[plain.index(alias)] in taken:
                continue
            if alias in plain[:bar] and plain.count(alias) - plain[:bar].count(alias):
                return names[plain.index(alias)]  # the second is a study's, as Sierra Chart exports it
            if plain.count(alias) > 1:
                raise UnreadableSource(f"{path}: the header names {alias!r} twice. Rename the one that is not meant.")
            if alias in plain:
                return names[plain.index(alias)]
        return None

    found: Columns = {role: (name,) for role, aliases in ALIASES.items() if (name := find(*aliases)) is not None}
    if "timestamp" not in found:
        parts = tuple(name for name in (find(*_DATE), find(*_TIME)) if name is not None)
        found |= {"timestamp": parts} if parts else {}
    if "volume" not in found and (up := find(_UP)) and (down := find(_DOWN)):
        found["volume"] = (up, down)
    return found


def _plain(name: str) -> str:
    return name.strip().strip("<>\"'").lower()


def _end_of_bar(plain: Sequence[str]) -> int:
    """Return the columns up to the first volume, when all prices stand among them and no name does twice, else 0."""
    volume = next((i for i, name in enumerate(plain) if name in ALIASES["volume"]), -1)
    first = plain[: volume + 1]
    whole = all(any(name in ALIASES[role] for name in first) for role in _PRICES)
    return volume + 1 if whole and len(set(first)) == len(first) else 0


def _misspelt(path: Path, names: Sequence[str], rows: Rows, found: Columns, missing: Sequence[str]) -> Columns:
    """Return columns whose names are one letter away from those of the missing roles, when that is clear."""
    used = {name for columns in found.values() for name in columns}
    counts = Counter(names)
    free = [name for name in names if name not in used and counts[name] == 1]
    words = [(name, _plain(name)) for name in free]
    near = {role: [name for name, word in words if _is_near_any(word, ALIASES[role])] for role in missing}
    several = [name for close in near.values() for name in close]
    clear = all(len(close) == 1 and several.count(close[0]) == 1 for close in near.values())
    guess: Columns = {role: (close[0],) for role, close in near.items()} if clear else {}
    if clear and _is_sound(rows, names, found | guess):
        return guess
    doubtful = [
        f"{' and '.join(map(repr, close))} may be meant for {role}" for role, close in near.items() if len(close) > 1
    ]
    raise UnreadableSource(
        f"{path}: the header {_shown(names)!r} has no column for {' and '.join(missing)}. "
        + "".join(f"{doubt}. " for doubt in doubtful)
        + _without(missing, free)
        + f"Rename the columns, understood are {', '.join('/'.join(ALIASES[role][:3]) for role in missing)}; or say "
        f"which they are: profile={{'columns': {{{missing[0]!r}: {free[0] if free else '...'!r}}}}}."
    )


def _without(missing: Sequence[str], free: Sequence[str]) -> str:
    """Say what to do about a file that has no volume under any name."""
    if list(missing) != ["volume"] or free:
        return ""
    return "If the file has no volumes, export it with them, or add a column Volume, of zeros where none is known. "


def _shown(names: Sequence[str]) -> str:
    """Return the first names of a header, and how many there are if these are not all."""
    more = f", ... ({len(names):,} in all)" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more


def _is_near_any(word: str, aliases: Sequence[str]) -> bool:
    return any(abs(len(word) - len(alias)) <= 1 and _is_near(word, alias) for alias in aliases)


def _is_near(word: str, alias: str) -> bool:
    """Return whether one letter more, less, other or exchanged with its neighbour makes a word of another."""
    if min(len(word), len(alias)) < _SHORTEST_GUESS or abs(len(word) - len(alias)) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(word, alias, strict=False)) if a != b), min(len(word), len(alias)))
    rest, other = word[same:], alias[same:]
    if len(rest) != len(other):
        return rest[1:] == other or rest == other[1:]
    return rest[1:] == other[1:] or (rest[:2] == other[1::-1] and rest[2:] == other[2:])


def misspelt(table: Dialect, said: Answers) -> dict[str, str]:
    """Return the columns of a header that were taken for a role though they are spelt otherwise: name -> role."""
    known = {alias for aliases in ALIASES.values() for alias in aliases} | {*_DATE, *_TIME, _UP, _DOWN}
    return {
        name: role
        for role, names in table.columns.items()
        for name in names
        if table.header and role in ALIASES and role not in said.columns and _plain(name) not in known
    }


def said_columns(path: Path, names: Sequence[str], said: Answers) -> Columns:
    """Return the columns that the answers name, by name or place."""
    return {role: tuple(_said(path, names, one) for one in wanted) for role, wanted in said.columns.items()}


def check_once(path: Path, columns: Mapping[str, Sequence[str]]) -> None:
    """Raise `InvalidArgument` when answers make one column mean two things."""
    roles: dict[str, str] = {}
    for role, names in columns.items():
        for name in names:
            if name in roles:
                raise InvalidArgument(
                    f"{path}: by the profile the column {name!r} is {roles[name]} and {role}. Say one."
                )
            roles[name] = role


def _said(path: Path, names: Sequence[str], wanted: str | int) -> str:
    if isinstance(wanted, int):
        if wanted > len(names):
            raise InvalidArgument(f"{path}: the profile names column {wanted}; the file has {len(names)} columns.")
        if names.index(names[wanted - 1]) != wanted - 1:
            raise InvalidArgument(f"{path}: column {wanted} has the name of another, {names[wanted - 1]!r}. Rename it.")
        return names[wanted - 1]
    found = [name for name in names if name == wanted] or [name for name in names if _plain(name) == _plain(wanted)]
    if not found:
        raise InvalidArgument(
            f"{path}: the profile names a column {wanted!r}.{nearest(wanted, names)} The file has {', '.join(names)}."
        )
    return found[0]


# -- by place ---------------------------------------------------------------------------------------
def by_place(path: Path, names: Sequence[str], rows: Rows, said: Answers) -> Columns:
    """Return the columns of each role of a table without a header; parameters and errors as `by_name`."""
    given = said_columns(path, names, said)
    if set(given) >= set(ROLES):
        return given
    ways = _ways(len(names), _stamp_columns(rows), said.vendor)
    found = {way: columns for way in ways if _fits(columns := _placed(way, names), given)}
    if len(found) > 1:
        sound = {way: columns for way, columns in found.items() if _is_sound(rows, names, columns)}
        found = sound or found
    if len(found) == 1:
        return next(iter(found.values())) | given
    text = ",".join(rows[0])[:80]
    if not found:
        raise UnreadableSource(
            f"{path}, line 1: {text!r} has no header and {len(names)} columns. Without a header a row is stamp, open, "
            "high, low, close, volume (the stamp in one column or two), or as a vendor writes it: add a header, pass "
            "profile= with the vendor's name, or say what each column holds: "
            "profile={'columns': {'timestamp': [1, 2], 'open': 3, ...}}."
        )
    listed = "; or ".join(_described(way, columns) for way, columns in found.items())
    raise UnreadableSource(
        f"{path}, line 1: {text!r} has no header and {len(names)} columns, which can be read in {len(found)} ways: "
        f"{listed}. Say which: profile= with the vendor's name, or profile={{'columns': {{'volume': ...}}}}."
    )


def _ways(count: int, stamps: Sequence[int], vendor: Vendor | None) -> list[tuple[str, ...]]:
    """Return what the columns may hold, place by place: the usual way, one column more, and as vendors write it."""
    if vendor is not None and count in vendor.by_place:
        return [vendor.by_place[count]]
    usual = [(*["timestamp"] * parts, *_BAR) for parts in stamps]
    known = [way for way in usual if len(way) == count] + [(*way, UNUSED) for way in usual if len(way) + 1 == count]
    of_vendors = [one.by_place[count] for one in VENDORS.values() if count in one.by_place]
    return list(dict.fromkeys(way for way in (*known, *of_vendors) if way.count("timestamp") in stamps))


def _stamp_columns(rows: Rows) -> list[int]:
    """Return how many columns the stamp may have: two when the second looks like a time, or either when it may be."""
    usual = max(len(rows) // 2, 1)
    if sum(bool(_DATE_ALONE.fullmatch(row[0].strip())) for row in rows) < usual:
        return [1]
    second = [row[1].strip() for row in rows if len(row) > 1]
    if sum(bool(_CLOCK.fullmatch(cell)) for cell in second) >= usual:
        return [2]
    return [2, 1] if sum(bool(_DIGIT_CLOCK.fullmatch(cell)) for cell in second) >= usual else [1]


def _placed(way: Sequence[str], names: Sequence[str]) -> Columns:
    roles = [role for role in (*ROLES, "contract") if role in way]
    return {role: tuple(name for name, held in zip(names, way, strict=True) if held == role) for role in roles}


def _fits(columns: Columns, given: Columns) -> bool:
    return all(columns.get(role) == names for role, names in given.items())


def _described(way: tuple[str, ...], columns: Columns) -> str:
    title = next((one.title for one in VENDORS.values() if way in one.by_place.values() and len(way) > 7), "")
    unused = way.count(UNUSED)
    said = f"volume in {'+'.join(columns['volume'])}" + (f", {unused} not read" if unused else "")
    return f"open in {columns['open'][0]}, {said}" + (f" (as {title} writes them)" if title else "")


def _is_sound(rows: Rows, names: Sequence[str], columns: Columns) -> bool:
    """Return whether most rows have a high above and a low below their other prices."""
    places = [names.index(columns[role][0]) for role in _PRICES]
    good = 0
    for row in rows:
        try:
            first, high, low, last = (float(row[place].replace(",", ".")) for place in places)
        except (ValueError, IndexError):
            continue
        good += low <= first <= high and low <= last <= high
    return good * 2 > len(rows)
