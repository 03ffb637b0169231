"""Tests of the JSON documents."""

from __future__ import annotations

import json

from jupyter_nq.errors import StoreFull
from jupyter_nq.server import documents

HOLDER = {"who": "a.ipynb", "pid": 7, "kernel_id": "k", "path": "x/a.ipynb", "version": 2}
ROW = {
    "disk": {"bytes": 9, "durable": False, "version": 3},
    "pinned": True,
    "source": {"path": "/d/NQ_30min.csv", "symbol": "NQ", "timeframe": "30min", "reading": {}},
    "name": "NQ.30min",
    "version": 3,
    "rows": 10,
    "bytes": 4096,
    "created_ns": 1_700_000_000_123_000_000,
    "id": "ab" * 16,
    "holders": [HOLDER, {"who": "feed.py", "pid": 8, "kernel_id": None, "path": None, "version": 3}],
    "owner": "a.ipynb",
    "meta": {},
}
STATUS = {
    "host": {"pid": 1, "role": "server", "program": "jupyter-lab"},
    "store": "/dev/shm/nq-0",
    "pool": {"limit": 3, "used": 2, "free": 1},
    "datasets": 1,
    "peers": 2,
    "problem": None,
    "since_ns": 1_700_000_000_000_000_000,
}
NOTEBOOK = {
    "who": "kernel 12345678",
    "pid": 3,
    "kernel_id": "k",
    "path": "",
    "role": "kernel",
    "connected": True,
    "holds": ["a"],
}


def test_dataset_has_iso_time_holders_and_load_cell() -> None:
    """A browser gets what the table shows, and the cell to insert."""
    assert documents.dataset(ROW) == {
        "name": "NQ.30min",
        "version": 3,
        "rows": 10,
        "bytes": 4096,
        "disk": ROW["disk"],
        "pinned": True,
        "created": "2023-11-14T22:13:20.123+00:00",
        "holders": ROW["holders"],
        "load": "import jupyter_nq as nq\nNQ_30min = nq.load('/d/NQ_30min.csv', '30min', symbol='NQ')",
    }


def test_status_tells_times_as_text() -> None:
    """Start and newest problem carry ISO 8601 stamps."""
    quiet = documents.status(STATUS)
    assert quiet["since"] == "2023-11-14T22:13:20.000+00:00"
    assert quiet["problem"] is None
    assert "since_ns" not in quiet
    met = {"text": "disk", "who": "a.ipynb", "at_ns": 1_700_000_001_000_000_000}
    loud = documents.status({**STATUS, "problem": met})
    assert loud["problem"] == {"text": "disk", "who": "a.ipynb", "at": "2023-11-14T22:13:21.000+00:00"}


def test_notebook_without_a_path_has_null() -> None:
    """A script, and a kernel without a session, have no path."""
    assert documents.notebook(NOTEBOOK) == {**NOTEBOOK, "path": None}


def test_desk_is_json() -> None:
    """The whole desk goes through json unchanged and says its kind."""
    desk = documents.desk({"status": STATUS, "datasets": [ROW], "notebooks": [NOTEBOOK]})
    assert json.loads(json.dumps(desk)) == desk
    assert desk["kind"] == "desk"


def test_problem_holds_the_sentence_and_the_reason() -> None:
    """An error becomes its sentence and the name of its family."""
    assert documents.problem(StoreFull("80 % is used.")) == {
        "kind": "problem",
        "message": "80 % is used.",
        "reason": "StoreFull",
    }
