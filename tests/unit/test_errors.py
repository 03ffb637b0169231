"""The error families keep their promises: one base, a built-in, a name that travels."""

from __future__ import annotations

import inspect

import pytest

from jupyter_nq import errors
from jupyter_nq.errors import NQError, by_name, nearest

FAMILIES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, NQError) and c is not NQError]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_error_is_also_a_builtin(family: type[NQError]) -> None:
    """A caller who does not know this package still catches the error."""
    assert any(base.__module__ == "builtins" and base is not Exception for base in family.__mro__[2:-3])


@pytest.mark.parametrize("family", FAMILIES)
def test_each_error_prints_its_sentence(family: type[NQError]) -> None:
    """`str` of an error is its message, without the quotes that KeyError would add."""
    assert str(family("a sentence.")) == "a sentence."


@pytest.mark.parametrize("family", FAMILIES)
def test_each_error_travels_by_name(family: type[NQError]) -> None:
    """The wire name leads back to the class."""
    assert by_name(family.__name__) is family


@pytest.mark.parametrize("name", ["nearest", "os", "NoSuchError", "Iterable"])
def test_unknown_wire_name_is_the_base(name: str) -> None:
    """A name of another version, or of no error at all, is an NQError."""
    assert by_name(name) is NQError


def test_nearest_is_silent_without_a_close_word() -> None:
    """No suggestion is better than a far one."""
    assert nearest("zzz", ["pool_bytes"]) == ""


def test_nearest_does_not_mind_the_case() -> None:
    """A name in capitals, or one that is there in two spellings, is found."""
    assert nearest("SIGNALS", ["signals", "limits"]) == " Did you mean 'signals'?"
    assert nearest("signal", ["Signals", "signals"]) == " Did you mean 'Signals' or 'signals'?"
