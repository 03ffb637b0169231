"""The public functions about notebooks: over this process's session."""

from __future__ import annotations

from jupyter_nq.client.api import through_session
from jupyter_nq.client.notebooks import registering, syncing

accept = through_session(syncing.accept)
decline = through_session(syncing.decline)
on_sync = through_session(syncing.on_sync)
register = through_session(registering.register)
sync = through_session(syncing.sync)
synced = through_session(syncing.synced)
unregister = through_session(registering.unregister)
