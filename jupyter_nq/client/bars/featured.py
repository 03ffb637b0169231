"""Bars with their features as a shared dataset of their own, computed once like a file is parsed once.

The dataset holds the bars and the features side by side, so that one mapping shows both. It is keyed by what the
bars were parsed from and how, and by the features in full, so a changed file gives a new version. What the features
carry from bar to bar is kept in the object's note, so that those of bars that were appended are appended.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import xxhash

from jupyter_nq.buffers.notes import NOTE_BYTES
from jupyter_nq.client.bars.request import source_of
from jupyter_nq.client.bars.state import Record, later_of, note_with, record_of
from jupyter_nq.errors import InvalidArgument, StoreFull, UnknownDataset

if TYPE_CHECKING:
    from jupyter_nq.bars.features.pipeline import Features
    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.bars.loading import Mapped, Progress
    from jupyter_nq.client.session import Session

VERSION = "features-2"
"""Changes whenever the same bars give other features; part of every key."""

Wanted = bool | str | Sequence[str]
"""True for the usual features, a feature such as "rsi(14)", or a list of them."""


def featured(session: Session, bars: Mapped, wanted: Wanted, progress: Progress | None = None) -> Mapped:
    """Return the dataset of mapped bars with their features, computing it if nobody has."""
    start = time.perf_counter()
    features, name, key = _asked(bars.handle, wanted)
    ready, how = _open(session, name, key), bars.how
    if ready is None:
        with session.store.lock(key, waiting=lambda share: progress(share or 0.0) if progress else None) as building:
            ready = _open(session, name, key)
            if ready is None:
                building.write_progress(0.0)
                ready = _carried_on(session, name, bars.handle, features, key) or _computed(
                    session, name, bars.handle, features, key
                )
                how = "computed" if bars.how == "mapped" else f"{bars.how} and computed"
    bars.handle.close()
    return replace(bars, handle=ready, how=how, seconds=bars.seconds + time.perf_counter() - start)


def usual_ready(session: Session, bars: Handle) -> bool:
    """Return whether somebody has computed the usual features of these very bars."""
    _, name, key = _asked(bars, True)
    found = _open(session, name, key)
    if found is not None:
        found.close()
    return found is not None


def _asked(bars: Handle, wanted: Wanted) -> tuple[Features, str, str]:
    """Return the features that are wanted of bars, and the name and the key of their dataset."""
    from jupyter_nq.bars.features.pipeline import Features
    from jupyter_nq.bars.instruments import regular_hours_of

    info = bars.info
    source: Any = source_of(info.meta)
    profile, regular = source["profile"], regular_hours_of(source.get("symbol"))
    usual = wanted is True
    if not usual and not wanted:
        raise InvalidArgument(f"features={wanted!r} names no feature. Leave it out, or pass True for the usual ones.")
    told: dict[str, Any] = {"calendar": profile["calendar"], "minutes": profile["minutes"], "regular_hours": regular}
    features = Features(None if usual else wanted, **told)  # type: ignore[arg-type]
    named = [str(feature) for feature in features.features]
    suffix = "" if usual else f"-{xxhash.xxh32_hexdigest(repr(named).encode())[:6]}"
    return features, f"{info.name}-features{suffix}", _key(record_of(bars), named, regular)


def refresh_features(session: Session, bars: Handle, progress: Progress | None = None) -> list[str]:
    """Bring all features of a dataset of bars up to it, and say so in a sentence each.

    Those for which there is no room stay as they were, and the next load that wants them tries again.
    """
    names = [name for name in session.store.names() if name.startswith(f"{bars.info.name}-features")]
    told = []
    for name in names:
        try:
            told.append(_refreshed(session, bars, name, progress))
        except StoreFull as exc:
            told.append(f"{name} stays as it was: {str(exc).partition('. ')[0]}")
    return [sentence for sentence in told if sentence]


def _refreshed(session: Session, bars: Handle, name: str, progress: Progress | None) -> str:
    """Bring one dataset of features up to its bars, and say what was done; nothing when nothing was."""
    from jupyter_nq.client.bars.loading import Mapped

    with session.open(name) as old:
        before, wanted = old.version, later_of(old).get("state", {}).get("features")
    if name == f"{bars.info.name}-features":
        wanted = True
    if wanted is None:
        return ""  # which they are is not known any more: the load that wants them computes them
    mapped = Mapped(session.open(bars.info.name), "mapped", 0.0, (), None)
    with featured(session, mapped, wanted, progress).handle as new:
        if new.version == before:
            return ""
        how = "carried on" if new.info.first_version <= before else "computed anew"
        return f"{name} v{before} -> v{new.version}: {how}"


def _computed(session: Session, name: str, bars: Handle, features: Features, key: str) -> Handle:
    """Compute the features of all bars, as a new object, and keep what is needed to carry them on."""
    meta = {"bars": dict(source_of(bars.info.meta)), "features": {"key": key}}
    ready = session.publish(name, features.add(bars.arrow()), meta=meta)
    note = note_with(ready, _record(features, bars, key))
    if len(note) <= NOTE_BYTES:
        session.store.annotate(ready.info.id, note)
    return ready


def _carried_on(session: Session, name: str, bars: Handle, wanted: Features, key: str) -> Handle | None:
    """Append the features of the bars that are new since the dataset was computed; None when that cannot be."""
    from jupyter_nq.bars.features.pipeline import Features

    try:
        base = session.open(name)
    except UnknownDataset:
        return None
    with base:
        known = later_of(base)
        state: Any = known.get("state", {})
        named = [str(feature) for feature in wanted.features]
        same = (state.get("features"), state.get("regular_hours")) == (named, wanted.regular_hours)
        if not same or base.rows > bars.rows or not _begins(bars, base, known):
            return None
        try:
            features = Features.restore(state)
        except InvalidArgument:
            return None  # of another version of this package
        fresh = features.add(bars.arrow(start=base.rows))
        note = note_with(base, _record(features, bars, key))
        return session.extend(name, base, fresh, note) if len(note) <= NOTE_BYTES else None


def _record(features: Features, bars: Handle, key: str) -> dict[str, Any]:
    return {"rows": features.rows, "key": key, "of": bars.info.id, "state": features.state}


def _begins(bars: Handle, base: Handle, known: Record) -> bool:
    """Tell whether the features' bars are the first of these: in one object they are, else they are compared."""
    if known.get("of") == bars.info.id:
        return True
    mine, others = base.numpy(), bars.numpy(stop=base.rows)
    return all(others[name].tobytes() == mine[name].tobytes() for name in others)


def _key(source: Record, features: list[str], regular_hours: str | None) -> str:
    """Return what identifies bars with features: the content of their file, its reading, and the features."""
    told = [source.get(name) for name in ("digest", "reading", "code", "rows")]
    content = [VERSION, *told, features, regular_hours]
    return xxhash.xxh3_128_hexdigest(repr(content).encode())


def _open(session: Session, name: str, key: str) -> Handle | None:
    try:
        handle = session.open(name)
    except UnknownDataset:
        return None
    known: Any = later_of(handle) or handle.info.meta.get("features", {})
    if isinstance(known, dict) and known.get("key") == key:
        return handle
    handle.close()
    return None
