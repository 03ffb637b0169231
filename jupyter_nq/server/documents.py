"""What the REST routes and the feed send: JSON documents made from the coordinator's replies.

The control channel speaks nanoseconds and msgpack; a browser wants ISO 8601 and the text of the cell
that loads a dataset. These functions are the only place where the one becomes the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from jupyter_nq.server.cells import load_cell, subscribe_cell
from jupyter_nq.server.people import People

Document = dict[str, Any]
"""A JSON object."""


def status(reply: Mapping[str, Any]) -> Document:
    """Return the coordinator's status; its start is `since`, a problem's time `at` (ISO 8601, UTC)."""
    document = {key: value for key, value in reply.items() if key not in ("since_ns", "revision")}
    met = reply["problem"]
    at = {"text": met["text"], "who": met["who"], "at": utc(met["at_ns"])} if met else None
    return {**document, "problem": at, "since": utc(reply["since_ns"])}


def dataset(row: Mapping[str, Any]) -> Document:
    """Return one dataset: name, newest version, rows, bytes, copy on the disk, pin, created, holders, load cell."""
    return {
        "name": row["name"],
        "version": row["version"],
        "rows": row["rows"],
        "bytes": row["bytes"],
        "disk": row["disk"],
        "pinned": row["pinned"],
        "created": utc(row["created_ns"]),
        "holders": [_holder(holder) for holder in row["holders"]],
        "load": load_cell(row["name"], row["source"]),
    }


def notebook(row: Mapping[str, Any]) -> Document:
    """Return one connected process: a notebook's kernel or a program, and what it holds."""
    return {
        "who": row["who"],
        "pid": row["pid"],
        "kernel_id": row.get("kernel_id"),
        "path": row.get("path") or None,
        "role": row["role"],
        "connected": row["connected"],
        "holds": list(row["holds"]),
    }


def desk(reply: Mapping[str, Any]) -> Document:
    """Return the whole desk as the feed sends it."""
    return {
        "kind": "desk",
        "status": status(reply["status"]),
        "datasets": [dataset(row) for row in reply["datasets"]],
        "notebooks": [notebook(row) for row in reply["notebooks"]],
    }


def stream(seen: Mapping[str, Any], people: People) -> Document:
    """Return one stream with its publishers and consumers by notebook; `rate` is messages per second, null when new."""
    rate = seen["rate"]
    consumers = [_consumer(consumer, people) for consumer in seen["consumers"]]
    return {
        **{
            key: seen[key]
            for key in ("name", "form", "messages", "kept", "retention_bytes", "overflow", "exclusive", "epoch")
        },
        "rate": None if rate is None else round(rate, 1),
        "disk": None if seen["durability"] is None else _disk(seen["durability"]),
        "created": utc(seen["created_ns"]),
        "publishers": [_publisher(publisher, people) for publisher in seen["publishers"]],
        "consumers": consumers,
        "lag": max((consumer["lag"] for consumer in consumers), default=0),
        "lost": sum(consumer["lost"] for consumer in consumers),
        "subscribe": subscribe_cell(seen["name"]),
    }


def streams(rows: list[Document]) -> Document:
    """Return the streams as the feed sends them."""
    return {"kind": "streams", "streams": rows}


def problem(error: Exception) -> Document:
    """Return what the feed sends while the coordinator cannot be reached."""
    return {"kind": "problem", **refusal(error)}


def refusal(error: Exception) -> Document:
    """Return the body of an error answer: the sentence, and the error's name as the reason."""
    return {"message": str(error), "reason": type(error).__name__}


def utc(ns: int) -> str:
    """Return a time in nanoseconds since 1970 as ISO 8601 with milliseconds.

    >>> utc(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123+00:00'
    """
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _disk(lanes: Iterable[Mapping[str, Any]]) -> Document:
    """Return what the disk has of a durable stream, and what it never got."""
    rows = list(lanes)
    missed = sum(row["missed"] for row in rows)
    return {"messages": sum(row["durable"] for row in rows) - missed, "missed": missed}  # durable is a position


def _holder(row: Mapping[str, Any]) -> Document:
    return {
        "who": row["who"],
        "pid": row["pid"],
        "kernel_id": row.get("kernel_id"),
        "path": row.get("path") or None,
        "version": row["version"],
    }


def _publisher(row: Mapping[str, Any], people: People) -> Document:
    return {**people.of(row["pid"]), "lane": row["lane"], "messages": row["messages"]}


def _consumer(row: Mapping[str, Any], people: People) -> Document:
    return {**people.of(row["pid"]), "name": row["name"], "lag": row["lag"], "lost": row["lost"]}
