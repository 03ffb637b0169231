"""Who a process is: the notebook or program that the coordinator knows it, or the nearest ancestor of it, as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_nq.coordinator.identity import ancestors, program


class People:
    """The processes of one moment by their pid; used by one thread at a time.

    Parameters
    ----------
    notebooks
        The connected processes, as the coordinator lists them.
    """

    def __init__(self, notebooks: Iterable[Mapping[str, Any]] = ()) -> None:
        self._known = {row["pid"]: row for row in notebooks}
        self._found: dict[int, dict[str, Any]] = {}  # /proc is asked once for each

    def __repr__(self) -> str:
        return f"<People: {len(self._known)} connected>"

    def of(self, pid: int) -> dict[str, Any]:
        """Return `who`, `pid`, `kernel_id` and `path` of a process; `who` is empty for pid 0, which is nobody."""
        if pid not in self._found:
            self._found[pid] = self._look_up(pid)
        return self._found[pid]

    def _look_up(self, pid: int) -> dict[str, Any]:
        row = next((self._known[one] for one in (pid, *ancestors(pid)) if self._is_notebook(one)), None)
        row = row or self._known.get(pid) or {"who": program(pid) if pid else ""}
        return {"who": row["who"], "pid": pid, "kernel_id": row.get("kernel_id"), "path": row.get("path") or None}

    def _is_notebook(self, pid: int) -> bool:
        return bool(pid in self._known and self._known[pid].get("kernel_id"))
