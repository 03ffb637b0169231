"""Checks of `jupyter nq doctor` of what leaves memory: the directory on a disk, and the keys that encrypt it.

A process takes these settings from its own sources, else from the coordinator's host, and so do the checks.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_nq.buffers import ColdCopies, load_keys
from jupyter_nq.buffers.cold.keys import KEY_VARIABLE
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.cli.doctor.checks import free_bytes, scratch
from jupyter_nq.cli.doctor.findings import Failed, Finding, attempt
from jupyter_nq.cli.text import seconds
from jupyter_nq.client.cold.disk import directory_for
from jupyter_nq.config import Settings
from jupyter_nq.sizes import counted, size

_TRIAL_BYTES = 1 << 20  # 1 MiB
_KEY_BYTES = 32


def spill_directory(path: Path, settings: Settings, host: Mapping[str, Any]) -> Finding:
    """Can datasets be written to where they go when they leave memory?"""

    def trial() -> str:
        return "; ".join(map(_written, _places(path, settings, host)))

    return attempt("disk", trial, fix="set JUPYTER_NQ_SPILL (or spill_dir) to a directory of yours on a disk")


def _places(path: Path, settings: Settings, host: Mapping[str, Any]) -> list[Path]:
    """Return where datasets of a store go: it goes on with the directory that it has, its next one with the other."""
    told = _told("spill_dir", settings, host)
    places = [Path(os.path.realpath(path / COLD))] if os.path.lexists(path / COLD) else []
    if not places or told:
        places.append(directory_for(told, path).absolute())
    return list(dict.fromkeys(places))


def _written(directory: Path) -> str:
    """Write a file there, or where the directory would be made, and say how it went."""
    there = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise Failed(f"{there} is not a directory")
    if there == directory:
        ColdCopies(directory, create=False)  # says what is wrong with its owner and mode
    try:
        took = _seconds_to_write(directory)
    except OSError as exc:
        raise Failed(f"{there} cannot be written: {exc.strerror or exc}") from exc
    found = f"{size(free_bytes(there))} free, {size(_TRIAL_BYTES)} written in {seconds(took)}"
    return f"{directory}: {found}" if there == directory else f"{directory}: not there yet, made when needed; {found}"


def _seconds_to_write(directory: Path) -> float:
    with scratch(directory) as where, tempfile.TemporaryFile(dir=where) as file:
        start = time.perf_counter()
        file.write(bytes(_TRIAL_BYTES))
        file.flush()
        os.fsync(file.fileno())
        return time.perf_counter() - start


def keys(path: Path, settings: Settings, host: Mapping[str, Any]) -> Finding:
    """Are the master keys there that the settings name and the disk needs, private, and do they work?"""

    def trial() -> str:
        file, service = _told("key_file", settings, host), _told("key_service", settings, host)
        ring = load_keys(file=file or None, keyring=service or None)
        if lacking := _lacking(_places(path, settings, host), () if ring is None else ring.ids):
            raise Failed(lacking)
        if ring is None:
            return "none: what is written to the disk is not encrypted"
        data_key = os.urandom(_KEY_BYTES)
        if ring.unwrap(ring.wrap(data_key, b"doctor"), b"doctor") != data_key:
            raise Failed("what was sealed with the current key does not come back")
        return f"{counted(len(ring.ids), 'key')}, the current one is {ring.current_id}; it seals and opens"

    named = f"a file of yours with mode 0600 (key_file), an entry of your keyring (key_service), or {KEY_VARIABLE}"
    return attempt("keys", trial, fix=f"have the keys in {named}; jupyter_nq.buffers.new_key() makes one")


def _lacking(places: list[Path], known: Sequence[str]) -> str:
    """Say what on the disk cannot be read with the known keys; nothing when all can."""
    there = [info for place in places if place.is_dir() for info in ColdCopies(place, create=False).scan()]
    sealed = [info.key_id for info in there if info.key_id is not None and info.key_id not in known]
    if not sealed:
        return ""
    datasets, unknown = counted(len(sealed), "dataset"), ", ".join(dict.fromkeys(sealed))
    return f"{datasets} on the disk cannot be read here: encrypted with the key {unknown}, which this process lacks"


def _told(name: str, settings: Settings, host: Mapping[str, Any]) -> str:
    return str(getattr(settings, name) or host.get(name) or "")
