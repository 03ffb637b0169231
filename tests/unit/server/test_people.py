"""Who a process is."""

from __future__ import annotations

import os

from jupyter_nq.server.people import People
from jupyter_nq.testing import Child

ROW = {"who": "a.ipynb", "kernel_id": "k", "path": "dir/a.ipynb"}


def test_kernel_is_its_notebook_and_so_is_its_child() -> None:
    """A process that a kernel started is named as the kernel's notebook, with its own pid."""
    people = People([{**ROW, "pid": os.getpid()}])
    assert people.of(os.getpid()) == {**ROW, "pid": os.getpid()}
    with Child("input()") as child:
        assert people.of(child.pid) == {**ROW, "pid": child.pid}


def test_connected_script_of_a_kernel_counts_as_the_notebook() -> None:
    """The notebook above a process says more than the program that the process runs."""
    with Child("input()") as child:
        people = People([{**ROW, "pid": os.getpid()}, {"who": "feed.py", "pid": child.pid, "path": ""}])
        assert people.of(child.pid)["who"] == "a.ipynb"


def test_others_are_named_by_their_program() -> None:
    """A connected script has the coordinator's name for it, an unknown one that of /proc, and pid 0 none."""
    people = People([{"who": "feed.py", "pid": 999_999_999, "path": ""}])
    assert people.of(999_999_999) == {"who": "feed.py", "pid": 999_999_999, "kernel_id": None, "path": None}
    assert people.of(999_999_998)["who"] == "pid 999999998"
    assert people.of(0) == {"who": "", "pid": 0, "kernel_id": None, "path": None}
    assert repr(people) == "<People: 1 connected>"
