"""The public functions of live bars and of replays: over this process's session."""

from __future__ import annotations

from jupyter_nq.client.api import through_session
from jupyter_nq.client.live import recorded, starting

live = through_session(starting.live)
replay = through_session(recorded.replay)
