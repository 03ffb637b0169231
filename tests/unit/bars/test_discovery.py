"""Files found by the names that vendors give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.bars import Found, available, find_source, parse_name, symbols, timeframes
from jupyter_nq.errors import AmbiguousSource, SourceNotFound, UnknownInstrument, UnknownTimeframe, UnreadableSource


def touch(directory: Path, *names: str) -> None:
    """Make empty files."""
    for name in names:
        (directory / name).write_text("")


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe"),
    [
        ("NQ - 30 min - ETH.csv", "NQ", "30min"),
        ("@NQ - 5 min - ETH.csv", "NQ", "5min"),
        ("NQ - 5 min - ETH_extended.csv", "NQ", "5min_extended"),
        ("NQ_5min_extended.csv", "NQ", "5min_extended"),
        ("NQ_30min.csv", "NQ", "30min"),
        ("ES_5min.txt", "ES", "5min"),
        ("nq-30m.CSV", "NQ", "30min"),
        ("NQ 60 min.csv", "NQ", "1h"),
        ("NQ - 30 min - RTH.csv", "NQ", "30min_rth"),
        ("6E_1h.csv", "6E", "1h"),
        ("NQ_30min (1).csv", "NQ", "30min"),
        ("NQ_30_min.csv", "NQ", "30min"),
        ("NQ_30min.parquet", "NQ", "30min"),
        ("NQ_30min.feather", "NQ", "30min"),
        ("NQ_5min_continuous_UNadjusted.txt", "NQ", "5min"),
        ("NQ_5m_2024.csv", "NQ", "5min"),
        ("NQ_5min_RTH_2024-01-01_ratio.csv", "NQ", "5min_rth"),
        ("day_NQ_5min.csv", "NQ", "5min"),
        ("NQ_5min.zip", "NQ", "5min"),
        ("FDAX_5min_2024.csv", "FDAX", "5min"),
    ],
)
def test_vendor_names_are_understood(name: str, symbol: str, timeframe: str) -> None:
    """Symbol and timeframe come from the name."""
    assert parse_name(name) == Found(Path(name), symbol, timeframe)


@pytest.mark.parametrize(
    "name", ["README.md", "NQ.csv", "notes 2024.csv", "NQ_30min.xlsx", "NQ_30sec.csv", "prices.csv"]
)
def test_other_names_are_no_bar_files(name: str) -> None:
    """A name that does not fit is passed over."""
    assert parse_name(name) is None


def test_available_is_sorted_and_find_takes_the_one(tmp_path: Path) -> None:
    """A directory is listed by symbol and length, and a request finds its file."""
    touch(
        tmp_path,
        "NQ - 30 min - ETH.csv",
        "NQ - 5 min - ETH.csv",
        "NQ - 5 min - ETH_extended.csv",
        "ES_5min.txt",
        "x.csv",
    )
    (tmp_path / "CL_5min.csv").mkdir()
    assert [(f.symbol, f.timeframe) for f in available(tmp_path)] == [
        ("ES", "5min"),
        ("NQ", "5min"),
        ("NQ", "5min_extended"),
        ("NQ", "30min"),
    ]
    assert find_source(tmp_path, "@nq", "5 min").name == "NQ - 5 min - ETH.csv"
    assert find_source(tmp_path, "NQ", "5min_extended").name == "NQ - 5 min - ETH_extended.csv"
    assert symbols(tmp_path) == ["ES", "NQ"]
    assert timeframes(tmp_path) == ["5min", "5min_extended", "30min"]
    assert timeframes(tmp_path, "es") == ["5min"]


def test_errors_say_what_is_there(tmp_path: Path) -> None:
    """Each way not to find a file has its own error, which lists what there is."""
    with pytest.raises(SourceNotFound, match="does not exist"):
        find_source(tmp_path / "none", "NQ", "30min")
    with pytest.raises(SourceNotFound, match=r"no bar file\. Put one there") as caught:
        find_source(tmp_path, "NQ", "30min")
    assert f"no NQ file in {tmp_path}, which has" in str(caught.value)
    assert "or pass data_dir= or the path of a file" in str(caught.value)
    touch(tmp_path, "NQ - 30 min - ETH.csv", *(f"ES_{n}min.csv" for n in range(1, 14)))
    with pytest.raises(SourceNotFound, match=r"ES 1min.* and 2 more"):
        find_source(tmp_path, "CL", "30min")
    with pytest.raises(UnknownTimeframe, match=r"no 5min file of NQ.*which has 30min\. Ask for one of these"):
        find_source(tmp_path, "NQ", "5min")
    with pytest.raises(UnknownInstrument, match=r"Did you mean 'NQ'.*To add it, write `instruments"):
        find_source(tmp_path, "NQQ", "5min")
    with pytest.raises(UnknownTimeframe, match="not a timeframe"):
        find_source(tmp_path, "NQ", "soon")


def test_messages_name_a_place_and_not_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative directory is told as an absolute path."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFound, match="no NQ file in ") as caught:
        find_source(".", "NQ", "30min")
    assert f" in {tmp_path}, " in str(caught.value)
    touch(tmp_path, "NQ_30min.csv", "NQ - 30 min.csv")
    for timeframe in ("30min", "5min"):
        with pytest.raises((AmbiguousSource, UnknownTimeframe)) as refused:
            find_source(".", "NQ", timeframe)
        assert f" in {tmp_path}" in str(refused.value)


def test_the_plain_name_is_meant_among_several(tmp_path: Path) -> None:
    """A name that says nothing else is the one meant; a word of the name, or a contract's code, asks for another."""
    touch(tmp_path, "NQ_5min.csv", "NQ_5min_continuous.csv", "NQZ24_5min.csv", "NQ_5min_extended.csv")
    assert find_source(tmp_path, "NQ", "5min").name == "NQ_5min.csv"
    assert find_source(tmp_path, "NQ1!", "5min_continuous").name == "NQ_5min_continuous.csv"
    assert find_source(tmp_path, "NQ", "5min_extended").name == "NQ_5min_extended.csv"
    assert find_source(tmp_path, "NQZ24", "5min").name == "NQZ24_5min.csv"
    (tmp_path / "NQ_5min.csv").rename(tmp_path / "NQ_5min_ratio.csv")
    with pytest.raises(AmbiguousSource, match=r"'NQ_5min_continuous.csv' and 'NQ_5min_ratio.csv'"):
        find_source(tmp_path, "NQ", "5min")


def test_what_is_there_and_does_not_count_is_told(tmp_path: Path) -> None:
    """Files whose names say too little are listed with what they lack."""
    touch(tmp_path, "NQ_2024-01.csv", "export_5min.txt", "NQ_ES_5min.csv", "NQH25_5min.csv", "README.md")
    with pytest.raises(SourceNotFound, match="no NQ file") as caught:
        find_source(tmp_path, "NQ", "5min")
    said = str(caught.value)
    assert "which has EXPORT 5min, NQH25 5min. Not counted, by their names:" in said
    assert "NQ_2024-01.csv (no timeframe)" in said
    assert "NQ_ES_5min.csv (NQ or ES?)" in said
    assert "README" not in said


def test_dates_in_names_are_neither_lengths_nor_contracts(tmp_path: Path) -> None:
    """A statement lies beside the bars, and a file named by its dates or by its contracts is one of the symbol."""
    touch(tmp_path, "Statement December 31, 2024.csv", "NQ_01-02-2024_30min.csv", "NQZ2024_NQH2025_1h.csv")
    assert find_source(tmp_path, "NQ", "30min").name == "NQ_01-02-2024_30min.csv"
    assert find_source(tmp_path, "NQ", "1h").name == "NQZ2024_NQH2025_1h.csv"
    assert timeframes(tmp_path) == ["30min", "1h"]


def test_two_matches_are_both_named(tmp_path: Path) -> None:
    """Two files that match are an error, never a choice."""
    touch(tmp_path, "NQ - 30 min - ETH.csv", "NQ_30min (1).csv")
    with pytest.raises(AmbiguousSource, match=r"'NQ - 30 min - ETH.csv' and 'NQ_30min \(1\).csv'"):
        find_source(tmp_path, "NQ", "30min")


def test_completion_is_silent(tmp_path: Path) -> None:
    """Completion of a directory that is not there offers nothing."""
    assert symbols(tmp_path / "none") == []
    assert timeframes(tmp_path / "none") == []


def test_a_symbol_outside_the_table_can_have_files(tmp_path: Path) -> None:
    """A file of a symbol that is not in the table is found."""
    touch(tmp_path, "FDAX_5min.csv")
    assert find_source(tmp_path, "FDAX", "5min").name == "FDAX_5min.csv"


def test_a_directory_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason of the system is passed on."""

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)  # a test that runs as root cannot make such a directory
    with pytest.raises(UnreadableSource, match="Permission denied"):
        available(tmp_path)
