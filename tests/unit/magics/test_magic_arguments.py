"""The text behind a magic: quotes, comments, `as VAR`, paths with spaces, values that are checked early."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

import pytest
from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument, magic_arguments

from nq_magics.arguments import (
    Line,
    column_list,
    form,
    moment,
    parse,
    quoted,
    split_line,
    start_of,
    unquote,
    variable_to_share,
    version,
)
from nq_magics.usage import HelpAsked


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Line((), None)),
        ("NQ 30min as bars", Line(("NQ", "30min"), "bars")),
        ("NQ 30min AS bars2", Line(("NQ", "30min"), "bars2")),
        ("AS as s", Line(("AS",), "s")),
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
        ("NQ as=bars", "`as bars`, with a space"),
        ("NQ as= bars", "`as bars`, with a space"),
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
@argument("--columns", type=column_list)
@argument("--as", dest="as_", type=form)
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
        ("--as bars", "'bars' is not a form; .* for example `as bars`"),
        ("--columns timestamp close", "write --columns timestamp,close$"),
        ("--columns timestamp, close", "write --columns timestamp,close$"),
        ("--columns timestamp , close --as arrow", "write --columns timestamp,close$"),
        ("--columns=open close NQ 30min", "write --columns open,close$"),
    ],
)
def test_a_bad_option_is_a_usage_error(line: str, says: str) -> None:
    """Unknown options get the nearest one, values get their reason; there are no silent abbreviations."""
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        parse(example, line)


@magic_arguments()
@argument("name")
@argument("--columns", type=column_list)
def one(line: str) -> None:
    """Stand in for a magic of one argument."""


@pytest.mark.parametrize(
    ("line", "assigns", "says"),
    [
        ("a b c", False, "one argument too many: 'b'"),
        ("a b", True, "one argument too many: 'b'. To assign write `as b`"),
        ("a into s", True, "is assigned with `as`: write `as s`"),
        ("a =", True, "write `as bars`"),
        ("a --columns open close shut", True, "write --columns open,close"),
        ("a --columns x y", True, "write --columns x,y$"),
    ],
)
def test_an_argument_too_many_is_named(line: str, assigns: bool, says: str) -> None:
    """The first surplus word is quoted, with what its writer may have meant."""
    with pytest.raises(UsageError, match=says):
        parse(one, line, assigns=assigns)


def test_columns_may_stand_before_other_words() -> None:
    """A word behind `--columns` that is no column is a word of its own."""
    args = parse(example, "--columns open,close NQ 30min")
    assert (args.columns, args.words) == (["open", "close"], ["NQ", "30min"])


@pytest.mark.parametrize("line", ["--help", "NQ -h", "soon as 1 --help"])
def test_help_comes_before_everything(line: str) -> None:
    """A line that asks for help gets it, whatever else is wrong with it."""
    with pytest.raises(HelpAsked, match="Stand in for a magic"):
        parse(example, line, assigns=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["df.a"], r"assign it to one first, or write nq\.put\('x', df\.a\)"),
        (["df[['a',", "'b']]"], r"nq\.put\('x', df\[\['a', 'b'\]\]\)"),
        (["df", "+", "1"], "is not a variable"),
        (["df", "other"], "too many: 'other'. Write %nq_put NAME VAR"),
        (["df", "as", "y"], "too many: 'as'"),
        (["1x"], "too many: '1x'"),
    ],
)
def test_only_a_variable_can_be_shared(words: list[str], says: str) -> None:
    """An expression is told from a surplus word; both say what to write."""
    with pytest.raises(UsageError, match=says):
        variable_to_share(words, usage="%nq_put NAME VAR", call="nq.put('x', ")


@pytest.mark.parametrize("text", ["soon", "--5", "1.5", "²", "2024-13", "", "{0: 1}"])
def test_a_start_that_is_none_is_refused(text: str) -> None:
    """The forms that there are stand in the message."""
    with pytest.raises(argparse.ArgumentTypeError, match="write latest, earliest, a sequence, -100"):
        start_of(text)


def test_a_period_as_a_start_is_its_first_moment() -> None:
    """A time has its zone, UTC unless it says otherwise; a number alone is a sequence, of a year too."""
    assert start_of("2024-06") == start_of("2024-06-01T02:00+02:00") == datetime(2024, 6, 1, tzinfo=UTC)
    assert start_of("2024-06-12T14:30:00.000001999") == datetime(2024, 6, 12, 14, 30, 0, 1, tzinfo=UTC)
    assert (start_of("2024"), start_of("-3"), start_of("0")) == (2024, -3, 0)


def test_a_path_is_quoted_as_it_must_be_typed() -> None:
    """What is quoted is one word again."""
    for path in ("week.csv", "my week.csv", 'a "b".csv', "it's.csv", "a\\b.csv", "#1.csv"):
        assert split_line(quoted(path)).words == (path,)
