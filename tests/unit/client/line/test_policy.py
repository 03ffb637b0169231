"""The quota of a server outlives it: kept in the store, applied by whoever hosts next."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.line.policy import POLICY_NAME, Policy, read_policy, settle_policy
from jupyter_nq.config import Settings
from jupyter_nq.errors import StoreFull
from jupyter_nq.testing import wait_until

_SERVERS = Settings(pool_bytes=1 << 20, data_dir="/bars")


def test_a_script_that_takes_over_keeps_the_servers_quota_and_settings(nq_store_dir: Path) -> None:
    """What the server refused is refused afterwards, and clients are told the same data directory."""
    server = Channel(nq_store_dir, _SERVERS, role="server")
    script = Channel(nq_store_dir, Settings())
    try:
        server.close()
        wait_until(lambda: script.is_host, message="the script to take over")
        with pytest.raises(StoreFull, match=r"1\.0 MiB"):
            script.request("reserve", name="big", bytes=2 << 20)
        told = script.peer_info["settings"]
        assert (told["data_dir"], told["pool_bytes"]) == ("/bars", 1 << 20)
    finally:
        script.close()


@pytest.mark.parametrize(("own", "applied"), [(0, 1 << 20), (1 << 10, 1 << 10), (1 << 30, 1 << 20)])
def test_of_two_quotas_the_smaller_holds_for_a_script(nq_store_dir: Path, own: int, applied: int) -> None:
    """A script may be stricter than the server was, and never laxer."""
    Store(nq_store_dir)
    settle_policy(nq_store_dir, _SERVERS, "server", succeeds=False)
    policy = settle_policy(nq_store_dir, Settings(pool_bytes=own), "client", succeeds=True)
    assert policy == Policy(applied, {"data_dir": "/bars", "pool_bytes": applied})
    assert read_policy(nq_store_dir).pool_bytes == 1 << 20, "only a server writes"


def test_a_server_that_just_started_has_the_last_word(nq_store_dir: Path) -> None:
    """One that takes over from another server inherits instead."""
    Store(nq_store_dir)
    settle_policy(nq_store_dir, _SERVERS, "server", succeeds=False)
    heir = settle_policy(nq_store_dir, Settings(data_dir="/mine"), "server", succeeds=True)
    assert heir == Policy(1 << 20, {"data_dir": "/mine", "pool_bytes": 1 << 20})
    assert settle_policy(nq_store_dir, Settings(), "server", succeeds=False) == Policy()
    assert read_policy(nq_store_dir) == Policy()


def test_instruments_are_no_policy(nq_store_dir: Path) -> None:
    """Every process has them from its settings file, so a long table must not make the policy unreadable."""
    Store(nq_store_dir)
    many = {f"X{n}": {"name": "x" * 1000, "tick": 1, "point_value": 1} for n in range(100)}
    settle_policy(nq_store_dir, Settings(data_dir="/bars", instruments=many), "server", succeeds=False)
    assert read_policy(nq_store_dir) == Policy(0, {"data_dir": "/bars"})


def test_the_file_is_private_and_replaced_whole(nq_store_dir: Path) -> None:
    """It is 0600, and what a killed server left of it is in nobody's way."""
    Store(nq_store_dir)
    (nq_store_dir / f".{POLICY_NAME}").symlink_to("/etc/hostname")
    settle_policy(nq_store_dir, _SERVERS, "server", succeeds=False)
    assert stat.S_IMODE((nq_store_dir / POLICY_NAME).stat().st_mode) == 0o600
    assert not os.path.lexists(nq_store_dir / f".{POLICY_NAME}")


@pytest.mark.parametrize("content", ["", "[]", '{"pool_bytes": -1, "settings": {}}', '{"pool_bytes": 1}', "\xff"])
def test_a_damaged_file_is_no_policy(nq_store_dir: Path, content: str) -> None:
    """A host starts with its own settings then."""
    Store(nq_store_dir)
    (nq_store_dir / POLICY_NAME).write_bytes(content.encode("latin-1"))
    assert read_policy(nq_store_dir) == Policy()


def test_a_policy_that_cannot_be_kept_is_applied_all_the_same(nq_store_dir: Path) -> None:
    """A full or read-only store costs the next host the quota, not this one."""
    Store(nq_store_dir)
    (nq_store_dir / POLICY_NAME).mkdir()
    assert settle_policy(nq_store_dir, _SERVERS, "server", succeeds=False).pool_bytes == 1 << 20
    assert read_policy(nq_store_dir) == Policy()
