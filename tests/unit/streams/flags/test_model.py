"""A flag against a model: whatever happens, it never reads clear when the model says that it is set."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from jupyter_nq.errors import FlagChanged
from jupyter_nq.streams.flags import Flag, Places
from jupyter_nq.streams.flags.changing import Changes
from jupyter_nq.streams.flags.durable import Copy
from jupyter_nq.streams.flags.page import KEY, PAGE_BYTES, Page
from jupyter_nq.streams.flags.record import Record, fresh_key
from tests.unit.streams.flags.conftest import me, reboot

_WHO = st.integers(0, 2)
_EXAMPLES = int(os.environ.get("NQ_FLAG_EXAMPLES", "15"))


class _Died(BaseException):
    """Ends a change where a process would have died."""


class _DiesBeforeTheDisk(Changes):
    def _keep(self, page: Page, record: Record) -> str | None:
        raise _Died


class _DiesAfterTheDisk(Changes):
    def _write_copy(self, record: Record, copy: Copy | None) -> None:
        super()._write_copy(record, copy)
        raise _Died


class FlagModel(RuleBasedStateMachine):
    """Three notebooks that set and clear, die over it, lose memory, or find memory and disk damaged.

    The model has two truths, what memory says and what the disk says: set, clear, or None where damage may be read as
    set and need not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="nqt-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
        self.places = Places(self.root / "flags", self.root / "disk")
        self.memory: bool | None = False
        self.disk: bool | None = False
        self.is_damaged = False  # memory, which then may or may not reach the disk when somebody opens it
        self.flags: list[Flag] = []

    def teardown(self) -> None:
        """Close all flags and remove what they left."""
        for flag in self.flags:
            flag.close()
        shutil.rmtree(self.root)

    def _agree(self) -> None:
        """Do what every opening does: what one of the two has set, both have."""
        if self.memory is False and self.disk is not False:
            self.memory = self.disk
        if self.memory:
            self.disk = True if not self.is_damaged else self.disk or None

    @initialize()
    def begin(self) -> None:
        """Open it three times."""
        self.flags = [Flag(self.places, "halt", me) for _ in range(3)]

    @rule(who=_WHO)
    def reopen(self, who: int) -> None:
        """A notebook starts anew."""
        self.flags[who].close()
        self._agree()
        self.flags[who] = Flag(self.places, "halt", me)

    @rule(who=_WHO)
    def set(self, who: int) -> None:
        """When it returns, memory and disk have it."""
        assert self.flags[who].set("limit").durable
        self.memory = self.disk = True

    @rule(who=_WHO)
    def clear(self, who: int) -> None:
        """What was seen is cleared; else it stays set."""
        try:
            self.flags[who].clear("over")
        except FlagChanged:
            assert self.memory is not False
            assert self.flags[who].is_set
        else:
            self.memory = self.disk = False

    @rule(who=_WHO)
    def look(self, who: int) -> None:
        """To look is to have seen."""
        _ = self.flags[who].state

    @rule(who=_WHO)
    def die_before_the_reason(self, who: int) -> None:
        """The key is there, and nothing else."""
        page = self.flags[who]._reader.touchable()
        assert page is not None
        page.words[KEY] = fresh_key()
        self.memory = True

    @rule(who=_WHO)
    def die_before_the_disk(self, who: int) -> None:
        """Memory has all of it."""
        page = self.flags[who]._reader.touchable()
        assert page is not None
        with pytest.raises(_Died):
            _DiesBeforeTheDisk(self.places, "halt", me).set(page, "limit")
        self.memory = True

    @rule(who=_WHO)
    def die_in_a_clear(self, who: int) -> None:
        """The disk has it cleared, memory has it set."""
        page = self.flags[who]._reader.touchable()
        if page is not None and self.memory:
            with pytest.raises(_Died):
                _DiesAfterTheDisk(self.places, "halt", me).clear(page, page.words[KEY], "over")
            self.disk = False

    @rule()
    def restart(self) -> None:
        """The machine restarts: what the disk says is so, and what it cannot say counts as set."""
        for flag in self.flags:
            flag.close()
        reboot(self.places)
        self.memory, self.is_damaged = self.disk, False
        self._agree()
        self.begin()

    @rule()
    def remove(self) -> None:
        """Who has it open counts it as set; who opens it again has what the disk says."""
        self.places.page("halt").unlink()
        assert all(flag.state.is_set for flag in self.flags)
        self.restart()

    @rule(offset=st.integers(0, PAGE_BYTES - 1), length=st.integers(1, 64))
    def damage_memory(self, offset: int, length: int) -> None:
        """What was clear may count as set; what was set never reads as clear."""
        page = Page(self.places.page("halt"))
        stop = min(offset + length, PAGE_BYTES)
        page._raw[offset:stop] = bytes(byte ^ 0x55 for byte in page._raw[offset:stop])
        self.memory, self.is_damaged = self.memory or None, True

    @rule()
    def damage_disk(self) -> None:
        """It counts as set when it is needed, after a restart."""
        path = self.places.copy("halt")
        if path.exists():
            path.write_bytes(path.read_bytes()[:-2])
            self.disk = self.disk or None

    @invariant()
    def never_clear_when_set(self) -> None:
        """Each notebook reads set what is set, and clear what is clear."""
        if self.memory is not None:
            assert [(flag.is_set, flag.state.is_set) for flag in self.flags] == [(self.memory,) * 2] * len(self.flags)


def test_flags_against_the_model() -> None:
    """Fifteen sequences of thirty steps; NQ_FLAG_EXAMPLES asks for more."""
    limits = settings(
        max_examples=_EXAMPLES,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(FlagModel, settings=limits)  # type: ignore[no-untyped-call]
