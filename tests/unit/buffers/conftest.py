"""A fresh store for each test, and sample data in every form it takes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.buffers import ColdCopies, ObjectInfo, Store


@pytest.fixture
def store(nq_store_dir: Path) -> Store:
    """Give an empty store."""
    return Store(nq_store_dir)


@pytest.fixture
def bars() -> pd.DataFrame:
    """Give a frame with the columns and types of bars."""
    return make_bars(1000)


def make_bars(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return random bars with a tz-aware stamp, four prices, volume and flags."""
    random = np.random.default_rng(seed)
    prices = {c: random.random(rows) for c in ("open", "high", "low", "close")}
    stamps = pd.date_range("2020-01-01", periods=rows, freq="30min", tz="UTC").as_unit("ns")
    return pd.DataFrame(
        {
            "timestamp": stamps,
            **prices,
            "volume": random.integers(0, 10_000, rows),
            "flags": np.zeros(rows, np.uint32),
        }
    )


def publish(store: Store, info: ObjectInfo, version: int = 1) -> ObjectInfo:
    """Do what the coordinator does with a sealed object."""
    store.stamp(info.id, version)
    store.link(info.name, info.id)
    return store.info(info.id)


@pytest.fixture
def cold(tmp_path: Path) -> ColdCopies:
    """Give an empty directory of cold copies."""
    return ColdCopies(tmp_path / "cold")


@pytest.fixture
def other(nq_store_dir: Path) -> Iterator[Store]:
    """Give a second empty store."""
    path = nq_store_dir.with_name(f"{nq_store_dir.name}-2")
    yield Store(path)
    shutil.rmtree(path)
