"""Lanes: who has one, and the order in which they come into use."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import pytest

from jupyter_nq.errors import StreamBusy
from jupyter_nq.streams.lanes import Claim, lock_path
from tests.unit.streams.conftest import Make


def test_first_free_lane_is_taken(make: Make) -> None:
    """A lane that was given back is the next publisher's; closing twice gives no other's back."""
    control = make()._control
    first, second = Claim(control, 1), Claim(control, 2)
    first.close()
    third = Claim(control, 3)
    first.close()
    assert [claim.lane.number for claim in (second, third, Claim(control, 4))] == [1, 0, 2]
    assert [lane.number for lane in control.lanes()] == [0, 1, 2]


def test_who_was_stopped_while_it_looked_holds_nobody_up(make: Make) -> None:
    """After a moment the next lane is taken."""
    control = make()._control
    Claim(control, 1).close()
    fd = os.open(lock_path(control.path, 0), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    with contextlib.closing(Claim(control, 2)) as claim:
        assert claim.lane.number == 1
    os.close(fd)


def test_all_lanes_taken(make: Make) -> None:
    """One publisher more than there are lanes is refused with their number."""
    control = make()._control
    claims = [Claim(control, 0) for _ in range(64)]
    with pytest.raises(StreamBusy, match="All 64 lanes of the stream 's' are taken"):
        Claim(control, 0)
    for claim in claims:
        claim.close()
    assert not (control.path / "claim.lock").exists()


def test_look_at_a_lane_keeps_no_publisher_out(make: Make, nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever publishes first to an exclusive stream just while somebody looks gets its lane all the same."""
    stream = make("x", exclusive=True)
    lock = os.open(nq_store_dir / "x" / "0.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)

    class Look:
        def wait(self, _seconds: float) -> None:
            fcntl.flock(lock, fcntl.LOCK_UN)

    monkeypatch.setattr("jupyter_nq.streams.lanes.threading.Event", Look)
    assert stream.publish("x") == 0
    os.close(lock)
