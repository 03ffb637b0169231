"""A continuous series of contract files: shared once, raw and adjusted side by side, with its roll table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.bars.sessions.adjust import back_adjust
from jupyter_nq.bars.sessions.contracts import continuous as join_contracts
from jupyter_nq.bars.sessions.contracts import roll_digest, rolls_of
from jupyter_nq.bars.sessions.contracts import roll_table as rolls_between
from jupyter_nq.client.bars.contracts import ADJUSTED, completeness, continuous, roll_table
from jupyter_nq.client.bars.request import Reading
from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument, UnknownDataset
from tests.unit.bars.sessions.test_contracts import THREE

DECIDED: dict[str, Any] = {"timeframe": "1h", "tz": "UTC", "edge": "start"}


def iso(table: pa.Table, path: Path) -> Path:
    """Write a contract as plain ISO text in UTC."""
    text = table.set_column(0, "timestamp", table["timestamp"].cast(pa.timestamp("s", "UTC")).cast(pa.string()))
    pacsv.write_csv(text.drop(["flags"]), path)
    return path


def ninja(table: pa.Table, path: Path) -> Path:
    """Write a contract as NinjaTrader does: UTC, stamps of the end of a bar, no header, semicolons."""
    stamps = table["timestamp"].cast(pa.int64()).to_pylist()
    rows = zip(stamps, *(table[name].to_pylist() for name in (*PRICES, "volume")), strict=True)
    lines = [
        f"{datetime.fromtimestamp(at / 1e9 + 3600, UTC):%Y%m%d %H%M%S};{o};{h};{low};{c};{v}\n"
        for at, o, h, low, c, v in rows
    ]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Give three contracts as files that say what they are, the last one first."""
    return [iso(THREE[name], tmp_path / f"{name}_1h.csv") for name in reversed(THREE)]


def test_files_become_one_series(session: Session, files: list[Path]) -> None:
    """Raw bars, the place of each contract, adjusted prices and the roll table are those of the domain."""
    frame = continuous(session, files, **DECIDED)
    rolls = rolls_between(THREE, EQUITY)
    raw = join_contracts(THREE, rolls)
    table = continuous(session, files, as_="arrow", **DECIDED)
    for name in ("timestamp", *PRICES, "volume"):
        assert table[name].combine_chunks().equals(raw[name].combine_chunks())
    adjusted = back_adjust(raw, rolls)
    for name in PRICES:
        np.testing.assert_array_equal(frame[name + ADJUSTED], adjusted[name].to_numpy())
    starts = frame["timestamp"].astype("int64")
    spans = [(0, rolls[0].at_ns), (rolls[0].at_ns, rolls[1].at_ns), (rolls[1].at_ns, 2**62)]
    assert [int((frame["contract"] == place).sum()) for place in range(3)] == [
        int(((starts >= first) & (starts < last)).sum()) for first, last in spans
    ]
    assert rolls_of(table)[0] == rolls == roll_table(session, files, **DECIDED)
    assert frame.attrs["nq_rolls"]["version"] == roll_digest(rolls)
    assert frame.attrs["nq_rolls"]["adjusted"] == "difference"
    with pytest.raises(ValueError, match="read-only"):
        frame["close"].to_numpy()[0] = 0.0


def test_made_once(session: Session, files: list[Path]) -> None:
    """The same files are mapped, whatever their order; a changed one is a new version, another method another name."""
    continuous(session, files, **DECIDED)
    continuous(session, {path.name[:5]: path for path in reversed(files)}, **DECIDED)
    assert [(d.name, d.version) for d in session.ls()] == [("NQ.1h-continuous-difference", 1)]
    lines = files[0].read_text().splitlines(keepends=True)
    files[0].write_text("".join(lines[:-1]))
    continuous(session, files, **DECIDED)
    raw = continuous(session, files, None, **DECIDED)
    continuous(session, files, "ratio", name="mine", **DECIDED)
    assert {d.name: d.version for d in session.ls()} == {
        "NQ.1h-continuous": 1,
        "NQ.1h-continuous-difference": 2,
        "mine": 1,
    }
    assert list(raw.columns) == ["timestamp", *PRICES, "volume", "contract"]
    rolls = roll_table(session, "mine")
    assert [(roll.old, roll.new) for roll in rolls] == [("NQZ24", "NQH25"), ("NQH25", "NQM25")]
    ratio = session.get("mine")
    before = ratio["contract"] == 0
    factor = rolls[0].ratio * rolls[1].ratio
    np.testing.assert_allclose(ratio["close_adjusted"][before], ratio["close"][before] * factor, rtol=1e-12)


def test_a_corrected_answer_makes_another_series(session: Session, tmp_path: Path) -> None:
    """What was said of the files before is part of what a series was made of."""
    paths = []
    for name in ("NQZ24", "NQH25"):
        table = THREE[name]
        stamps = table["timestamp"].to_pandas().dt.strftime("%Y-%m-%d %H:%M:%S")
        regular = table.filter(pa.array((stamps.str[11:13].astype(int) >= 15) & (stamps.str[11:13].astype(int) < 20)))
        text = regular.set_column(0, "timestamp", regular["timestamp"].cast(pa.timestamp("s")).cast(pa.string()))
        paths.append(tmp_path / f"{name}_1h.csv")
        pacsv.write_csv(text.drop(["flags"]), paths[-1])

    def first(tz: str) -> str:
        for path in paths:
            session.map(path, reading=Reading(tz=tz, edge="start"))
        return str(continuous(session, paths)["timestamp"].iloc[0])

    answers = [first(tz) for tz in ("America/Chicago", "America/New_York", "America/Chicago")]
    assert answers[0] == answers[2] != answers[1]


def test_ninjatrader_files(session: Session, tmp_path: Path) -> None:
    """Files that are called by month and year, with stamps of the end of a bar."""
    paths = [
        ninja(THREE[name], tmp_path / f"NQ {month}.Last.txt")
        for name, month in (("NQH25", "03-25"), ("NQZ24", "12-24"))
    ]
    found = continuous(session, paths, timeframe="1h", tz="UTC", edge="end")
    two = {name: THREE[name] for name in ("NQZ24", "NQH25")}
    raw = join_contracts(two, rolls_between(two, EQUITY))
    assert found["timestamp"].astype("int64").tolist() == raw["timestamp"].cast(pa.int64()).to_pylist()
    assert session.ls()[0].name == "NQ.1h-continuous-difference"
    (roll,) = roll_table(session, "NQ.1h-continuous-difference")
    assert (roll.old, roll.new) == ("NQZ24", "NQH25")


def test_bars_at_hand(session: Session, files: list[Path]) -> None:
    """Datasets and tables may stand beside files; names without a code keep their order."""
    session.put("december", THREE["NQZ24"])
    given = {"NQZ24": "december", "NQM25": THREE["NQM25"], "NQH25": files[1]}
    mixed = continuous(session, given, symbol="NQ", **DECIDED)
    assert len(mixed) == len(continuous(session, files, **DECIDED))
    named = {"first": THREE["NQZ24"], "second": THREE["NQH25"]}
    (roll,) = roll_table(session, named, symbol="NQ", timeframe="1h")
    assert (roll.old, roll.new) == ("first", "second")
    with pytest.raises(InvalidArgument, match="in which they expire"):
        roll_table(session, dict(reversed(named.items())), symbol="NQ", timeframe="1h")
    old = {"NQZ4": THREE["NQZ24"], "NQH5": THREE["NQH25"], "NQM2025": THREE["NQM25"]}
    shuffled = {name: old[name] for name in ("NQM2025", "NQZ4", "NQH5")}
    assert [roll.new for roll in roll_table(session, shuffled, timeframe="1h")] == ["NQH5", "NQM2025"]


def test_one_file_of_several_contracts(session: Session, files: list[Path], tmp_path: Path) -> None:
    """Given for each of them, it is read by its column of contracts."""
    path = tmp_path / "export.csv"
    rows = [(row["timestamp"], name, row) for name, table in THREE.items() for row in table.to_pylist()]
    lines = [
        f"{at:%Y-%m-%dT%H:%M:%SZ},{row['open']},{row['high']},{row['low']},{row['close']},{row['volume']},{name}\n"
        for at, name, row in sorted(rows, key=lambda each: each[:2])
    ]
    path.write_text("ts_event,open,high,low,close,volume,symbol\n" + "".join(lines))
    mixed = continuous(session, dict.fromkeys(THREE, path), name="mixed", timeframe="1h")
    apart = continuous(session, files, **DECIDED)
    assert mixed.equals(apart)


@pytest.mark.parametrize(
    ("contracts", "options", "says"),
    [
        ([], {}, "no contract is given"),
        ("NQH25.csv", {}, "one file is no series"),
        (["a.csv"], {}, r"does not say which contract.*NQH25\.csv"),
        ({"NQH25": THREE["NQH25"]}, {"method": "diference"}, "Did you mean 'difference'"),
        ({"first": THREE["NQZ24"], "second": THREE["NQH25"]}, {}, "symbol='NQ'"),
        (["x/NQH25_1h.csv", "y/NQ 03-25.txt"], {"timeframe": "1h"}, "no such file: .*NQH25_1h.csv"),
    ],
)
def test_what_is_no_chain(session: Session, contracts: Any, options: dict[str, Any], says: str) -> None:
    """Each is refused with what to pass."""
    with pytest.raises((InvalidArgument, FileNotFoundError), match=says):
        continuous(session, contracts, **{"timeframe": "1h", **options})


def test_contracts_that_do_not_fit(session: Session, files: list[Path], tmp_path: Path) -> None:
    """Two files of one contract, bars of two lengths, the name of a parsed file: nothing is shared."""
    twice = iso(THREE["NQH25"], tmp_path / "NQ 03-25_1h.csv")
    with pytest.raises(InvalidArgument, match="NQH25 is given twice"):
        continuous(session, [*files, twice], **DECIDED)
    session.map("NQ", "30min")
    with pytest.raises(InvalidArgument, match="1h of NQZ24, 30min of NQH25"):
        continuous(session, {"NQZ24": files[2], "NQH25": "NQ.30min"}, tz="UTC", edge="start")
    with pytest.raises(InvalidArgument, match=r"NQ\.30min holds what .* holds"):
        continuous(session, files, name="NQ.30min", **DECIDED)
    with pytest.raises(InvalidArgument, match="was not made of contracts"):
        roll_table(session, "NQ.30min")
    with pytest.raises(UnknownDataset):
        roll_table(session, "nothing")
    assert [d.name for d in session.ls()] == ["NQ.30min"]


def test_completeness(session: Session) -> None:
    """What a dataset, or a frame of it, lacks against the calendar."""
    session.map("NQ", "30min")
    found = completeness(session, "NQ.30min")
    assert found.present == 2_000
    holed = session.get("NQ.30min").drop(index=range(700, 710))
    assert completeness(session, holed).missing == found.missing + 10
    assert "expected bars" in found.text()
    micro = holed.assign(timestamp=holed["timestamp"].dt.as_unit("us"))
    assert completeness(session, micro, timeframe="30min", symbol="NQ").text() == completeness(session, holed).text()
    with pytest.raises(InvalidArgument, match="do not strictly increase"):
        completeness(session, holed[::-1], timeframe="30min", symbol="NQ")
    with pytest.raises(InvalidArgument, match="symbol='NQ'"):
        completeness(session, THREE["NQH25"], timeframe="1h")
