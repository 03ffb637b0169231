"""Notebooks that register and see each other, in real processes."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.notebooks.registering import register, unregister
from jupyter_nq.client.records import Notebook
from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument, InvalidName, NameTaken, UnknownNotebook
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked
from tests.unit.client.child import session_child

_PYTHON = Path(sys.executable).name
_REGISTERS = """
from jupyter_nq.client.notebooks.registering import register
row = register(session, "risk", "risk", ["limits"])
say(row.pid == os.getpid(), row.name, row.type)
input()
"""


def _named(session: Session) -> dict[str | None, Notebook]:
    return {row.name: row for row in session.notebooks()}


def test_a_notebook_is_what_it_says(session: Session) -> None:
    """Name, type and capabilities, since when; said again they are others, since the same moment."""
    before = datetime.now(UTC)
    first = register(session, "execution_engine", "execution", ["orders"])
    assert (first.name, first.type, first.capabilities) == ("execution_engine", "execution", ("orders",))
    assert first.pid == os.getpid()
    assert first.since is not None
    assert before <= first.since <= datetime.now(UTC)
    again = register(session, "execution_engine", capabilities=["orders", "hedges"])
    assert (again.type, again.capabilities, again.since) == (None, ("orders", "hedges"), first.since)
    unregister(session, "execution_engine")
    (row,) = session.notebooks()
    assert row.name is None


def test_one_process_may_be_several_notebooks(session: Session) -> None:
    """Each name has a row, and what the process holds is in all of them; the desk says the same."""
    session.put("limits", {"max": 3})
    held = session.open("limits")
    register(session, "a", "execution")
    register(session, "b", "risk")
    rows = session.notebooks()
    assert [(row.name, row.type, row.holds) for row in rows] == [
        ("a", "execution", ("limits",)),
        ("b", "risk", ("limits",)),
    ]
    assert [row.name for row in session.desk().notebooks] == ["a", "b"]
    held.close()


def test_streams_are_told_by_who_publishes_and_reads(session: Session, nq_store_dir: Path) -> None:
    """By pid, consumers with a name included; a name that nobody uses now is nobody's."""
    stream = session.stream("ticks")
    stream.publish({"price": 1})
    code = """
reader = session.stream("ticks").subscribe("earliest", name="risk")
say("reads")
input()
"""
    with session_child(nq_store_dir, code) as child:
        assert child.line() == "reads"
        rows = {row.pid: row for row in session.notebooks()}
        assert (rows[os.getpid()].publishes, rows[os.getpid()].reads) == (("ticks",), ())
        assert (rows[child.pid].publishes, rows[child.pid].reads) == ((), ("ticks",))
        (listed,) = session.list_streams()
        assert (listed.consumers, listed.consumer_pids) == (("risk",), (child.pid,))
        child.kill()
    (listed,) = session.list_streams()
    assert (listed.consumers, listed.consumer_pids) == (("risk",), (0,))


def test_a_name_belongs_to_one_living_process(session: Session, nq_store_dir: Path) -> None:
    """The second is told who has it; when that one is killed, the name is free."""
    with session_child(nq_store_dir, _REGISTERS) as child:
        assert child.line() == "True risk risk"
        with pytest.raises(NameTaken, match=rf"'risk' is taken: {_PYTHON} -c \(pid {child.pid}\)"):
            register(session, "risk")
        assert _named(session)["risk"].pid == child.pid
        child.kill()
        wait_until(lambda: "risk" not in _named(session), message="the dead notebook to be forgotten")
    assert register(session, "risk").pid == os.getpid()


def test_registrations_outlive_the_coordinator(nq_store_dir: Path) -> None:
    """The next one is told, with the moment at which they began; a refused name is not said again."""
    hosts = 'say("hosts", session.channel.is_host)\ninput()\n'
    with session_child(nq_store_dir, hosts) as host:
        assert host.line() == "hosts True"
        with Session(nq_store_dir) as session:
            since = register(session, "risk", "risk", ["limits"]).since
            host.kill()
            wait_until(lambda: session.channel.is_host, message="this process to coordinate")
            row = _named(session)["risk"]
            assert (row.type, row.capabilities, row.since) == ("risk", ("limits",), since)


class _Line:
    """A channel to a coordinator at which somebody else is registered as "a"."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.problems: list[str] = []

    def request(self, _op: str, **args: Any) -> None:
        """Refuse the name that is taken."""
        if args["name"] == "a":
            raise NameTaken("The name 'a' is taken.")
        self.said.append(args["name"])

    def note(self, _op: str, **args: Any) -> None:
        """Keep a problem."""
        self.problems.append(args["text"])


def test_a_name_that_was_lost_is_told(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody took it between two coordinators: it is on everybody's desk, and the others are said all the same."""
    register(session, "a")
    register(session, "b")
    line = _Line()
    session.roster.tell(cast(Channel, line))
    assert (line.said, line.problems) == (["b"], ["The name 'a' is taken."])
    assert "this process lost a name" in caplog.text


def test_a_forked_child_is_not_its_parent(session: Session) -> None:
    """It has none of the parent's names, may take its own, and leaves the parent's alone."""
    register(session, "parent")

    def work(say: Any) -> None:
        say([row.name for row in session.notebooks() if row.pid == os.getpid()])
        say(register(session, "child").name)

    with Forked(work) as child:
        assert child.hear() == [None]
        assert child.hear() == "child"
        assert child.wait() == 0
    wait_until(lambda: "child" not in _named(session), message="the child to be forgotten")
    assert "parent" in _named(session)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"name": "a b"}, InvalidName, "a b"),
        ({"type": 3}, InvalidArgument, "type=3 is no word"),
        ({"type": ""}, InvalidArgument, "type='' is no word"),
        ({"capabilities": "orders"}, InvalidArgument, r"Write for example \['orders'"),
        ({"capabilities": [None]}, InvalidArgument, "capabilities"),
    ],
)
def test_what_is_no_registration_is_refused(
    session: Session, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    """Before anything is said, and nothing is told to the next coordinator."""
    with pytest.raises(error, match=says):
        register(session, **options)
    assert repr(session.roster) == "<Roster of nobody>"


def test_what_was_not_said_is_not_taken_back(session: Session) -> None:
    """With the nearest name."""
    register(session, "risk")
    with pytest.raises(UnknownNotebook, match="Did you mean 'risk'"):
        unregister(session, "rik")
