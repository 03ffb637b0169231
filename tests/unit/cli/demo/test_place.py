"""Where the demo works, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.cli.demo import place as demo_place
from jupyter_nq.errors import SourceNotFound, StoreError


def test_a_private_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name the store is on shared memory when there is room, else beside the notebooks."""
    path, existed = demo_place.prepare_store(None, tmp_path, 1)
    assert path.parent == Path("/dev/shm")
    assert not existed
    assert path.stat().st_mode & 0o777 == 0o700
    path.rmdir()
    monkeypatch.setattr(demo_place, "free_bytes", lambda _: 0)
    assert demo_place.prepare_store(None, tmp_path, 1)[0].parent == tmp_path


def test_a_named_store(nq_store_dir: Path, tmp_path: Path) -> None:
    """An empty directory is taken, a new one too."""
    assert demo_place.prepare_store(str(nq_store_dir), tmp_path, 1) == (nq_store_dir, True)
    assert demo_place.prepare_store(str(tmp_path / "new"), tmp_path, 1) == (tmp_path / "new", False)


def test_a_store_in_use(store: Store, tmp_path: Path) -> None:
    """A store with datasets is refused: the demo would publish among them."""
    with pytest.raises(StoreError, match="holds 2 datasets"):
        demo_place.prepare_store(str(store.path), tmp_path, 1)


def test_sample_data(tmp_path: Path) -> None:
    """Without the user's files both timeframes are written."""
    data, fine = demo_place.prepare_data(None, tmp_path, 100, 1)
    assert fine == "5min"
    assert len(list(data.iterdir())) == 2


@pytest.mark.parametrize(("layouts", "fine"), [(["30min"], "30min"), (["30min", "5min"], "5min")])
def test_data_of_the_user(
    tmp_path: Path, write: Callable[[Path, list[str]], None], layouts: list[str], fine: str
) -> None:
    """The user's files are used as they are, with the finest timeframe there is."""
    write(tmp_path, layouts)
    assert demo_place.prepare_data(str(tmp_path), tmp_path / "work", 1, 1) == (tmp_path, fine)


def test_data_without_bars(tmp_path: Path, write: Callable[[Path, list[str]], None]) -> None:
    """A directory without 30-minute NQ bars is an error that lists what is there."""
    with pytest.raises(SourceNotFound, match="no bar file"):
        demo_place.prepare_data(str(tmp_path), tmp_path, 1, 1)
    with pytest.raises(SourceNotFound, match="--data /nope: there is no such directory"):
        demo_place.prepare_data("/nope", tmp_path, 1, 1)
    write(tmp_path, ["iso"])
    with pytest.raises(SourceNotFound, match="ES 30min"):
        demo_place.prepare_data(str(tmp_path), tmp_path, 1, 1)


@pytest.fixture
def write() -> Callable[[Path, list[str]], None]:
    """Write small sample files of some layouts."""

    def make(where: Path, layouts: list[str]) -> None:
        demo_place.write_sample(where, rows=50, layouts=layouts)

    return make
