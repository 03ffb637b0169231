"""What differs between two states of a table of bars."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.bars.refreshing.changes import MOST_LISTED, compare
from jupyter_nq.bars.schema import BAR_SCHEMA

_MINUTE = 60 * 10**9


def bars(values: dict[int, float]) -> pa.Table:
    """Return bars by minute, all prices equal."""
    starts = np.array(sorted(values), np.int64) * _MINUTE
    prices = [np.array([values[minute] for minute in sorted(values)])] * 4
    columns = [pa.array(starts, BAR_SCHEMA.field(0).type), *map(pa.array, prices)]
    ones = [pa.array(np.ones(len(starts), np.int64)), pa.array(np.zeros(len(starts), np.uint32))]
    return pa.Table.from_arrays([*columns, *ones], schema=BAR_SCHEMA)


_values = st.dictionaries(st.integers(0, 30), st.sampled_from([1.0, 2.0, 0.0, -0.0]), min_size=1)


@given(_values, _values)
def test_every_difference_is_counted(old: dict[int, float], new: dict[int, float]) -> None:
    """Against two dictionaries: bars that came, went and changed, bit for bit."""
    found = compare(bars(old), bars(new))
    both = old.keys() & new.keys()
    changed = [k for k in both if np.float64(old[k]).tobytes() != np.float64(new[k]).tobytes()]
    assert (found.added, found.removed) == (len(new.keys() - old.keys()), len(old.keys() - new.keys()))
    assert found.changed == len(changed)
    assert found.early == sum(key < max(old) for key in new.keys() - old.keys())
    early = [k for k in new.keys() - old.keys() if k < max(old)]
    listed = sorted([*changed, *(old.keys() - new.keys()), *early])[:MOST_LISTED]
    assert [int(c.timestamp.astype(np.int64)) // _MINUTE for c in found.first] == listed


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ({0: 1.0, 1: 2.0}, {0: 1.5, 1: 2.0}, "1970-01-01 00:00:00Z open 1 -> 1.5, high 1 -> 1.5, low 1 -> 1.5, close"),
        ({0: 1.0, 1: 2.0}, {1: 2.0}, "1970-01-01 00:00:00Z is gone"),
        ({0: 16243.25, 1: 2.0}, {0: 1234567.25, 1: 2.0}, "1970-01-01 00:00:00Z open 16243.25 -> 1234567.25"),
        ({0: 1.0, 2: 2.0}, {0: 1.0, 1: 1.0, 2: 2.0}, "1970-01-01 00:01:00Z is new"),
    ],
)
def test_a_change_says_what_it_is(old: dict[int, float], new: dict[int, float], text: str) -> None:
    """Old and new values of what differs, or that the bar is gone or new."""
    assert str(compare(bars(old), bars(new)).first[0]).startswith(text)
