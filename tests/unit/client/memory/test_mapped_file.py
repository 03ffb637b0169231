"""One bar file by rows, spans and chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.client.memory.mapped_file import MemoryMappedLoader
from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument, SourceNotFound, UnknownTimeframe
from tests.unit.client.memory.child import Child


@pytest.fixture
def path(data: Path) -> Path:
    """A file of 2,000 bars."""
    return next(path for path in data.iterdir() if "30 min" in path.name)


def test_chunks_share_nothing(session: Session, path: Path) -> None:
    """Put together they are the bars, and nobody has them in the store."""
    loader = MemoryMappedLoader(session, path)
    chunks = list(loader.chunks(rows=600))
    assert [len(chunk) for chunk in chunks] == [600, 600, 600, 200]
    assert session.ls() == []
    assert repr(loader) == f"<MemoryMappedLoader {path.name}, not mapped>"
    pd.testing.assert_frame_equal(pd.concat(chunks), loader.load())
    assert [dataset.name for dataset in session.ls()] == ["NQ.30min"]
    assert repr(loader) == f"<MemoryMappedLoader {path.name}, 2,000 bars mapped>"


def test_rows_are_views_of_what_all_map(session: Session, path: Path, nq_store_dir: Path) -> None:
    """By their numbers; another process that loads the file maps the same."""
    with MemoryMappedLoader(session, path) as loader:
        whole = loader.load()
        part = loader.rows(100, 103, ["close"])
        assert (len(loader), list(part.index)) == (2_000, [100, 101, 102])
        pd.testing.assert_frame_equal(part, whole[["close"]].iloc[100:103])
        assert loader.rows(-1).index.tolist() == [1_999]
        with pytest.raises(ValueError, match="read-only"):
            part["close"].to_numpy()[0] = 0.0
        code = """
loader = MemoryManager(enable_monitoring=False, session=session).create_memory_mapped_loader(sys.argv[2])
say(loader.rows(100, 103)["close"].sum(), len(session.ls()))
"""
        with Child(nq_store_dir, f"sys.argv.append({str(path)!r})\n" + code) as child:
            total, datasets = child.line().split()
        assert (float(total), datasets) == (part["close"].sum(), "1")


def test_chunks_of_what_is_shared_are_views(session: Session, path: Path) -> None:
    """The file is not read again, whoever loaded it."""
    shared = session.load(path)
    loader = MemoryMappedLoader(session, path)
    chunks = list(loader)
    assert [len(chunk) for chunk in chunks] == [2_000]
    with pytest.raises(ValueError, match="read-only"):
        chunks[0]["close"].to_numpy()[0] = 0.0
    pd.testing.assert_frame_equal(chunks[0], shared)


def test_spans(session: Session, path: Path) -> None:
    """From one stamp to another, both inclusive, in chunks too."""
    loader = MemoryMappedLoader(session, path)
    whole = session.load(path)
    first, last = whole["timestamp"].iloc[10], whole["timestamp"].iloc[29]
    assert len(loader.load(first, last, ["close"])) == 20
    chunks = list(loader.chunks(8, first, last, ["close"]))
    assert [len(chunk) for chunk in chunks] == [8, 8, 4]
    np.testing.assert_array_equal(pd.concat(chunks)["close"], whole["close"].iloc[10:30])


def test_it_is_told_what_the_name_does_not_tell(session: Session, path: Path, tmp_path: Path) -> None:
    """As `load` is."""
    bare = tmp_path / "export.csv"
    bare.write_bytes(path.read_bytes())
    with pytest.raises(SourceNotFound):
        MemoryMappedLoader(session, tmp_path / "absent.csv")
    loader = MemoryMappedLoader(session, bare, "30min", "NQ")
    assert len(loader) == 2_000
    with pytest.raises(UnknownTimeframe):
        MemoryMappedLoader(session, bare, "soon", "NQ")


def test_closing_lets_go(session: Session, path: Path) -> None:
    """Twice is fine, frames stay, and the next call maps again."""
    loader = MemoryMappedLoader(session, path)
    frame = loader.rows(0, 5)
    loader.close()
    loader.close()
    assert frame["close"].notna().all()
    assert len(loader) == 2_000


@pytest.mark.parametrize("rows", [0, -5, True, 2.5, "10"])
def test_only_numbers_are_rows(session: Session, path: Path, rows: Any) -> None:
    """One or more."""
    with pytest.raises(InvalidArgument, match="Pass 1 or more"):
        MemoryMappedLoader(session, path).chunks(rows)
