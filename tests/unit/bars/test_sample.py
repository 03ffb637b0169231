"""Sample files: realistic, reproducible, and read back exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.bars import available, load_bars, write_sample
from jupyter_nq.bars.closed import is_closed
from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.resample import resample
from jupyter_nq.bars.sample import LAYOUTS, sample_bars
from jupyter_nq.bars.sessions.completeness import completeness
from jupyter_nq.errors import ConfigError


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [1500, 25_000])
def test_every_layout_is_read_back_exactly(tmp_path: Path, layout: str, rows: int) -> None:
    """The reader gives back every bar bit for bit, without a hint."""
    (path,) = write_sample(tmp_path, rows=rows, seed=11, layouts=[layout])
    bars = load_bars(path)
    assert bars.table.drop_columns(["flags"]).equals(sample_bars(layout, rows=rows, seed=11))
    assert bars.profile.edge == "start"


def test_the_default_directory_is_what_users_have(tmp_path: Path) -> None:
    """Four files in vendors' layouts, each found by its name; the damaged one has both layouts."""
    paths = write_sample(tmp_path / "new" / "data", rows=400)
    assert [(f.symbol, f.timeframe) for f in available(tmp_path / "new" / "data")] == [
        ("ES", "30min"),
        ("NQ", "5min"),
        ("NQ", "5min_extended"),
        ("NQ", "30min"),
    ]
    text = paths[0].read_text().splitlines()
    assert text[0] == "Timestamp,Open,High,Low,Close,Volume"
    assert text[1].startswith("29/06/2020 01:00:00,9785.5,")
    assert any(line.startswith("1/7/2020 1:00,") for line in text)
    assert len(text) == 401


def test_bars_are_realistic() -> None:
    """Open hours only, on the tick, ordered prices, positive, with some quiet and some flat bars."""
    bars = sample_bars("30min", rows=60_000)
    stamps = np.asarray(bars["timestamp"].cast(pa.int64())) // 1_000_000_000
    assert (np.diff(stamps) > 0).all()
    assert not is_closed(stamps).any()
    open_, high, low, close = (np.asarray(bars[name]) for name in ("open", "high", "low", "close"))
    assert (np.stack([open_, high, low, close]) % 0.25 == 0).all()
    assert (high >= np.maximum(open_, close)).all()
    assert (low <= np.minimum(open_, close)).all()
    assert low.min() > 5000
    assert (np.asarray(bars["volume"]) >= 0).all()
    fine = sample_bars("5min", rows=60_000)
    assert (np.asarray(fine["volume"]) == 0).any()
    assert (np.asarray(fine["high"]) == np.asarray(fine["low"])).any()


def test_files_of_one_directory_agree() -> None:
    """Five-minute bars make thirty-minute ones, early closes included; the extended file ends with the plain one."""
    coarse, fine = sample_bars("30min", rows=500), sample_bars("5min", rows=500)
    made = resample(fine, "30min", minutes=5, calendar=EQUITY).drop_columns(["flags"])
    assert made.slice(0, 500).equals(coarse)
    extended = sample_bars("5min_extended", rows=500)
    assert extended.num_rows > fine.num_rows
    assert extended.slice(extended.num_rows - fine.num_rows).equals(fine)


@pytest.mark.parametrize(
    ("layout", "minutes", "rows"), [("1min", 1, 250_000), ("5min", 5, 9_000), ("30min", 30, 9_000)]
)
def test_samples_lack_nothing_that_the_calendar_expects(layout: str, minutes: int, rows: int) -> None:
    """The close at 13:15 of 27 November 2020 is met: a validation of the package's own files finds nothing missing."""
    starts = np.asarray(sample_bars(layout, rows=rows)["timestamp"].cast(pa.int64()))
    found = completeness(starts, minutes, EQUITY)
    assert (found.missing, len(found.outside)) == (0, 0)
    last = np.datetime64("2020-11-27T18:15") - np.timedelta64(15 if minutes == 30 else minutes, "m")
    assert last.astype("M8[ns]").astype(int) in starts


def test_a_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """The same arguments give the same bytes, another seed others."""
    (first,) = write_sample(tmp_path / "a", rows=200, seed=1, layouts=["iso"])
    (again,) = write_sample(tmp_path / "b", rows=200, seed=1, layouts=["iso"])
    (other,) = write_sample(tmp_path / "c", rows=200, seed=2, layouts=["iso"])
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"layouts": ["30mn"]}, "Did you mean '30min'"),
        ({"rows": 0}, "at least one row"),
        ({"rows": 2_500_000, "layouts": ["30min"]}, "past the year 2199"),
    ],
)
def test_impossible_requests_are_refused(tmp_path: Path, options: dict[str, object], reason: str) -> None:
    """An unknown layout, no rows and too many rows are refused."""
    with pytest.raises(ConfigError, match=reason):
        write_sample(tmp_path, **options)  # type: ignore[arg-type]
