"""Files that are wrong as a whole: empty, growing, exploding, or no files at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from jupyter_nq.bars import load_bars, read_bars, sniff
from jupyter_nq.bars.reading import opening
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.reading.lenient import read_lenient
from jupyter_nq.bars.validation.validator import validate_file
from jupyter_nq.errors import EmptyDataset, UnreadableSource
from tests.unit.bars.conftest import HEADER, MakeFile, session_starts, written
from tests.unit.bars.reading.test_opening import zipped

STAMPS = written(session_starts("2024-07-08", 10), "America/New_York")
TOLD: dict[str, Any] = {"tz": "America/New_York", "edge": "start"}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),  # type: ignore[no-untyped-call]
}


def packed(path: Path, kind: str) -> Path:
    """Return a file compressed beside itself, under the same name and so the same symbol."""
    there = path.parent / kind / path.name
    there.parent.mkdir(exist_ok=True)
    there.write_bytes(PACKED[kind](path.read_bytes()))
    return there


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", "\ufeff\n", " \n"])
def test_1_an_empty_file_is_told_as_such(tmp_path: Path, content: str) -> None:
    """No rows at all, whatever blank there is: an error, and a report with one."""
    path = tmp_path / "NQ_30min.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(EmptyDataset, match=r"NQ_30min.csv is empty. Export it again."):
        load_bars(path)
    report = validate_file(path)
    assert [finding.rule for finding in report.findings] == ["unreadable"]
    assert "is empty" in report.errors[0]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_2_a_header_alone_is_refused(tmp_path: Path, end: str) -> None:
    """An export without rows is refused: a dataset of no bars would be taken for a market that stands still."""
    path = tmp_path / "NQ_30min.csv"
    path.write_text(HEADER + end)
    with pytest.raises(EmptyDataset, match=r"NQ_30min.csv has a header and no rows. Export it again."):
        load_bars(path)
    assert "no rows" in validate_file(path).errors[0]


@pytest.mark.parametrize("how", ["grows", "shrinks", "is replaced", "is written in place"])
def test_33_a_file_that_changes_while_it_is_loaded_is_refused(make_file: MakeFile, how: str) -> None:
    """Rows of two states of a file are never put together."""
    path = make_file(STAMPS)
    data, done = path.read_bytes(), []

    def change(_: float) -> None:
        if done:
            return
        done.append(how)
        if how == "grows":
            with path.open("ab") as file:
                file.write(data.splitlines()[-1].replace(b"2024", b"2025") + b"\n")
        elif how == "shrinks":
            os.truncate(path, len(data) // 2)
        elif how == "is replaced":
            other = path.with_suffix(".new")
            other.write_bytes(data)
            other.rename(path)
        else:
            path.write_bytes(data.replace(b"100.25", b"100.75"))
            os.utime(path, ns=(0, 0))

    with pytest.raises(
        UnreadableSource, match=r"changed while it was read. Load it again when its writer has finished"
    ):
        load_bars(path, progress=change, **TOLD)


@pytest.mark.parametrize("kind", PACKED)
def test_34_a_bomb_is_stopped_at_its_limit(make_file: MakeFile, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A compressed file that expands beyond all measure is refused before it fills anything, by every reader."""
    path = make_file(STAMPS)
    profile = sniff(path, **TOLD).profile
    path.write_bytes(path.read_bytes() + b"\n" * (8 << 20))
    bomb = packed(path, kind)
    monkeypatch.setattr(opening, "_ALWAYS", 1 << 20)
    monkeypatch.setattr(opening, "MOST_TIMES", 100)
    readers: list[Callable[[], object]] = [
        lambda: load_bars(bomb, **TOLD),
        lambda: read_bars(bomb, profile),
        lambda: read_lenient(bomb, profile),
        lambda: list(iterate(bomb, profile, rows=10)),
    ]
    for read in readers:
        with pytest.raises(UnreadableSource, match=r"expands to more than [\d,]+ bytes, 100 times its size"):
            read()
    assert "expands to more than" in validate_file(bomb, **TOLD).errors[0]


@pytest.mark.parametrize("what", ["directory", "pipe", "socket", "device"])
def test_35_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, make_file: MakeFile, what: str) -> None:
    """A directory, a pipe without a writer, a socket and a device are refused at once by every reader."""
    profile = sniff(make_file(STAMPS), **TOLD).profile
    path = Path("/dev/zero") if what == "device" else tmp_path / "NQ_30min.csv"
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    readers: list[Callable[[], object]] = [
        lambda: load_bars(path, **TOLD),
        lambda: sniff(path, **TOLD),
        lambda: read_bars(path, profile),
        lambda: read_lenient(path, profile),
        lambda: list(iterate(path, profile, rows=10)),
    ]
    for read in readers:
        with pytest.raises(UnreadableSource, match=f"{path.name} is a (directory|pipe, socket or device)"):
            read()
    assert "is a " in validate_file(path, **TOLD).errors[0]


@pytest.mark.parametrize("kind", PACKED)
def test_damaged_rows_of_a_packed_file_are_told_as_those_of_a_plain_one(make_file: MakeFile, kind: str) -> None:
    """A validation of a compressed text finds the same rows and lines as one of the text."""
    path = make_file(STAMPS)
    lines = path.read_text().split("\n")
    lines[100], lines[200], lines[300] = lines[100] + ",8", "<<<<<<< HEAD", lines[300].replace("101", "NaN")
    lines[400] = lines[400].replace("/2024", "/2024x", 1)
    path.write_text("\n".join(lines))
    plain, other = validate_file(path, **TOLD), validate_file(packed(path, kind), **TOLD)
    assert other == plain
    assert {101, 201, 301, 401} <= {line for finding in plain.findings for line in finding.lines}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_packed_file_that_is_damaged_itself_is_refused(make_file: MakeFile, kind: str, damage: str) -> None:
    """What cannot be expanded to its end is refused as a whole: which rows are missing nobody can tell.

    Zstandard frames without a checksum expand to other text, which is refused for what its rows say.
    """
    stamps = written(session_starts("2024-01-08", 200), "America/New_York")
    path = packed(make_file(stamps, row="100,101,99,100.25,7"), kind)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        middle = len(data) // 2
        data[middle : middle + 16] = bytes(byte ^ 0x55 for byte in data[middle : middle + 16])
    path.write_bytes(data)
    with pytest.raises(UnreadableSource):
        load_bars(path, **TOLD)
    report = validate_file(path, **TOLD)
    assert not report.is_valid
    if (kind, damage) != ("zst", "changed"):
        assert [finding.rule for finding in report.findings] == ["unreadable"]


def test_a_line_that_is_still_being_written_is_told_as_such(make_file: MakeFile) -> None:
    """A file that ends in the middle of a line is refused with what to do; the same line above is to be corrected."""
    path = make_file(STAMPS)
    whole = path.read_bytes()
    cut = whole.rstrip(b"\n")[:-9]
    path.write_bytes(cut)
    with pytest.raises(
        UnreadableSource, match=rf"line {len(STAMPS) + 1}: .* load it again when its writer has finished"
    ):
        load_bars(path, **TOLD)
    path.write_bytes(cut + b"\n")
    with pytest.raises(UnreadableSource, match=r"Correct the line\."):
        load_bars(path, **TOLD)
