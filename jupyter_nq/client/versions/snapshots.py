"""Snapshots: a set of versions, taken at one moment for all notebooks, that stays until somebody lets it go.

A dataset moves on while notebooks work on it. A snapshot keeps the versions that all of its datasets had at one moment
of the coordinator: they stay in memory, whoever publishes, appends or drops meanwhile, after this notebook has ended,
and when another process becomes the coordinator. Reading one is reading shared memory, as `get` does. It ends with a
release, or with the store.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from jupyter_nq.buffers import Handle, check_name
from jupyter_nq.client.getting import Verified, checked_rows, checked_verify, verify_as, wants_private
from jupyter_nq.client.objects import Objects
from jupyter_nq.client.origin import marked
from jupyter_nq.client.selection import checked_form, visible
from jupyter_nq.errors import StoreError, UnknownDataset, UnknownSnapshot, nearest
from jupyter_nq.sizes import counted

_WAIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.002


class Snapshot:
    """Versions that stay until `release`; made by `nq.snapshot`, found again by `nq.snapshot_of`.

    As a context manager it releases itself.
    """

    def __init__(self, session: Objects, told: Mapping[str, Any]) -> None:
        self._session = session
        self._members = {member["name"]: member for member in told["members"]}
        self._token = told["token"]
        self._verified: Verified = set()  # only added to, by whatever thread; one entry too few costs a reading
        self.label: str = told["label"]
        self.taken = datetime.fromtimestamp(told["at_ns"] / 1e9, UTC)
        """When, UTC."""
        self.who: str = told["who"]
        """Notebook or program that took it."""
        self.versions: dict[str, int] = {name: member["version"] for name, member in self._members.items()}
        """The version of each dataset, by its name."""
        self.replaced_bytes: int = told.get("bytes", 0)
        """Memory of its versions that have been replaced or dropped since, as it was when it was looked up."""

    def __repr__(self) -> str:
        listed = ", ".join(f"{name} v{version}" for name, version in self.versions.items())
        return f"<Snapshot {self.label} of {self.taken:%Y-%m-%d %H:%M:%S} UTC: {listed}>"

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def get(
        self,
        name: str,
        as_: str = "pandas",
        *,
        columns: Sequence[str] | None = None,
        start: int = 0,
        stop: int | None = None,
        writable: str | bool = False,
        verify: str = "never",
    ) -> Any:
        """Return the snapshot's version of a dataset, as `nq.get` returns the newest one: a view, without a copy.

        Raises
        ------
        UnknownDataset
            The snapshot does not have it; or its memory was removed by hand, or the snapshot released.
        ChecksumError, InvalidArgument
            As `nq.get`.
        """
        first, end = checked_rows(start, stop)
        handle = self.open(name, writable=writable, verify=verify)
        data = handle.view(checked_form(as_), columns=visible(handle, columns), start=first, stop=end)
        return marked(data, handle)

    def open(self, name: str, *, writable: str | bool = False, verify: str = "never") -> Handle:
        """Map the snapshot's version of a dataset; raises as `get`."""
        private, verify = wants_private(writable), checked_verify(verify)
        member = self._member(name)
        try:
            handle = self._session.store.open_id(member["id"], private=private)
        except UnknownDataset:
            raise UnknownDataset(
                f"{name!r} version {member['version']} of the snapshot {self.label!r} is gone: the snapshot was "
                "released, or the memory removed by hand."
            ) from None
        handle.show(member["version"], member["rows"])
        try:
            verify_as(handle, verify, self._verified)
        except BaseException:
            handle.close()  # the error's traceback would keep it mapped
            raise
        self._session.working.note(handle, on_purpose=True)
        return self._session.hold(handle)

    def verify(self) -> None:
        """Compare all bytes of all its versions with their digests; `ChecksumError` names what differs."""
        for name in self:
            self.open(name, verify="always").close()

    def release(self) -> bool:
        """Let it go: what was replaced or dropped since is freed, when nobody holds it; frames that are held stay.

        False when that was done before.
        """
        told = self._session.channel.request("release_snapshot", label=self.label, token=self._token)
        return bool(told["released"])

    def _member(self, name: str) -> Mapping[str, Any]:
        if name not in self._members:
            listed = ", ".join(self._members)
            raise UnknownDataset(
                f"The snapshot {self.label!r} has no dataset {name!r}.{nearest(name, self._members)} It has: {listed}."
            )
        found: Mapping[str, Any] = self._members[name]
        return found


def snapshot(session: Objects, *names: str, label: str | None = None, verify: bool = False) -> Snapshot:
    """Keep the versions that datasets have at this moment, all of one moment, until they are released.

    Parameters
    ----------
    names
        Which datasets; none means all. One that has left memory is brought back, and stays.
    label
        By which other notebooks find it, `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`; None takes `snapshot-1` and so on.
    verify
        Compare all bytes with their digests; when something differs, the snapshot is released and the error raised.

    Raises
    ------
    InvalidName, UnknownDataset, InvalidArgument
    StoreError
        The label is taken, the store is empty, or one of the datasets is damaged.
    StoreFull
        There is no room for what has to be brought back.
    ChecksumError
    """
    for name in names:
        check_name(name)
    taken = Snapshot(session, _taken(session, names, label))
    if verify:
        try:
            taken.verify()
        except BaseException:
            taken.release()
            raise
    return taken


def _taken(session: Objects, names: Sequence[str], label: str | None) -> Mapping[str, Any]:
    """Ask for a snapshot until everything that it is to have is in memory at one moment, held there meanwhile."""
    ask = partial(session.channel.request, "snapshot", names=list(names), label=label, token=secrets.token_hex(16))
    deadline = time.monotonic() + _WAIT_SECONDS
    with contextlib.ExitStack() as held:
        while True:
            told: Mapping[str, Any] = ask()
            if "bring_back" not in told:
                return told
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{', '.join(told['bring_back'])} left memory again and again: name fewer datasets, or pin them."
                )
            for name in told["bring_back"]:
                with contextlib.suppress(*(() if names else (UnknownDataset,))):  # dropped meanwhile: not of all
                    held.enter_context(session.open(name))
            threading.Event().wait(_PAUSE_SECONDS)  # what was leaving is said to have stayed in a moment


def snapshots(session: Objects) -> list[Snapshot]:
    """Return all snapshots of the store, by label."""
    return [Snapshot(session, told) for told in session.channel.request("snapshots")]


def snapshot_of(session: Objects, label: str) -> Snapshot:
    """Return the snapshot with a label, whichever notebook took it.

    Raises
    ------
    UnknownSnapshot
        There is none, with the nearest labels.
    """
    found = {one.label: one for one in snapshots(session)}
    if label not in found:
        there = f"There are: {', '.join(found)}." if found else "There is none: nq.snapshot takes one."
        raise UnknownSnapshot(f"There is no snapshot {label!r}.{nearest(str(label), found)} {there}")
    return found[label]


def taken_line(taken: Snapshot) -> str:
    """Return in a line what a snapshot has."""
    listed = ", ".join(f"{name} v{version}" for name, version in taken.versions.items())
    return f"snapshot {taken.label}: {counted(len(taken), 'dataset')} ({listed})"
