"""What the README names exists, and what exists is in the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import jupyter_nq as nq
from jupyter_nq.cli.parser import build_parser
from jupyter_nq.config import setting_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _rows(section: str) -> list[str]:
    """Return the first cell of each row of the table in a section, without its backquotes."""
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [row.split("|")[1].strip() for row in text.splitlines() if row.startswith("| `")]


def test_settings() -> None:
    """The table of settings has each trait once, in the order of their declaration."""
    assert [row.strip("`") for row in _rows("Settings")] == list(setting_names())


def test_commands() -> None:
    """The table of commands has each command of the parser."""
    named = [re.match(r"`jupyter nq (\w+)", row) for row in _rows("Command line")]
    commands = next(a for a in build_parser()._actions if a.dest == "command").choices
    assert [m[1] for m in named if m] == list(commands or ())


def test_python_names() -> None:
    """Each `nq.name` of the README exists, and each public function is there."""
    used = set(re.findall(r"\bnq\.([a-z_]+)\(", README))
    assert used <= set(nq.__all__)
    functions = {"append", "connect", "drop", "get", "load", "ls", "put", "status"}
    assert functions - used <= {"connect", "drop", "status"}, "shown in use, or one of the obvious"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_links(target: str) -> None:
    """Each relative link leads to a file or a folder."""
    assert (ROOT / target).exists()


def test_packages() -> None:
    """The table of packages names each folder of the library."""
    listed = re.findall(r"`(?:jupyter_nq/)?(\w+)`", "".join(_rows("How it works")))
    folders = {p.parent.name for p in (ROOT / "jupyter_nq").glob("*/__init__.py")}
    assert set(listed) == folders | {"magics", "labextension"}


def test_top_level_is_the_architecture() -> None:
    """The root holds what the project's plan says, and nothing else."""
    files = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}
    folders = {"jupyter_nq", "labextension", "magics", "tests", "examples"}
    made = {"build", "dist"}
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert found - made == files | folders
