"""The module functions: one session for the process, signatures and documentation of the session's."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import jupyter_nq as nq
from jupyter_nq.errors import CoordinatorUnavailable, InvalidName


@pytest.fixture(autouse=True)
def store(nq_store_dir: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make the private store the one that this process would use by itself."""
    nq.disconnect()
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(data))
    yield nq_store_dir
    nq.disconnect()


def test_functions_share_one_session() -> None:
    """The first call connects, later ones use the same session."""
    assert nq.put("a", np.arange(4)).version == 1
    assert nq.connect() is nq.connect()
    assert nq.get("a", as_="numpy").sum() == 6
    assert [d.name for d in nq.ls()] == ["a"]
    assert nq.status().datasets == 1
    assert nq.notebooks()[0].pid == os.getpid()
    nq.drop("a")
    assert nq.ls() == []


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("dataset", lambda: nq.put("b d", 1)),
        ("stream", lambda: nq.stream("b d")),
        ("stream", lambda: nq.drop_stream("b d")),
        ("consumer", lambda: nq.stream("s").subscribe(name="b d")),
        ("flag", lambda: nq.flag("b d")),
        ("mutex", lambda: nq.mutex("b d")),
        ("notebook", lambda: nq.register("b d")),
    ],
)
def test_a_bad_name_is_said_to_be_of_what_it_was_to_be(kind: str, call: Callable[[], object]) -> None:
    """Not always of a dataset: who typed the name of a stream looks for it there."""
    with pytest.raises(InvalidName, match=f"'b d' is not a {kind} name. Use 1 to 128 letters"):
        call()


def test_loader_of_the_specification() -> None:
    """`UnifiedDataLoader` loads by timeframe through the shared session."""
    loader = nq.UnifiedDataLoader()
    frame = loader.load_data("30min")
    assert list(frame.columns[:6]) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert "30min" in loader.get_available_timeframes()
    middle = frame["timestamp"].iloc[1000]
    assert loader.load_data("30min", start_date=middle, columns=["close"]).shape == (len(frame) - 1000, 1)
    assert nq.ls()[0].name == "NQ.30min"


def test_another_directory_is_another_session(tmp_path: Path) -> None:
    """Asking for another store closes the present session and opens that one."""
    here = nq.connect()
    there = nq.connect(tmp_path / "other")
    assert there is not here
    assert nq.connect() is there


def test_requiring_a_server_is_checked_on_an_open_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open session that hosts itself is not what `require="server"` asks for."""
    nq.connect()
    with pytest.raises(CoordinatorUnavailable):
        nq.connect(require="server")
    assert nq.put("still", np.arange(2)).version == 1, "the open session stays"


@pytest.mark.parametrize("name", ["load", "put", "get", "empty", "append", "ls", "drop", "status", "notebooks"])
def test_signature_and_documentation_are_the_sessions(name: str) -> None:
    """Help on the function shows the parameters, without `self`."""
    function = getattr(nq, name)
    assert "self" not in inspect.signature(function).parameters
    assert inspect.getdoc(function) == inspect.getdoc(getattr(nq.Session, name))


def test_arguments_that_a_function_does_not_have_are_told_in_its_own_words() -> None:
    """The session in front of them is not counted, nor offered."""
    with pytest.raises(TypeError, match=r"pin\(\) takes 1 argument by position \(name\), not 2"):
        nq.pin("a", "b")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"ls\(\) takes 0 arguments by position, not 1"):
        nq.ls("a")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"get\(\) has no argument 'colums'. Did you mean 'columns'"):
        nq.get("a", colums=["x"])  # type: ignore[call-arg]


def test_everything_public_exists() -> None:
    """Each name of `__all__` resolves; an unknown one is an AttributeError."""
    assert all(getattr(nq, name) is not None for name in nq.__all__)
    assert set(nq.__all__) <= set(dir(nq))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nq.nothing  # noqa: B018


def test_importing_is_cheap_and_loads_nothing_heavy() -> None:
    """`import jupyter_nq` loads none of the heavy libraries and starts no thread."""
    code = (
        "import sys, threading, jupyter_nq\n"
        "heavy = {'torch', 'plotly', 'numba', 'dask', 'tornado', 'IPython', 'pandas'} & set(sys.modules)\n"
        "print(sorted(heavy), threading.active_count())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split("\n")[0] == "[] 1"


def test_using_it_does_not_load_the_heavy_ones_either() -> None:
    """Put, get and load need neither torch nor plotly nor tornado."""
    code = (
        "import sys, jupyter_nq as nq, numpy as np\n"
        "nq.put('a', np.arange(3)); nq.get('a'); nq.load('30min')\n"
        "print(sorted({'torch', 'plotly', 'numba', 'dask', 'tornado', 'IPython'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_script_ends_in_silence() -> None:
    """A script that closes nothing leaves no word on standard error and no thread behind."""
    code = "import jupyter_nq as nq, numpy as np\nnq.put('a', np.arange(3)); x = nq.get('a')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert [line for line in done.stderr.splitlines() if "coordinates the store" not in line] == []


def test_a_forked_child_has_its_own_session() -> None:
    """The child of a fork reads its parent's frames and talks over its own line."""
    nq.put("a", np.arange(5))
    kept = nq.get("a", as_="numpy")
    child = os.fork()
    if child == 0:
        fine = kept.sum() == 10 and nq.get("a", as_="numpy").sum() == 10 and nq.put("b", np.ones(2)).version == 1
        os._exit(0 if fine else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert sorted(d.name for d in nq.ls()) == ["a", "b"]
