"""The progress line: silent for two seconds, one line after, nothing left at the end."""

from __future__ import annotations

import io

import pytest

from nq_magics.progress import ProgressLine


class Clock:
    """Seconds that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_short_work_shows_nothing() -> None:
    """What ends within the delay never writes a character."""
    clock, stream = Clock(), io.StringIO()
    with ProgressLine("NQ 30min", 2.0, stream=stream, clock=clock) as progress:
        clock.now = 1.99
        progress(0.9)
    assert stream.getvalue() == ""


def test_long_work_updates_one_line_and_wipes_it() -> None:
    """The line is rewritten in place, not more often than five times a second, and then wiped."""
    clock, stream = Clock(), io.StringIO()
    with ProgressLine("NQ 30min", 2.0, stream=stream, clock=clock) as progress:
        for clock.now, fraction in ((2.0, 0.25), (2.1, 0.3), (12.0, 1.5)):
            progress(fraction)
    shown = stream.getvalue().split("\r")
    assert shown[1:3] == ["NQ 30min: 25%, 2 s", "NQ 30min: 100%, 12 s"]
    assert shown[3] == " " * len(shown[2])
    assert shown[4:] == [""]


def test_a_shorter_text_covers_a_longer_one() -> None:
    """A waiter that becomes the builder starts at zero again; no character of the old text stays."""
    clock, stream = Clock(), io.StringIO()
    progress = ProgressLine("x", 0.0, stream=stream, clock=clock)
    progress(1.0)
    clock.now = 1.0
    progress(0.0)
    assert stream.getvalue() == "\rx: 100%, 0 s\rx: 0%, 1 s  "


def test_an_interrupt_wipes_the_line() -> None:
    """KeyboardInterrupt travels on, and the line is gone."""
    clock, stream = Clock(), io.StringIO()
    progress = ProgressLine("x", 0.0, stream=stream, clock=clock)
    progress(0.5)
    with pytest.raises(KeyboardInterrupt), progress:
        raise KeyboardInterrupt
    assert stream.getvalue().endswith("\r")


def test_the_line_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a stream of its own the line goes where the cell's output goes."""
    progress = ProgressLine("x", 0.0)
    progress(0.5)
    progress.close()
    progress.close()
    assert capsys.readouterr().out.startswith("\rx: 50%")
