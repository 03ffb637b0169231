"""Arguments: help, errors of one line, and where --store may stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_nq import __version__
from jupyter_nq.cli import _HOMES
from jupyter_nq.cli.parser import build_parser

COMMANDS = ["demo", "sample", "status", "ls", "doctor", "warmup", "clean", "rotate", "kafka"]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`jupyter nq --help` names every command with a sentence."""
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args(["--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    assert all(f"\n    {name} " in said for name in COMMANDS)
    assert sorted(_HOMES) == sorted(COMMANDS)


def test_the_readme_lists_every_command() -> None:
    """The README's table of commands has a row for each command, and no other."""
    readme = Path(__file__).parents[3] / "README.md"
    rows = re.findall(r"^\| `jupyter nq (\w+)", readme.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command has a help of its own that explains every option."""
    with pytest.raises(SystemExit):
        build_parser().parse_args([command, "--help"])
    said = capsys.readouterr().out
    assert said.startswith(f"usage: jupyter nq {command}")
    assert "SUPPRESS" not in said


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the package's version."""
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--version"])
    assert capsys.readouterr().out == f"jupyter-nq {__version__}\n"


@pytest.mark.parametrize("line", [["--store", "/s", "ls"], ["ls", "--store", "/s"]])
def test_store_before_and_after_the_command(line: list[str]) -> None:
    """`--store` means the same on both sides of the command."""
    assert build_parser().parse_args(line).store == "/s"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ([], "COMMAND"),
        (["list"], "invalid choice: 'list'"),
        (["demo", "--rows", "0"], "'0' is not a whole number of at least 1"),
        (["demo", "--rows", "many"], "'many' is not a whole number"),
        (["demo", "--rows", "91"], "'91' is too few; the notebooks need 92 bars"),
        (["sample"], "DIR"),
        (["ls", "--bogus"], "no argument '--bogus' here. jupyter nq ls --help shows"),
        (["ls", "more"], "no argument 'more' here. jupyter nq ls --help shows"),
        (["--bogus", "ls"], "jupyter nq --help shows"),
    ],
)
def test_errors_are_one_line(line: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong line ends with 2 and one sentence on standard error."""
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args(line)
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("jupyter nq: ")
    assert said.count("\n") == 1
    assert part in said


@pytest.mark.parametrize("command", ["status", "ls", "clean", "rotate"])
def test_light_commands_load_no_server(command: str) -> None:
    """The commands that only look at the store import neither tornado nor jupyter_server."""
    code = (
        f"import sys; from jupyter_nq.cli import main; main([{command!r}, '--store', '/nowhere/at/all']);"
        "print([m for m in ('tornado', 'jupyter_server', 'IPython', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
