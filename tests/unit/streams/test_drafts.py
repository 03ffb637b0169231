"""Directories of streams that are being made: those of the dead go, those of the living stay."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from jupyter_nq.streams.directory import sweep
from jupyter_nq.streams.drafts import drafted, sweep_drafts
from jupyter_nq.testing.forked import Forked, Say

_ID = "0123456789abcdef" * 2

pytestmark = pytest.mark.usefixtures("light_children")


def _die_over_it(parent: Path) -> None:
    def work(say: Say) -> None:
        with drafted(parent, _ID) as draft:
            (draft / "0-0").write_bytes(b"x" * 5000)
            say("made")
            signal.pause()

    with Forked(work) as child:
        assert child.hear() == "made"
        sweep_drafts(parent)
        assert os.listdir(parent) == [f".{_ID}"], "its maker lives"
        child.kill()


def test_what_the_dead_left_is_swept(nq_store_dir: Path) -> None:
    """By whoever looks for leftovers, and by the next coordinator; not before its maker is dead."""
    for remove in (sweep_drafts, sweep):
        _die_over_it(nq_store_dir)
        assert os.listdir(nq_store_dir) == [f".{_ID}"]
        remove(nq_store_dir)
        assert os.listdir(nq_store_dir) == []


def test_who_makes_it_again_begins_anew(nq_store_dir: Path) -> None:
    """Nothing of the dead is in it, and once it has its name nothing is left."""
    _die_over_it(nq_store_dir)
    with drafted(nq_store_dir, _ID) as draft:
        assert os.listdir(draft) == []
        draft.rename(nq_store_dir / "s")
    assert os.listdir(nq_store_dir) == ["s"]


def test_what_fails_leaves_nothing(nq_store_dir: Path) -> None:
    """The error of the block is told."""
    with pytest.raises(FileNotFoundError), drafted(nq_store_dir, _ID) as draft:
        (draft / "not" / "there").touch()
    assert os.listdir(nq_store_dir) == []


def test_what_a_sweep_took_is_made_again(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the making of the directory and its lock."""
    mkdir, swept = Path.mkdir, []

    def then_swept(path: Path, mode: int) -> None:
        mkdir(path, mode)
        if not swept:
            swept.append(path)
            sweep_drafts(nq_store_dir)

    monkeypatch.setattr(Path, "mkdir", then_swept)
    with drafted(nq_store_dir, _ID) as draft:
        assert draft.is_dir()
        assert swept == [draft]
