"""Messages written for the Python call, as a user of the magics reads them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from IPython.core.error import UsageError

from jupyter_nq import bars
from jupyter_nq.client.bars import request
from jupyter_nq.errors import AmbiguousStamps
from nq_magics.arguments import HelpAsked
from nq_magics.usage import interruptible, usage_errors
from nq_magics.wording import as_typed

ARGUMENT = re.compile(r"\b(tz|edge|symbol|timeframe|data_dir|day_first)=|\bdata_dir\b")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Pass tz= and edge=, or the symbol= of the file.", "Pass --tz and --edge, or the --symbol of the file."),
        ("Pass tz='America/New_York'.", "Pass --tz America/New_York."),
        ("Pass day_first=True or day_first=False.", "Pass --day-first or --month-first."),
        ("Pass day_first=, tz= if it is wrong.", "Pass --day-first or --month-first, --tz if it is wrong."),
        ("Pass data_dir= or set JUPYTER_NQ_DATA.", "Pass --data-dir or set JUPYTER_NQ_DATA."),
        ("Name a file, or set data_dir.", "Name a file, or give --data-dir."),
        ("Pass the timeframe= that the file has.", "Pass the timeframe that the file has."),
        ("Pass timeframe=, e.g. '30min'.", "Pass the timeframe, e.g. 30min."),
        ("Correct the line. day_first=False was given.", "Correct the line. --month-first was given."),
        ("Say it, for example symbol='NQ'.", "Say it, for example `%nq_load w.csv 30min`."),
        ("Say it, for example timeframe='5min'.", "Say it, for example 5min."),
        (
            "pass single answers, such as profile={'tz': 'UTC', 'edge': 'end'}.",
            "pass single answers, such as --profile tz=UTC --profile edge=end.",
        ),
        ("x.txt: profile={'tz': 'UTC'} does not fit", "x.txt: --profile tz=UTC does not fit"),
        ("with tz='UTC' and edge='end', 3 bars", "with --tz UTC and --edge end, 3 bars"),
        (
            "or say: profile={'columns': {'timestamp': [1, 2], 'open': 3, ...}}.",
            "or say: --profile columns.timestamp=1+2 --profile columns.open=3 ....",
        ),
        ("profile={'delimiter': ';'}", "--profile delimiter=;"),
        ("profile={'layouts': ['DD/MM/YYYY HH:MM']}", '--profile "layouts=DD/MM/YYYY HH:MM"'),
        ("profile={'tz': UTC}", "profile={'tz': UTC}"),
        (
            "actions['flat']='quarantine' needs a file: pass quarantine='rows.csv'.",
            "--action flat=quarantine needs a file: pass --quarantine rows.csv.",
        ),
        (
            "NQ.5min is a dataset: nq.get('NQ.5min') maps it, see nq.ls()",
            "NQ.5min is a dataset: %nq_get NQ.5min maps it, see %nq_ls",
        ),
        ("Pass symbol='NQ', or edge='start' (or 'end').", "Pass --symbol NQ, or --edge start (or --edge end)."),
        ("tz='a b' is not a time zone.", "--tz 'a b' is not a time zone."),
        ("Make it: nq.stream(name).", "Make it: %nq_publish STREAM VAR."),
        ("dropped. Make it again: nq.stream(name).", "dropped. Make it again: %nq_publish STREAM VAR."),
        (
            "Start at a time, or at a position: {lane: sequence}.",
            "Start at a time: --start 2024-01-31T14:30.",
        ),
        ("the ritz='x' is no option", "the ritz='x' is no option"),
        ("at is timestamp[us, tz=UTC] there, pass tz='UTC'.", "at is timestamp[us, tz=UTC] there, pass --tz UTC."),
    ],
)
def test_keyword_arguments_become_options(written: str, read: str) -> None:
    """What the message tells to do can be typed."""
    assert as_typed(written, "%nq_load w.csv 30min") == read


def test_no_message_of_the_bars_shows_a_keyword_argument() -> None:
    """Whatever the reader of files says is rewritten in full."""
    found = [text for path in sorted(Path(bars.__file__).parent.rglob("*.py")) for text in _texts(path)]
    found += _texts(Path(request.__file__))
    assert len(found) > 10
    assert [text for text in found if ARGUMENT.search(as_typed(text))] == []


def _texts(path: Path) -> list[str]:
    """Return the texts in `raise` statements of a module, and those of its functions that make messages."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    documented = [ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
    return [text for text in texts if " " in text and text not in documented and ARGUMENT.search(text)]


def test_an_interrupt_is_one_line() -> None:
    """The cell fails with a sentence, and no frame of the package is printed."""
    with pytest.raises(UsageError, match=r"^interrupted: nothing was shared$"), interruptible():
        raise KeyboardInterrupt


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Help is no error."""
    with usage_errors():
        raise HelpAsked("%nq")
    assert capsys.readouterr().out == "%nq\n"


def test_candidates_stay_side_by_side() -> None:
    """The lines of a table stay lines, their columns aligned, and nothing moves the cursor."""
    table = (
        "day and month cannot be told apart:\n  as written  day_first=True  last\n  03/04/2024  2024-04-03      \x1b[2J"
    )
    with pytest.raises(UsageError) as refused, usage_errors():
        raise AmbiguousStamps(table)
    head, titles, row = str(refused.value).splitlines()
    assert head == "day and month cannot be told apart:"
    assert titles == "  as written  --day-first     last"
    assert titles.index("last") == row.index("\\x1b")
