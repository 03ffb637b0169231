"""Room that is promised: what counts against whose quota, and what is said when nothing makes way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.client.cold import spilling
from jupyter_nq.errors import StoreFull
from tests.unit.client.small import MIB, array, small_session

pytestmark = pytest.mark.usefixtures("disk")


def test_reading_back_is_not_charged_to_a_process(nq_store_dir: Path) -> None:
    """Who has written all that it may gets what of it left memory, though it holds the rest; it writes no more."""
    with small_session(nq_store_dir, notebook_bytes=5 * MIB, pool_bytes=20 * MIB) as session:
        for i in range(3):
            session.put(f"d{i}", array(i))
        session.put("d1", array(11, mib=3))
        views = [session.get(name, as_="numpy") for name in ("d2", "d1", "d0")]
        assert [view[0] for view in views] == [2, 11, 0]
        with pytest.raises(StoreFull, match="notebook_bytes"):
            session.put("d3", array(3))


def test_a_pinned_pool_says_how_to_make_room(nq_store_dir: Path) -> None:
    """Each dataset is told to be pinned, with the way to unpin it; those on the disk alone are not listed."""
    with small_session(nq_store_dir) as session:
        session.put("away", array(0))
        session.spill("away")
        for i in range(3):
            session.put(f"d{i}", array(i))
            session.pin(f"d{i}")
        with pytest.raises(StoreFull, match=r"d2 version 1, 2.0 MiB, pinned.*Unpin .*nq\.unpin, %nq_unpin") as refused:
            session.put("more", array(4))
        assert "away" not in str(refused.value)


def test_a_full_share_of_the_disk_is_told_to_who_needs_the_room(nq_store_dir: Path) -> None:
    """What it is for, what could have left memory, and why it has not."""
    with small_session(nq_store_dir, spill_bytes=100_000) as session:
        session.put("a", array(1))
        needs = r"'b' needs 7\.0 MiB of memory, .*has not: There is no room for a in .*spill_bytes"
        with pytest.raises(StoreFull, match=needs):
            session.put("b", array(2, mib=7))
        assert [row.name for row in session.ls() if row.bytes] == ["a"]


def test_a_full_disk_is_told_to_who_needs_the_room(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk itself names no dataset; the session does."""

    def full(*arguments: Any, **options: Any) -> Any:
        raise StoreFull("5 bytes are free.")

    monkeypatch.setattr(spilling, "freeze", full)
    with small_session(nq_store_dir) as session:
        session.put("a", array(1))
        needs = r"'b' needs 7\.0 MiB .*has not: There is no room for a on the disk\. 5 bytes are free\."
        with pytest.raises(StoreFull, match=needs):
            session.put("b", array(2, mib=7))
