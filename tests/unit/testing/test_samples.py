"""Samples are the same each time, and are told apart from what only looks like them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.testing.samples import same, samples


def test_each_sample_is_itself_and_none_of_the_others() -> None:
    """But for views of bytes, which are what bytes come back as."""
    for sample in samples():
        made = sample.make()
        assert same(memoryview(made) if isinstance(made, bytes) else made, sample.make()), sample.name
        assert not any(same(made, other.make()) for other in samples() if other.name != sample.name), sample.name


def test_what_looks_alike_is_not_the_same() -> None:
    """Types, shapes, indexes and nulls count."""
    assert not same(np.ones(3, np.float32), np.ones(3))
    assert not same(np.ones((1, 3)), np.ones(3))
    assert not same(pd.Series([1, 2], index=[1, 2]), pd.Series([1, 2]))
    assert not same(pa.table({"a": pa.array([1, None])}), pa.table({"a": pa.array([1, 0])}))
    assert not same({"a": np.ones(2), "b": np.ones(2)}, {"a": np.ones(2)})
    assert not same(b"x", b"x"), "bytes come back as a view"
