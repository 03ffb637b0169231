"""What was taken of a topic: each message is new once, and a list of all that came says the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.streams.kafka.position import Entry, Position, Verdict

_ORIGINS = [("a" * 32, 0), ("a" * 32, 1), ("b" * 32, 0)]


def _entry(sequence: int, origin: tuple[str, int] = _ORIGINS[0], offset: int = 0) -> Entry:
    return Entry(0, offset, origin, sequence)


@given(st.lists(st.tuples(st.sampled_from(_ORIGINS), st.integers(0, 12))))
def test_it_says_what_a_list_of_all_says(arrivals: list[tuple[tuple[str, int], int]]) -> None:
    """Replayed is what was taken, old is what was not and came behind a later one, missing is what is left out."""
    position = Position()
    taken: dict[tuple[str, int], list[int]] = {}
    for offset, (origin, sequence) in enumerate(arrivals):
        entry, before = _entry(sequence, origin, offset + 1), taken.setdefault(origin, [])
        if sequence in before:
            expected = Verdict.REPLAYED
        elif before and sequence < before[-1]:
            expected = Verdict.OLD
        else:
            expected = Verdict.NEW
        assert position.judge(entry) is expected
        if expected is Verdict.NEW:
            assert position.take(entry) == (sequence - before[-1] - 1 if before else 0)
            before.append(sequence)
        position = Position.unpacked(position.packed())


def test_a_message_that_no_stream_sent_is_always_new() -> None:
    """Its offset alone tells it apart."""
    position = Position()
    for offset in (1, 2):
        entry = Entry(5, offset)
        assert position.judge(entry) is Verdict.NEW
        assert position.take(entry) == 0
    assert position.offsets == {5: 2}
    assert Entry.unpacked(Entry(5, 2).packed()) == Entry(5, 2)


def test_a_position_ahead_leaves_this_one_alone() -> None:
    """What is planned is not yet taken."""
    position = Position()
    position.take(_entry(0))
    ahead = position.after([_entry(1), _entry(4)])
    assert ahead.judge(_entry(1)) is Verdict.REPLAYED
    assert ahead.judge(_entry(3)) is Verdict.OLD
    assert position.judge(_entry(1)) is Verdict.NEW
    ahead.pass_by(Entry(0, 99))
    assert (ahead.offsets, position.offsets) == ({0: 99}, {0: 0})


def test_gaps_are_forgotten_before_they_fill_the_record() -> None:
    """The oldest first: a message so late counts as replayed, and is left out all the same."""
    position = Position()
    for sequence in range(0, 400, 2):
        position.take(_entry(sequence))
    assert len(position.taken[_ORIGINS[0]].gaps) == 64
    assert position.judge(_entry(397)) is Verdict.OLD
    assert position.judge(_entry(1)) is Verdict.REPLAYED


def test_lanes_are_forgotten_before_they_fill_the_record() -> None:
    """Of whoever makes up a new stream for each message the last ones are known, and those that are in use."""
    position = Position()
    for number in range(10_000):
        position.take(_entry(0, (f"{number:032x}", 0)))
        position.take(_entry(number, ("a" * 32, 0)))
    assert len(position.taken) == 4096
    assert position.judge(_entry(9_999, ("a" * 32, 0))) is Verdict.REPLAYED
    assert position.judge(_entry(0, (f"{9_999:032x}", 0))) is Verdict.REPLAYED
    assert position.judge(_entry(0, (f"{1:032x}", 0))) is Verdict.NEW
    again = Position.unpacked(position.packed())
    assert list(again.taken) == list(position.taken)
