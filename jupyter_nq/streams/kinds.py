"""What a message was published as, so that a consumer gets the same back."""

from __future__ import annotations

ROW, BATCH, TABLE, FRAME, JSON, BYTES = range(6)
