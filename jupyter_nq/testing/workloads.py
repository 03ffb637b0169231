"""What the children of the kill harness do, as plain functions, and what the datasets must then hold.

A workload is a generator over a session. It yields what its dataset will hold before it changes anything, and when it
returns the step is done:

>>> @workload("dataset")
... def replaced(session, name, before, random):
...     after = Content.fresh(before, random)
...     yield after
...     session.put(name, after.data())
>>> workloads("dataset")["replaced"] is replaced
True
>>> forget(replaced)

So a step that only moves bytes, such as a spill, yields `before`, and one that removes its dataset yields None.
Something else than a dataset, such as a stream (`stream_workloads`) or a durable one (`durable_workloads`), is another
kind: `kind(name, read)` says how to read back what one holds, and its workloads name it.

All values follow from a few numbers, so that the harness knows them without having made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers import Handle, Store, thaw
from jupyter_nq.client.session import Session
from jupyter_nq.coordinator.files import cold_copies
from jupyter_nq.errors import ChecksumError, UnknownDataset

_FEW_ROWS = 300
_MANY_ROWS = 60_000  # some megabytes, so that a kill may fall into the copying
_MANY_SHARE = 0.08
_MOST_ROWS = 120_000
_LOOKS = 5
_TEXTS = pa.array(["", "RTH", "ETH", "a longer text, beyond one word"])


@dataclass(frozen=True)
class Content:
    """What a dataset holds."""

    form: str
    """`table` or `array`."""
    pieces: tuple[tuple[int, int], ...]
    """(seed, rows) of each piece, in the order in which they were put and appended."""

    @classmethod
    def fresh(cls, before: Content | None, random: Random) -> Content:
        """Return other content, of the form that was there before."""
        form = before.form if before is not None else random.choice(["table", "array"])
        return cls(form, (_piece(random),))

    def and_then(self, random: Random) -> Content:
        """Return this content with one piece more."""
        return Content(self.form, (*self.pieces, _piece(random, least=1)))

    def lies_between(self, before: Content | None, after: Content | None) -> bool:
        """Tell whether a step that was killed may leave this: what was there, or what was to come."""
        return self in (before, after)

    def may_have(self, version: int, before: State) -> bool:
        """Tell whether it may be under a version behind what was there: other content has a newer one."""
        return (version > before.version) is (self != before.content)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(rows for _, rows in self.pieces)

    @property
    def last(self) -> Content:
        """The last piece alone."""
        return Content(self.form, self.pieces[-1:])

    def data(self) -> Any:
        """Return it as it is put: a `pyarrow.Table`, or an array of shape (rows, 3)."""
        parts = [_values(seed, rows) for seed, rows in self.pieces]
        numbers = np.concatenate(parts) if parts else _values(0, 0)
        if self.form == "array":
            return np.stack([numbers, -numbers, numbers * 0.5], axis=1)
        whole = numbers.astype(np.int64)
        there = whole % 3 != 0
        text = _TEXTS.take(pa.array(whole % len(_TEXTS)))
        return pa.table({"n": whole, "x": pa.array(numbers, mask=~there), "s": text})

    def equals(self, found: Any) -> bool:
        """Tell whether data read back are these."""
        wanted = self.data()
        if self.form == "array":
            return isinstance(found, np.ndarray) and found.shape == wanted.shape and bool((found == wanted).all())
        return isinstance(found, pa.Table) and bool(found.equals(wanted))


@dataclass(frozen=True)
class State:
    """What was found under a name."""

    version: int
    content: Content
    sealed: bool
    """Whether its digest covers all rows; after an append that was killed it may not."""


Workload = Callable[[Session, str, Content | None, Random], Iterator[Content | None]]
Read = Callable[[Store, str, list[Content]], State | None]
"""`read(store, name, candidates)` says which of the contents is there; None when there is nothing."""

Version = Callable[[Store, str], int]
"""`version(store, name)` returns a number that grows with each change of what is there; 0 when there is nothing."""

# Written when modules are imported, by `kind`, `workload` and `forget`; read only afterwards.
_kinds: dict[str, Read] = {}
_versions: dict[str, Version] = {}
_contents: dict[str, type[Content]] = {}
_workloads: dict[str, dict[str, Workload]] = {}


def kind(name: str, read: Read, version: Version, contents: Mapping[str, type[Content]]) -> None:
    """Make a kind of named thing known.

    Parameters
    ----------
    name
        Of the kind.
    read
        Reads one back; raises `ChecksumError` for what is damaged or none of the candidates.
    version
        Tells the version of one.
    contents
        Class of what one holds, by its `form`.
    """
    _kinds[name], _versions[name] = read, version
    _contents.update(contents)


def version_of(of: str, store: Store, name: str) -> int:
    """Return the version of a named thing of a kind, as its files say; 0 when there is none."""
    return _versions[of](store, name)


def content_of(form: str, pieces: Iterable[tuple[int, int]]) -> Content:
    """Return a content from its fields, of the class that its form has."""
    return _contents[form](form, tuple(pieces))


def kinds() -> dict[str, Read]:
    """Return all kinds, with their reading function."""
    return dict(_kinds)


def workload(of: str) -> Callable[[Workload], Workload]:
    """Register a generator function as a workload of a kind, under its own name."""

    def register(function: Workload) -> Workload:
        _workloads.setdefault(of, {})[function.__name__] = function
        return function

    return register


def forget(function: Workload) -> None:
    """Take a workload away again."""
    for known in _workloads.values():
        known.pop(function.__name__, None)


def workloads(of: str) -> dict[str, Workload]:
    """Return the workloads of a kind by their names."""
    return dict(_workloads.get(of, {}))


# -- datasets ------------------------------------------------------------------------------------
def read_dataset(store: Store, name: str, candidates: list[Content]) -> State | None:
    """Read a dataset and say which content it is; its bytes are compared with values and with their digest.

    Raises
    ------
    ChecksumError
        It is none of the candidates, or differs from its digest.
    """
    handle = _mapped(store, name)
    if handle is None:
        return None
    with handle:
        found = handle.numpy() if handle.info.kind == "array" else handle.arrow()
        content = next((c for c in candidates if c.rows == handle.rows and c.equals(found)), None)
        if content is None:
            raise ChecksumError(f"{name} v{handle.version} has {handle.rows} rows and is none of {candidates}")
        return State(handle.version, content, handle.verify())


def dataset_version(store: Store, name: str) -> int:
    """Return the version under a name as its files say; 0 when there is none."""
    object_id, cold = store.names().get(name), cold_copies(store)
    if object_id is None:
        return 0
    on_disk = cold is not None and not store.exists(object_id)
    return cold.info(object_id).version if on_disk and cold is not None else store.info(object_id).version


def _mapped(store: Store, name: str) -> Handle | None:
    """Map a dataset, None when there is none; one that leaves memory meanwhile is looked for again, as sessions do."""
    for _ in range(_LOOKS):
        try:
            bring_back(store, name)
            return store.open(name)
        except UnknownDataset:
            if name not in store.names():
                return None
    return None


@workload("dataset")
def put(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Share other data under the name."""
    after = Content.fresh(before, random)
    yield after
    session.put(name, after.data())


@workload("dataset")
def append(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Add rows in place, or grow when the reserve is used up."""
    if before is None or before.rows > _MOST_ROWS:
        yield from put(session, name, before, random)
        return
    after = before.and_then(random)
    yield after
    session.append(name, after.last.data())


@workload("dataset")
def annotate(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Replace the note of the newest object."""
    if before is None:
        yield from put(session, name, before, random)
        return
    yield before
    with session.open(name) as handle:  # which brings it back from the disk, and keeps it in memory
        session.store.annotate(handle.info.id, random.randbytes(random.randint(1, 8000)))


@workload("dataset")
def get(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Map it, and look at every value and at its digest, unless an append that was killed left none."""
    yield before
    if before is None:
        return
    with session.open(name) as handle:
        handle.verify()
        found = handle.numpy() if before.form == "array" else handle.arrow()
        if not before.equals(found):
            raise ChecksumError(f"{name} v{handle.version} is not {before}")


@workload("dataset")
def replace_held(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Put a new version while the old one is mapped, which stays as it was."""
    if before is None:
        yield from put(session, name, before, random)
        return
    after = Content.fresh(before, random)
    yield after
    with session.open(name) as handle:
        found = handle.numpy() if before.form == "array" else handle.arrow()
        session.put(name, after.data())
        if not before.equals(found):
            raise ChecksumError(f"a held view of {name} v{handle.version} changed")


@workload("dataset")
def drop(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Remove the name and all its versions."""
    if before is None:
        yield from put(session, name, before, random)
        return
    yield None
    session.drop(name)


@workload("dataset")
def spill(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Put it on the disk, from where the next step that needs it brings it back."""
    if before is None:
        yield from put(session, name, before, random)
        return
    yield before
    session.spill(name)


@workload("dataset")
def keep(session: Session, name: str, before: Content | None, random: Random) -> Iterator[Content | None]:
    """Share other data, on the disk too before it is acknowledged; what is appended later is kept as well."""
    after = Content.fresh(before, random)
    yield after
    session.put(name, after.data(), durable=True)


def bring_back(store: Store, name: str) -> None:
    """Bring a dataset back into memory that is on the disk alone, as a session does, but without a coordinator."""
    object_id, cold = store.resolve(name), cold_copies(store)
    if cold is not None and not store.exists(object_id):
        thaw(store, object_id, cold)


kind("dataset", read_dataset, dataset_version, {"table": Content, "array": Content})


def _piece(random: Random, least: int = 0) -> tuple[int, int]:
    rows = random.randint(least, _MANY_ROWS if random.random() < _MANY_SHARE else _FEW_ROWS)
    return random.randrange(1 << 40), rows


def _values(seed: int, rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.arange(seed, seed + rows, dtype=np.float64)
