"""The words of a header that change: what was sealed is opened, in its place alone, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.buffers import words
from jupyter_nq.errors import ChecksumError

_ID = "00112233445566778899aabbccddeeff"
_values = st.integers(0, words.VALUE_LIMIT - 1)
_places = st.integers(0, (1 << 33) - 1)
_beside = st.integers(0, (1 << 64) - 1)


@given(_places, _values, _beside)
def test_a_word_opens_where_it_was_sealed(place: int, value: int, beside: int) -> None:
    """It fits a machine word, and holds its value."""
    word = words.seal(_ID, place, value, beside)
    assert word < 1 << 64
    assert words.opened(_ID, place, word, beside) == value


@given(_places, _values, _beside, st.integers(0, 63))
def test_a_flipped_bit_is_found(place: int, value: int, beside: int, bit: int) -> None:
    """In the word, and in what it vouches for; a word of another place or object does not pass either."""
    word = words.seal(_ID, place, value, beside)
    for id_, at, found, other in (
        (_ID, place, word ^ 1 << bit, beside),
        (_ID, place, word, beside ^ 1 << bit),
        (_ID, place + 1, word, beside),
        ("f" + _ID[1:], place, word, beside),
    ):
        with pytest.raises(ChecksumError, match="differs from its check"):
            words.opened(id_, at, found, other)


def test_an_empty_word_is_no_zero() -> None:
    """A header of zeros was never written, and says nothing."""
    with pytest.raises(ChecksumError):
        words.opened(_ID, 33, 0)
