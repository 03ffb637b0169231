"""The public functions about bars: over this process's session, with the libraries that only they need."""

from __future__ import annotations

from jupyter_nq.client.api import through_session
from jupyter_nq.client.bars import checks, chunks, contracts, remembered, timeframes

asof = through_session(timeframes.asof)
completeness = through_session(contracts.completeness)
continuous = through_session(contracts.continuous)
forget = through_session(remembered.forget)
iterate = through_session(chunks.iterate)
resample = through_session(timeframes.resample)
roll_table = through_session(contracts.roll_table)
rolls = through_session(checks.rolls)
sniff = through_session(checks.sniff)
validate = through_session(checks.validate)
