"""`jupyter nq status` and `jupyter nq ls`: the desk in a terminal, or as JSON with plain numbers."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from jupyter_nq.cli.view import NO_COORDINATOR, View, look
from jupyter_nq.client.listing import listed, plain, pool, problem
from jupyter_nq.client.records import Dataset, Holder
from jupyter_nq.config import load_settings


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
    lines.append(("coordinator", f"{plain(found.host)} (pid {found.host_pid})" if found else "none runs"))
    if view.exists:
        superseded = found.superseded_bytes if found else 0
        lines.append(("pool", pool(view.pool_used_bytes, view.pool_limit_bytes, superseded)))
    lines.append(("datasets", str(len(view.datasets))))
    if found:
        lines.append(("connected", f"{found.peers} processes"))
        lines.append(("problem", problem(found.problem, found.problem_at)))
    return "\n".join(f"{label:<12} {value}" for label, value in lines)


def _datasets_text(view: View) -> str:
    if not view.exists:
        return f"{view.path}: nothing was shared there yet."
    if not view.datasets:
        return f"{view.path} holds no dataset."
    text = listed(view.datasets)
    return text if view.status else f"{text}\n{NO_COORDINATOR}"
