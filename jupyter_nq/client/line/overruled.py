"""Settings that the host applies for all: what is said to a process whose own do not count.

Quotas and the order in which datasets leave memory are one thing for all processes of a store, so whoever hosts the
coordinator gives them. A process that was told others would otherwise believe in a limit that nobody keeps.
"""

from __future__ import annotations

from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import HOST_APPLIES, Settings


def overruled(settings: Settings, channel: Channel) -> str | None:
    """Return which settings of a process do not count in its store, and who says what does; None when all do.

    Parameters
    ----------
    settings
        The process's own; what is at its default is no wish.
    channel
        Its line, connected.
    """
    told = channel.peer_info.get("settings", {})
    other = []
    for name in HOST_APPLIES:
        own, default = getattr(settings, name), settings.trait_defaults(name)
        if own not in (default, counts := told.get(name, default)):
            other.append(f"{name}={counts!r} counts, not {own!r}")
    if not other:
        return None
    return (
        f"In the store {channel.store_path} {'; '.join(other)}: {_who(channel)}. Set such limits in the settings file "
        "that all processes read, or leave them out here."
    )


def _who(channel: Channel) -> str:
    """Say who has given the settings of the store."""
    if channel.is_host:
        return "the last Jupyter server that hosted it decided that"
    host = channel.peer_info["host"]
    name = "a Jupyter server" if host["role"] == "server" else host["program"]
    return f"the process that hosts it decides that ({name}, pid {host['pid']})"
