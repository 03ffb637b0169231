"""Rules over datasets: what they know, how they fail, and that all versions of a check are of one moment."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jupyter_nq.client.session import Session
from jupyter_nq.client.versions.consistency import Checked, Consistency, check_consistency, rule
from jupyter_nq.errors import InvalidArgument, InvalidName, UnknownDataset
from jupyter_nq.testing.leftovers import settle


def _why(session: Session, *names: str) -> str:
    """Check, and return why the one rule failed; empty when it passed."""
    (row,) = [row for row in check_consistency(session, *names).rows if row.rule not in ("header", "checksum")]
    assert row.passed == (not row.why)
    return row.why


@pytest.mark.parametrize("expression", ["size >", "", "size = 1"])
def test_what_is_no_expression_is_refused_at_once(session: Session, expression: str) -> None:
    """Not when it is checked, perhaps days later; no rule is left."""
    with pytest.raises(InvalidArgument, match=r"is no expression: invalid syntax\.( Maybe|$)"):
        rule(session, "signals", expression)
    session.put("signals", np.arange(3))
    assert {row.rule for row in check_consistency(session).rows} == {"header"}


@pytest.fixture
def signals(session: Session) -> Session:
    """A session with a small table."""
    stamps = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"], utc=True)
    frame = pd.DataFrame({"timestamp": stamps, "size": [1.0, 20.0, -11.0], "text": list("abc")})
    session.put("signals", frame)
    return session


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("size > 100", ""),
        ("size > 10 or size < -10", "2 rows, the first is row 1"),
        ("timestamp < previous(timestamp)", ""),
        ("size", "it cannot be evaluated: the rule 'size' does not say yes or no"),
        ("price > 1", "it cannot be evaluated: "),
        ("__import__('os')", "it cannot be evaluated: "),
    ],
)
def test_an_expression_over_one_dataset(signals: Session, expression: str, why: str) -> None:
    """It is true where the rule is broken; what cannot be evaluated has not passed."""
    rule(signals, "signals", expression)
    found = _why(signals)
    assert found.startswith(why)
    assert bool(found) == bool(why)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda table: None, ""),
        (lambda table: False, ""),
        (lambda table: "", ""),
        (lambda table: "too few", "too few"),
        (lambda table: table.num_rows == 3, "it is broken"),
        (lambda table: table["size"].to_numpy() > 5, "1 row, the first is row 1"),
        (lambda table: 1, "it cannot be evaluated: it returned int"),
        (lambda table: 1 / 0, "it cannot be evaluated: ZeroDivisionError: division by zero"),
    ],
)
def test_a_function_over_one_dataset(signals: Session, function: Any, why: str) -> None:
    """It gets an Arrow table and says what is wrong."""
    rule(signals, "signals", function, label="mine")
    assert _why(signals).startswith(why)


def test_an_expression_over_several(session: Session) -> None:
    """It knows where each ends, with its rows and version."""
    session.load("NQ", "30min")
    session.load("NQ", "5min")
    over = {"fast": "NQ.5min", "slow": "NQ.30min"}
    rule(session, over, "fast_end - slow_end > 3600 * 24 * 365 * 50", label="x")
    assert _why(session) == ""
    rule(session, over, "fast_rows != slow_rows * 7 and fast_first < slow_last and slow_version == 1", label="x")
    why = _why(session)
    assert why.startswith("fast_rows 12,000, fast_first 2020-")
    assert "slow_version 1" in why
    assert " UTC, slow_rows" in why
    with session.open("NQ.30min") as handle:
        closes = handle.numpy(columns=["timestamp"])["timestamp"][-1] + np.timedelta64(30, "m")
    seconds = (closes - np.datetime64("1970-01-01")) / np.timedelta64(1, "s")
    rule(session, {"slow": "NQ.30min", "other": "NQ.5min"}, f"slow_end > {seconds:.0f}", label="y").remove()
    rule(session, over, f"slow_end > {seconds:.0f} or slow_end <= slow_last", label="x")
    assert _why(session) == "", "it closes at most thirty minutes after its start"


def test_a_function_over_several(signals: Session) -> None:
    """It gets their tables in the order in which they were named."""
    signals.put("limits", pa.table({"max": [5]}))

    def more(first: pa.Table, second: pa.Table) -> str | None:
        return None if first.num_rows > second.num_rows else f"{first.num_rows} against {second.num_rows}"

    rule(signals, ["limits", "signals"], more, "note")
    report = check_consistency(signals)
    (row,) = report.failed
    assert row == Checked("limits, signals", None, "more", "note", False, "1 against 3")
    assert report.ok, "a note is no error"
    assert [r.rule for r in check_consistency(signals, "limits").rows] == ["header", "more"]
    signals.drop("limits")
    assert _why(signals, "signals") == "limits cannot be read, or is not there"


def test_rules_are_replaced_and_removed(signals: Session) -> None:
    """By their label and datasets; the report is a table."""
    rule(signals, "signals", "size > 5", label="mine")
    second = rule(signals, "signals", "size > 500", label="mine")
    assert repr(second) == "<Rule 'mine' over signals, error>"
    report = check_consistency(signals)
    assert report.rows == (
        Checked("signals", 1, "header", "error", True),
        Checked("signals", 1, "mine", "error", True),
    )
    first, head, *_ = str(report).splitlines()
    assert first == "2 checks, 0 failed"
    assert head.split() == ["dataset", "version", "rule", "outcome", "why"]
    second.remove()
    second.remove()
    assert len(check_consistency(signals).rows) == 1
    assert str(Consistency(())) == "0 checks, 0 failed"


def test_bytes_on_request(signals: Session) -> None:
    """Damage is a row of the report, of the bytes when they are compared, of the header always."""
    signals.put("other", np.arange(10_000))
    path = signals.store.path / "obj" / signals.store.resolve("other")
    with open(path, "r+b") as file:
        file.seek(5_000)
        file.write(b"xyz")
    assert check_consistency(signals).ok
    failed = check_consistency(signals, checksum=True).failed
    assert [(row.name, row.version, row.rule) for row in failed] == [("other", 1, "checksum")]
    with open(path, "r+b") as file:
        file.write(b"xyz")
    report = check_consistency(signals, checksum=True)
    assert [(row.name, row.version, row.rule) for row in report.failed] == [("other", None, "header")]
    assert not report.ok
    assert "signals" in {row.name for row in report.rows}


def test_all_versions_are_of_one_moment(session: Session) -> None:
    """Two datasets that are put one after the other never differ by more than the put between them."""
    done = threading.Event()
    for name in ("first", "second"):
        session.put(name, np.zeros(4))

    def publish() -> None:
        number = 0
        while not done.is_set():
            number += 1
            session.put("first", np.full(4, number))
            session.put("second", np.full(4, number))

    rule(session, {"a": "first", "b": "second"}, "a_version - b_version < 0 or a_version - b_version > 1")
    writer = threading.Thread(target=publish)
    writer.start()
    try:
        for _ in range(20):
            assert check_consistency(session).ok
    finally:
        done.set()
        writer.join()
    assert settle(session.store) == []


def test_mistakes(session: Session) -> None:
    """Each is named where it is made."""
    session.put("a-b", np.arange(3))
    for name, broken, says in (
        (["a-b", "c"], "a_rows > 1", r"'a-b' cannot be written in an expression"),
        ([], "x > 1", "one dataset or several"),
        ("a-b", 5, "an expression or a function, not int"),
    ):
        with pytest.raises(InvalidArgument, match=says):
            rule(session, name, broken)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="no severity"):
        rule(session, "a-b", "value > 1", "fatal")
    with pytest.raises(InvalidArgument, match="a check 'header'"):
        rule(session, "a-b", "value > 1", label="header")
    with pytest.raises(InvalidName):
        rule(session, "../x", "value > 1")
    with pytest.raises(UnknownDataset, match="no dataset 'x'"):
        check_consistency(session, "x")
    rule(session, "a-b", "value > 1")
    assert _why(session) == "1 row, the first is row 2"
    for other in (b"bytes", {"json": 1}):
        session.put("a-b", other)
        assert _why(session) == "it cannot be evaluated: a-b has no column of numbers. Write a function."
