"""What happened in a run of the kill harness: how much was done, who was killed at what, and what must not be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """What happened in a run."""

    cycles: int = 0
    hosts_killed: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    """Finished steps by workload."""
    kills: Counter[str] = field(default_factory=Counter)
    """Kills by the step that was under way; `between` is none."""
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def findings(self) -> list[str]:
        """All that must not happen, one line each."""
        return [f"{what}: {line}" for what in ("lost", "torn", "leaked", "failed") for line in getattr(self, what)]

    def line(self) -> str:
        """Return the counts in one line."""
        rate = self.cycles / self.seconds if self.seconds else 0.0
        return (
            f"{self.cycles:,} cycles, {self.hosts_killed:,} of them killed the host, "
            f"{sum(self.acknowledged.values()):,} steps; lost {len(self.lost)}, torn {len(self.torn)}, "
            f"leaked {len(self.leaked)}, failed {len(self.failed)}; {rate:.1f} cycles/s"
        )

    def summary(self) -> str:
        """Return the counts, the kills by step, and each finding."""
        kills = ", ".join(f"{step} {n:,}" for step, n in sorted(self.kills.items()))
        return "\n".join([self.line(), f"kills by step: {kills}", *self.findings])

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**vars(self), "acknowledged": dict(self.acknowledged), "kills": dict(self.kills)}
