"""A file that is appended to, edited, cut and touched, and a dataset that always becomes what the file is."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings

FILE = "NQ - 30 min - ETH.csv"
ROWS, FIRST = 3_000, 2_500
WANTED = ["sma(20)", "rsi(14)", "vwap", "gap", "lag(close, 3)"]


class Refreshing(RuleBasedStateMachine):
    """Two sessions over one store; what a refresh tells is checked against the tables before and after."""

    def __init__(self) -> None:
        super().__init__()
        self.where = Path(tempfile.mkdtemp(prefix="nqm-"))
        self.store = Path(tempfile.mkdtemp(prefix="nqt-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        write_sample(self.where, rows=ROWS, seed=11, layouts=["30min"])
        self.path = self.where / FILE
        self.lines = self.path.read_bytes().splitlines(keepends=True)
        self.rows = FIRST
        self.fresh = False
        options: dict[str, Any] = {"store_dir": str(self.store), "data_dir": str(self.where), "cache_bytes": 0}
        self.sessions = [Session(settings=Settings(**options)) for _ in range(2)]
        self.held: list[tuple[Any, pa.Table]] = []

    def teardown(self) -> None:
        for session in reversed(self.sessions):
            session.close()
        shutil.rmtree(self.where)
        shutil.rmtree(self.store)

    def write(self) -> None:
        self.path.write_bytes(b"".join(self.lines[: self.rows + 1]))
        self.fresh = False

    @initialize()
    def load(self) -> None:
        self.write()
        self.sessions[0].load("NQ", "30min")
        self.fresh = True

    @rule(count=st.integers(1, 60))
    def append(self, count: int) -> None:
        self.rows = min(self.rows + count, ROWS)
        self.write()

    @rule(count=st.integers(1, 30))
    def cut(self, count: int) -> None:
        self.rows = max(self.rows - count, FIRST - 100)
        self.write()

    @rule(share=st.floats(0, 1), volume=st.integers(1, 10**6))
    def edit(self, share: float, volume: int) -> None:
        row = 1 + int(share * (self.rows - 1))
        cells = self.lines[row].split(b",")
        self.lines[row] = b",".join([*cells[:-1], f"{volume}\n".encode()])
        self.write()

    @rule(who=st.integers(0, 1))
    def hold(self, who: int) -> None:
        handle = self.sessions[who].open("NQ.30min")
        self.held = [*self.held[-2:], (handle, pa.table(handle.arrow().to_pydict()))]

    @precondition(lambda self: not self.fresh)
    @rule(who=st.integers(0, 1), by_load=st.booleans())
    def refresh(self, who: int, by_load: bool) -> None:
        session = self.sessions[who]
        old = session.open("NQ.30min")
        if by_load:
            session.load("NQ", "30min")
        else:
            told = session.refresh("NQ.30min")
            assert old.rows + told.added - told.removed == session.open("NQ.30min").rows
            assert (told.after > told.before) == bool(told.added or told.changed or told.removed)
        self.fresh = True
        with session.map("NQ", "30min", features=WANTED).handle as featured:
            bars = session.open("NQ.30min").arrow()
            whole = Features(WANTED, calendar=EQUITY, minutes=30).compute(bars)
            for name, column in featured.numpy().items():
                assert column.tobytes() == whole[name].to_numpy().tobytes(), name

    @invariant()
    def the_dataset_is_the_file(self) -> None:
        for session in self.sessions if self.fresh else []:
            table = session.open("NQ.30min").arrow()
            assert table.equals(load_bars(self.path, timeframe="30min", symbol="NQ").table)
            assert session.map("NQ", "30min").how == "mapped"

    @invariant()
    def what_is_held_stays(self) -> None:
        for handle, kept in self.held:
            assert pa.table(handle.arrow().to_pydict()) == kept


Refreshing.TestCase.settings = settings(max_examples=10, stateful_step_count=12, deadline=None)
TestRefreshing = Refreshing.TestCase
