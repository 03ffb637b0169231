"""Who is here, which names point to which versions, who holds what: the desk and the service around it."""

from __future__ import annotations

from jupyter_nq.coordinator.protocol import PROTOCOL, Encoder
from jupyter_nq.coordinator.service import Service
from jupyter_nq.coordinator.wire import Wire, dial

__all__ = ["PROTOCOL", "Encoder", "Service", "Wire", "dial"]
