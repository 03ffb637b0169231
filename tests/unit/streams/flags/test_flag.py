"""A flag is set for all at once, stays set, and is cleared only as it was seen."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Event, Thread

import pytest

from jupyter_nq.errors import FlagChanged, Halted, InvalidName
from jupyter_nq.streams.flags import Flag, Places, State
from jupyter_nq.testing import wait_until
from tests.unit.streams.flags.conftest import Opened, me, reboot


def test_a_new_flag_is_clear(opened: Opened) -> None:
    """It reads so in each form, and says that it was never set."""
    flag = opened()
    assert (flag.is_set, bool(flag), flag.state.generation, flag.history) == (False, False, 0, [])
    flag.check()
    assert repr(flag) == "<Flag halt is clear, and was never set>"


def test_a_new_flag_with_nearly_the_name_of_another_is_told(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt kill switch would be clear for ever; one that is there, or like none, is opened without a word."""
    opened("halt")
    opened("margin")
    opened("halt")
    assert caplog.messages == []
    assert not opened("hal").is_set
    assert caplog.messages == ["the flag 'hal' is new, and clear. Did you mean 'halt'?"]


def test_setting_is_seen_by_all_with_who_when_and_why(opened: Opened) -> None:
    """Another handle sees it at its next read, and its check says all of it."""
    one, other = opened(), opened()
    assert not other.is_set
    state = one.set("daily  loss\nlimit")
    assert other.is_set
    assert other.state == state
    assert (state.who, state.why, state.generation, state.durable) == (me(), "daily loss limit", 1, True)
    assert state.at is not None
    assert abs((datetime.now(UTC) - state.at).total_seconds()) < 60
    with pytest.raises(
        Halted, match=rf"halt was set by test \(pid \d+\), {state.at:%Y-%m-%d} .* UTC: daily loss limit"
    ):
        other.check()


def test_clearing_is_seen_by_all(opened: Opened) -> None:
    """Who has read it set a thousand times reads it clear, and set again."""
    one, other = opened(), opened()
    one.set("first")
    assert all(other.is_set for _ in range(1000))
    one.clear("over")
    assert not any(other.is_set for _ in range(1000))
    one.set("second")
    assert other.is_set


def test_what_was_not_seen_is_not_cleared(opened: Opened) -> None:
    """A setting that came since is shown by the error, and cleared by the next attempt."""
    one, other = opened(), opened()
    one.set("first")
    assert other.state.why == "first"
    one.set("second")
    with pytest.raises(FlagChanged, match=r"second\. That was not seen before"):
        other.clear("over")
    assert one.is_set
    assert other.clear("over").generation == 3
    assert not one.is_set


def test_what_was_there_at_the_opening_is_seen(opened: Opened) -> None:
    """A notebook that opens a flag that is set may clear it."""
    opened().set("first")
    assert opened().clear("over").why == "over"


def test_clearing_what_is_clear_changes_nothing(opened: Opened) -> None:
    """It is no change, and no error."""
    flag = opened()
    assert flag.clear("nothing").generation == 0
    flag.set("first")
    flag.clear("over")
    assert flag.clear("again").why == "over"


def test_history_has_the_newest_first(opened: Opened) -> None:
    """Each change with its generation, at most thirty-two of them."""
    flag = opened()
    for number in range(20):
        flag.set(f"reason {number}")
        flag.clear(f"over {number}")
    assert [state.generation for state in flag.history] == list(range(40, 8, -1))
    assert (flag.history[0].why, flag.history[1].why) == ("over 19", "reason 19")


@pytest.mark.parametrize("is_set", [True, False])
def test_it_outlives_a_restart_of_the_machine(opened: Opened, places: Places, is_set: bool) -> None:
    """What was said last is there again, with who and why."""
    flag = opened()
    flag.set("limit")
    if not is_set:
        flag.clear("over")
    before = flag.state
    flag.close()
    reboot(places)
    after = opened().state
    assert (after.is_set, after.generation, after.who, after.why, after.at) == (
        is_set,
        before.generation,
        before.who,
        before.why,
        before.at,
    )


def test_long_reasons_are_shortened(opened: Opened) -> None:
    """A reason never keeps a flag from being set, and one that is empty is told."""
    flag = opened()
    assert flag.set("x" * 100_000).is_set
    assert flag.state.why == "x" * 597 + "…"
    assert opened().state.why == flag.state.why
    assert flag.set("  ").why == "no reason given"
    for odd in ("ж" * 5000, "😀" * 5000, "\x00" * 5000, "half \ud800"):
        flag.own(30.0)
        assert flag.set(odd).is_set
        assert flag.state.why[:5] in (odd[:5], "half ")
        assert len(flag.state.why) > 50 or "?" in flag.state.why
    assert flag.history[0].why == flag.state.why
    flag.release()


def test_names_are_checked(places: Places) -> None:
    """No name leads out of the directory."""
    with pytest.raises(InvalidName):
        Flag(places, "../halt", me)


def test_wait_ends_when_it_is_set(opened: Opened) -> None:
    """By a futex, far before the time is over; and after the time when it is not."""
    one, other = opened(), opened()
    assert not other.wait(0.01)
    woken, waiting = Event(), Event()

    def waits() -> None:
        waiting.set()
        if other.wait(60.0):
            woken.set()

    thread = Thread(target=waits)
    thread.start()
    waiting.wait(10.0)
    one.set("limit")
    assert woken.wait(10.0)
    thread.join()
    assert other.wait(0.0)


def test_watch_calls_back_for_each_change(opened: Opened) -> None:
    """Now if it is set, and then at each change; an error ends nothing, and a stopped one is not called."""
    flag, seen = opened(), list[State]()

    def fails(state: State) -> None:
        raise ValueError(state.name)

    flag.set("before")
    watch, failing = flag.watch(seen.append), flag.watch(fails)
    wait_until(lambda: [state.why for state in seen] == ["before"])
    flag.clear("over")
    wait_until(lambda: [state.is_set for state in seen] == [True, False])
    wait_until(lambda: failing.errors == 2)
    assert repr(watch) == "<Watch running, 2 calls, 0 errors>"
    watch.stop()
    flag.set("after")
    wait_until(lambda: failing.calls == 3)
    assert watch.calls == 2


def test_a_closed_flag_counts_as_set(opened: Opened) -> None:
    """Closing twice is fine, and whoever still reads it does not trade."""
    with opened() as flag:
        assert not flag.is_set
    flag.close()
    assert flag.is_set
    assert flag.state.unreadable == "it was closed here"
    assert not opened().is_set


def test_a_clock_that_is_set_changes_nothing(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour back or forth: heartbeats and reads go by another clock."""
    flag, other = opened(), opened()
    flag.own(0.5)
    real = time.time_ns
    for hours in (-1, 1):
        monkeypatch.setattr(time, "time_ns", lambda hours=hours: real() + hours * 3_600_000_000_000)
        beaten = flag._owning._beat_at
        wait_until(lambda beaten=beaten: flag._owning._beat_at > beaten)  # type: ignore[misc]
        assert not other.is_set
    flag.release()
