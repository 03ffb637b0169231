"""The file of a working set: readable, private, and refused as a whole when it is damaged."""

from __future__ import annotations

import json
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.client.sets import document
from jupyter_nq.client.sets.document import SavedDataset, SavedStream, WorkingSet, path_of, read, write
from jupyter_nq.errors import InvalidArgument, SourceNotFound, UnreadableSource

_SET = WorkingSet(
    datetime(2026, 1, 2, tzinfo=UTC),
    "/store",
    {"a": SavedDataset(3, 10, "ab", True, {"directory": "/disk", "id": "1"}, None, ("sma(20)",), None)},
    {"/file.csv": {"given": {"tz": "UTC"}, "when": "2026-01-01"}},
    {"ticks": SavedStream("1", "tape", {"x": "double"}, b"\0schema", {"overflow": "block"}, {"engine": {0: 7}})},
    ("a",),
)


def test_written_and_read(tmp_path: Path) -> None:
    """The same comes back; the file is its owner's alone, and a second one takes its place."""
    path = tmp_path / "desk.json"
    for _ in range(2):
        write(path, _SET)
    assert read(path) == _SET
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["desk.json"]


def test_only_the_user_s_own_directory_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path with a slip of the pen makes none."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write(path_of("desk"), _SET)
    assert read(path_of("desk")) == _SET
    with pytest.raises(InvalidArgument, match=r"There is no directory .*/typo\. Make it"):
        write(tmp_path / "typo" / "desk.json", _SET)
    assert not (tmp_path / "typo").exists()


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name is in the user's data directory; what looks like a path is one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert path_of("desk") == tmp_path / "jupyter-nq" / "sets" / "desk.json"
    assert path_of("/x/desk") == Path("/x/desk")
    assert path_of("desk.json") == Path("desk.json").absolute()
    assert path_of(Path("desk")) == Path("desk").absolute()
    with pytest.raises(InvalidArgument, match=r"ends in \.json"):
        path_of("my desk")


def _edited(**changes: Any) -> str:
    return json.dumps({**document._plain(_SET), **changes})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is damaged"),
        ("[]", "is no working set"),
        ("{}", "is no working set"),
        (_edited(version=2), "of version 2; this jupyter-nq reads 1"),
        (_edited(datasets={"../a": {}}), "is damaged"),
        (_edited(datasets={"a": {"version": -1}}), "is damaged"),
        (_edited(streams=None), "is damaged"),
        (_edited(saved="yesterday"), "is damaged"),
        ("[" * 100_000, "is damaged"),
    ],
)
def test_damage(tmp_path: Path, text: str, says: str) -> None:
    """One error that names the file and what is wrong."""
    path = tmp_path / "desk.json"
    path.write_text(text)
    with pytest.raises(UnreadableSource, match=says) as caught:
        read(path)
    assert str(path) in str(caught.value)


_READ = {"path": "/file.csv", "symbol": "NQ", "timeframe": "30min", "reading": {}}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1 << 63},
        {"features": "sma"},
        {"features": 5},
        {"source": {}},
        {"source": {**_READ, "path": 5}},
        {"source": {**_READ, "path": "/file\0.csv"}},
        {"source": {**_READ, "path": "\ud800"}},
        {"source": {**_READ, "reading": None}},
        {"source": {**_READ, "symbol": None}},
        {"source": {**_READ, "series": "/*.csv", "files": [{"path": None}]}},
    ],
)
def test_what_is_wrong_in_a_dataset_is_found_before_anything_is_done(tmp_path: Path, changes: dict[str, Any]) -> None:
    """It would fail in the middle of a restore else."""
    path = tmp_path / "desk.json"
    dataset = document._plain(_SET)["datasets"]["a"]
    path.write_text(_edited(datasets={"a": {**dataset, "source": _READ}}))
    assert read(path).datasets["a"].source == _READ
    path.write_text(_edited(datasets={"a": {**dataset, **changes}}))
    with pytest.raises(UnreadableSource, match="is damaged"):
        read(path)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A pipe is not waited for, and what is too long not read into memory."""
    path = tmp_path / "desk.json"
    os.mkfifo(path)
    with pytest.raises(UnreadableSource, match="is no file of at most"):
        read(path)
    with open(tmp_path / "long.json", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UnreadableSource, match="is no file of at most"):
        read(tmp_path / "long.json")


def test_what_another_version_knows(tmp_path: Path) -> None:
    """Things of unknown kinds are kept by name, to be reported."""
    path = tmp_path / "desk.json"
    path.write_text(_edited(flags={"halt": {}}, alerts=[]))
    assert read(path).others == ("flags halt",)


def test_a_set_that_is_not_there(tmp_path: Path) -> None:
    """Those beside it are named."""
    with pytest.raises(SourceNotFound, match=r"nq\.save makes one"):
        read(tmp_path / "desk.json")
    write(tmp_path / "desk.json", _SET)
    with pytest.raises(SourceNotFound, match=r"Did you mean 'desk'\? There are: desk"):
        read(tmp_path / "desc.json")


def test_its_page_names_each_key() -> None:
    """SET.md beside the module has what is written."""
    page = (Path(document.__file__).parent / "SET.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    plain = document._plain(_SET)
    keys = {*plain, *plain["datasets"]["a"], *plain["datasets"]["a"]["copy"], *plain["streams"]["ticks"], "flags"}
    assert keys <= named
