"""The public functions about what a desk works on: over this process's session."""

from __future__ import annotations

from jupyter_nq.client.api import through_session
from jupyter_nq.client.sets import restoring, saving
from jupyter_nq.client.versions import consistency, following, staleness
from jupyter_nq.client.versions import snapshots as _snapshots

check_consistency = through_session(consistency.check_consistency)
follow = through_session(following.follow)
is_current = through_session(staleness.is_current)
restore = through_session(restoring.restore)
rule = through_session(consistency.rule)
save = through_session(saving.save)
snapshot = through_session(_snapshots.snapshot)
snapshot_of = through_session(_snapshots.snapshot_of)
snapshots = through_session(_snapshots.snapshots)
stale = through_session(staleness.stale)
