"""Tests of the load cell: it loads the dataset, and no name can make it do anything else."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.server.cells import load_cell, subscribe_cell, variable_for


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("NQ.30min", "NQ_30min"),
        ("30min", "data_30min"),
        ("class", "class_"),
        ("match", "match_"),
        ("print", "print_"),
        ("nq", "nq_"),
        ("signals", "signals"),
        ("a-b.c_d", "a_b_c_d"),
        ("...", "data"),
    ],
)
def test_variable_is_named_after_the_dataset(name: str, variable: str) -> None:
    """The variable is an identifier that hides nothing."""
    assert variable_for(name) == variable
    assert variable.isidentifier()


def test_cell_of_a_put_dataset_gets_it() -> None:
    """What a notebook shared is taken from the store."""
    assert load_cell("NQ.30min") == "import jupyter_nq as nq\nNQ_30min = nq.get('NQ.30min')"


def test_cell_of_bars_loads_their_file_in_the_same_reading() -> None:
    """Bars come from their file, so that the cell works when the store is empty."""
    reading = {"tz": "Europe/Berlin", "edge": "end", "day_first": True}
    source = {"path": "/d/it's.csv", "symbol": "ES", "timeframe": "1h", "reading": reading}
    call = load_cell("ES.1h-Europe_Berlin-end-dayfirst", source).split("\n")[1]
    assert call == (
        "ES_1h_Europe_Berlin_end_dayfirst = "
        """nq.load("/d/it's.csv", '1h', symbol='ES', tz='Europe/Berlin', edge='end', day_first=True)"""
    )


@given(st.text(max_size=40), st.text(max_size=40))
def test_nothing_escapes_from_its_cell(name: str, path: str) -> None:
    """Whatever name and path, the cell is one import and one call with those very words."""
    for cell in (load_cell(name), load_cell(name, {"path": path, "symbol": name, "timeframe": name})):
        _, assignment = ast.parse(cell).body
        assert isinstance(assignment, ast.Assign)
        assert isinstance(assignment.value, ast.Call)
        words = [*assignment.value.args, *(keyword.value for keyword in assignment.value.keywords)]
        assert {ast.literal_eval(word) for word in words} <= {name, path}
        assert [alias.asname for alias in ast.parse(cell).body[0].names] == ["nq"]  # type: ignore[attr-defined]


@given(st.text(max_size=40))
def test_cell_of_a_stream_names_it_alone(name: str) -> None:
    """Whatever the name, the cell opens that stream, reads it, and waits for a few seconds only."""
    _, assignment, reading = ast.parse(subscribe_cell(name)).body
    assert isinstance(assignment, ast.Assign)
    opened = assignment.value.func.value  # type: ignore[attr-defined]
    assert [ast.literal_eval(word) for word in opened.args] == [name]
    assert ast.unparse(reading) == f"{ast.unparse(assignment.targets[0])}.get_messages(timeout=5)"
