"""The magics about memory, typed into a real shell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jupyter_nq as nq
from jupyter_nq.buffers import Store
from jupyter_nq.client.holding import mapped_as
from tests.unit.magics.conftest import Shell


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
