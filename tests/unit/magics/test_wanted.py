"""Which bars the words of `%nq_load` mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.error import UsageError

from nq_magics.wanted import Wanted, wanted_bars


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", Wanted()),
        ("NQ", Wanted("NQ")),
        ("NQ 30min", Wanted("NQ", None, "30min")),
        ("NQ 30 min", Wanted("NQ", None, "30 min")),
        ("30min", Wanted(None, None, "30min")),
        ("30 min", Wanted(None, None, "30 min")),
        ("6E 30min", Wanted("6E", None, "30min")),
        ("NQ 5 min extended", Wanted("NQ", None, "5 min extended")),
        ("NQ 5min_mine", Wanted("NQ", None, "5min_mine")),
        ("NQ soon", Wanted("NQ", None, "soon")),
        ("data/NQ - 30 min - ETH.csv", Wanted("data/NQ - 30 min - ETH.csv")),
        ("NQ_30min.TXT 30min", Wanted("NQ_30min.TXT", None, "30min")),
        ("data/bars 30min", Wanted("data/bars", None, "30min")),
        ("week.csv NQ 30min", Wanted("week.csv", "NQ", "30min")),
        ("week.csv nq 30 min", Wanted("week.csv", "nq", "30 min")),
        ("week.csv NQ", Wanted("week.csv", "NQ")),
        ("week.csv QN 30min", Wanted("week.csv", "QN", "30min")),
        ("week.parquet NQ 30min", Wanted("week.parquet", "NQ", "30min")),
        ("data/NQ_20*.csv NQ 5min", Wanted("data/NQ_20*.csv", "NQ", "5min")),
        ("s3://bars/NQ_5min.parquet", Wanted("s3://bars/NQ_5min.parquet")),
        ("s3://bars/week NQ 5min", Wanted("s3://bars/week", "NQ", "5min")),
        ("x.zip NQ 5min", Wanted("x.zip", "NQ", "5min")),
        ("kibot_NQ.tx 5min", Wanted("kibot_NQ.tx", None, "5min")),
        ("NQ1! 5m", Wanted("NQ1!", None, "5m")),
        ("/NQ M5", Wanted("/NQ", None, "M5")),
        ("NQ.c.0 D", Wanted("NQ.c.0", None, "D")),
        ("export.csv NQ=F 5T", Wanted("export.csv", "NQ=F", "5T")),
        ("CME_MINI_DL_NQ1!, 5.csv", Wanted("CME_MINI_DL_NQ1!, 5.csv")),
    ],
)
def test_words_are_told_apart(words: str, expected: Wanted) -> None:
    """Paths, symbols and timeframes are told apart, with spaces in each of them."""
    assert wanted_bars(words.split()) == expected


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("NQ 30min 5min", "Two timeframes are given, '30min' and '5min'"),
        ("30 min 1 h", "Two timeframes are given, '30 min' and '1 h'"),
        ("NQ 30min bars", "too many: 'bars'. To assign write `as bars`"),
        ("NQ 30min into bars", "write `as bars`"),
        ("week.csv into bars", "write `as bars`"),
        ("NQ 30min = bars", "write `as bars`"),
        ("week.csv bars", "neither a symbol nor a timeframe"),
    ],
)
def test_a_word_too_many_is_named(words: str, says: str) -> None:
    """Nothing becomes a part of the timeframe by chance."""
    with pytest.raises(UsageError, match=says):
        wanted_bars(words.split())


def test_two_symbols_are_refused() -> None:
    """A symbol and `--symbol` may agree."""
    for words in ("ES 30min", "week.csv ES 30min"):
        with pytest.raises(UsageError, match="Two symbols are given, 'ES' and --symbol NQ"):
            wanted_bars(words.split(), "NQ")
    assert wanted_bars(["NQ", "30min"], "nq").source == "NQ"
    assert wanted_bars(["30min"], "ES") == Wanted(None, "ES", "30min")


def test_the_example_is_the_line_to_paste() -> None:
    """It holds what was given and is of the magic that asks, and the symbol in the form of an example."""
    assert wanted_bars(["week.csv"]).example("nq_load") == "%nq_load week.csv --symbol NQ"
    assert wanted_bars(["my", "week.csv", "5min"]).example("nq_sniff") == '%nq_sniff "my week.csv" 5min --symbol NQ'


def test_a_file_without_an_ending_may_have_spaces(tmp_path: Path) -> None:
    """The longest run of words that is a file is the path."""
    (tmp_path / "my bars").touch()
    path = str(tmp_path / "my bars")
    assert wanted_bars([*path.split(), "30min"]) == Wanted(path, None, "30min")


def test_a_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`~` means the home directory, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert wanted_bars(["~/NQ.csv"]) == Wanted(str(tmp_path / "NQ.csv"))
    assert wanted_bars(["~/bars"]) == Wanted(str(tmp_path / "bars"))
