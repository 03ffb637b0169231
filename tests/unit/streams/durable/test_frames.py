"""Files of frames: what is torn, damaged or sealed is never taken for what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.errors import ChecksumError, StoreError, UnknownKey
from jupyter_nq.streams.durable.frames import HEAD_BYTES, MESSAGES, Frame, FrameReader, FrameWriter, Head

_ID = "0123456789abcdef" * 2
_FRAMES = [(0, 3, [(4096, b"abc"), (9000, b"")]), (3, 4, [(4099, b"defgh")]), (4, 9, [(1, b"i" * 100)])]
_KEY, _OTHER = bytes(range(32)), bytes(32)


def _written(path: Path, keys: KeyRing | None = None) -> Path:
    file = FrameWriter(path, Head(_ID, MESSAGES, 2, 7, 1), keys)
    for first, end, pieces in _FRAMES:
        file.append(Frame(first, end, [(place, memoryview(raw)) for place, raw in pieces]))
    file.sync()
    file.close()
    file.close()
    return path


def _read(path: Path, keys: KeyRing | None = None) -> list[tuple[int, int, list[tuple[int, bytes]]]]:
    frames = FrameReader(path).frames(keys)
    return [(one.first_seq, one.end_seq, [(place, bytes(raw)) for place, raw in one.pieces]) for one in frames]


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def keys(request: pytest.FixtureRequest) -> KeyRing | None:
    """Give no master key, or one."""
    if request.param:
        pytest.importorskip("cryptography")
    return KeyRing([_KEY]) if request.param else None


def test_frames_come_back(tmp_path: Path, keys: KeyRing | None) -> None:
    """Sequences, places and bytes, and what the file is; with a key nothing of it can be seen in the file."""
    path = _written(tmp_path / "f", keys)
    reader = FrameReader(path)
    assert _read(path, keys) == _FRAMES
    assert (reader.head.what, reader.head.lane, reader.head.number, reader.head.part) == (MESSAGES, 2, 7, 1)
    assert list(reader.spans()) == [(0, 3), (3, 4), (4, 9)]
    assert reader.is_whole
    assert (b"defgh" in path.read_bytes()) is (keys is None)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_cut_anywhere_has_the_frames_before(tmp_path: Path, keys: KeyRing | None) -> None:
    """At every length: whole frames, in order, and none of the torn one."""
    content = _written(tmp_path / "f", keys).read_bytes()
    counts = []
    for length in range(HEAD_BYTES, len(content) + 1):
        (tmp_path / "cut").write_bytes(content[:length])
        found = _read(tmp_path / "cut", keys)
        assert found == _FRAMES[: len(found)]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1], counts[-2]) == (0, 3, 2)


def test_a_flipped_bit_anywhere_ends_the_file_before_it(tmp_path: Path, keys: KeyRing | None) -> None:
    """In a frame it ends there; in the head it is damage."""
    content = _written(tmp_path / "f", keys).read_bytes()
    for at in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[at] ^= 0x10
        (tmp_path / "bad").write_bytes(flipped)
        if at < HEAD_BYTES:
            with pytest.raises(ChecksumError, match="bad is damaged"):
                FrameReader(tmp_path / "bad")
        else:
            found = _read(tmp_path / "bad", keys)
            assert len(found) < 3
            assert found == _FRAMES[: len(found)]


def test_an_encrypted_file_is_refused_without_its_key(tmp_path: Path) -> None:
    """No key, and another key: both are told which is needed, and read nothing; sequences need none."""
    pytest.importorskip("cryptography")
    path = _written(tmp_path / "f", KeyRing([_KEY]))
    for keys in (None, KeyRing([_OTHER])):
        with pytest.raises(UnknownKey, match=KeyRing([_KEY]).current_id):
            _read(path, keys)
    assert _read(path, KeyRing([_OTHER, _KEY])) == _FRAMES
    assert len(list(FrameReader(path).spans())) == 3


def test_a_frame_of_another_file_is_not_authentic(tmp_path: Path) -> None:
    """Whoever moves a sealed frame to the same place of another file, and mends the head, is found out."""
    pytest.importorskip("cryptography")
    keys = KeyRing([_KEY])
    one, other = _written(tmp_path / "one", keys), _written(tmp_path / "other", keys)
    other.write_bytes(other.read_bytes()[:HEAD_BYTES] + one.read_bytes()[HEAD_BYTES:])
    with pytest.raises(ChecksumError, match="other is damaged: it is not authentic"):
        _read(other, keys)


def test_nothing_is_written_over_a_file(tmp_path: Path) -> None:
    """A file that is there, or a planted link, is refused."""
    (tmp_path / "f").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    for name in ("f", "link"):
        with pytest.raises(StoreError):
            FrameWriter(tmp_path / name, Head(_ID, MESSAGES), None)
    assert (tmp_path / "f").read_text() == "precious"


def test_a_file_of_one_thing_that_is_torn_is_damage(tmp_path: Path) -> None:
    """It was renamed when it was whole, so it cannot be torn by a crash."""
    path = _written(tmp_path / "f")
    path.write_bytes(path.read_bytes()[: HEAD_BYTES + 10])
    with pytest.raises(ChecksumError, match="ends before its content"):
        FrameReader(path).only(None)
