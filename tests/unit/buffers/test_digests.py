"""Digests: damage is found and located, and an object without one says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import Store, layout
from jupyter_nq.errors import ChecksumError


def _damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


@pytest.fixture
def table() -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Give two columns of 2.5 MiB."""
    return {"a": np.arange(5 << 16), "b": np.ones(5 << 16)}


@pytest.mark.parametrize(
    ("column", "byte", "piece"),
    [("a", 0, 0), ("a", (2 << 20) + 5, 2), ("b", (1 << 20) - 1, 0), ("b", (5 << 19) - 1, 2)],
)
def test_a_flipped_bit_is_located(store: Store, table: dict[str, object], column: str, byte: int, piece: int) -> None:
    """The error names the column and the 1 MiB piece."""
    info = store.write("t", table, reserve_rows=1000)
    with store.open_id(info.id) as handle:
        offset = handle.numpy([column])[column].__array_interface__["data"][0] - handle.address
        assert handle.verify()
        _damage(store.path / "obj" / info.id, offset + byte)
        with pytest.raises(ChecksumError, match=f"column '{column}' is damaged in its 1 MiB piece {piece} "):
            handle.verify()


def test_a_damaged_array_is_named(store: Store) -> None:
    """An array has no column to name."""
    info = store.write("t", np.zeros(100))
    _damage(store.path / "obj" / info.id, layout.PAGE + 8)
    with pytest.raises(ChecksumError, match="the array is damaged"):
        store.verify(info.id)


def test_a_damaged_root_is_noticed(store: Store) -> None:
    """When data and piece digests agree but the root does not, the table of digests is to blame."""
    info = store.write("t", np.zeros(100))
    _damage(store.path / "obj" / info.id, layout.CHANGING_FIELDS["digest_root"][0])
    with pytest.raises(ChecksumError, match="table of digests"):
        store.verify(info.id)


@pytest.mark.parametrize("byte", [8, (1 << 20) + 8])
def test_appending_does_not_hide_damage(store: Store, byte: int) -> None:
    """Also in a piece that is only begun: no digest is made of what is damaged, however often one appends."""
    rows = byte // 8 + 100
    info = store.write("t", np.arange(rows), reserve_rows=1000)
    _damage(store.path / "obj" / info.id, layout.PAGE + byte)
    for _ in range(2):
        assert store.append(info.id, np.arange(5)).digest_state == "done"
        with pytest.raises(ChecksumError, match=f"the array is damaged in its 1 MiB piece {byte >> 20} "):
            store.verify(info.id)


def test_growing_does_not_hide_damage(store: Store) -> None:
    """The copy would have a digest of what is damaged, so there is none."""
    info = store.write("t", np.arange(100))
    _damage(store.path / "obj" / info.id, layout.PAGE + 8)
    with pytest.raises(ChecksumError, match="the array is damaged in its 1 MiB piece 0 "):
        store.grow(info.id, np.arange(5))
    assert [found.id for found in store.scan()] == [info.id]


def test_an_object_may_have_no_digest(store: Store) -> None:
    """Written without one, it says so, and appends do not make one."""
    info = store.write("t", np.zeros(100), reserve_rows=10, digest=False)
    assert (info.digest, info.digest_state) == (None, "off")
    assert not store.verify(info.id)
    assert store.append(info.id, np.zeros(5)).digest_state == "off"
    assert store.grow(info.id, np.zeros(50)).digest_state == "off"


def test_equal_data_has_an_equal_digest(store: Store, table: dict[str, object]) -> None:
    """The digest is of the data: neither name, nor id, nor reserve change it; one bit does."""
    digest = store.write("a", table).digest
    assert store.write("b", table, reserve_rows=100_000, meta={"x": 1}).digest == digest
    table["b"] = np.full(5 << 16, 2.0)
    assert store.write("c", table).digest != digest
