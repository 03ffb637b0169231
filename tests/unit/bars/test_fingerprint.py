"""Fingerprints follow the content."""

from __future__ import annotations

from pathlib import Path

import pytest
import xxhash

from jupyter_nq import bars
from jupyter_nq.bars import fingerprint, quick
from jupyter_nq.bars.fingerprint import PIECE_BYTES, begins_with
from jupyter_nq.errors import SourceNotFound, UnreadableSource


def test_the_digest_is_of_the_whole_content(tmp_path: Path) -> None:
    """The digest is a tree over pieces, and the quick part is that of `quick`."""
    path = tmp_path / "bars.csv"
    content = bytes(range(256)) * 40_000
    path.write_bytes(content)
    found = fingerprint(path)
    pieces = [xxhash.xxh3_128_digest(content[i : i + PIECE_BYTES]) for i in range(0, len(content), PIECE_BYTES)]
    assert found.pieces == tuple(pieces)
    assert len(pieces) == 3
    assert found.digest == xxhash.xxh3_128_hexdigest(len(content).to_bytes(8, "little") + b"".join(pieces))
    assert found.quick == quick(path) == (
        len(content), path.stat().st_mtime_ns, path.stat().st_ctime_ns, path.stat().st_ino,
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 1000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES])
def test_a_grown_file_is_recognised(tmp_path: Path, size: int) -> None:
    """What a file was is found in what it has become, an edit of any byte is not; nor is a file that has shrunk."""
    path = tmp_path / "bars.csv"
    content = bytearray(range(256)) * (size // 256 + 1)
    path.write_bytes(content[:size])
    before = fingerprint(path)
    path.write_bytes(content[:size] + b"more")
    assert begins_with(path, fingerprint(path), before.size, before.digest)
    assert not begins_with(path, fingerprint(path), before.size + 1, before.digest)
    for place in {0, size // 2, size - 1}:
        edited = bytearray(content[:size] + b"more")
        edited[place] ^= 1
        path.write_bytes(edited)
        assert not begins_with(path, fingerprint(path), before.size, before.digest)
    path.write_bytes(content[: size - 1])
    assert not begins_with(path, fingerprint(path), before.size, before.digest)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    """A file that is not there has its own error, and a directory another."""
    with pytest.raises(SourceNotFound, match="does not exist"):
        quick(tmp_path / "none")
    with pytest.raises(UnreadableSource, match="cannot be read"):
        fingerprint(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnreadableSource, match="cannot be read"):
        quick(tmp_path / "file" / "below")


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest of a moving file would identify nothing."""
    path = tmp_path / "bars.csv"
    path.write_text("a")
    answers = iter([(1, 1, 1), (2, 2, 2)])
    monkeypatch.setitem(fingerprint.__globals__, "quick", lambda _: next(answers))
    with pytest.raises(UnreadableSource, match="changed while"):
        fingerprint(path)


def test_the_public_list_is_complete() -> None:
    """Every public name resolves, and an unknown one is an AttributeError."""
    for name in bars.__all__:
        assert getattr(bars, name) is not None
        assert name in dir(bars)
    with pytest.raises(AttributeError, match="nothing"):
        bars.nothing  # noqa: B018
    assert callable(bars.fingerprint)
    assert callable(bars.sniff)
