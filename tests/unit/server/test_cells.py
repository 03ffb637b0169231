"""Tests of the load cell: it loads the dataset, and no name can make it do anything else."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.server.cells import load_cell, variable_for


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


def test_cell_of_an_allowed_name_is_the_magic() -> None:
    """An allowed name is written as it is."""
    assert load_cell("NQ.30min") == "%load_ext jupyter_nq\n%nq_get NQ.30min as NQ_30min"


def test_cell_of_any_other_name_quotes_it() -> None:
    """A name with a line break cannot begin a line of its own."""
    cell = load_cell("x\n!rm -rf ~\n")
    assert cell == "import jupyter_nq as nq\nx_rm_rf = nq.get('x\\n!rm -rf ~\\n')"


@given(st.text(max_size=40))
def test_no_name_escapes_from_its_cell(name: str) -> None:
    """Whatever the name, the cell is the two lines of the magic, or one import and one call with that very name."""
    cell = load_cell(name)
    if cell.startswith("%"):
        assert cell.split("\n") == ["%load_ext jupyter_nq", f"%nq_get {name} as {variable_for(name)}"]
        return
    _, assignment = ast.parse(cell).body
    assert isinstance(assignment, ast.Assign)
    assert isinstance(assignment.value, ast.Call)
    (argument,) = assignment.value.args
    assert isinstance(argument, ast.Constant)
    assert argument.value == name
