"""The quota and the settings that a Jupyter server gave a store, kept for whoever hosts after it.

A server that hosts writes them into the store. A script or kernel that takes over reads them, so that a
quota does not end with the server that set it; with a quota of its own the smaller one holds. A server
that was another's client before inherits what it does not set itself; one that just started does not,
because its configuration is the newest word.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jupyter_nq.config import FILE_ONLY, Settings, setting_names

POLICY_NAME = "policy.json"
_LIMIT_BYTES = 64 << 10  # 64 KiB: a few settings

_log = logging.getLogger("jupyter_nq")


@dataclass(frozen=True)
class Policy:
    """What a host applies and tells its clients."""

    pool_bytes: int = 0
    """Byte quota of all shared objects; 0 means none beside what the machine has."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the defaults, by name."""


def settle_policy(store_path: Path, settings: Settings, role: str, *, succeeds: bool) -> Policy:
    """Return the policy of a process that becomes the host; a server's is kept in the store."""
    own = Policy(settings.pool_bytes, _told(settings))
    if role == "server":
        policy = _joined(own, read_policy(store_path), own.settings) if succeeds and not own.pool_bytes else own
        _write(store_path, policy)
        return policy
    kept = read_policy(store_path)
    return _joined(own, kept, kept.settings)


def read_policy(store_path: Path) -> Policy:
    """Return what the last server kept in the store; without a readable file, no policy."""
    try:
        fd = os.open(store_path / POLICY_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, encoding="utf-8") as file:
            content = json.loads(file.read(_LIMIT_BYTES))
        pool_bytes, told = content["pool_bytes"], content["settings"]
    except FileNotFoundError:
        return Policy()
    except (OSError, ValueError, KeyError, TypeError) as exc:
        _log.warning("%s is not used: %r", store_path / POLICY_NAME, exc)
        return Policy()
    sound = isinstance(pool_bytes, int) and pool_bytes >= 0 and isinstance(told, dict)
    return Policy(pool_bytes, {k: v for k, v in told.items() if k in setting_names()}) if sound else Policy()


def _joined(own: Policy, kept: Policy, first: Mapping[str, Any]) -> Policy:
    """Join two policies: the smaller quota; of two values of a setting the one in `first`."""
    pool_bytes = min((p for p in (own.pool_bytes, kept.pool_bytes) if p), default=0)
    told = {**own.settings, **kept.settings, **first}
    return Policy(pool_bytes, {**told, "pool_bytes": pool_bytes} if pool_bytes else told)


def _write(store_path: Path, policy: Policy) -> None:
    draft = store_path / f".{POLICY_NAME}"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)  # of a server that was killed here
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(policy), file)
        os.rename(draft, store_path / POLICY_NAME)
    except OSError as exc:  # a full store: this host applies it all the same
        _log.warning("the quota cannot be kept for the next host: %s", exc)


def _told(settings: Settings) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in setting_names() if name not in FILE_ONLY}
    return {name: value for name, value in values.items() if value != settings.trait_defaults(name)}
