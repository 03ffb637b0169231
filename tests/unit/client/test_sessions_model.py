"""Sessions of several processes against a dictionary: any order of calls and of kills keeps what was acknowledged.

Three processes have a session each, a fourth may host the coordinator; they are forked from this one and told what to
do over pipes, one at a time. Any of them is killed, now and then in the middle of a put; whoever is left hosts.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jupyter_nq.buffers import Store
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import NQError
from jupyter_nq.testing.forked import Forked, Say
from jupyter_nq.testing.leftovers import catch_up, leftovers, settle
from jupyter_nq.testing.workloads import Content, State, read_dataset

_NAMES = st.sampled_from(["NQ.30min", "signals"])
_SEEDS = st.integers(0, 1 << 30)
_WORKERS = st.integers(0, 2)


class Worker:
    """A process with a session, told what to do."""

    def __init__(self, path: Path) -> None:
        hearing, self._telling = os.pipe()
        self.held: list[tuple[str, Content]] = []
        self.child = Forked(lambda say: _serve(path, hearing, say))
        os.close(hearing)

    def tell(self, *words: Any) -> None:
        """Send a command."""
        os.write(self._telling, json.dumps(words).encode() + b"\n")

    def ask(self, *words: Any) -> Any:
        """Send a command and return what came of it."""
        self.tell(*words)
        return self.child.hear()

    def kill(self) -> list[Any]:
        """Kill it, and return what it still said."""
        os.close(self._telling)
        return self.child.kill()


def _serve(path: Path, hearing: int, say: Say) -> None:
    """Do what is told until the pipe ends."""
    held: list[tuple[Any, Content]] = []
    with Session(settings=_settings(path)) as session, os.fdopen(hearing) as commands:
        for line in commands:
            try:
                say(_perform(session, held, *json.loads(line)))
            except NQError as exc:
                say(type(exc).__name__)


def _perform(session: Session, held: list[tuple[Any, Content]], op: str, *arguments: Any) -> Any:
    match op, arguments:
        case "put", [name, plain]:
            return session.put(name, _content(plain).data()).version
        case "append", [name, plain]:
            return session.append(name, _content(plain).data()).version
        case "hold", [name, plain]:
            handle = session.open(name)
            held.append((handle.numpy() if handle.info.kind == "array" else handle.arrow(), _content(plain)))
            return handle.version
        case "release", [index]:
            view, content = held.pop(index)
            return content.equals(view)
        case "drop", [name]:
            session.drop(name)
            return "dropped"
        case "ls", []:
            return {row.name: row.version for row in session.ls()}
        case "look", []:
            return all(content.equals(view) for view, content in held)
    raise ValueError(f"there is no command {op!r} with {arguments!r}")


def _host(path: Path, say: Say) -> None:
    with Channel(path, _settings(path), role="server"):
        say("hosting")
        signal.pause()


def _settings(path: Path) -> Settings:
    return Settings(store_dir=str(path), connect_seconds=20)


def _plain(content: Content) -> Any:
    return [content.form, content.pieces]


def _content(plain: Any) -> Content:
    return Content(plain[0], tuple((seed, rows) for seed, rows in plain[1]))


class SessionsModel(RuleBasedStateMachine):
    """Datasets by name, with the version that was acknowledged last."""

    @initialize()
    def begin(self) -> None:
        """Start three workers over an empty store; the first hosts."""
        self.path = Path(tempfile.mkdtemp(prefix="nqh-"))
        self.store = Store(self.path)
        self.known: dict[str, State] = {}
        self.host: Forked | None = None
        self.workers = [Worker(self.path) for _ in range(3)]

    @rule(who=_WORKERS, name=_NAMES, seed=_SEEDS)
    def put(self, who: int, name: str, seed: int) -> None:
        """A new version, of whatever form."""
        content = Content.fresh(None, Random(seed))
        self._acknowledged(name, content, self.workers[who].ask("put", name, _plain(content)))

    @precondition(lambda self: self.known)
    @rule(who=_WORKERS, data=st.data(), seed=_SEEDS)
    def append(self, who: int, data: st.DataObject, seed: int) -> None:
        """More rows in place, or in a larger object."""
        name = data.draw(st.sampled_from(sorted(self.known)))
        content = self.known[name].content.and_then(Random(seed))
        self._acknowledged(name, content, self.workers[who].ask("append", name, _plain(content.last)))

    @precondition(lambda self: self.known)
    @rule(who=_WORKERS, data=st.data())
    def hold(self, who: int, data: st.DataObject) -> None:
        """Map the newest version and keep the view."""
        name = data.draw(st.sampled_from(sorted(self.known)))
        state = self.known[name]
        assert self.workers[who].ask("hold", name, _plain(state.content)) == state.version
        self.workers[who].held.append((name, state.content))

    @precondition(lambda self: any(worker.held for worker in self.workers))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Let a view go, whose bytes are those that it had."""
        worker = data.draw(st.sampled_from([i for i, worker in enumerate(self.workers) if worker.held]))
        index = data.draw(st.integers(0, len(self.workers[worker].held) - 1))
        assert self.workers[worker].ask("release", index) is True
        del self.workers[worker].held[index]

    @precondition(lambda self: self.known)
    @rule(who=_WORKERS, data=st.data())
    def drop(self, who: int, data: st.DataObject) -> None:
        """Remove a name with all its versions."""
        name = data.draw(st.sampled_from(sorted(self.known)))
        assert self.workers[who].ask("drop", name) == "dropped"
        del self.known[name]

    @rule(who=_WORKERS)
    def unknown(self, who: int) -> None:
        """What is not there is refused."""
        assert self.workers[who].ask("drop", "never-put") == "UnknownDataset"

    @rule(who=_WORKERS)
    def ls(self, who: int) -> None:
        """Every process sees the same list."""
        assert self.workers[who].ask("ls") == {name: state.version for name, state in self.known.items()}

    @rule(who=_WORKERS)
    def kill_worker(self, who: int) -> None:
        """One that does nothing at the moment; it may have hosted."""
        self.workers[who].kill()
        self.workers[who] = Worker(self.path)

    @rule(who=_WORKERS, name=_NAMES, seed=_SEEDS)
    def kill_in_a_put(self, who: int, name: str, seed: int) -> None:
        """What was there before is there, or what was being put."""
        before, after = self.known.get(name), Content.fresh(None, Random(seed))
        self.workers[who].tell("put", name, _plain(after))
        said = self.workers[who].kill()
        self.workers[who] = Worker(self.path)
        assert isinstance(self.workers[who].ask("ls"), dict)  # somebody hosts
        catch_up(self.store)
        found = read_dataset(
            self.store, name, [after] if said else [c for c in (before and before.content, after) if c]
        )
        if found is None:
            assert before is None
            assert not said
        elif found.content != (before and before.content):
            self._acknowledged(name, after, found.version)
        else:
            assert found == before

    @rule()
    def start_host(self) -> None:
        """A server takes the coordinator over."""
        if self.host is None:
            self.host = Forked(lambda say: _host(self.path, say))
            assert self.host.hear() == "hosting"

    @precondition(lambda self: self.host is not None)
    @rule()
    def kill_host(self) -> None:
        """The server dies as in a crash, and one of the workers takes over."""
        assert self.host is not None
        self.host.kill()
        self.host = None

    @invariant()
    def agrees(self) -> None:
        """Names, versions and bytes are those that were acknowledged, and every held view has its own."""
        if not hasattr(self, "workers"):
            return
        assert set(self.store.names()) == set(self.known)
        for name, state in self.known.items():
            assert read_dataset(self.store, name, [state.content]) == state
        assert all(worker.ask("look") is True for worker in self.workers if worker.held)

    def teardown(self) -> None:
        """End all but one process: what is left is what the names need; then remove the store."""
        if not hasattr(self, "workers"):
            return
        for worker in self.workers[1:]:
            worker.kill()
        last = self.workers[0]
        while last.held:
            last.held.pop()
            assert last.ask("release", -1) is True
        assert isinstance(last.ask("ls"), dict)
        assert settle(self.store) == [], leftovers(self.store)
        last.kill()
        if self.host is not None:
            self.host.kill()
        shutil.rmtree(self.path)

    def _acknowledged(self, name: str, content: Content, version: Any) -> None:
        assert isinstance(version, int), version
        before = self.known.get(name)
        assert version == before.version + 1 if before else version >= 1
        self.known[name] = State(version, content, True)


TestSessionsModel = SessionsModel.TestCase
TestSessionsModel.settings = settings(
    max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
