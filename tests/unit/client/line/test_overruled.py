"""Settings of a process that are not the store's, because another one gives them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.client.line.channel import Channel
from jupyter_nq.client.line.overruled import overruled
from jupyter_nq.client.line.policy import settle_policy
from jupyter_nq.client.session import Session
from jupyter_nq.config import HOST_APPLIES, Settings
from jupyter_nq.testing import wait_until

_OTHER = {"pool_bytes": 9 << 20, "spare_share": 0.5, "notebook_bytes": 5_000_000, "eviction_policy": "fifo"}


def _settings(path: Path, **told: Any) -> Settings:
    return Settings(store_dir=str(path), **told)


@pytest.mark.parametrize("name", HOST_APPLIES)
@pytest.mark.parametrize("role", ["client", "server"])
def test_a_setting_that_does_not_count_is_told_once(nq_store_dir: Path, name: str, role: str) -> None:
    """The warning has both values and who hosts; the same settings again are no news to the host itself."""
    host = "a Jupyter server" if role == "server" else r"\S+.*"
    default = Settings().trait_defaults(name)
    with Channel(nq_store_dir, _settings(nq_store_dir), role=role):
        counts = f"{name}={default!r} counts, not {_OTHER[name]!r}: "
        says = rf"{counts}.* hosts it decides that \({host}, pid {os.getpid()}\)"
        with pytest.warns(UserWarning, match=says) as told:
            Session(settings=_settings(nq_store_dir, **{name: _OTHER[name]})).close()
        assert len(told) == 1


def test_several_are_one_warning(nq_store_dir: Path) -> None:
    """What the host was given itself counts, and what is the same is not named."""
    mine, theirs = _settings(nq_store_dir, **_OTHER), _settings(nq_store_dir, **_OTHER | {"pool_bytes": 8 << 20})
    with Channel(nq_store_dir, theirs), Channel(nq_store_dir, mine) as line:
        told = overruled(mine, line)
    assert told is not None
    assert f"pool_bytes={8 << 20} counts, not {9 << 20}" in told
    assert not any(name in told for name in HOST_APPLIES if name != "pool_bytes")


def test_who_wishes_nothing_else_is_told_nothing(nq_store_dir: Path) -> None:
    """Defaults are no wishes, a host has what it wishes, and a command of the shell shares out no memory."""
    with warnings.catch_warnings(), Session(settings=_settings(nq_store_dir, **_OTHER)):
        warnings.simplefilter("error")
        for role, told in (("client", {}), ("client", _OTHER), ("cli", {"pool_bytes": 1 << 20})):
            Session(settings=_settings(nq_store_dir, **told), role=role).close()


def test_a_host_is_told_what_the_last_server_left(nq_store_dir: Path) -> None:
    """Its own larger quota does not count, and nobody else hosts."""
    with Channel(nq_store_dir, _settings(nq_store_dir)):  # makes the store
        settle_policy(nq_store_dir, Settings(pool_bytes=1 << 20), "server", succeeds=False)
    with (
        pytest.warns(UserWarning, match=rf"pool_bytes={1 << 20} counts, not {9 << 20}: the last Jupyter"),
        Session(settings=_settings(nq_store_dir, pool_bytes=9 << 20)),
    ):
        pass


def test_who_wants_warnings_to_be_errors_has_no_line_left(nq_store_dir: Path) -> None:
    """The session that was not made is gone from the desk, too."""
    with Session(nq_store_dir) as host, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="pool_bytes"):
            Session(settings=_settings(nq_store_dir, pool_bytes=9 << 20))
        wait_until(lambda: host.status().peers == 1)
