"""What the magics about flags show: how a flag is, who has seen it, and a table of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jupyter_nq.client.listing import ago, plain
from nq_magics.formats import duration
from nq_magics.rows_view import RowsView

if TYPE_CHECKING:
    from jupyter_nq.streams.flags import State
    from jupyter_nq.streams.flags.watchers import Acknowledged


class FlagsView(RowsView["State"]):
    """The rows of `%nq_flags`: a sequence of states that shows itself as a table."""

    headers = ("name", "state", "since", "by", "why", "heartbeat of")
    empty = "There is no flag yet. %nq_halt or nq.flag makes one."

    def _cells(self, row: State) -> tuple[str, ...]:
        owner = f"{row.owner.who}, {row.owner.seconds:g} s" if row.owner is not None else ""
        since = ago(row.at) if row.at is not None else ""
        by = str(row.who) if row.who is not None else ""
        return tuple(map(plain, (row.name, _word(row), since, by, row.why, owner)))


def _word(state: State) -> str:
    if state.unreadable is not None:
        return "SET (unreadable)"
    if not state.is_set:
        return "clear"
    return "SET" if state.durable else "SET (in memory alone)"


def state_line(state: State) -> str:
    """Return how a flag is, in one line."""
    return plain(str(state))


def acknowledged_lines(heard: Sequence[Acknowledged], waited_seconds: float) -> list[str]:
    """Return a line for those who have seen a flag, the fastest first, and one for those who have not."""
    fast = sorted((one for one in heard if one.seconds is not None), key=lambda one: one.seconds or 0.0)
    seen = ", ".join(f"{plain(str(one.who))} in {duration(one.seconds or 0.0)}" for one in fast)
    missing = ", ".join(plain(str(one.who)) for one in heard if one.seconds is None)
    lines = [f"seen by {seen or 'nobody: no process has the flag open'}"]
    return [*lines, f"NOT seen within {duration(waited_seconds)} by {missing}"] if missing else lines
