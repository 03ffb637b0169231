"""The real 30-minute NQ file, whole and in parts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jupyter_nq.bars import FLAT, NOT_POSITIVE, OHLC_ORDER, ZERO_VOLUME, Bars, load_bars, read_bars
from tests.unit.bars.conftest import REAL_NAME


@pytest.fixture(scope="module")
def real(real_file: Path) -> Bars:
    """Give the whole file, loaded without any hint."""
    return load_bars(real_file)


def test_every_row_is_read_right(real: Bars) -> None:
    """56,083 bars, strictly increasing, from the first to the last known instant."""
    stamps = real.table["timestamp"]
    assert real.table.num_rows == 56_083
    assert stamps[0].as_py() == datetime(2020, 6, 28, 22, tzinfo=UTC)
    assert stamps[-1].as_py() == datetime(2025, 7, 2, 7, tzinfo=UTC)
    assert (np.diff(np.asarray(stamps.cast(pa.int64()))) > 0).all()


def test_zone_order_and_edge_are_found_with_evidence(real: Bars) -> None:
    """Jerusalem, day first, start of bar; three names that are one zone; nothing asked."""
    profile = real.profile
    assert (profile.tz, profile.edge, profile.day_first, profile.minutes) == ("Asia/Jerusalem", "start", True, 30)
    assert set(profile.zone_names) == {"Asia/Jerusalem", "Asia/Tel_Aviv", "Israel"}
    assert set(profile.layouts) == {"DD/MM/YYYY HH:MM:SS", "D/M/YYYY H:MM"}
    text = "\n".join(real.evidence)
    assert "0 of 56,083 bars" in text
    assert "Europe/Athens 8" in text
    assert "33,941 rows" in text
    assert "22,142 rows" in text
    assert real.instrument is not None
    assert real.instrument.symbol == "NQ"


def test_flags_mark_quiet_bars(real: Bars) -> None:
    """51 bars have no volume and 639 have one price; none is impossible."""
    flags = np.asarray(real.table["flags"])
    assert not (flags & (OHLC_ORDER | NOT_POSITIVE)).any()
    assert not any(line.startswith("rows:") for line in real.evidence)
    assert int((flags & ZERO_VOLUME > 0).sum()) == 51
    assert int((flags & FLAT > 0).sum()) == 639


def test_the_numbers_are_those_of_the_file(real: Bars, real_file: Path) -> None:
    """Prices and volumes equal what the text says, row by row."""
    rows = [line.split(",") for line in real_file.read_text().splitlines()[1:]]
    for column, name in enumerate(("open", "high", "low", "close", "volume"), 1):
        assert real.table[name].to_pylist() == [float(row[column]) for row in rows]


@pytest.mark.parametrize("block_bytes", [4 << 10, 100_003])
def test_blocks_do_not_matter(real: Bars, real_file: Path, block_bytes: int) -> None:
    """Any block size gives the same table."""
    assert read_bars(real_file, real.profile, block_bytes=block_bytes).equals(real.table)


@pytest.mark.parametrize(("days", "undecided"), [(7, True), (31, True), (91, True), (190, False)])
def test_the_end_of_the_file_alone_is_read_without_a_question(
    real: Bars, real_file: Path, tmp_path: Path, days: int, undecided: bool
) -> None:
    """A week, a month and a quarter leave many zone names and one reading, which is taken and called undecided."""
    start = pa.scalar(datetime(2025, 7, 2, 7, tzinfo=UTC).timestamp() - days * 86_400).cast(pa.int64()).as_py()
    count = int(pc.sum(pc.greater(real.table["timestamp"].cast(pa.int64()), start * 1_000_000_000)).as_py())
    lines = real_file.read_text().splitlines(keepends=True)
    path = tmp_path / REAL_NAME
    path.write_text(lines[0] + "".join(lines[-count:]))
    part = load_bars(path)
    assert part.table.equals(real.table.slice(56_083 - count).combine_chunks())
    text = "\n".join(part.evidence)
    assert ("zone: undecided, UTC+3 over this span, e.g. Asia/Jerusalem" in text) is undecided
    assert part.profile.tz == "Asia/Jerusalem"
    assert (len(part.profile.zone_names) > 10) is undecided


def test_a_given_zone_wins_and_is_checked(real: Bars, real_file: Path) -> None:
    """A zone that contradicts the closed hours is used as given, with the number of bars that speak against it."""
    utc = load_bars(real_file, tz="UTC")
    assert utc.profile.tz == "UTC"
    assert utc.profile.edge == "start"
    assert any("3,210 of 56,083 bars" in line and "contradicts" in line for line in utc.evidence)
    chicago = "\n".join(load_bars(real_file, tz="America/Chicago").evidence)
    assert "5,802 of 56,083 bars" in chicago
    assert "contradicts the exchange's hours; Asia/Jerusalem with edge='start' would fit" in chicago
    assert "only edge" not in chicago
    given = load_bars(real_file, tz="Asia/Jerusalem", edge="start", day_first=True)
    assert given.table.equals(real.table)
    assert any("0 of 56,083" in line and "as it should be" in line for line in given.evidence)
    assert any("as given" in line for line in given.evidence)


def test_the_candidates_can_be_asked_for(real_file: Path) -> None:
    """Sniffing alone gives the profile and the one candidate."""
    from jupyter_nq.bars import sniff

    found = sniff(real_file)
    assert [candidate.tz for candidate in found.candidates] == ["Asia/Jerusalem"]
    assert found.candidates[0].offsets == (10_800, 7_200)
    assert found.evidence == found.profile.evidence
