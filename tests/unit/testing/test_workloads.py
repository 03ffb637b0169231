"""What workloads put is known without them, and read back as one of the candidates or as damage."""

from __future__ import annotations

import doctest
from pathlib import Path
from random import Random

import numpy as np
import pytest

from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import ChecksumError
from jupyter_nq.testing import workloads
from jupyter_nq.testing.workloads import Content, State, read_dataset


def test_the_example_runs() -> None:
    """A workload is registered under its own name, and taken away again."""
    assert doctest.testmod(workloads).failed == 0
    assert "replaced" not in workloads.workloads("dataset")
    assert workloads.kinds()["dataset"] is read_dataset


@pytest.mark.parametrize("form", ["table", "array"])
def test_content_follows_from_its_seeds(form: str) -> None:
    """The same pieces are the same data; what is added comes behind."""
    content = Content(form, ((7, 100),))
    longer = content.and_then(Random(1))
    assert content.equals(content.data())
    assert not content.equals(longer.data())
    assert longer.rows == 100 + longer.last.rows
    assert not content.equals(Content(form, ((8, 100),)).data())
    assert not content.equals([1, 2])


@pytest.mark.parametrize("name", list(workloads.workloads("dataset")))
def test_each_workload_does_what_it_announced(name: str, nq_store_dir: Path) -> None:
    """Ten times in a row, from nothing on."""
    random = Random(4)
    content: Content | None = None
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as session:
        for _ in range(10):
            (content,) = workloads.workloads("dataset")[name](session, "a", content, random)
            found = read_dataset(session.store, "a", [content] if content else [])
            assert (found and found.content) == content


def test_what_is_none_of_the_candidates_is_damage(nq_store_dir: Path) -> None:
    """Nothing there is no damage."""
    content = Content("array", ((1, 10),))
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as session:
        assert read_dataset(session.store, "a", [content]) is None
        session.put("a", content.data())
        assert read_dataset(session.store, "a", [content]) == State(1, content, True)
        session.put("a", np.ones(10))
        with pytest.raises(ChecksumError, match="a v2 has 10 rows and is none of"):
            read_dataset(session.store, "a", [content])
