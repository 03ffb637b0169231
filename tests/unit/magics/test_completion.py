"""Tab behind the magics: datasets, symbols, timeframes, options and their values."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import jupyter_nq as nq
from jupyter_nq.client import api

if TYPE_CHECKING:
    from tests.unit.magics.conftest import Shell


def test_symbols_and_timeframes(shell: Shell) -> None:
    """The first word is a symbol, the second a timeframe that the data directory has for it."""
    assert {"NQ", "MNQ"} <= {w for w in shell.complete("%nq_load ") if w.isupper()}
    assert shell.complete("%nq_load MN") == ["MNQ"]
    assert shell.complete("%nq_load NQ 30") == ["30min"]
    assert shell.complete("%nq_load NQ 30min ") == ["as"]
    assert "15min" in shell.complete("%nq_load ZB 1")
    assert shell.complete("%nq_load week.csv MN") == ["MNQ"]


@pytest.mark.parametrize("line", ["bars = %nq_load MN", "nq_load MN", "  %nq_load MN", "%nq_load --tz UTC MN"])
def test_it_works_wherever_a_magic_does(shell: Shell, line: str) -> None:
    """An assignment, automagic, an indented line, and behind options."""
    assert shell.complete(line) == ["MNQ"]


def test_options_and_their_values(shell: Shell) -> None:
    """Names and choices come from the magics' own parsers."""
    assert shell.complete("%nq_load NQ --st") == ["--start"]
    assert shell.complete("%nq_get x --v") == ["--version", "--verify"]
    assert shell.complete("%nq_get x --verify ") == ["first", "always"]
    assert shell.complete("%nq_load NQ --as ") == ["pandas", "arrow", "numpy", "torch", "polars"]
    assert shell.complete("%nq_load NQ --as=ar") == ["arrow"]
    assert shell.complete("%nq_load NQ --edge e") == ["end"]
    assert shell.complete("%nq_load NQ --tz Asia/Jerus") == ["Asia/Jerusalem"]
    assert shell.complete("%nq_load x.csv --symbol MN") == ["MNQ"]
    assert shell.complete("%nq_load NQ --columns open,cl") == ["close"]


def test_dataset_names(shell: Shell) -> None:
    """Datasets are offered where a dataset is meant, variables where a variable is."""
    shell.run("import numpy as np\nmy_array = np.ones(3)\n%nq_put signals my_array")
    for magic in ("nq_get", "nq_drop", "nq_put"):
        assert shell.complete(f"%{magic} sig") == ["signals"]
    assert shell.complete("%nq_get signals ") == ["as"]
    assert shell.complete("%nq_put signals my_") == ["my_array"]
    assert "signals" not in shell.complete("%nq_drop signals ")
    assert shell.complete("%nq_sync risk sig") == ["signals"]
    shell.run("%nq_put limits my_array")
    assert shell.complete("%nq_drop signals ") == ["limits"]
    assert "signals" not in shell.complete("%nq_get signals as sig")


def test_stream_names(shell: Shell) -> None:
    """Streams are offered where a stream is meant, on the first line of a cell too; then variables, starts, options."""
    shell.run("import jupyter_nq as nq\nfor name in ('signals', 'ticks'):\n    nq.stream(name)\nmy_frame = 1")
    nq.disconnect()
    for magic in ("%nq_publish", "%nq_subscribe", "%nq_on", "%%nq_on", "%nq_drop_stream"):
        assert shell.complete(f"{magic} sig") == ["signals"]
    assert shell.complete("%nq_publish signals my_") == ["my_frame"]
    assert shell.complete("%nq_subscribe signals ") == ["as"]
    assert shell.complete("%nq_drop_stream signals ") == ["ticks"]
    assert shell.complete("%%nq_on signals --start ") == ["latest", "earliest"]
    assert shell.complete("%%nq_on signals --b") == ["--batches"]
    assert shell.complete("%nq_subscribe signals --start=ear") == ["earliest"]


def test_columns_and_versions_of_a_dataset(shell: Shell) -> None:
    """Columns are the dataset's own, whatever it is; versions are those that can be got."""
    shell.run("import pandas as pd\nframe = pd.DataFrame({'entry': 1.0, 'exit': 2, 'my size': 3}, index=[*'abcdefgh'])")
    shell.run("import jupyter_nq as nq\n%nq_put signals frame\nrows = nq.append('signals', frame[:1])")
    shell.run("import numpy as np\narray = np.ones(3)\n%nq_put numbers array\n%nq_load NQ 30min as bars")
    assert shell.complete("%nq_get signals --columns ") == ["entry", "exit"]
    assert shell.complete("%nq_get signals as s --columns=entry,ex") == ["exit"]
    assert "close" not in shell.complete("%nq_get numbers --columns ")
    assert "close" not in shell.complete("%nq_get unknown --columns ")
    assert "close" in shell.complete("%nq_get NQ.30min --columns ")
    assert shell.complete("%nq_get signals --version ") == ["2", "1"]
    nq.disconnect()
    assert shell.complete("%nq_get signals --version=2") == ["2"]
    assert api.opened() is None


def test_variables_are_the_users_own(shell: Shell) -> None:
    """Where a variable may stand, what IPython keeps for itself is not offered."""
    shell.run("import numpy as np\nmy_array = np.ones(3)\n%nq_put signals my_array")
    assert shell.complete("%nq_release ") == ["signals", "np", "my_array"]
    assert shell.complete("%nq_release my") == ["my_array"]
    assert shell.complete("%nq_put signals ") == ["np", "my_array"]


def test_tab_opens_no_store(shell: Shell) -> None:
    """Before the first magic Tab reads directories and nothing else; an absent one is no error."""
    shell.complete("%nq_get ")
    shell.complete("%nq_get signals --columns ")
    assert list(shell.store.iterdir()) == []


def test_an_absent_data_directory_is_no_error(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instrument table is there without files."""
    monkeypatch.setenv("JUPYTER_NQ_DATA", "/nowhere")
    assert shell.complete("%nq_load MN") == ["MNQ"]
    assert "30min" in shell.complete("%nq_load NQ ")


def test_paths_are_left_to_ipython(shell: Shell) -> None:
    """A path completes as anywhere else, also in an open quotation mark."""
    os.makedirs("bars_here")
    assert shell.complete("%nq_load ./bars_h") == ["./bars_here/"]
    assert "MNQ" not in shell.complete('%nq_load "M')
