"""The counts of a run, in a line, in words and as plain values."""

from __future__ import annotations

import json
from collections import Counter

from jupyter_nq.testing.tally import Tally


def test_a_run_in_words() -> None:
    """Rates, kills by step, and a line for each finding."""
    tally = Tally(
        2000, 60, Counter(put=3000), Counter(put=1500, between=500), lost=["cycle 3: a is gone"], seconds=100.0
    )
    assert tally.line() == (
        "2,000 cycles, 60 of them killed the host, 3,000 steps; lost 1, torn 0, leaked 0, failed 0; 20.0 cycles/s"
    )
    assert tally.summary().splitlines()[1:] == ["kills by step: between 500, put 1,500", "lost: cycle 3: a is gone"]
    assert json.loads(json.dumps(tally.as_dict()))["kills"] == {"put": 1500, "between": 500}


def test_a_run_that_has_not_begun() -> None:
    """It has no rate, and nothing was found."""
    assert Tally().line().endswith("0.0 cycles/s")
    assert Tally().findings == []
