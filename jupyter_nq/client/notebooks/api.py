"""The public functions about notebooks: over this process's session."""

from __future__ import annotations

from jupyter_nq.client.api import through_session
from jupyter_nq.client.notebooks import registering

register = through_session(registering.register)
unregister = through_session(registering.unregister)
