"""The text behind a magic: quotes, comments, `as VAR`, paths with spaces, values that are checked early."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument, magic_arguments

from nq_magics.arguments import (
    Line,
    column_list,
    moment,
    parse,
    source_and_timeframe,
    split_line,
    unquote,
    version,
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Line((), None)),
        ("NQ 30min as bars", Line(("NQ", "30min"), "bars")),
        ("NQ as bars 30min --edge end", Line(("NQ", "30min", "--edge", "end"), "bars")),
        ('"a b/NQ - 30 min.csv" as b;', Line(("a b/NQ - 30 min.csv",), "b")),
        ("NQ 30min   # first kernel, as it were", Line(("NQ", "30min"), None)),
        ("--tz='Asia/Jerusalem' a\\ b", Line(("--tz=Asia/Jerusalem", "a b"), None)),
        ('"as" as größe', Line(("as",), "größe")),
        ("a#b", Line(("a#b",), None)),
    ],
)
def test_a_line_is_split(line: str, expected: Line) -> None:
    """Quotes and comments go, and `as VAR` is found wherever it stands."""
    assert split_line(line) == expected


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("NQ as", "needs the name of a variable"),
        ("NQ as 1x", "'1x' is not a name"),
        ("NQ as class", "'class' is not a name"),
        ("NQ as a.b", "'a.b' is not a name"),
        ('NQ as "a b"', "is not a name"),
        ("NQ as a as b", "twice"),
        ('NQ "30 min', 'not closed: "30 min'),
        ("it's", "not closed"),
    ],
)
def test_a_bad_line_is_a_usage_error(line: str, says: str) -> None:
    """What cannot be a variable, and an open quotation mark, are named before anything is done."""
    with pytest.raises(UsageError, match=says):
        split_line(line)


def test_unquoting_follows_the_shell() -> None:
    """Double quotes keep backslash escapes, single quotes keep everything."""
    assert unquote(r'"a\"b"') == 'a"b'
    assert unquote(r"'a\b'") == r"a\b"
    assert unquote('""') == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (None, None)),
        (["NQ"], ("NQ", None)),
        (["NQ", "30min"], ("NQ", "30min")),
        (["NQ", "30", "min"], ("NQ", "30 min")),
        (["30min"], ("30min", None)),
        (["30", "min"], ("30 min", None)),
        (["6E", "30min"], ("6E", "30min")),
        (["data/NQ", "-", "30", "min", "-", "ETH.csv"], ("data/NQ - 30 min - ETH.csv", None)),
        (["NQ_30min.TXT", "30min"], ("NQ_30min.TXT", "30min")),
        (["data/bars", "30min"], ("data/bars", "30min")),
    ],
)
def test_source_and_timeframe_are_told_apart(words: list[str], expected: tuple[str | None, str | None]) -> None:
    """Paths, symbols and timeframes are told apart, with spaces in each of them."""
    assert source_and_timeframe(words) == expected


def test_a_file_without_an_ending_may_have_spaces(tmp_path: Path) -> None:
    """The longest run of words that is a file is the path."""
    (tmp_path / "my bars").touch()
    assert source_and_timeframe([*str(tmp_path / "my bars").split(), "30min"]) == (str(tmp_path / "my bars"), "30min")


def test_a_home_directory_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`~` means the home directory, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source_and_timeframe(["~/NQ.csv"]) == (str(tmp_path / "NQ.csv"), None)
    assert source_and_timeframe(["~/bars"]) == (str(tmp_path / "bars"), None)


def test_values_are_checked_before_anything_is_done() -> None:
    """Dates, column lists and versions are parsed with the line."""
    assert moment("2024-01-31T14:30") == "2024-01-31T14:30"
    assert column_list("open, close") == ["open", "close"]
    assert version("3") == version("v3") == 3
    for check, bad in ((moment, "soon"), (moment, "NaT"), (column_list, "open,"), (version, "0"), (version, "x")):
        with pytest.raises(argparse.ArgumentTypeError):
            check(bad)


@magic_arguments()
@argument("words", nargs="*")
@argument("--start", type=moment)
@argument("--version", type=version)
def example(line: str) -> None:
    """Stand in for a magic."""


def test_options_may_stand_between_words() -> None:
    """Order does not matter."""
    args = parse(example, "NQ --start 2024-01-01 as bars 30min", assigns=True)
    assert (args.words, args.start, args.variable) == (["NQ", "30min"], "2024-01-01", "bars")


def test_as_is_a_word_where_nothing_is_assigned() -> None:
    """A magic without `as VAR` takes `as` for what it is."""
    assert parse(example, "as x").words == ["as", "x"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--strt 2024-01-01", "no option '--strt'. Did you mean '--start'"),
        ("--ver 1", "no option '--ver'"),
        ("--start soon", "'soon' is not a date"),
        ("--version", "expected one argument"),
    ],
)
def test_a_bad_option_is_a_usage_error(line: str, says: str) -> None:
    """Unknown options get the nearest one, values get their reason; there are no silent abbreviations."""
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        parse(example, line)


@magic_arguments()
@argument("name")
def one(line: str) -> None:
    """Stand in for a magic of one argument."""


def test_one_argument_too_many_is_named() -> None:
    """The first surplus word is quoted."""
    with pytest.raises(UsageError, match="one argument too many: 'b'"):
        parse(one, "a b c")
