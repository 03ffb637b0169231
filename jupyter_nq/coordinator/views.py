"""What others see of the desk: rows of plain values, made for the wire from the state alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.events import StoredObject

_SOURCE = ("path", "symbol", "timeframe", "reading")


def datasets(desk: Desk) -> list[dict[str, Any]]:
    """Return one row for each name, in order, with the holders of all its versions."""
    return [_dataset(desk, name) for name in desk.versions]


def datasets_with_meta(desk: Desk) -> list[dict[str, Any]]:
    """Return the rows of `datasets` with the metadata of each newest version, which may be long."""
    objects, links = desk.versions.objects, desk.versions.links
    return [{**row, "meta": dict(objects[links[row["name"]]].meta)} for row in datasets(desk)]


def found(desk: Desk, name: str, version: int | None) -> dict[str, Any]:
    """Return where a version of a name is; `UnknownDataset` when there is none."""
    stored, at = desk.versions.find(name, version)
    return {
        "id": stored.id,
        "name": name,
        "version": at,
        "rows": stored.rows if at == stored.version else None,
        "in_memory": not desk.eviction.is_on_disk(stored.id),
        "lasts": desk.eviction.lasts(name),
    }


def notebooks(desk: Desk) -> list[dict[str, Any]]:
    """Return the kernels that servers reported and the other processes that are connected."""
    rows: dict[int, dict[str, Any]] = {}
    for kernel, server in desk.people.kernels():
        who = kernel.path.rpartition("/")[2] or kernel.name
        rows[kernel.pid] = _process(who, kernel.pid, "kernel", kernel.kernel_id, kernel.path, dict(server))
    for peer in desk.people.peers.values():
        mine = desk.people.kernel_of(peer.pid, peer.ancestors)
        pid = mine.pid if mine else peer.pid
        if mine is None and peer.role == "watch":
            continue
        row = rows.setdefault(pid, _process(desk.people.who(peer).who, pid, peer.role, None, None, None))
        row["connected"] = True
        row["pids"] = sorted({*row["pids"], peer.pid})
        row["started_ns"] = row["started_ns"] or (peer.started_ns if peer.pid == pid else 0)
        row["holds"] = sorted({*row["holds"], *_names_held(desk, peer.holds)})
        row["reserved_bytes"] += sum(r.bytes for r in peer.reservations.values())
    for registration in desk.people.registered:
        _row_with(rows, registration.pid)["registered"].append(registration.row())
    return sorted(rows.values(), key=lambda row: (row["path"] is None, row["who"], row["pid"]))


def _row_with(rows: dict[int, dict[str, Any]], pid: int) -> dict[str, Any]:
    """Return the row of a process: its own, or that of the kernel from which it descends."""
    return next(row for row in rows.values() if pid in row["pids"])


def totals(desk: Desk) -> dict[str, Any]:
    """Return the counts that belong to the status."""
    waiting = [desk.versions.objects[id_] for id_ in desk.versions.loose]
    return {
        "datasets": len(desk.versions.links),
        "peers": len({peer.pid for peer in desk.people.peers.values() if peer.role != "watch"}),
        "notebooks": sum(1 for _ in desk.people.kernels()),
        "problem": desk.problem,
        "revision": desk.revision,
        "superseded": {"objects": len(waiting), "bytes": sum(stored.bytes for stored in waiting)},
    }


def _dataset(desk: Desk, name: str) -> dict[str, Any]:
    newest = desk.versions.newest(name)
    return {
        "name": name,
        "version": newest.version,
        "rows": newest.rows,
        "bytes": 0 if newest.id in desk.eviction.leaving else newest.bytes,
        "bytes_all_versions": desk.versions.bytes_of(name),
        "created_ns": newest.created_ns,
        "id": newest.id,
        "kind": newest.kind,
        "holders": _holders(desk, name),
        "owner": {"who": desk.owners.get(newest.id), "pid": newest.owner_pid},
        "source": _source(newest.meta),
        "pinned": name in desk.eviction.pins,
        "disk": _copy(desk, newest.id),
    }


def _copy(desk: Desk, id_: str) -> dict[str, Any] | None:
    """Return the bytes of a copy on the disk and whether it is kept for good; None without a copy."""
    copy = desk.eviction.copies.get(id_)
    return None if copy is None else {"bytes": copy.bytes, "durable": copy.durable, "version": copy.version}


def _source(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return which file a dataset was parsed from, and in which reading; None when it was put."""
    bars = meta.get("bars")
    return {key: bars.get(key) for key in _SOURCE} if isinstance(bars, Mapping) else None


def _holders(desk: Desk, name: str) -> list[dict[str, Any]]:
    """Return each process once, however many connections it has, with the newest version that it holds."""
    rows: dict[int, dict[str, Any]] = {}
    for stored, _ in desk.versions.of(name):
        for peer, version in desk.people.holders(stored.id):
            if peer.pid not in rows or rows[peer.pid]["version"] < version:
                rows[peer.pid] = {**desk.people.who(peer).row(), "version": version}
    return sorted(rows.values(), key=lambda row: (-row["version"], row["who"], row["pid"]))


def _process(
    who: str, pid: int, role: str, kernel_id: str | None, path: str | None, server: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "who": who,
        "pid": pid,
        "role": role,
        "kernel_id": kernel_id,
        "path": path,
        "server": server,
        "connected": False,
        "holds": [],
        "reserved_bytes": 0,
        "pids": [],
        "started_ns": 0,
        "registered": [],
    }


def _names_held(desk: Desk, holds: dict[str, set[int]]) -> list[str]:
    known: dict[str, StoredObject] = desk.versions.objects
    return [known[id_].name for id_ in holds if id_ in known]
