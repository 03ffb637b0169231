"""Messages written for the Python call, as a user of the magics reads them."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from jupyter_nq.errors import AmbiguousStamps
from nq_magics.usage import as_typed, usage_errors


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Pass tz= and edge=, or the symbol= of the file.", "Pass --tz and --edge, or the --symbol of the file."),
        ("Pass tz='America/New_York'.", "Pass --tz 'America/New_York'."),
        ("Pass day_first=True or day_first=False.", "Pass --day-first or --month-first."),
        ("Pass day_first=, tz= if it is wrong.", "Pass --day-first or --month-first, --tz if it is wrong."),
        ("Pass data_dir= or set JUPYTER_NQ_DATA.", "Pass --data-dir or set JUPYTER_NQ_DATA."),
        ("the ritz='x' is no option", "the ritz='x' is no option"),
    ],
)
def test_keyword_arguments_become_options(written: str, read: str) -> None:
    """What the message tells to do can be typed."""
    assert as_typed(written) == read


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
