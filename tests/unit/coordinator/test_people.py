"""How a process is named: by the notebook whose kernel it is or descends from, else by its program."""

from __future__ import annotations

import pytest

from jupyter_nq.coordinator import arguments
from jupyter_nq.coordinator.events import Kernel, KernelsReported, PeerArrived
from jupyter_nq.coordinator.people import People, Who
from jupyter_nq.errors import ProtocolError

_RISK = Kernel(100, "k-1", "desk/risk.ipynb", "risk")
_CONSOLE = Kernel(200, "k-2", "", "kernel k-2")


@pytest.fixture
def people() -> People:
    """Give a desk's people with one server, its two kernels, and four other processes."""
    people = People()
    people.arrive(PeerArrived(1, 50, (), "jupyter-lab", "server"))
    people.report(KernelsReported(1, {"port": 8888}, (_RISK, _CONSOLE)))
    people.arrive(PeerArrived(2, 100, (50,), "ipykernel_launcher", "client"))
    people.arrive(PeerArrived(3, 101, (100, 50), "worker.py", "client"))
    people.arrive(PeerArrived(4, 200, (50,), "ipykernel_launcher", "client"))
    people.arrive(PeerArrived(5, 300, (7,), "feed.py", "client"))
    return people


@pytest.mark.parametrize(
    ("peer", "who"),
    [
        (1, Who("jupyter-lab", 50)),
        (2, Who("risk.ipynb", 100, "k-1", "desk/risk.ipynb")),
        (3, Who("risk.ipynb", 101, "k-1", "desk/risk.ipynb")),
        (4, Who("kernel k-2", 200, "k-2", "")),
        (5, Who("feed.py", 300)),
    ],
)
def test_a_process_is_shown_by_its_notebook_or_program(people: People, peer: int, who: Who) -> None:
    """A kernel, its child, a kernel without a notebook, a script."""
    assert people.who(people.peers[peer]) == who


def test_a_new_report_replaces_the_one_before(people: People) -> None:
    """A renamed notebook has its new name at once, a kernel that ended is no notebook any more."""
    people.report(KernelsReported(1, {}, (Kernel(100, "k-1", "desk/renamed.ipynb", "renamed"),)))
    assert people.who(people.peers[2]).who == "renamed.ipynb"
    assert people.who(people.peers[4]).who == "ipykernel_launcher"


def test_the_kernels_of_a_server_that_left_are_forgotten(people: People) -> None:
    """What nobody reports any more is not claimed."""
    people.leave(1)
    assert people.who(people.peers[2]).path is None
    assert list(people.kernels()) == []


def test_a_server_is_asked_about_a_client_that_nobody_named(people: People) -> None:
    """Only clients are: a server or a command is no notebook."""
    assert people.arrive(PeerArrived(6, 400, (), "new", "client"))
    assert not people.arrive(PeerArrived(7, 100, (), "known", "client"))
    assert not people.arrive(PeerArrived(8, 500, (), "jupyter-nq", "cli"))


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"kernels": {}},
        {"kernels": [1]},
        {"kernels": [{"pid": "1", "kernel_id": "k", "path": "p", "name": "n"}]},
        {"kernels": [{"pid": 1, "kernel_id": "k", "path": None, "name": "n"}]},
    ],
)
def test_a_report_of_another_form_is_refused(args: dict[str, object]) -> None:
    """Each field of a kernel has one type."""
    with pytest.raises(ProtocolError):
        arguments.kernels(args)


@pytest.mark.parametrize("value", [-1, True, "1", None, 2**63, 1.0])
def test_a_number_is_a_number(value: object) -> None:
    """Byte counts are not negative, and not absurd."""
    with pytest.raises(ProtocolError, match="bytes"):
        arguments.number({"bytes": value}, "bytes")


@pytest.mark.parametrize("value", [1, ["ab"], [["ab"]], [["ab", -1]], [[1, 1]], [["ab", 1, 2]]])
def test_holds_are_pairs(value: object) -> None:
    """A hold is an object id and a version."""
    with pytest.raises(ProtocolError, match="add"):
        arguments.pairs({"add": value}, "add")


def test_what_a_server_says_of_itself_is_kept_if_it_is_plain() -> None:
    """Nested values are left out; a wrong type is refused."""
    assert arguments.server({"server": {"port": 1, "url": "x", "deep": {}}}) == {"port": 1, "url": "x"}
    with pytest.raises(ProtocolError):
        arguments.server({"server": 3})
    with pytest.raises(ProtocolError):
        arguments.text({"name": 3}, "name")
