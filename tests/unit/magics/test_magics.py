"""The magics in a real shell: what they print, assign and return."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from IPython.core.error import UsageError

from jupyter_nq.testing import wait_until
from nq_magics import BarMagics, NQMagics, StreamMagics
from nq_magics.display import DatasetsView, DeskView, StatusView

if TYPE_CHECKING:
    from tests.unit.magics.conftest import Shell

SPAN = r"\d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC"

MAGICS = {name: getattr(kind, name) for kind in (NQMagics, BarMagics, StreamMagics) for name in kind.magics["line"]}


def test_the_first_load_parses_and_says_how(shell: Shell) -> None:
    """One line with rows, span and time, then how the file was read; the variable is a frame."""
    ran = shell.run("%nq_load NQ 30min as bars   # the first kernel")
    lines = [line for line in ran.out.splitlines() if line.startswith("NQ.30min")]
    assert len(lines) == 1
    assert re.fullmatch(rf"NQ\.30min v1: {shell.rows:,} bars, {SPAN}, parsed in [\d.]+ m?s", lines[0])
    assert any(line.startswith("  ") and "UTC" in line for line in ran.out.splitlines())
    bars = shell.ip.user_ns["bars"]
    assert isinstance(bars, pd.DataFrame)
    assert list(bars.columns) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert (ran.value, ran.failed) == (None, False)


def test_impossible_bars_are_shown(shell: Shell, tmp_path: Path) -> None:
    """A load says which lines cannot be real, and that a given zone contradicts the exchange's hours."""
    lines = (shell.data / "NQ - 30 min - ETH.csv").read_text().splitlines()
    lines[41] = f"{lines[41].split(',')[0]},100,99,98,100,7"
    path = tmp_path / "ES_30min.csv"
    path.write_text("\n".join(lines) + "\n")
    out = shell.run(f"%nq_load {path} as bars --tz UTC").out
    assert "rows: 1 bar has a high or low that does not contain open and close, in line 42; flag 4" in out
    assert "which contradicts the exchange's hours; Asia/Jerusalem with edge='start'" in out


def test_the_second_load_maps_and_is_one_line(shell: Shell) -> None:
    """Nothing but the summary: the same version, in milliseconds."""
    shell.run("%nq_load NQ 30min as bars")
    ran = shell.run("again = %nq_load 30 min")
    assert re.fullmatch(rf"NQ\.30min v1: {shell.rows:,} bars, {SPAN}, mapped in [\d.]+ ms\n", ran.out)
    pd.testing.assert_frame_equal(shell.ip.user_ns["again"], shell.ip.user_ns["bars"])


def test_without_a_variable_the_frame_is_returned(shell: Shell) -> None:
    """`%nq_load` as the last line of a cell shows the frame; a semicolon is no part of the timeframe."""
    assert isinstance(shell.run("%nq_load NQ 30min").value, pd.DataFrame)
    assert isinstance(shell.run("%nq_load NQ 30min;").value, pd.DataFrame)


def test_a_selection_says_how_much_it_shows(shell: Shell) -> None:
    """Rows are shown of all rows, columns and form as asked for."""
    shell.run("%nq_load NQ 30min as bars")
    middle = shell.ip.user_ns["bars"]["timestamp"].iloc[shell.rows // 2]
    ran = shell.run(f"%nq_load NQ as some 30min --start {middle.isoformat()} --columns close,volume --as arrow")
    assert f"{shell.rows // 2:,} of {shell.rows:,} bars" in ran.out
    table = shell.ip.user_ns["some"]
    assert isinstance(table, pa.Table)
    assert table.column_names == ["close", "volume"]
    beyond = shell.run("%nq_load NQ 30min as none --start 2100-01-01").out
    stamps = shell.ip.user_ns["bars"]["timestamp"]
    assert (
        f"0 of 2,000 bars, which are from {stamps.iloc[0]:%Y-%m-%d %H:%M} to {stamps.iloc[-1]:%Y-%m-%d %H:%M}" in beyond
    )
    assert "v1: 1 of 2,000 bars," in shell.run(f"%nq_load NQ 30min --end {stamps.iloc[0].isoformat()}").out


def test_a_path_with_spaces_needs_no_quotes(shell: Shell) -> None:
    """Typed with quotes, typed without, or put there by `$x` and `{x}`: the same file."""
    path = shell.data / "NQ - 30 min - ETH.csv"
    shell.ip.user_ns["path"] = path
    for line in (f'"{path}"', f"'{path}'", str(path), "$path", "{path}"):
        ran = shell.run(f"%nq_load {line} as bars")
        assert f"NQ.30min v1: {shell.rows:,} bars" in ran.out, ran.err


def test_put_get_list_and_drop(shell: Shell) -> None:
    """A variable is shared, listed, mapped at any version, and dropped."""
    shell.ip.user_ns["prices"] = pd.DataFrame({"close": np.arange(10.0)})
    assert re.search(r"signals v1: 10 rows, [\d.]+ KiB, shared in [\d.]+ m?s", shell.run("%nq_put signals prices").out)
    shell.ip.user_ns["prices"] = pd.DataFrame({"close": np.arange(20.0)})
    assert re.search(r", replaces v1$", shell.run("%nq_put signals prices").out.strip())
    assert re.fullmatch(r"signals v2: 20 rows, mapped in [\d.]+ ms\n", shell.run("%nq_get signals as new").out)
    assert len(shell.ip.user_ns["new"]) == 20
    rows = shell.run("%nq_ls").value
    assert isinstance(rows, DatasetsView)
    assert [(row.name, row.version) for row in rows] == [("signals", 2)]
    assert "is dropped" in shell.run("%nq_drop signals").out
    assert len(shell.run("%nq_ls").value) == 0
    assert len(shell.ip.user_ns["new"]) == 20


def test_a_frame_to_write_into(shell: Shell) -> None:
    """Text and nulls come back as they were; what is written stays in the notebook."""
    shell.ip.user_ns["frame"] = pd.DataFrame({"side": ["buy", None], "n": pd.array([1, None], "Int64")})
    shell.run("%nq_put trades frame")
    shell.run("%nq_get trades as mine --writable --verify first")
    shell.run("mine.loc[0, 'side'] = 'sell'\n%nq_get trades as theirs")
    assert shell.ip.user_ns["theirs"].equals(shell.ip.user_ns["frame"])
    assert shell.ip.user_ns["mine"]["side"][0] == "sell"
    shell.run("settings = {'symbols': ['NQ']}\n%nq_put settings settings\n%nq_get settings as back")
    assert shell.ip.user_ns["back"] == {"symbols": ["NQ"]}


def test_several_names_are_dropped_or_none(shell: Shell) -> None:
    """One name that is not there, and all the others stay; a pattern means all that match, and lists them."""
    shell.run("import numpy as np\na = np.ones(3)\n%nq_put a a\n%nq_put b a\n%nq_put c a")
    assert "no dataset 'x'" in shell.run("%nq_drop a x b").err
    assert shell.run("%nq_drop a b a").out == "a, b are dropped; frames that are held stay readable.\n"
    assert [row.name for row in shell.run("%nq_ls").value] == ["c"]
    shell.run("%nq_put a a\n%nq_put a-1 a\n%nq_put a-2 a")
    assert "No dataset matches 'x*'. There are: a, a-1, a-2, c." in shell.run("%nq_drop c x*").err
    assert shell.run("%nq_drop a-* c").out == "a-1, a-2, c are dropped; frames that are held stay readable.\n"
    assert [row.name for row in shell.run("%nq_ls").value] == ["a"]


def test_a_file_whose_name_tells_nothing(shell: Shell, tmp_path: Path) -> None:
    """Path, symbol and timeframe load it; the error about a path alone holds a line that can be pasted."""
    shutil.copy(shell.data / "NQ - 30 min - ETH.csv", tmp_path / "week.csv")
    failed = shell.run("%nq_load week.csv as bars").err
    pasted = failed.split("`")[1]
    assert pasted == "%nq_load week.csv --symbol NQ"
    assert "'" not in failed
    for line in (pasted, "%nq_load week.csv NQ 30min"):
        assert f"{shell.rows:,} bars" in shell.run(line).out


def test_the_pool_tells_of_what_is_dropped_and_held(shell: Shell) -> None:
    """`%nq` and `%nq_status` say where the memory is that no dataset has."""
    shell.run("import numpy as np\na = np.zeros(1 << 17)\n%nq_put a a\nheld = %nq_get a --as numpy\n%nq_drop a")
    for magic in ("%nq", "%nq_status"):
        assert "1.0 MiB of it in old or dropped versions that are still held" in repr(shell.run(magic).value)
    shell.run("del held")
    wait_until(lambda: "; " not in repr(shell.run("%nq_status").value), message="the memory to be freed")


def test_an_older_version_that_is_held_can_be_had(shell: Shell) -> None:
    """`--version` maps what somebody still holds."""
    shell.run("import numpy as np\na = np.arange(5.0)\n%nq_put a a\nold = %nq_get a --as numpy\n%nq_put a a")
    ran = shell.run("%nq_get a as same --version 1 --as numpy")
    assert "a v1: 5 rows" in ran.out
    assert shell.ip.user_ns["same"].tolist() == [0, 1, 2, 3, 4]


def test_put_sees_the_variables_of_a_function(shell: Shell) -> None:
    """Inside a function the local variable is meant."""
    shell.run("import numpy as np\ndef f():\n    mine = np.ones(3)\n    %nq_put local mine\nf()")
    assert "local v1: 3 rows" in shell.run("%nq_get local as x").out


def test_status_and_desk_are_shown(shell: Shell) -> None:
    """`%nq` shows datasets, holders, pool, host and problem; `%nq_status` the store alone."""
    shell.run("%nq_load NQ 30min as bars")
    desk, status = shell.run("%nq").value, shell.run("%nq_status").value
    assert isinstance(desk, DeskView)
    assert isinstance(status, StatusView)
    assert "NQ.30min" in repr(desk)
    assert str(shell.store) in repr(desk)
    assert repr(status).splitlines()[-1].split() == ["problem", "none"]


def test_views_hold_no_frame(shell: Shell) -> None:
    """What `Out[n]` keeps of a display is rows of text, so it keeps no shared memory alive."""
    shell.run("%nq_load NQ 30min as bars")
    assert shell.run("%nq_ls").value[0].holders
    shell.run("del bars")
    assert shell.run("%nq_ls").value[0].holders == ()


def test_the_hosting_notice_is_shown_once(shell: Shell) -> None:
    """A kernel without a server says that it hosts, at its first magic and no more."""
    first, second = shell.run("%nq_status").out, shell.run("%nq_status").out
    assert len(first.splitlines()) == len(second.splitlines()) + 1


def test_help_shows_usage_options_and_examples() -> None:
    """`%nq_load?` is the docstring that the argument parser wrote."""
    text = NQMagics.nq_load.__doc__
    assert "%nq_load [PATH|SYMBOL] [TIMEFRAME] [as VAR]" in text
    assert "%nq_load NQ 30min as bars" in text
    assert "--month-first" in text
    for magic in ("nq_get", "nq_put", "nq_ls", "nq_drop", "nq_status", "nq"):
        assert f"%{magic}" in getattr(NQMagics, magic).__doc__


@pytest.mark.parametrize("magic", sorted(MAGICS))
def test_help_can_be_asked_for(shell: Shell, magic: str) -> None:
    """`--help` and `-h` print what `?` shows, and do nothing else."""
    for option in ("--help", "-h"):
        ran = shell.run(f"%{magic} {option}")
        assert (ran.failed, ran.value, ran.err) == (False, None, "")
        assert ran.out.strip() == inspect.getdoc(MAGICS[magic]).strip()
    assert list(shell.store.iterdir()) == []


def test_help_says_what_is_asked_for_most(shell: Shell) -> None:
    """The server that may be required, and how long an old version lives."""
    assert "[--require server]" in shell.run("%nq_status -h").out
    assert "An old version lives only while somebody holds it" in shell.run("%nq_get -h").out


def test_progress_is_shown_when_it_may(shell: Shell) -> None:
    """With the delay set to zero the parse shows its line, and wipes it."""
    shell.run("%config NQMagics.progress_after_seconds = 0")
    out = shell.run("%nq_load NQ 30min as bars").out
    assert "\rNQ 30min: " in out
    assert re.search(r"\r +\rNQ\.30min v1", out)


class Interrupting:
    """An output that the user interrupts at its first progress line."""

    def __init__(self, stream: object) -> None:
        self._stream = stream
        self.interrupted = False

    def write(self, text: str) -> int:
        if "%" in text and not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def test_an_interrupt_leaves_nothing_behind(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in the middle of a parse: no variable, no object, no name, no unfinished file."""
    shell.run("%config NQMagics.progress_after_seconds = 0")
    shell.run("%nq_ls")
    before = shell.stored()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Interrupting(sys.stdout))
        with pytest.raises(UsageError, match=r"^interrupted: nothing was shared$"):
            shell.ip.run_line_magic("nq_load", "NQ 30min as bars")
    assert "bars" not in shell.ip.user_ns
    assert {p for p in shell.stored() - before if not p.endswith(".build")} == set()
    assert "parsed in" in shell.run("%nq_load NQ 30min as bars").out


def test_unloading_takes_everything_back(shell: Shell) -> None:
    """After `%unload_ext` the magics are unknown and Tab offers nothing of ours."""
    shell.run("%unload_ext jupyter_nq")
    assert "not found" in shell.run("%nq_ls").err
    assert "not found" in shell.run("%%nq_on signals\npass").err
    assert "--start" not in shell.complete("%nq_load --")
    shell.run("%load_ext jupyter_nq")
    assert isinstance(shell.run("%nq_ls").value, DatasetsView)


COST = """
import sys, threading, time
import pandas, pyarrow
from IPython.core.interactiveshell import InteractiveShell
ip = InteractiveShell.instance()
threads = {t.name for t in threading.enumerate()}
start = time.process_time()  # whatever else the machine does
ip.run_line_magic("load_ext", "jupyter_nq")
seconds = time.process_time() - start
assert {t.name for t in threading.enumerate()} == threads
heavy = {"torch", "plotly", "numba", "dask", "tornado", "ipywidgets", "anywidget", "jupyter_server"}
heavy |= {"yaml", "jupyter_nq.coordinator.service"}  # of no use where there is no settings file, or another host
print(sorted(heavy & set(sys.modules)), seconds)
"""


def test_loading_the_extension_is_cheap(shell: Shell) -> None:
    """No thread, no heavy library, no store; well under a second of work."""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", COST], capture_output=True, text=True, check=True)
    modules, seconds = ran.stdout.rsplit(maxsplit=1)
    assert modules == "[]"
    assert float(seconds) < 1.5
    assert list(shell.store.iterdir()) == []


def test_the_readme_lists_every_magic() -> None:
    """A magic that the README does not show is not finished."""
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    missing = [name for name in MAGICS if f"`%{name}" not in readme and f"`%%{name}" not in readme]
    assert missing == []
