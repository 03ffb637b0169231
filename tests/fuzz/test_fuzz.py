"""50,000 damaged files: no crash, no hang, no table but the right one."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.fuzz import driver, reference
from tests.fuzz.driver import run
from tests.fuzz.inputs import make

SEED = 20_240_708


@pytest.mark.timeout(1200)
def test_readers_agree_with_the_slow_one() -> None:
    """Each of 50,000 inputs is refused by both, or gives the same table bit for bit, in one of the ways to read."""
    found = run(50_000, SEED)
    assert not found, f"run `python -m tests.fuzz --seed {SEED} --only NUMBER` for each of {found[:5]}"


def test_inputs_are_made_again_by_their_seed() -> None:
    """The same seed and number give the same file, another number another."""
    assert make(1, 2) == make(1, 2)
    assert make(1, 2) != make(1, 3)


def test_enough_inputs_are_sound() -> None:
    """A fifth of the inputs and more are sound tables, so that values are compared and not only refusals."""
    sound = 0
    for number in range(400):
        given = make(SEED, number)
        with suppress(reference.Refused):
            sound += bool(reference.read(given.data, given.profile))
    assert sound > 80


def test_a_child_that_dies_or_hangs_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash and a hang are told with the input, and the inputs behind it are checked by another child."""
    program = {
        "dies": "import os, sys; print(3, flush=True); os.kill(os.getpid(), 9)",
        "hangs": "import threading; print(3, flush=True); threading.Event().wait()",
    }
    monkeypatch.setattr(driver, "LIMIT_SECONDS", 0.2)
    popen = driver.subprocess.Popen
    for what, says in (("dies", "ended with -9"), ("hangs", "no answer after")):
        with monkeypatch.context() as patched:
            command = [driver.sys.executable, "-c", program[what]]
            patched.setattr(driver.subprocess, "Popen", lambda _, command=command, **given: popen(command, **given))
            [failure] = run(4, 0, lanes=1)
        assert failure.number == 3
        assert says in failure.what
