"""Numbers of bytes as people read them."""

from __future__ import annotations

import doctest

import pytest

from jupyter_nq import sizes


def test_examples() -> None:
    """The examples in the docstrings are true."""
    result = doctest.testmod(sizes)
    assert (result.attempted, result.failed) == (4, 0)


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 30, "3.0 GiB")])
def test_size(count: int, text: str) -> None:
    """Bytes appear in the unit that suits them."""
    assert sizes.size(count) == text


@pytest.mark.parametrize("characters", range(2, 30))
def test_a_shortened_text_ends_behind_a_word(characters: int) -> None:
    """It is as long as it may be at most, says that it goes on, and what is left are whole words."""
    text = "no room  for bars of March"
    found = sizes.shortened(text, characters)
    assert len(found) <= characters
    assert found == text if characters >= len(text) else found.endswith("…")
    if characters > len("no "):
        assert set(found.removesuffix("…").split()) <= set(text.split())
