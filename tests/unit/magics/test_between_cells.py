"""Notices and moves between the cells of a real shell, with another process that publishes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import jupyter_nq as nq
from jupyter_nq import testing
from tests.unit.client.child import session_child
from tests.unit.magics.conftest import Shell

_PYTHON = Path(sys.executable).name


@pytest.fixture
def other(shell: Shell) -> Iterator[testing.Child]:
    """Another process, over the shell's store."""
    nq.put("signals", {"x": np.arange(5.0)})
    with session_child(shell.store, "while True:\n    exec(input())\n    say('done')\n") as child:
        yield child


def _does(other: testing.Child, code: str) -> None:
    other.tell(code)
    assert other.line() == "done"


def test_a_superseded_version_is_told_once(shell: Shell, other: testing.Child) -> None:
    """Below the next cell: what, which versions, who, and what to do."""
    shell.run("%nq_get signals as s")
    assert shell.run("1 + 1").out.strip() == "Out[2]: 2"
    _does(other, "session.put('signals', {'x': np.ones(300)})")
    assert shell.run("x = 1").out.splitlines() == [
        f"signals v2 is there, published by {_PYTHON} -c; this notebook works on v1 (s). "
        "%nq_get signals as s moves it on."
    ]
    assert shell.run("x = 2").out == ""
    _does(other, "session.append('signals', {'x': np.ones(3)})")
    assert shell.run("x = 3").out == "", "that v1 is behind was said"
    assert [str(one) for one in shell.run("nq = __import__('jupyter_nq'); nq.stale()").value] == [  # type: ignore[attr-defined]
        "signals v1: replaced, the newest is v3 with 303 rows"
    ]
    assert "signals v3: 303 rows" in shell.run("%nq_get signals as s").out
    _does(other, "session.append('signals', {'x': np.ones(4)})")
    assert "signals v4 is there with 4 more rows; this notebook works on v3 (s)" in shell.run("x = 4").out
    _does(other, "session.drop('signals')")
    assert shell.run("x = 5").out == "signals was dropped; this notebook works on v3 (s), which stays readable here.\n"


def test_a_variable_follows(shell: Shell, other: testing.Child) -> None:
    """It moves before the next cell, never during one, and there is no notice of what is followed."""
    shell.run("import jupyter_nq as nq")
    assert "s follows signals, now v1" in str(shell.run("nq.follow('signals', as_='s')").value)
    shell.ip.user_ns["publish"] = lambda: _does(other, "session.append('signals', {'x': np.ones(2)})")
    during = "before = len(s); publish(); get_ipython().run_cell('inner = len(s)'); after = len(s)"
    assert shell.run(during).out == ""
    names = shell.ip.user_ns
    assert (names["before"], names["inner"], names["after"]) == (5, 5, 5)
    ran = shell.run("len(s)")
    assert ran.value == 7
    assert ran.out.startswith("s: signals v1 -> v2\n")
    shell.run("s = 'mine'")
    _does(other, "session.append('signals', {'x': np.ones(2)})")
    assert shell.run("x = 1").out == "s is something else now: it does not follow signals any more\n"
    assert shell.run("s").value == "mine"


def test_loaded_bars_follow(shell: Shell, other: testing.Child) -> None:
    """In the form and with the columns and rows of the line."""
    out = shell.run("%nq_load NQ 30min as bars --columns timestamp,close --follow").out
    assert "bars follows NQ.30min, now v1" in out
    before = shell.ip.user_ns["bars"]
    _does(other, "t = session.open('NQ.30min').arrow(); session.drop('NQ.30min'); session.put('NQ.30min', t)")
    assert "NQ.30min v1 -> v2" in shell.run("x = 1").out
    after = shell.ip.user_ns["bars"]
    assert after is not before
    assert list(after.columns) == ["timestamp", "close"]
    for line in ("%nq_load NQ 30min --follow", "%nq_load NQ,ES 30min as b --follow"):
        assert "--follow moves one variable that shows one series" in shell.run(line).err


def test_unloading_ends_it(shell: Shell, other: testing.Child) -> None:
    """No notice, no move, and `follow` says what to do."""
    shell.run("import jupyter_nq as nq\nnq.follow('signals', as_='s')")
    shell.ip.run_line_magic("unload_ext", "jupyter_nq")
    _does(other, "session.put('signals', np.ones(3))")
    assert shell.run("len(s)").out.strip() == "Out[2]: 5"
    ran = shell.run("nq.follow('signals', as_='s')")
    assert "Only the variables of a notebook follow datasets" in ran.out
    shell.ip.run_line_magic("load_ext", "jupyter_nq")
