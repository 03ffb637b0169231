"""The clocks: the machine's, and that of a replay, which is read from a stream."""

from __future__ import annotations

from jupyter_nq.client.live.clocks import CLOCK_SCHEMA, ReplayClock, SystemClock
from jupyter_nq.client.session import Session


def test_the_system_clock_tells_how_long_to_wait() -> None:
    """Nothing for what is over."""
    now = [5_000_000_000]
    clock = SystemClock(lambda: now[0])
    assert (clock.begin_ns, clock.now_ns(), clock.bells()) == (None, 5_000_000_000, [])
    assert clock.seconds_until(6_500_000_000) == 1.5
    now[0] = 7_000_000_000
    assert clock.seconds_until(6_500_000_000) == 0.0


def test_what_no_row_lies_behind_does_not_go_back_with_the_clock() -> None:
    """An hour back changes nothing; an hour on does."""
    hour = 3_600_000_000_000
    now = [5 * hour]
    clock = SystemClock(lambda: now[0])
    now[0] = 4 * hour
    assert 5 * hour <= clock.latest_ns() < 5 * hour + hour // 60
    now[0] = 7 * hour
    assert 7 * hour <= clock.latest_ns() < 7 * hour + hour // 60


def test_a_replay_s_clock_says_what_was_published_last(session: Session) -> None:
    """It never goes back, knows where the replay began, and rings."""
    stream = session.stream("replay.a.clock", CLOCK_SCHEMA)
    stream.publish_rows([(10, 10, 90), (20, 10, 90)])
    clock = ReplayClock(stream)
    assert (clock.begin_ns, clock.now_ns(), clock.end_ns) == (10, 20, 90)
    (bell,) = clock.bells()
    seen = bell.seen()
    stream.publish_rows([(30, 10, 90)])
    assert bell.changed(seen)
    assert clock.now_ns() == clock.now_ns() == 30
    stream.publish_rows([(25, 10, 90)])
    assert clock.now_ns() == 30
    assert (clock.seconds_until(1 << 62), clock.latest_ns()) == (float("inf"), 90)
    clock.close()
    clock.close()
