"""Answers about a file that are kept: used where it leaves a question open, said, forgotten, never in the way."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.bars.fingerprint import quick
from jupyter_nq.bars.vendor_samples import write_vendor
from jupyter_nq.client.bars.checks import sniff, validate
from jupyter_nq.client.bars.chunks import iterate
from jupyter_nq.client.bars.remembered import _MOST, Kept, default_path, forget, recall, remember
from jupyter_nq.client.bars.request import Reading
from jupyter_nq.client.session import Session
from jupyter_nq.errors import AmbiguousSource, AmbiguousStamps, UnreadableSource


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of the answers, in a private directory."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return default_path()


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Give ten bars of a morning, whose zone and edge nothing tells."""
    path = tmp_path / "NQ_30min.csv"
    rows = "".join(f"2024-07-08 {hour:02d}:{minute:02d},1,2,1,2,7\n" for hour in range(9, 14) for minute in (0, 30))
    path.write_text("timestamp,open,high,low,close,volume\n" + rows)
    return path


def test_an_answer_is_used_the_next_time(session: Session, few: Path, place: Path) -> None:
    """Once said, the question is not asked again; the dataset has the answer's name, and the load says so."""
    with pytest.raises(AmbiguousStamps):
        session.map(few)
    said = session.map(few, reading=Reading(tz="UTC", edge="end"))
    assert said.notice is None
    again = session.map(few)
    assert again.handle.info.name == said.handle.info.name == "NQ.30min-UTC-end"
    assert again.handle.info.id == said.handle.info.id
    assert again.notice is not None
    assert "tz='UTC', edge='end': as you said for this file on 20" in again.notice
    assert f"forget it with nq.forget({str(few)!r})" in again.evidence[-1]
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    with pytest.warns(UserWarning, match="as you said for this file"):
        assert len(session.load(few)) == 10


def test_validation_uses_it_too(session: Session, few: Path) -> None:
    """A file is validated as it is loaded: a question that was answered is none, and the report says so."""
    report = validate(session, few)
    assert (report.is_valid, report.notices) == (False, ())
    assert "tz=" in report.errors[0]
    session.map(few, reading=Reading(tz="UTC", edge="end"))
    report = validate(session, few)
    assert (report.is_valid, report.rows) == (True, 10)
    assert report.statistics["first"] == "2024-07-08T08:30:00Z"
    assert report.notices[0].startswith("tz='UTC', edge='end': as you said for this file on 20")
    assert report.notices[0] in report.text()
    few.write_text(few.read_text() + "2024-07-08 14:00,1,2,1,2,many\n")
    report = validate(session, few)
    assert (report.rows, report.statistics["unreadable"], len(report.notices)) == (10, 1, 1), "damaged, too"
    told = validate(session, few, edge="start", tz="UTC")
    assert (told.notices, told.statistics["first"]) == ((), "2024-07-08T09:00:00Z"), "what is said now comes first"


def test_evidence_and_batches_use_it_too(session: Session, few: Path) -> None:
    """A file that was answered is shown and iterated over without a question, and both say so."""
    with pytest.raises(AmbiguousStamps):
        sniff(session, few)
    session.map(few, reading=Reading(tz="UTC", edge="end"))
    found = sniff(session, few)
    assert "as you said for this file" in found.sentences[-1]
    assert "--tz UTC --edge end as bars" in found.text
    with pytest.warns(UserWarning, match="as you said for this file"):
        batches = list(iterate(session, few, rows=4))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]


def test_the_question_is_not_looked_for_twice(session: Session, few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the state that left a question open is mapped at once; one that changed is looked at again."""
    session.map(few, reading=Reading(tz="UTC", edge="end"))
    session.map(few)
    kept = recall(few)
    assert kept is not None
    assert kept.asked == quick(few)
    sniffed = []
    monkeypatch.setattr("jupyter_nq.bars.loading.sniff_scanned", lambda *args, **told: sniffed.append(args))
    assert session.map(few).how == "mapped"
    assert not sniffed


def test_a_file_that_tells_itself_is_not_asked(session: Session, data: Path) -> None:
    """What was said of it stays a dataset of its own, and the plain load is plain."""
    session.map("NQ", "30min", reading=Reading(tz="Asia/Jerusalem"))
    plain = session.map("NQ", "30min")
    assert (plain.handle.info.name, plain.notice) == ("NQ.30min", None)


def test_forgetting(session: Session, few: Path) -> None:
    """By path, or by symbol and timeframe; afterwards the question is asked again."""
    session.map(few, reading=Reading(tz="UTC", edge="start"))
    assert forget(session, few)
    assert not forget(session, few)
    with pytest.raises(AmbiguousStamps):
        session.map(few)
    session.map("NQ", "30min", reading=Reading(tz="Asia/Jerusalem"))
    assert forget(session, "NQ", "30min")


def test_a_profile_and_a_contract_are_remembered(session: Session, tmp_path: Path) -> None:
    """Columns that only a profile tells, and which contract of several is meant."""
    path = write_vendor(tmp_path, "databento", rows=900)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1].replace("NQU0", "NQZ0")]) + "\n")
    with pytest.raises(AmbiguousSource):
        session.map(path)
    said = session.map(path, reading=Reading(contract="NQU0"))
    assert said.handle.info.name == "NQ.30min-NQU0"
    assert session.map(path).handle.info.id == said.handle.info.id
    raw = write_vendor(tmp_path / "raw", "tradestation", rows=900)
    raw.write_text(raw.read_text().partition("\n")[2])
    with pytest.raises(UnreadableSource, match="2 ways"):
        session.map(raw)
    known = session.map(raw, reading=Reading(profile="TradeStation"))
    assert known.handle.info.name == "NQ.30min-tradestation"
    assert session.map(raw).handle.info.id == known.handle.info.id


def test_rows_of_another_contract_are_not_appended(session: Session, tmp_path: Path) -> None:
    """A file of one contract that grows by rows of another is looked at as a whole again."""
    path = write_vendor(tmp_path, "databento", rows=900)
    text = path.read_text()
    assert session.map(path).handle.rows == 900
    lines = text.splitlines(keepends=True)
    path.write_text(text + "".join(line.replace("NQU0", "NQZ0") for line in lines[-5:]))
    with pytest.raises(AmbiguousSource, match="NQU0 900, NQZ0 5"):
        session.map(path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"version": 2, "files": {}}',
        '{"version": 1, "files": {"/a": {"given": {"tz": 3}, "when": "2026-01-01", "asked": []}}}',
        '{"version": 1, "files": {"/a": {"given": {"nothing": 3}, "when": "2026-01-01", "asked": []}}}',
        '{"version": 1, "files": {"/a": {"given": {"profile": "nobody"}, "when": "2026-01-01", "asked": []}}}',
        '{"version": 1, "files": {"/a": {"given": {}, "when": "yesterday", "asked": []}}}',
        " " * (2 << 20),
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_named_and_ignored(session: Session, data: Path, place: Path, text: str) -> None:
    """A warning that says which file, and the load goes on."""
    place.parent.mkdir(parents=True)
    place.write_text(text)
    with pytest.warns(UserWarning, match=r"profiles\.json is not used"):
        assert session.map("NQ", "30min").handle.info.name == "NQ.30min"


def test_it_is_bounded(place: Path) -> None:
    """The oldest answers go."""
    place.parent.mkdir(parents=True)
    entries = {f"/{i}": {"given": {"tz": "UTC"}, "when": "2026-01-01", "asked": []} for i in range(_MOST)}
    place.write_text(json.dumps({"version": 1, "files": entries}))
    remember(Path("/new"), Kept({"edge": "end"}, "2026-01-02"))
    found = json.loads(place.read_text())["files"]
    assert len(found) == _MOST
    assert "/0" not in found
    assert list(found)[-1] == "/new"


def test_a_place_that_cannot_be_written_is_a_warning(session: Session, few: Path, place: Path) -> None:
    """The load succeeds."""
    place.parent.parent.mkdir(parents=True)
    place.parent.write_text("a file where the directory should be")
    with pytest.warns(UserWarning, match="cannot be written"):
        assert session.map(few, reading=Reading(tz="UTC", edge="end")).handle.rows == 10


def test_what_a_reading_is_called(tmp_path: Path) -> None:
    """Present names stay; profiles and contracts add to them, different answers differently."""
    labels: list[Any] = [
        Reading().label,
        Reading("UTC", "end", True).label,
        Reading(profile="Kibot").label,
        Reading(contract="NQZ3-NQH4").label,
    ]
    assert labels == ["", "UTC-end-dayfirst", "kibot", "NQZ3minusNQH4"]
    one, other = Reading(profile={"edge": "end"}), Reading(profile={"edge": "start"})
    assert one.label != other.label
    assert one.label == Reading(profile={"edge": "end", "tz": None}).label
    assert json.loads(json.dumps(one.given())) == one.given() == {"profile": {"edge": "end"}}
    assert os.environ["XDG_DATA_HOME"].startswith(str(tmp_path))
