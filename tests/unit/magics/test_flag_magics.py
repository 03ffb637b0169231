"""The magics about flags, typed into a real shell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

import jupyter_nq as nq
from jupyter_nq.client import flags as client_flags
from jupyter_nq.testing import Child
from nq_magics.flag_display import FlagsView
from tests.unit.magics.conftest import Shell

_WATCHER = "import jupyter_nq as nq\nflag = nq.flag('halt')\nsay()\ninput()"


@pytest.fixture(autouse=True)
def closed(shell: Shell) -> Iterator[None]:
    """Close the flags of the shell's store at the end."""
    yield
    for flag in client_flags._open.values():
        flag.close()
    client_flags._open.clear()


def test_halt_sets_the_flag_and_says_who_has_seen_it(shell: Shell) -> None:
    """A line with who, when and why, and one with each process and its milliseconds."""
    with Child(_WATCHER) as child:
        child.line()
        said = shell.run("%nq_halt 'daily loss limit'")
        assert not said.failed
        how, heard = said.out.splitlines()
        assert re.fullmatch(rf"halt was set by .* \(pid {os.getpid()}\), \S+ \S+ UTC: daily loss limit", how)
        seen = re.findall(r"\(pid (\d+)\) in [\d.]+ (?:ms|us|s)\b", heard)
        assert sorted(map(int, seen)) == sorted([os.getpid(), child.pid])
    assert nq.flag("halt").is_set


def test_a_watcher_that_does_not_answer_is_told(shell: Shell) -> None:
    """One that is stopped lives and has not seen it."""
    with Child(_WATCHER) as child:
        child.line()
        os.kill(child.pid, 19)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        last = shell.run("%nq_halt limit").out.splitlines()[-1]
        assert re.fullmatch(rf"NOT seen within 1\S* s by .* \(pid {child.pid}\)", last)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("it's over", "it's over"),
        ("-5% on the day", "-5% on the day"),
        ('spread is 3" wide', 'spread is 3" wide'),
        ("--flag other don't send", "don't send"),
        ("don't send --flag=other", "don't send"),
    ],
)
def test_a_halt_does_not_fail_because_of_how_its_reason_is_written(shell: Shell, line: str, why: str) -> None:
    """What is no line of options is the reason as it was typed: an apostrophe must not leave orders running."""
    said = shell.run(f"%nq_halt {line}")
    assert not said.err
    state = nq.flag("other" if "--flag" in line else "halt").state
    assert (state.is_set, state.why) == (True, why)


@pytest.mark.parametrize("line", ["--flg other don't send", "don't send --flag", "it's --stop"])
def test_a_halt_with_an_option_that_is_none_is_refused_and_sets_nothing(shell: Shell, line: str) -> None:
    """A misspelt option is not taken for a reason, which would halt others than were meant."""
    assert "UsageError" in shell.run(f"%nq_halt {line}").err
    assert not nq.flag("halt").is_set


def test_a_clear_takes_its_reason_as_it_is_typed(shell: Shell) -> None:
    """The reason of a clear has apostrophes, too."""
    shell.run("%nq_halt limit")
    assert shell.run("%nq_halt --clear it's fine").out.endswith(": it's fine\n")
    assert not nq.flag("halt").is_set


def test_halt_without_a_reason_shows_how_it_is(shell: Shell) -> None:
    """And changes nothing; words without quotes are a reason."""
    assert shell.run("%nq_halt").out == "halt is clear, and was never set\n"
    shell.run("%nq_halt spread too wide")
    assert shell.run("%nq_halt").out.endswith(": spread too wide\n")
    assert shell.run("%nq_halt --flag other").out == "other is clear, and was never set\n"


def test_clear_needs_a_reason_and_what_was_seen(shell: Shell) -> None:
    """A setting that came since is shown, and stays; the next attempt clears it."""
    shell.run("%nq_halt limit")
    refused = shell.run("%nq_halt --clear")
    assert "Say why it is cleared: %nq_halt --clear 'reason'. halt was set by" in refused.err
    with Child("import jupyter_nq as nq\nnq.flag('halt').set('feed is dead')\nsay()") as child:
        child.line()
    refused = shell.run("%nq_halt --clear 'limits reset'")
    assert refused.failed
    assert "feed is dead. That was not seen before: look at it, and clear it again." in refused.err
    assert nq.flag("halt").is_set
    assert shell.run("%nq_halt --clear 'limits reset'").out.endswith(": limits reset\n")
    assert not nq.flag("halt").is_set


def test_an_order_cell_that_is_halted_fails(shell: Shell) -> None:
    """With who, when and why, before its second line."""
    shell.run("%nq_halt limit")
    ran = shell.run("import jupyter_nq as nq\nnq.flag('halt').check()\nsent = True")
    assert ran.failed
    assert "Halted" in ran.err + ran.out
    assert "sent" not in shell.ip.user_ns


def test_flags_are_listed(shell: Shell) -> None:
    """As text and as HTML, with what they are and whose heartbeat they wait for; the rows are states."""
    assert repr(shell.run("%nq_flags").value) == "There is no flag yet. %nq_halt or nq.flag makes one."
    shell.run("%nq_halt <limit>")
    nq.flag("engine", deadman=30.0)
    view = shell.run("%nq_flags").value
    assert isinstance(view, FlagsView)
    assert [(row.name, row.is_set) for row in view] == [("engine", False), ("halt", True)]
    heading, engine, halt = repr(view).splitlines()
    assert heading.split()[:3] == ["name", "state", "since"]
    assert re.search(rf"engine +clear .*\(pid {os.getpid()}\), 30 s", engine)
    assert re.search(r"halt +SET +now +.* <limit>", halt)
    assert "&lt;limit&gt;" in view._repr_html_()
    nq.flag("engine").release()


def test_what_cannot_be_read_is_listed_as_set(shell: Shell) -> None:
    """With the reason."""
    nq.flag("halt")
    (shell.store / "flags" / "halt").unlink()
    (shell.store / "flags" / "halt").write_bytes(b"")
    assert re.search(r"halt +SET \(unreadable\) .*its file has 0 bytes", repr(shell.run("%nq_flags").value))
    assert "halt counts as set: " in shell.run("%nq_halt").out
