"""The kill harness notices what it looks for: it is given workloads that lose, tear, leak and fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.testing import Child
from jupyter_nq.testing.kills import Harness

_RUN = """
import json
from pathlib import Path
from jupyter_nq.testing.kills import Harness
from jupyter_nq.testing.workloads import Content, workload, workloads
put = workloads("dataset")["put"]

@workload("dataset")
def wrong(session, name, before, random):
    if before is None:
        yield from put(session, name, before, random)
        return
    store = session.store
    {body}

with Harness(Path(sys.argv[1]), 1, only=["put", "wrong"], patience_seconds=1) as harness:
    tally = harness.run(40)
say(json.dumps(tally.as_dict()))
"""
_WRONG = {
    "lost": "yield Content.fresh(before, random)",
    "torn": """
    yield before
    with open(store.path / 'obj' / store.resolve(name), 'r+b') as file:
        file.seek(4096)
        file.write(random.randbytes(4096))
    """,
    "leaked": """
    yield before
    (store.path / 'obj' / 'nobodys').write_bytes(b'x' * 5000)
    """,
    "failed": "yield before; raise OSError('this workload fails')",
}


@pytest.mark.parametrize("what", _WRONG)
def test_a_wrong_workload_is_found_out(what: str, nq_store_dir: Path) -> None:
    """The run ends at the first finding, which says what was acknowledged or left."""
    found = _run(_RUN.format(body=_WRONG[what].strip()), nq_store_dir)
    assert found[what], found
    assert found["cycles"] < 40
    assert "cycle" in found[what][0]


def test_workloads_that_are_not_there_are_named(nq_store_dir: Path) -> None:
    """With those that are, by their kinds."""
    with pytest.raises(ValueError, match=r"no workloads putt\. There are dataset: put, .*; stream: publish, "):
        Harness(nq_store_dir, 1, only=["put", "putt"])


def test_nothing_is_found_where_nothing_is_wrong(nq_store_dir: Path) -> None:
    """The same run with a workload that does what it says."""
    found = _run(_RUN.format(body="yield from put(session, name, before, random)"), nq_store_dir)
    assert [found[what] for what in _WRONG] == [[], [], [], []]
    assert found["cycles"] == sum(found["kills"].values()) == 40
    assert set(found["acknowledged"]) == {"put", "wrong"}


def _run(code: str, store_dir: Path) -> dict[str, Any]:
    with Child(code, str(store_dir)) as child:
        result: dict[str, Any] = json.loads(child.line())
    return result
