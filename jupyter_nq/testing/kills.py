"""Kill and check: processes that share a store are killed at random moments, and nothing may be lost, torn or leaked.

One warm process forks the others. A host runs the coordinator. In each cycle a child does one step after another on a
few names (`workloads`), says before each step what it will change and after it that it is done, and is killed with
SIGKILL: after a random number of messages and a random time more, so in the middle of whatever step it is in. In some
cycles the host is killed instead, under the child's feet. Then the store is read:

- lost: a step that was acknowledged is not there, or an older version is;
- torn: an object is damaged, or holds neither what was there before the unfinished step nor what comes after it;
- leaked: once the coordinator has cleaned up, bytes or files are left that belong to no dataset, or the host still
  has a file of the store open (`leftovers`);
- failed: a child raised, or a process said nothing any more.

The same store goes through all cycles, so what one leaves the next finds. Later kinds of steps need a few lines: see
`workloads`. Run it alone with `python -m jupyter_nq.testing.kills --cycles 100000 --seed 1`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import ChecksumError, NQError
from jupyter_nq.streams.directory import names
from jupyter_nq.testing import durable_workloads, leftovers
from jupyter_nq.testing.forked import Forked, Say
from jupyter_nq.testing.tally import Tally
from jupyter_nq.testing.workloads import Content, State, Workload, content_of, kinds, version_of, workloads

_NAMES_PER_KIND = 8  # as many as streams have shapes
_MOST_MESSAGES = 8
_LONGEST_MOMENT = 0.004  # seconds after a message until the kill: longer than most steps
_HOST_SHARE = 0.03  # of the cycles kill the host
_SETTLE_EVERY = 10
_REMEMBERED_STEPS = 8  # of each name, for findings
_PROGRESS_SECONDS = 10.0
_SHARED_MEMORY = "/dev/shm"


@dataclass(frozen=True)
class Step:
    """A step that a child has begun."""

    workload: str
    name: str
    after: Content | None


class Harness:
    """The parent: it knows what was acknowledged, and compares.

    Parameters
    ----------
    path
        Directory of the store.
    seed
        Of all choices. The moment of a kill also depends on the machine, so a run cannot be repeated exactly.
    only
        Names of workloads, or of kinds; None means all.
    patience_seconds
        How long the store may take to come to rest before what is left counts as leaked.
    """

    def __init__(
        self, path: Path, seed: int, only: Sequence[str] | None = None, patience_seconds: float = 20.0
    ) -> None:
        self.tally = Tally()
        self._path = path
        self._store = Store(path)
        self._patience_seconds = patience_seconds
        self._random = Random(seed)
        self._steps = _chosen(only)
        self._names = {f"{kind}{i}": kind for kind in self._steps for i in range(_NAMES_PER_KIND)}
        self._known: dict[str, State] = {}
        self._history: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_REMEMBERED_STEPS))
        self._host: Forked | None = None

    def __enter__(self) -> Harness:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the host; closing twice is fine."""
        if self._host is not None:
            self._host.kill()
            self._host = None
        shutil.rmtree(f"{self._path}-disk", ignore_errors=True)
        for lost in self._path.parent.glob(f"{self._path.name}-lost-*"):  # half: its process was killed over it
            shutil.rmtree(lost, ignore_errors=True)

    def run(self, cycles: int, progress: bool = False) -> Tally:
        """Run some cycles, and check for leaks at the end; a finding ends the run."""
        Content("table", ((0, 1),)).data()  # what is imported on first use is imported here, not in each child
        start = told = time.monotonic()
        gc.collect()
        gc.freeze()  # children do not touch the parent's pages to collect what is not garbage
        for number in range(cycles):
            self._cycle()
            self.tally.cycles += 1
            self.tally.seconds = time.monotonic() - start
            if (number + 1) % _SETTLE_EVERY == 0 or number + 1 == cycles:
                self._check_leaks()
            if self.tally.findings:
                break
            if progress and time.monotonic() - told >= _PROGRESS_SECONDS:
                told = time.monotonic()
                print(self.tally.line(), flush=True)
        self.tally.seconds = time.monotonic() - start
        return self.tally

    # -- one cycle -------------------------------------------------------------------------------
    def _cycle(self) -> None:
        host = self._ensure_host()
        seed = self._random.randrange(1 << 60)
        with Forked(lambda say: self._work(say, seed)) as child:
            follower = _Follower(self._known)
            try:
                for _ in range(self._random.randint(1, _MOST_MESSAGES)):
                    follower.take(child.hear())
                _spin(self._random.uniform(0.0, _LONGEST_MOMENT))
                if self._random.random() < _HOST_SHARE:
                    self.tally.hosts_killed += 1
                    host.kill()
                    self._host = None
                    follower.take(child.hear())
            except (TimeoutError, NQError) as exc:
                self._find("failed", str(exc))
            try:
                for message in child.kill():
                    follower.take(message)
            except NQError as exc:
                self._find("failed", str(exc))
        self._account(follower)
        self._check(follower, child.pid)

    def _ensure_host(self) -> Forked:
        if self._host is None:
            self._host = Forked(lambda say: _host(self._path, say))
            said = self._host.hear()
            if said != "serving":
                self._find("failed", f"the host said {said}")
        return self._host

    def _work(self, say: Say, seed: int) -> None:
        """Do one step after another, in a child, until killed."""
        random = Random(seed)
        known: dict[str, Content | None] = {name: state.content for name, state in self._known.items()}
        with Session(settings=_settings(self._path)) as session:
            choices = [(kind, *step) for kind, steps in self._steps.items() for step in steps.items()]
            while True:
                kind, step, function = random.choice(choices)
                name = random.choice([name for name, of in self._names.items() if of == kind])
                before = known.get(name)
                after = before
                for after in function(session, name, before, random):
                    say(["begin", step, name, _plain(after)])
                known[name] = after
                say(["done", step, name, version_of(kind, session.store, name)])

    # -- checking --------------------------------------------------------------------------------
    def _account(self, follower: _Follower) -> None:
        self.tally.acknowledged.update(follower.acknowledged)
        step = follower.open
        self.tally.kills[step.workload if step else "between"] += 1
        for done, name in follower.steps:
            self._history[name].append(f"{done} in cycle {self.tally.cycles}")
        if step is not None:
            self._history[step.name].append(f"killed in {step.workload} in cycle {self.tally.cycles}")

    def _check(self, follower: _Follower, pid: int) -> None:
        leftovers.catch_up(self._store, pid)
        for name in follower.touched:
            step = follower.open if follower.open and follower.open.name == name else None
            self._check_name(name, follower.known.get(name), step, follower.older[name])

    def _check_name(
        self, name: str, acknowledged: State | None, step: Step | None, older: Sequence[Content] = ()
    ) -> None:
        """Read one name, which is as it was acknowledged, or as the unfinished step wants it."""
        told = f"{name} after {step}; {acknowledged} was acknowledged; before that {', '.join(self._history[name])}"
        before, after = acknowledged.content if acknowledged else None, step.after if step else None
        try:
            read = kinds()[self._names[name]]
            found = read(self._store, name, [content for content in (before, after, *older) if content is not None])
        except (ChecksumError, OSError) as exc:
            self._find("torn", f"{told}: {exc}")
            return
        if found is None:
            self._known.pop(name, None)
            if acknowledged is not None and (step is None or after is not None):
                self._find("lost", f"{told}: it is gone")
            return
        self._known[name] = found
        if not found.content.lies_between(before, after):
            self._find("lost", f"{told}: found {found}, which is older")
        elif acknowledged is None and step is None:
            self._find("torn", f"{told}: found {found}, which nobody put there")
        elif acknowledged is not None and not found.content.may_have(found.version, acknowledged):
            self._find("torn", f"{told}: found {found}")
        elif not found.sealed and step is None and (acknowledged is None or acknowledged.sealed):
            self._find("torn", f"{told}: it has no digest")

    def _check_leaks(self) -> None:
        host = self._ensure_host()
        for line in leftovers.settle(self._store, self._patience_seconds):
            self._find("leaked", line)
        for damaged in self._store.damaged():
            self._find("torn", f"{damaged.path}: {damaged.reason}")
        for name, state in self._known.items():
            self._check_name(name, state, None)
        for pid in (os.getpid(), host.pid):
            for target in leftovers.kept_open(pid, self._store, self._patience_seconds):
                self._find("leaked", f"process {pid} has {target} open")
        there = {
            *self._store.names(),
            *names(self._store.path / STREAMS),
            *durable_workloads.names_on_disk(self._store),
        }
        if unknown := there - set(self._known):
            self._find("torn", f"names that nobody put: {sorted(unknown)}")
        if bytes_ := leftovers.unowned_promise(self._store, self._patience_seconds):
            self._find("leaked", f"the coordinator keeps {bytes_:,} bytes promised to nobody")

    def _find(self, what: str, line: str) -> None:
        getattr(self.tally, what).append(f"cycle {self.tally.cycles}: {line}")


class _Follower:
    """What a child's messages say of the store."""

    def __init__(self, known: dict[str, State]) -> None:
        self.known = dict(known)
        self.touched: set[str] = set()
        self.older: defaultdict[str, list[Content]] = defaultdict(list)  # what a name held before, in this cycle
        self.open: Step | None = None
        self.steps: list[tuple[str, str]] = []  # those that were done: workload and name
        self.acknowledged: Counter[str] = Counter()

    def take(self, message: Any) -> None:
        """Follow one message; `NQError` when the child failed or ended."""
        match message:
            case ["begin", str(workload), str(name), after]:
                self.open = Step(workload, name, _content(after))
                self.touched.add(name)
            case ["done", str(workload), str(name), version] if self.open is not None:
                self._acknowledge(name, self.open.after, version)
                self.acknowledged[workload] += 1
                self.steps.append((workload, name))
                self.open = None
            case {"error": text}:
                raise NQError(f"a child failed: {text}")
            case _:
                raise NQError(f"a child said {message!r} after {self.open}")

    def _acknowledge(self, name: str, after: Content | None, version: int) -> None:
        if after is None:
            self.known.pop(name, None)
        else:
            had = self.known.get(name)
            unchanged = had is not None and had.content == after
            if had is not None and not unchanged:
                self.older[name].append(had.content)
            self.known[name] = State(version, after, sealed=had.sealed if had and unchanged else True)


def _host(path: Path, say: Say) -> None:
    """Host the coordinator until killed."""
    with Channel(path, _settings(path), role="server"):
        say("serving")
        signal.pause()


def _settings(path: Path) -> Settings:
    return Settings(store_dir=str(path), connect_seconds=20.0, spill_dir=f"{path}-disk")


def _chosen(only: Sequence[str] | None) -> dict[str, dict[str, Workload]]:
    """Return the workloads of each kind that has one among those that are wanted."""
    found = {kind: workloads(kind) for kind in kinds()}
    if only is not None:
        wanted = {
            kind: {n: step for n, step in steps.items() if kind in only or n in only} for kind, steps in found.items()
        }
        if unknown := set(only) - {*found, *(name for steps in found.values() for name in steps)}:
            there = "; ".join(f"{kind}: {', '.join(steps)}" for kind, steps in found.items())
            raise ValueError(f"there are no workloads {', '.join(sorted(unknown))}. There are {there}.")
        found = wanted
    return {kind: steps for kind, steps in found.items() if steps}


def _plain(content: Content | None) -> Any:
    return None if content is None else [content.form, content.pieces]


def _content(plain: Any) -> Content | None:
    return None if plain is None else content_of(plain[0], ((seed, rows) for seed, rows in plain[1]))


def _spin(seconds: float) -> None:
    """Let some microseconds pass without giving up the processor for longer."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the harness over a store of its own; returns 1 when something was found."""
    parser = argparse.ArgumentParser(description="Kill processes that share a store, and check what they leave.")
    parser.add_argument("--cycles", type=int, default=1000, help="how many kills (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of all choices (default 1)")
    parser.add_argument(
        "--only", nargs="*", help=f"names of workloads, or of kinds: {', '.join(kinds())} (default all)"
    )
    parser.add_argument("--store", help="directory of the store (default a new one in shared memory)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    given = parser.parse_args(arguments)
    path = given.store or tempfile.mkdtemp(prefix="nqk-", dir=_shared_memory())
    try:
        with Harness(Path(path), given.seed, given.only) as harness:
            tally = harness.run(given.cycles, progress=not given.json)
    finally:
        if not given.store:
            shutil.rmtree(path, ignore_errors=True)
    print(json.dumps(tally.as_dict()) if given.json else tally.summary())
    return 1 if tally.findings else 0


def _shared_memory() -> str | None:
    return _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
