"""Who is here, which names point to which versions, who holds what: the desk and the service around it.

The service itself is imported from its module, by the one process that runs it.
"""

from __future__ import annotations

from jupyter_nq.coordinator.protocol import PROTOCOL, Encoder
from jupyter_nq.coordinator.wire import Wire, dial

__all__ = ["PROTOCOL", "Encoder", "Wire", "dial"]
