"""Compressed files are read as what they expand to, up to a limit."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.reading import opening
from jupyter_nq.errors import SourceNotFound, UnreadableSource
from tests.unit.bars.conftest import MakeFile, session_starts, written


def zipped(data: bytes, *names: str) -> bytes:
    """Return a ZIP file that holds the same text under some names."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names or ("inside.txt",):
                archive.writestr(name, data)
        return file.getvalue()


PACKED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


def packed(path: Path, kind: str) -> Path:
    """Return a file compressed beside itself, under the same name and so the same symbol."""
    there = path.parent / kind / path.name
    there.parent.mkdir()
    there.write_bytes(PACKED[kind](path.read_bytes()))  # type: ignore[no-untyped-call]
    return there


@pytest.mark.parametrize("kind", PACKED)
def test_a_compressed_file_gives_the_same_bars(make_file: MakeFile, kind: str) -> None:
    """Whatever the compression, block by block, the table is that of the plain file."""
    path = make_file(written(session_starts("2024-02-20", 20), "UTC"))
    assert load_bars(packed(path, kind), block_bytes=4096).table.equals(load_bars(path).table)


@pytest.mark.parametrize("kind", PACKED)
def test_a_fault_in_a_compressed_file_names_its_line(make_file: MakeFile, kind: str) -> None:
    """A bad number is told with the line of the text."""
    path = make_file(written(session_starts("2024-02-20", 5), "UTC"))
    lines = path.read_text().splitlines()
    lines[99] = lines[99].replace("101", "x")
    path.write_text("\n".join(lines))
    with pytest.raises(UnreadableSource, match="line 100: High is 'x'"):
        load_bars(packed(path, kind))


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_is_stopped(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A file that expands beyond the limit is an error before it fills anything."""
    path = make_file(written(session_starts("2024-02-20", 100), "UTC"))
    monkeypatch.setattr(opening, "_ALWAYS", 100_000)
    monkeypatch.setattr(opening, "MOST_TIMES", 2)
    with pytest.raises(UnreadableSource, match="expands to more than"):
        load_bars(packed(path, kind))


def test_a_damaged_archive_is_told(make_file: MakeFile) -> None:
    """Compressed data that end early are named as such."""
    there = packed(make_file(written(session_starts("2024-02-20", 50), "UTC")), "xz")
    there.write_bytes(there.read_bytes()[:-400])
    with pytest.raises(UnreadableSource, match="damaged or cut off"):
        load_bars(there)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_members_without_content_are_read_over_or_told(make_file: MakeFile, kind: str) -> None:
    """A file of several members may have an empty one among them; of bz2 Arrow reads none behind it."""
    plain = make_file(written(session_starts("2024-02-20", 50), "UTC"))
    data, there = plain.read_bytes(), packed(plain, kind)
    there.write_bytes(b"".join(PACKED[kind](part) for part in (data[:900], b"", data[900:])))  # type: ignore[no-untyped-call]
    if kind == "bz2":
        with pytest.raises(UnreadableSource, match="damaged or cut off"):
            load_bars(there)
    else:
        assert load_bars(there).table.equals(load_bars(plain).table)


def test_a_zip_file_must_hold_one_file_of_text(make_file: MakeFile, tmp_path: Path) -> None:
    """Several members are listed, none is told, what macOS adds does not count, and a password is asked for."""
    plain = make_file(written(session_starts("2024-02-20", 20), "UTC"))
    data, there = plain.read_bytes(), tmp_path / "NQ_30min.zip"
    for names, says in [(("a.txt", "b.txt"), "a ZIP file of 2 files: 'a.txt', 'b.txt'"), (("dir/",), "of 0 files")]:
        there.write_bytes(zipped(b"" if names == ("dir/",) else data, *names))
        with pytest.raises(UnreadableSource, match=says):
            load_bars(there)
    there.write_bytes(zipped(data, "NQ.txt", "__MACOSX/._NQ.txt", ".DS_Store"))
    assert load_bars(there).table.equals(load_bars(plain).table)
    with zipfile.ZipFile(there) as archive:
        marked = bytearray(there.read_bytes())
        marked[archive.start_dir + 8] |= 1
    there.write_bytes(marked)
    with pytest.raises(UnreadableSource, match=r"'NQ\.txt' is encrypted"):
        load_bars(there)


@pytest.mark.parametrize("lost", [40, 2000])
def test_a_damaged_zip_file_is_told(make_file: MakeFile, lost: int) -> None:
    """One that is cut off, or whose content does not have its checksum."""
    there = packed(make_file(written(session_starts("2024-02-20", 50), "UTC")), "zip")
    whole = there.read_bytes()
    there.write_bytes(whole[:-lost])
    with pytest.raises(UnreadableSource, match="damaged or cut off"):
        load_bars(there)
    there.write_bytes(whole[:lost] + bytes(byte ^ 255 for byte in whole[lost : lost + 8]) + whole[lost + 8 :])
    with pytest.raises(UnreadableSource):
        load_bars(there)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory, a pipe and a name that cannot be one are refused at once."""
    os.mkfifo(tmp_path / "NQ_30min.csv")
    with pytest.raises(UnreadableSource, match="pipe, socket or device"):
        load_bars(tmp_path / "NQ_30min.csv")
    with pytest.raises(UnreadableSource, match="is a directory"):
        load_bars(tmp_path)
    with pytest.raises(SourceNotFound, match="does not exist"):
        load_bars(tmp_path / "none.csv")
    with pytest.raises(SourceNotFound, match="not the name of a file"):
        load_bars("NQ\0.csv")


def test_two_digits_of_a_year_are_refused(make_file: MakeFile) -> None:
    """A century is not guessed."""
    with pytest.raises(UnreadableSource, match="line 2: the year has two digits"):
        load_bars(make_file(["1/2/24 9:00", "1/2/24 9:30"]))


def test_rows_without_a_header_and_stamps_without_separators(make_file: MakeFile) -> None:
    """The first row of such a file is a bar, with a stamp as NinjaTrader writes it or since 1970."""
    starts = session_starts("2024-02-20", 45)
    plain = load_bars(make_file(written(starts, "UTC"))).table
    ninja = make_file(
        written(starts, "UTC", "%Y%m%d %H%M%S")[1:],
        header=written(starts, "UTC", "%Y%m%d %H%M%S")[0] + ",100,101,99,100.25,7",
    )
    ninja.write_text(ninja.read_text().replace(",", ";"))
    assert load_bars(ninja).table.equals(plain)
    epoch = make_file([str(int(start.timestamp())) for start in starts], header="time,open,high,low,close,volume")
    assert load_bars(epoch).table.equals(plain)
