"""Names: what is replayed stays in the sandbox, and nothing else is in it."""

from __future__ import annotations

import pytest

from jupyter_nq.client.live.names import is_output, out_of, prefix_of
from jupyter_nq.errors import InvalidArgument, InvalidName


@pytest.mark.parametrize("prefix", ["NQ", "replayed", "live", "Replay", "x.replay.y"])
def test_a_replay_takes_no_live_name(prefix: str) -> None:
    """The error says what may be taken instead."""
    with pytest.raises(InvalidArgument, match=f"no sandbox.*Take 'replay.{prefix}'"):
        prefix_of(prefix)


def test_a_prefix_is_a_name() -> None:
    """None is the plain sandbox, and one that is no name is refused."""
    assert prefix_of(None) == "replay"
    assert prefix_of("replay.mine") == "replay.mine"
    for wrong in ("replay./x", "replay\n", "", 5):
        with pytest.raises(InvalidName):
            prefix_of(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "source", "out"),
    [
        (None, "feed.NQ.1min", "NQ"),
        ("mine", "feed.NQ.1min", "mine"),
        (None, "replay.NQ.1min", "replay.NQ"),
        (None, "replay.a.NQ.ticks", "replay.a.NQ"),
        (None, "replay.other", "replay.NQ"),
        ("replay.b", "replay.NQ.1min", "replay.b"),
    ],
)
def test_what_is_built_from_a_replay_is_in_its_sandbox(given: str | None, source: str, out: str) -> None:
    """By itself; of a live source the streams are called as the symbol."""
    assert out_of(given, "NQ", source) == out


def test_nothing_is_brought_out_of_the_sandbox() -> None:
    """Also when it is asked for."""
    with pytest.raises(InvalidArgument, match="stays in its sandbox"):
        out_of("NQ", "NQ", "replay.NQ.1min")


def test_outputs_are_told_from_other_streams() -> None:
    """Only what a worker publishes is removed with an earlier replay."""
    assert is_output("replay.NQ.5min.live", "replay.NQ")
    assert not is_output("replay.NQ.signals", "replay.NQ")
    assert not is_output("replay.NQX.5min.live", "replay.NQ")
    assert is_output("replay.NQ.notices", "replay.NQ")
    assert not is_output("replay.NQ.mine.notices", "replay.NQ")
    assert not is_output("replay.NQ.NQ.5min.live", "replay.NQ")
