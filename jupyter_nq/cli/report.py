"""`jupyter nq status` and `jupyter nq ls`: the desk in a terminal, or as JSON with plain numbers."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from jupyter_nq.cli.text import size, table
from jupyter_nq.cli.view import NO_COORDINATOR, View, look
from jupyter_nq.client.records import Dataset, Holder
from jupyter_nq.config import load_settings

_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"))


def status(arguments: Namespace) -> int:
    """Print the state of the store and its coordinator."""
    view = look(load_settings(store_dir=arguments.store))
    print(_json(status_document(view)) if arguments.json else _status_text(view))
    return 0


def ls(arguments: Namespace) -> int:
    """Print the datasets and who holds them."""
    view = look(load_settings(store_dir=arguments.store))
    print(_json(datasets_document(view)) if arguments.json else _datasets_text(view))
    return 0


def status_document(view: View) -> dict[str, Any]:
    """Return the JSON of `status`: bytes and counts are numbers, what there is not is null."""
    found = view.status
    return {
        "store": str(view.path),
        "exists": view.exists,
        "coordinator": {"program": found.host, "pid": found.host_pid} if found else None,
        "pool": {"limit_bytes": view.pool_limit_bytes, "used_bytes": view.pool_used_bytes},
        "datasets": len(view.datasets),
        "connected": found.peers if found else None,
        "problem": found.problem if found else None,
    }


def datasets_document(view: View) -> dict[str, Any]:
    """Return the JSON of `ls`; `source` says whether the coordinator or the headers were read."""
    return {
        "store": str(view.path),
        "source": "coordinator" if view.status else "headers",
        "datasets": [_dataset_document(dataset) for dataset in view.datasets],
    }


def _dataset_document(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "version": dataset.version,
        "rows": dataset.rows,
        "bytes": dataset.bytes,
        "created": dataset.created.isoformat(timespec="milliseconds"),
        "holders": [_holder_document(holder) for holder in dataset.holders],
    }


def _holder_document(holder: Holder) -> dict[str, Any]:
    return {
        "who": holder.who,
        "pid": holder.pid,
        "kernel_id": holder.kernel_id,
        "path": holder.path,
        "version": holder.version,
    }


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2)


def _status_text(view: View) -> str:
    found = view.status
    lines = [("store", str(view.path) if view.exists else f"{view.path} (nothing was shared there yet)")]
    lines.append(("coordinator", f"{found.host}, pid {found.host_pid}" if found else "none runs"))
    if view.exists:
        lines.append(("pool", f"{size(view.pool_used_bytes)} used of {size(view.pool_limit_bytes)}"))
    lines.append(("datasets", str(len(view.datasets))))
    if found:
        lines.append(("connected", f"{found.peers} processes"))
        lines.append(("problem", found.problem or "none"))
    return "\n".join(f"{label:<12} {value}" for label, value in lines)


def _datasets_text(view: View) -> str:
    if not view.exists:
        return f"{view.path}: nothing was shared there yet."
    if not view.datasets:
        return f"{view.path} holds no dataset."
    now = datetime.now(UTC)
    rows = [_row(dataset, (now - dataset.created).total_seconds()) for dataset in view.datasets]
    text = table(["name", "version", "rows", "size", "age", "held by"], rows, right=[1, 2, 3, 4])
    return text if view.status else f"{text}\n{NO_COORDINATOR}"


def _row(dataset: Dataset, age_seconds: float) -> list[str]:
    held = ", ".join(who(holder) for holder in dataset.holders) or "-"
    return [dataset.name, str(dataset.version), f"{dataset.rows:,}", size(dataset.bytes), age(age_seconds), held]


def who(holder: Holder) -> str:
    """Return a holder as one reads it: its notebook's or program's name, with the pid."""
    return f"{holder.who} ({holder.pid})"


def age(duration: float) -> str:
    """Return an age in its largest whole unit.

    >>> age(3), age(90), age(7_300), age(200_000)
    ('3 s', '1 min', '2 h', '2 d')
    """
    for step, unit in _AGES:
        if duration >= step:
            return f"{int(duration // step)} {unit}"
    return f"{max(0, int(duration))} s"
