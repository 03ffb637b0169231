"""A thousand processes killed at random moments: nothing is lost, torn or leaked."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from jupyter_nq.testing.workloads import kinds, workloads

_CYCLES = int(os.environ.get("NQ_KILL_CYCLES", "1000"))


@pytest.mark.timeout(3600)
def test_a_thousand_kills_lose_tear_and_leak_nothing() -> None:
    """Children die in the middle of whatever is done with datasets and streams, now and then the host does."""
    command = [sys.executable, "-m", "jupyter_nq.testing.kills", "--cycles", str(_CYCLES), "--seed", "20", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout, done.stderr
    tally = json.loads(done.stdout)
    rate = tally["cycles"] / tally["seconds"]
    print(f"\n{tally['cycles']} cycles, {rate:.1f}/s, kills by step {tally['kills']}")
    assert [tally[what] for what in ("lost", "torn", "leaked", "failed")] == [[], [], [], []]
    assert (done.returncode, tally["cycles"]) == (0, _CYCLES)
    assert tally["hosts_killed"] >= _CYCLES // 100
    steps = {step for kind in kinds() for step in workloads(kind)}
    assert min(tally["kills"].get(step, 0) for step in steps) >= _CYCLES // 200, "every kind of step was killed"
