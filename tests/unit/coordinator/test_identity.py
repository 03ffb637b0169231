"""Who is at the other end: pids, ancestors, program names."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyter_nq.coordinator.identity import (
    _name_of,
    ancestors,
    clean_program,
    peer_credentials,
    program,
    started_ns,
)


def test_the_kernel_names_the_peer() -> None:
    """Both ends of a pair are this process."""
    one, other = socket.socketpair()
    with one, other:
        assert peer_credentials(one) == (os.getpid(), os.getuid(), os.getgid())


def test_the_ancestors_begin_with_the_parent_and_end_before_the_first_process() -> None:
    """The chain of this process holds its parent, and never process 1."""
    found = ancestors(os.getpid())
    assert found[:1] == ((os.getppid(),) if os.getppid() > 1 else ())
    assert 1 not in found


def test_a_process_began_when_it_was_started() -> None:
    """To the tick of the system's clock, and by the wall clock that stamps objects."""
    before = time.time_ns()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert before - 20_000_000 <= started_ns(child.pid) <= time.time_ns()
        assert started_ns(os.getpid()) < before
    finally:
        child.communicate()
    assert started_ns(child.pid) == 0


def test_a_process_that_is_gone_has_no_ancestors_and_is_named_by_its_pid() -> None:
    """A pid that ended between two looks is no error."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert ancestors(child.pid) == ()
    assert program(child.pid) == f"pid {child.pid}"


def test_a_command_name_with_parentheses_does_not_confuse(tmp_path: Path) -> None:
    """The parent is read behind the last parenthesis of the stat line."""
    command = tmp_path / "a) R 1 (b"
    command.symlink_to("/bin/cat")
    child = subprocess.Popen([command], stdin=subprocess.PIPE)
    try:
        assert ancestors(child.pid)[0] == os.getpid()
    finally:
        child.communicate()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/bin/python3.11", "/home/x/feed.py", "--fast"], "feed.py"),
        (["python", "-X", "utf8", "-u", "bot.py"], "bot.py"),
        (["python", "-m", "ipykernel_launcher", "-f", "k.json"], "ipykernel_launcher"),
        (["python3", "-c", "pass"], "python3 -c"),
        (["python3"], "python3"),
        (["/usr/bin/jupyter-lab", "--no-browser"], "jupyter-lab"),
        ([], ""),
    ],
)
def test_a_program_is_named_by_script_module_or_command(words: list[str], name: str) -> None:
    """The name is what its user would call it."""
    assert _name_of(words) == name


def test_a_program_name_is_short_and_printable() -> None:
    """Names are shown to others: control characters and great lengths are cut."""
    assert clean_program("a\x1b[31m\nb" + "c" * 100) == ("a[31mb" + "c" * 100)[:64]


def test_this_process_has_a_program_name() -> None:
    """The test runner is named by /proc."""
    assert program(os.getpid())
