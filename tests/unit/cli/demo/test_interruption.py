"""Signals end the demo in order."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from jupyter_nq.cli.demo.interruption import interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_one_exception(number: signal.Signals) -> None:
    """Ctrl-C, a polite kill and a closed terminal raise the same exception, until they are ignored."""
    before = signal.getsignal(number)
    with interruptible() as signals:
        with pytest.raises(KeyboardInterrupt, match=number.name):
            signal.raise_signal(number)
        signals.ignore()
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_coroutine_is_cancelled() -> None:
    """A signal reaches a coroutine as a cancellation, and the caller as the same exception."""
    seen = []

    async def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(30)
        finally:
            seen.append("cleaned up")

    with interruptible() as signals, pytest.raises(KeyboardInterrupt):
        signals.run(work())
    assert seen == ["cleaned up"]


@pytest.mark.parametrize("moment", ["_lazy_init", "close"])
def test_a_signal_around_a_coroutine(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal while the event loop is set up or torn down is kept until that is done."""
    whole = getattr(asyncio.Runner, moment)

    def interrupted(runner: asyncio.Runner) -> None:
        if not sent:
            sent.append(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        whole(runner)

    async def work() -> None:
        await asyncio.sleep(0)

    sent: list[int] = []
    monkeypatch.setattr(asyncio.Runner, moment, interrupted)
    with interruptible() as signals, pytest.raises(KeyboardInterrupt):
        signals.run(work())
    assert sent


def test_a_coroutine_that_ends() -> None:
    """Without a signal its result is returned."""

    async def work() -> int:
        return 5

    with interruptible() as signals:
        assert signals.run(work()) == 5


def test_outside_the_main_thread() -> None:
    """Another thread receives no signals, and asks for none."""
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
