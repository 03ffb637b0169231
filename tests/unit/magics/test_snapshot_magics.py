"""`%nq_snapshot` and `%nq_snapshots`, typed into a real shell."""

from __future__ import annotations

import numpy as np
import pytest

import jupyter_nq as nq
from tests.unit.magics.conftest import Shell


@pytest.fixture
def two(shell: Shell) -> Shell:
    """A shell with two datasets."""
    nq.put("a", np.arange(3))
    nq.put("b", np.arange(4))
    return shell


def test_taken_listed_and_released(two: Shell) -> None:
    """Each line says what it did; the variable is the snapshot."""
    out = two.run("%nq_snapshot as before --label x --verify").out.strip().splitlines()[-1]
    assert out == "snapshot x: 2 datasets (a v1, b v1); %nq_snapshot --release x lets it go"
    nq.put("a", np.zeros(2))
    assert two.run("before.get('a').tolist()").value == [0, 1, 2]
    assert two.run("%nq_snapshot a").out.startswith("snapshot snapshot-1: 1 dataset (a v2)")
    view = two.run("%nq_snapshots").value
    first, *_, last = repr(view).splitlines()
    assert first.split() == ["label", "datasets", "age", "taken", "by", "replaced", "since"]
    assert "8.0 KiB" in last
    assert "<td>a v1, b v1</td>" in view._repr_html_()
    assert [one.label for one in view] == ["snapshot-1", "x"]
    assert two.run("%nq_snapshot --release x").out == "snapshot x is released; frames that are held stay readable.\n"
    two.run("%nq_snapshot --release snapshot-1")
    assert repr(two.run("%nq_snapshots").value) == "There is no snapshot. %nq_snapshot takes one."


def test_mistakes(two: Shell) -> None:
    """One line each."""
    two.run("%nq_snapshot --label x")
    for line, message in {
        "%nq_snapshot c": "There is no dataset 'c'",
        "%nq_snapshot --label x": "There is a snapshot 'x' already",
        "%nq_snapshot --release y": "There is no snapshot 'y'",
        "%nq_snapshot a --release x": "--release takes a label and nothing else",
        "%nq_snapshots x": "x",
    }.items():
        ran = two.run(line)
        assert ran.failed
        assert message in ran.err


def test_tab(two: Shell) -> None:
    """Datasets, and labels behind --release."""
    two.run("%nq_snapshot --label close")
    assert two.complete("%nq_snapshot a ") == ["b"]
    assert two.complete("%nq_snapshot --release ") == ["close"]
