"""Bars with their features as a shared dataset of their own, computed once like a file is parsed once.

The dataset holds the bars and the features side by side, so that one mapping shows both. It is keyed by what the
bars were parsed from and how, and by the features in full, so a changed file gives a new version.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import xxhash

from jupyter_nq.client.request import source_of
from jupyter_nq.errors import InvalidArgument, UnknownDataset

if TYPE_CHECKING:
    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.loading import Mapped, Progress
    from jupyter_nq.client.session import Session

VERSION = "features-1"
"""Changes whenever the same bars give other features; part of every key."""

Wanted = bool | str | Sequence[str]
"""True for the usual features, a feature such as "rsi(14)", or a list of them."""


def featured(session: Session, bars: Mapped, wanted: Wanted, progress: Progress | None = None) -> Mapped:
    """Return the dataset of mapped bars with their features, computing it if nobody has."""
    from jupyter_nq.bars.features.pipeline import Features

    start = time.perf_counter()
    info = bars.handle.info
    profile: Any = source_of(info.meta)["profile"]
    usual = wanted is True
    if not usual and not wanted:
        raise InvalidArgument(f"features={wanted!r} names no feature. Leave it out, or pass True for the usual ones.")
    features = Features(None if usual else wanted, calendar=profile["calendar"], minutes=profile["minutes"])  # type: ignore[arg-type]
    named = [str(feature) for feature in features.features]
    key = _key(info.meta, named)
    name = (
        f"{info.name}-features" if usual else f"{info.name}-features-{xxhash.xxh32_hexdigest(repr(named).encode())[:6]}"
    )
    ready, how = _open(session, name, key), bars.how
    if ready is None:
        with session.store.lock(key, waiting=lambda share: progress(share or 0.0) if progress else None) as building:
            ready = _open(session, name, key)
            if ready is None:
                building.write_progress(0.0)
                whole = session.view(bars.handle, "arrow", columns=info.schema.names if info.schema else None)
                meta = {"bars": dict(source_of(info.meta)), "features": {"key": key}}
                ready = session.publish(name, features.compute(whole), meta=meta)
                how = "computed" if bars.how == "mapped" else f"{bars.how} and computed"
    bars.handle.close()
    return replace(bars, handle=ready, how=how, seconds=bars.seconds + time.perf_counter() - start)


def _key(meta: Any, features: list[str]) -> str:
    """Return what identifies bars with features: the content of their file, its reading, and the features."""
    source = source_of(meta)
    content = [VERSION, source.get("digest"), source.get("reading"), source.get("code"), source.get("rows"), features]
    return xxhash.xxh3_128_hexdigest(repr(content).encode())


def _open(session: Session, name: str, key: str) -> Handle | None:
    try:
        handle = session.open(name)
    except UnknownDataset:
        return None
    known: Any = handle.info.meta.get("features", {})
    if isinstance(known, dict) and known.get("key") == key:
        return handle
    handle.close()
    return None
