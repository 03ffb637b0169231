"""What the names of vendors' files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.bars.names import named, root_of


@pytest.mark.parametrize(
    ("name", "symbol", "spelled", "contract", "timeframe"),
    [
        ("ts_NQ_5min.txt", "NQ", "NQ", None, "5min"),
        ("yf_NQ_5m.csv", "NQ", "NQ", None, "5min"),
        ("NQ 03-24.Last.txt", "NQ", "NQH24", "NQH24", None),
        ("CME_MINI_DL_NQ1!, 5.csv", "NQ", "NQ1!", None, "5min"),
        ("CME_MINI_DL_NQ1!, 60_a1b2c.csv", "NQ", "NQ1!", None, "1h"),
        ("CME_MINI_DL_NQ1!, 1D.csv", "NQ", "NQ1!", None, "1D"),
        ("NQH24-CME.scid_BarData.txt", "NQ", "NQH24", "NQH24", None),
        ("glbx-mdp3-20240102-20240328.ohlcv-1m.csv", None, "", None, "1min"),
        ("kibot_NQ.txt", "NQ", "NQ", None, None),
        ("NQ=F.csv", "NQ", "NQ=F", None, None),
        ("NQZ24.csv", "NQ", "NQZ24", "NQZ24", None),
        ("NQZ4_M15.csv", "NQ", "NQZ4", "NQZ4", "15min"),
        ("NQ.c.0_1min.parquet", "NQ", "NQ.c.0", None, "1min"),
        ("NQ.5min.csv.gz", "NQ", "NQ", None, "5min"),
        ("NQ_D.csv", "NQ", "NQ", None, "1D"),
        ("DAT_ASCII_NSXUSD_M1_202401.csv", None, "", None, "1min"),
        ("NQ_1M.csv", "NQ", "NQ", None, None),
        ("NQ_1min_5min.csv", "NQ", "NQ", None, None),
        ("NQ_1.5h.csv", "NQ", "NQ", None, None),
        ("CONQUEST_NQUEST.csv", None, "", None, None),
        ("Statement December 31, 2024.csv", None, "", None, None),
        ("NQ 30 min, 2023.csv", "NQ", "NQ", None, "30min"),
        ("NQ1!, 0.csv", "NQ", "NQ1!", None, None),
        ("NQ_01-02-2024_30min.csv", "NQ", "NQ", None, "30min"),
        ("NQ_06-28-2020_30min.csv", "NQ", "NQ", None, "30min"),
        ("NQ 01-02-2024 to 06-30-2024 30min.csv", "NQ", "NQ", None, "30min"),
        ("NQ 03-24 30min.csv", "NQ", "NQH24", "NQH24", "30min"),
        ("NQZ2024_NQH2025_30min.csv", "NQ", "NQZ24", None, "30min"),
        ("NQZ2024_NQZ24_30min.csv", "NQ", "NQZ24", "NQZ24", "30min"),
        ("NQZ24_CLF26_30min.csv", None, "NQZ24", None, "30min"),
    ],
)
def test_names_of_vendors(
    name: str, symbol: str | None, spelled: str, contract: str | None, timeframe: str | None
) -> None:
    """Instrument, contract and length are found among the other words, and nothing that is not sure."""
    found = named(name)
    assert (found.symbol, found.spelled, found.contract, found.timeframe) == (symbol, spelled, contract, timeframe)


def test_two_symbols_leave_it_open() -> None:
    """The instruments that may be meant are told, and none is taken."""
    assert named("NQ_ES_5min.csv").symbol is None
    assert named("NQ_ES_5min.csv").symbols == ("NQ", "ES")
    assert named("NQZ24_NQ_5min.csv").symbol == "NQ"


@pytest.mark.parametrize("word", ["NQ", "nq", "@NQ", "/NQ", "NQ1!", "NQ=F", "NQ.c.0", "NQ.v.0", "NQ.n.0"])
def test_spellings_of_a_symbol(word: str) -> None:
    """Vendors' names for the continuous future mean its root."""
    assert root_of(word) == "NQ"


@pytest.mark.parametrize("word", ["NQZ24", "NQ2!", "NQ.c.1", "QN", "NQ.30min", "NQ!", "/data/NQ", "NQ=X"])
def test_what_is_no_spelling_stays(word: str) -> None:
    """A contract, the second month, a dataset, a path and a mistyped symbol are left alone."""
    assert root_of(word) == word


def test_electronic_hours_are_no_ether() -> None:
    """The word that most files have names no instrument, beside another or alone; a code or a spelling does."""
    assert named("NQ - 30 min - ETH.csv").symbol == "NQ"
    assert named("nasdaq - 30 min - ETH.csv").symbol is None
    assert named("ETHH25 30min.csv").symbol == named("ETH1!, 30.csv").symbol == "ETH"


def test_an_instrument_of_ones_own_is_found_in_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of the settings count as those of the table."""
    assert named("FDAX_5min.csv").symbol is None
    (tmp_path / "own.yaml").write_text("instruments: {FDAX: {tick: 0.5, point_value: 25}}")
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(tmp_path / "own.yaml"))
    assert named("FDAX_5min.csv").symbol == "FDAX"
