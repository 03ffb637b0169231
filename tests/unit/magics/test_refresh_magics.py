"""`%nq_refresh`, typed into a real shell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import jupyter_nq as nq
from jupyter_nq.bars.sample import write_sample
from tests.unit.magics.conftest import Shell

ROWS = 1_500


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of the data directory, without its last ten lines."""
    directory = tmp_path / "bars"
    write_sample(directory, rows=ROWS, seed=5, layouts=["30min"])
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(directory))
    (file,) = directory.iterdir()
    return file


@pytest.fixture
def lines(shell: Shell, path: Path) -> list[str]:
    """Give all lines of the file, of which the shell has loaded all but ten as `bars`."""
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:-10]))
    assert not shell.run("%nq_load NQ 30min as bars").failed
    return whole


def test_new_rows_are_told_and_assigned(shell: Shell, path: Path, lines: list[str]) -> None:
    """By name or by variable; the variable moves on only when the line says so."""
    path.write_text("".join(lines[:-4]))
    out = shell.run("%nq_refresh NQ.30min").out.strip()
    assert re.fullmatch(r"NQ\.30min v1 -> v2: \+6 rows, 0 changed, \d+ ms", out)
    assert len(shell.ip.user_ns["bars"]) == ROWS - 10
    path.write_text("".join(lines))
    first, second = shell.run("%nq_refresh bars").out.strip().splitlines()
    assert re.fullmatch(r"NQ\.30min v2 -> v3: \+4 rows, 0 changed, \d+ ms", first)
    assert second.strip() == "bars is still v1; %nq_refresh bars as bars moves it on"
    assert shell.run("%nq_refresh bars as bars").out.startswith("NQ.30min v3: nothing new in ")
    assert len(shell.ip.user_ns["bars"]) == ROWS
    assert shell.run("%nq_refresh bars").out.startswith("NQ.30min v3: nothing new in ")


def test_a_load_says_that_it_refreshed(shell: Shell, path: Path, lines: list[str]) -> None:
    """How, and how many rows."""
    path.write_text("".join(lines))
    first, second = shell.run("%nq_load NQ 30min as bars").out.strip().splitlines()
    assert first.startswith("NQ.30min v2: 1,500 bars, ")
    assert ", refreshed in " in first
    assert second.strip() == "refreshed: the last 10 rows were read as the others, which they confirm"


def test_features_of_a_variable(shell: Shell, path: Path, lines: list[str]) -> None:
    """A frame with features moves on with its bars."""
    shell.run("%nq_load NQ 30min as both --features")
    path.write_text("".join(lines))
    out = shell.run("%nq_refresh both as both").out
    assert "NQ.30min-features v1 -> v2: carried on" in out
    assert len(shell.ip.user_ns["both"]) == ROWS


def test_rewritten_history_is_listed(shell: Shell, path: Path, lines: list[str]) -> None:
    """The bars that changed are named with what they were."""
    cells = lines[40].split(",")
    lines[40] = ",".join([*cells[:-1], "123456\n"])
    path.write_text("".join(lines[:-10]))
    first, second, why = shell.run("%nq_refresh NQ.30min").out.strip().splitlines()
    assert first.startswith("NQ.30min v1 -> v2: +0 rows, 1 changed, ")
    assert second.endswith(f"volume {float(cells[-1]):g} -> 123456")
    assert "history was rewritten" in why


@pytest.mark.usefixtures("lines")
def test_mistakes(shell: Shell) -> None:
    """One line each, and nothing is assigned."""
    shell.run("number = 3")
    for line, message in {
        "%nq_refresh ES.30min": "There is no dataset 'ES.30min'",
        "%nq_refresh number": "number does not say which dataset it shows",
        "%nq_refresh bars extra": "extra",
    }.items():
        ran = shell.run(line)
        assert ran.failed
        assert message in ran.err
    nq.put("mine", shell.ip.user_ns["bars"].head(3))
    assert "was not read from a file" in shell.run("%nq_refresh mine as x").err
    assert "x" not in shell.ip.user_ns


@pytest.mark.usefixtures("lines")
def test_tab_offers_datasets(shell: Shell) -> None:
    """Their names, then `as`."""
    assert "NQ.30min" in shell.complete("%nq_refresh ")
    assert "as" in shell.complete("%nq_refresh NQ.30min ")
