"""The magics about memory, typed into a real shell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jupyter_nq as nq
from jupyter_nq.buffers import Store
from jupyter_nq.client.holding import mapped_as
from tests.unit.magics.conftest import Shell

_FOREIGN = """
import jupyter_nq as nq, numpy as np, pandas as pd
from collections.abc import Mapping

class Proxy:
    @property
    def __class__(self):
        raise RuntimeError("not bound")

class Lost(Mapping):
    __len__ = __iter__ = __getitem__ = None
    def values(self):
        raise KeyError("gone")

mine = pd.DataFrame({'v': [1]}, index=pd.MultiIndex.from_tuples([(1, 2)]))
proxy, lost = Proxy(), Lost()
values = pd.DataFrame({"v": np.arange(3), "w": [5, 6, 7]})
%nq_put one values
"""


@pytest.fixture(autouse=True)
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a disk of its own."""
    monkeypatch.setenv("JUPYTER_NQ_SPILL", str(tmp_path / "disk"))


def _put(shell: Shell, *names: str) -> None:
    lines = "\n".join(f"%nq_put {name} values" for name in names)
    assert not shell.run(f"import numpy as np\nvalues = np.arange(1 << 17)\n{lines}").failed


def test_pin_and_unpin(shell: Shell) -> None:
    """They say what they did; a name that is not there is told with the nearest."""
    _put(shell, "a", "b")
    assert shell.run("%nq_pin a b").out == ("a v1 is pinned: it stays in memory\nb v1 is pinned: it stays in memory\n")
    assert [row.pinned for row in nq.ls()] == [True, True]
    assert "a stays: it is held or pinned" in shell.run("%nq_spill a").out
    assert shell.run("%nq_unpin a").out == "a is not pinned: it may leave memory when room is needed\n"
    assert "There is no dataset 'bb'. Did you mean 'b'?" in shell.run("%nq_pin bb").err


def test_spill_and_back(shell: Shell) -> None:
    """A dataset leaves memory, is listed as on the disk, and comes back when it is got."""
    _put(shell, "a", "b")
    assert shell.run("%nq_spill a").out == "a v1 left memory: 1.0 MiB are free\n"
    assert "on disk" in repr(shell.run("%nq_ls").value)
    assert "a stays" in shell.run("%nq_spill a").out
    assert shell.run("x = %nq_get a --as numpy\nint(x.sum())").value == sum(range(1 << 17))
    assert shell.run("%nq_spill").out == "b v1 left memory: 1.0 MiB are free\n"
    assert "Nothing may leave memory" in shell.run("%nq_spill").out


def test_gc_names_who_holds(shell: Shell) -> None:
    """A replaced version that a variable holds is named; then it goes."""
    _put(shell, "a")
    shell.run("held = %nq_get a --as numpy")
    _put(shell, "a")
    assert "a v1, 1.0 MiB, is held by pid" in shell.run("%nq_gc").out
    shell.run("del held")
    assert "a v1" not in shell.run("%nq_gc").out


def test_release_of_outputs_and_variables(shell: Shell) -> None:
    """Out and _ are let go of; variables are listed, or deleted when that is asked for."""
    _put(shell, "a", "other")
    shell.run("%nq_get a --as numpy")
    shell.run("frame = %nq_get a\nparts = {'x': frame}\nkept = %nq_get other --as numpy")
    out = shell.run("%nq_release a").out
    assert "a: let go of Out[" in out
    assert "still held by frame, parts: del them, or %nq_release a --variables" in out
    assert "ndarray" not in str(shell.run("[type(value).__name__ for value in (_, __, ___)]").value)
    assert shell.run("%nq_release a --variables").out == "a: let go of frame, parts\n"
    assert mapped_as(nq.connect().store, "a") == ()
    assert shell.run("%nq_release a").out == "a is not held here\n"
    assert mapped_as(nq.connect().store, "other") != ()


def test_frames_of_polars_are_seen(shell: Shell) -> None:
    """And let go of."""
    pytest.importorskip("polars", reason="polars is not installed: pip install 'jupyter-nq[test]'")
    nq.put("a", {"x": np.arange(9.0)})
    shell.run("frame = %nq_get a --as polars")
    assert "still held by frame" in shell.run("%nq_release a").out
    assert shell.run("%nq_release a --variables").out == "a: let go of frame\n"
    assert mapped_as(nq.connect().store, "a") == ()


def test_release_of_a_variable(shell: Shell) -> None:
    """The variable goes; another that shows the same is named."""
    assert not shell.run('%nq_load NQ 30min as bars\nmore = bars["close"]').failed
    out = shell.run("%nq_release bars").out
    assert out == ("NQ.30min: let go of bars\n  still held by more: del them, or %nq_release NQ.30min --variables\n")
    assert "bars" not in shell.ip.user_ns


@pytest.mark.parametrize("as_", ["pandas", "arrow", "numpy", "torch", "polars"])
def test_release_of_a_variable_that_is_no_bars(shell: Shell, as_: str) -> None:
    """A view says by its memory which dataset it shows, whatever it was got as."""
    pytest.importorskip(as_ if as_ in ("torch", "polars") else "numpy")
    nq.put("one", pd.DataFrame({"x": np.arange(9.0)}))
    shell.run(f"first = %nq_get one --as {as_}\nimport jupyter_nq as nq\nother = nq.get('one')['x']")
    assert shell.run("%nq_release first").out == (
        "one: let go of first\n  still held by other: del them, or %nq_release one --variables\n"
    )
    assert shell.run("%nq_release other").out == "one: let go of other\n"
    assert mapped_as(nq.connect().store, "one") == ()


def test_release_of_a_variable_that_shows_several_or_none(shell: Shell) -> None:
    """The names of several are told; what lies in this kernel's own memory shows none."""
    _put(shell, "a", "b")
    shell.run("import jupyter_nq as nq\nboth = [nq.get('a'), nq.get('b')]\nmine = both[0].copy()")
    assert "both shows several datasets: a, b. Write one: %nq_release a" in shell.run("%nq_release both").err
    assert "mine does not say which dataset it shows" in shell.run("%nq_release mine").err


def test_release_of_a_dropped_dataset(shell: Shell) -> None:
    """A frame of one is let go of too: that is what frees its memory."""
    _put(shell, "a")
    shell.run("frame = %nq_get a\n%nq_drop a")
    assert shell.run("%nq_release frame").out == "a: let go of frame\n"


def test_release_among_foreign_variables(shell: Shell) -> None:
    """An index of several levels is looked into, and what raises while it is looked into is passed over."""
    shell.run(_FOREIGN)
    shell.run("x = nq.get('one')\nlevels = pd.DataFrame({'n': 0}, index=pd.MultiIndex.from_arrays([x.v, x.w]))")
    shell.run("level = pd.MultiIndex([pd.Index(x.v, copy=False)], [[0, 1]], verify_integrity=False)")
    told = "one: no output held it\n  still held by level, x: del them, or %nq_release one --variables\n"
    assert shell.run("%nq_release one").out == told
    assert shell.run("%nq_release one --variables").out == "one: let go of x, level\n"
    assert {"mine", "proxy", "lost", "levels"} <= set(shell.ip.user_ns)


def test_a_store_behind_a_link_is_found(nq_store_dir: Path, tmp_path: Path) -> None:
    """The system tells of a mapping where its file lies, whatever path it was opened by."""
    Store(nq_store_dir)
    (tmp_path / "link").symlink_to(nq_store_dir)
    store = Store(tmp_path / "link")
    info = store.write("a", b"x")
    with store.open_id(info.id) as handle:
        assert [first for first, _ in mapped_as(store, "a")] == [handle.address]


def test_what_hides_a_view_is_told(shell: Shell) -> None:
    """A view inside an object of one's own cannot be found, but it is seen that something holds it."""
    _put(shell, "a")
    shell.run("import jupyter_nq as nq\nclass Box: pass\nbox = Box()\nbox.view = nq.get('a', as_='numpy')")
    assert "something else in this kernel still holds a" in shell.run("%nq_release a").out
    assert "There is no dataset 'aa'." in shell.run("%nq_release aa").err
