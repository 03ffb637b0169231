"""Getting a shared object: views to write into, and bytes that are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.client.holding import mapped_as
from jupyter_nq.client.session import Session
from jupyter_nq.errors import ChecksumError, InvalidArgument


@pytest.fixture
def frame(session: Session) -> pd.DataFrame:
    """Give a shared frame of numbers and text."""
    frame = pd.DataFrame({"price": np.arange(1000.0), "size": np.arange(1000), "side": ["buy", "sell"] * 500})
    session.put("t", frame)
    return frame


def damage(session: Session) -> Path:
    """Flip a bit of the prices, and return the file."""
    with session.open("t") as handle:
        at = handle.numpy(["price"])["price"].__array_interface__["data"][0] - handle.address
        path = Path(session.store.path / "obj" / handle.info.id)
    with path.open("r+b") as file:
        file.seek(at + 800)
        byte = file.read(1)[0]
        file.seek(at + 800)
        file.write(bytes([byte ^ 1]))
    return path


@pytest.mark.parametrize("as_", ["pandas", "numpy"])
def test_a_private_view_is_written_for_oneself(session: Session, frame: pd.DataFrame, as_: str) -> None:
    """In place, cell by cell; nobody else sees it, nor does the next view."""
    mine: Any = session.get("t", as_=as_, writable="private")
    other = session.get("t")
    if as_ == "pandas":
        mine.loc[3, "price"] = -1.0
        mine.iloc[:2, mine.columns.get_loc("size")] = 7
        assert mine["size"].tolist()[:3] == [7, 7, 2]
    else:
        mine["price"][3] = -1.0
    assert mine["price"][3] == -1.0
    pd.testing.assert_frame_equal(other, frame)
    pd.testing.assert_frame_equal(session.get("t", writable="private"), frame)


def test_damage_is_found_when_it_is_looked_for(session: Session, frame: pd.DataFrame) -> None:
    """The first time, or always; never does not look."""
    pd.testing.assert_frame_equal(session.get("t", verify="first"), frame)
    damage(session)
    session.get("t")
    session.get("t", verify="first")
    with pytest.raises(ChecksumError, match="t: column 'price' is damaged in its 1 MiB piece 0"):
        session.get("t", verify="always")
    with Session(session.store.path) as another, pytest.raises(ChecksumError, match="column 'price'"):
        another.get("t", verify="first")


def test_what_is_damaged_does_not_stay_mapped(session: Session, frame: pd.DataFrame) -> None:
    """An error that is kept, as the last one of a notebook is, keeps no memory."""
    damage(session)
    with pytest.raises(ChecksumError) as caught:
        session.get("t", verify="always")
    assert caught.value.__traceback__ is not None
    assert mapped_as(session.store, "t") == ()


def test_appended_rows_are_looked_at_too(session: Session, frame: pd.DataFrame) -> None:
    """The first time is of the rows, not of the name."""
    session.get("t", verify="first")
    session.append("t", frame[:10])
    damage(session)
    with pytest.raises(ChecksumError, match="column 'price'"):
        session.get("t", verify="first")


def test_without_a_digest_there_is_nothing_to_compare(session: Session) -> None:
    """That is an error, not silence."""
    info = session.store.write("n", np.zeros(3), digest=False)
    session.store.stamp(info.id, 1)
    session.store.link("n", info.id)
    with pytest.raises(ChecksumError, match=r"n has no digest to compare with \(it is off\)"):
        session.get("n", verify="always")


@pytest.mark.usefixtures("frame")
def test_what_there_is_not(session: Session) -> None:
    """Shared memory is not written, and the ways to verify are named."""
    with pytest.raises(InvalidArgument, match="neither False nor 'private'"):
        session.get("t", writable=True)
    with pytest.raises(InvalidArgument, match="Did you mean 'always'"):
        session.get("t", verify="alway")


@pytest.mark.parametrize("rows", [{"start": "2024-06"}, {"stop": 1.5}], ids=str)
def test_rows_are_chosen_by_their_numbers(session: Session, frame: pd.DataFrame, rows: dict[str, Any]) -> None:
    """Whole ones, of numpy too, and None is no bound; the error says how dates choose."""
    with pytest.raises(InvalidArgument, match=r"are no row numbers.*nq\.load\(start=\.\.\., end=\.\.\.\)"):
        session.get("t", **rows)
    assert session.get("t", start=np.int64(-3), stop=999)["price"].tolist() == [997.0, 998.0]
    assert len(session.get("t", start=None, stop=None)) == 1000  # type: ignore[arg-type]
