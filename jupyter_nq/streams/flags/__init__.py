"""Flags: latched values in shared memory, such as a kill switch, that are never lost and read in a microsecond."""

from jupyter_nq.streams.flags.flag import Flag
from jupyter_nq.streams.flags.places import Places
from jupyter_nq.streams.flags.record import State, Who

__all__ = ["Flag", "Places", "State", "Who"]
