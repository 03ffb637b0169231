"""Directories of streams that are being made: those of the dead go, those of the living stay."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from jupyter_nq.errors import StoreError
from jupyter_nq.streams import drafts
from jupyter_nq.streams.directory import sweep
from jupyter_nq.streams.drafts import drafted, sweep_drafts
from jupyter_nq.testing.forked import Forked, Say

_ID = "0123456789abcdef" * 2

pytestmark = pytest.mark.usefixtures("light_children")


def _die_over_it(parent: Path, beside: int = 0) -> None:
    def work(say: Say) -> None:
        with drafted(parent, _ID) as draft:
            (draft / "0-0").write_bytes(b"x" * 5000)
            say("made")
            signal.pause()

    with Forked(work) as child:
        assert child.hear() == "made"
        sweep_drafts(parent)
        assert len(os.listdir(parent)) == 1 + beside, "its maker lives"
        child.kill()


def test_what_the_dead_left_is_swept(nq_store_dir: Path) -> None:
    """By whoever looks for leftovers, and by the next coordinator; not before its maker is dead."""
    for remove in (sweep_drafts, sweep):
        _die_over_it(nq_store_dir)
        assert len(os.listdir(nq_store_dir)) == 1
        remove(nq_store_dir)
        assert os.listdir(nq_store_dir) == []


def test_who_makes_it_again_begins_anew(nq_store_dir: Path) -> None:
    """Nothing of the dead is in it, and once it has its name nothing is left of this one."""
    _die_over_it(nq_store_dir)
    with drafted(nq_store_dir, _ID) as draft:
        assert os.listdir(draft) == []
        draft.rename(nq_store_dir / "s")
    sweep_drafts(nq_store_dir)
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
        assert os.listdir(nq_store_dir) == [draft.name]
        assert swept != [draft]


def test_what_is_no_directory_ends_no_look(nq_store_dir: Path) -> None:
    """Somebody put it there; the coordinator starts, and what is behind it is looked at."""
    (nq_store_dir / ".a-file").touch()
    (nq_store_dir / ".a-link").symlink_to("/")
    _die_over_it(nq_store_dir, beside=2)
    sweep(nq_store_dir)
    assert sorted(os.listdir(nq_store_dir)) == [".a-file", ".a-link"]


def test_a_child_of_its_maker_removes_nothing(nq_store_dir: Path) -> None:
    """It unwinds the block of its parent."""

    def work(say: Say) -> None:
        try:
            with drafted(nq_store_dir, _ID) as draft:
                if not (pid := os.fork()):
                    raise KeyboardInterrupt
                os.waitpid(pid, 0)
                say(draft.is_dir())
        except KeyboardInterrupt:
            os._exit(0)

    with Forked(work) as child:
        assert child.hear() is True


def test_without_descriptors_it_is_told_and_nothing_is_left(
    nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any other refusal of the store."""

    def refused(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(drafts, "_opened", refused)
    with pytest.raises(StoreError, match="ulimit -n"), drafted(nq_store_dir, _ID):
        pass
    assert os.listdir(nq_store_dir) == []
