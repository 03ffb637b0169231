"""The doctor's checks of what leaves memory: its directory on a disk, and its keys."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from jupyter_nq.buffers import ColdCopies, new_key
from jupyter_nq.cli.doctor import disk
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings, spill_dir_of


def test_a_directory_that_is_not_there_yet(tmp_path: Path) -> None:
    """It is fine when it can be made, and is not made by looking."""
    found = disk.spill_directory(tmp_path / "store", Settings(spill_dir=str(tmp_path / "a" / "b")), {})
    assert found.ok
    assert "not there yet, made when needed" in found.figure
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_there(tmp_path: Path) -> None:
    """A file is written to it, and the figure says how fast; nothing stays."""
    settings = Settings(spill_dir=str(tmp_path / "disk"))
    copies = ColdCopies(spill_dir_of(settings.spill_dir, tmp_path / "store"))
    found = disk.spill_directory(tmp_path / "store", settings, {})
    assert found.ok
    assert "1.0 MiB written in" in found.figure
    assert [path.name for path in copies.path.iterdir()] == ["tmp"]


def test_a_directory_that_others_may_enter(tmp_path: Path) -> None:
    """The store would refuse it."""
    where = spill_dir_of(str(tmp_path), tmp_path / "store")
    where.mkdir(mode=0o755)
    found = disk.spill_directory(tmp_path / "store", Settings(spill_dir=str(tmp_path)), {})
    assert not found.ok
    assert f"chmod 700 {where}" in found.figure


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A file is in its way, or the file system takes none; the fix names the setting."""
    (tmp_path / "file").write_text("")
    found = disk.spill_directory(tmp_path / "store", Settings(spill_dir=str(tmp_path / "file" / "disk")), {})
    assert (found.ok, found.figure) == (False, f"{tmp_path / 'file'} is not a directory")
    assert "JUPYTER_NQ_SPILL" in found.fix
    found = disk.spill_directory(tmp_path / "store", Settings(spill_dir="/proc/disk"), {})
    assert not found.ok
    assert found.figure.startswith("/proc cannot be written: ")


def test_a_store_goes_on_with_the_directory_that_it_has(tmp_path: Path) -> None:
    """What its link leads to is tried, and what is named for the next store too."""
    store, had = tmp_path / "store", tmp_path / "had"
    store.mkdir()
    os.symlink(had, store / "cold")
    found = disk.spill_directory(store, Settings(spill_dir="/proc/disk"), {})
    assert not found.ok
    found = disk.spill_directory(store, Settings(), {})
    assert found.ok
    assert found.figure.startswith(f"{had}: not there yet")


@pytest.mark.parametrize("own", [True, False], ids=["own settings", "the host's"])
def test_keys_that_are_there(tmp_path: Path, own: bool) -> None:
    """They are counted, and the current one seals and opens; the text shows no key."""
    line = new_key()
    file = tmp_path / "keys"
    file.write_text(f"{line}\n{new_key()}\n")
    file.chmod(0o600)
    named = {"key_file": str(file)}
    found = disk.keys(tmp_path, Settings(**named) if own else Settings(), {} if own else named)
    assert found.ok
    assert found.figure == f"2 keys, the current one is {line.partition(':')[0]}; it seals and opens"


def test_no_keys(tmp_path: Path) -> None:
    """None are needed, and what that means is said."""
    assert disk.keys(tmp_path, Settings(), {}).figure == "none: what is written to the disk is not encrypted"


def test_keys_that_the_disk_needs(nq_store_dir: Path, tmp_path: Path) -> None:
    """Without them its data cannot be read, and nothing can be written beside them; another key is of no use."""
    file, other = tmp_path / "keys", tmp_path / "other"
    for path in (file, other):
        path.write_text(new_key())
        path.chmod(0o600)
    told = {"store_dir": str(nq_store_dir), "spill_dir": str(tmp_path / "disk")}
    with Session(settings=Settings(**told, key_file=str(file))) as session:
        session.put("limits", {"NQ": 5}, durable=True)
    assert disk.keys(nq_store_dir, Settings(**told, key_file=str(file)), {}).ok
    sealed = file.read_text().partition(":")[0]
    for settings in (Settings(**told), Settings(**told, key_file=str(other))):
        found = disk.keys(nq_store_dir, settings, {})
        says = f"1 dataset on the disk cannot be read here: encrypted with the key {sealed}, which this process lacks"
        assert (found.ok, found.figure) == (False, says)


def test_keys_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An absent file, one that others may read, and an absent library are findings."""
    file = tmp_path / "keys"
    found = disk.keys(tmp_path, Settings(key_file=str(file)), {})
    assert not found.ok
    assert "cannot be read: No such file" in found.figure
    file.write_text(new_key())
    file.chmod(0o644)
    assert "Others may read the key file" in disk.keys(tmp_path, Settings(key_file=str(file)), {}).figure
    file.chmod(0o600)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    assert "pip install 'jupyter-nq[crypto]'" in disk.keys(tmp_path, Settings(key_file=str(file)), {}).figure
    monkeypatch.setitem(sys.modules, "keyring", None)
    found = disk.keys(tmp_path, Settings(key_service="nq"), {})
    assert (found.ok, found.figure) == (False, "keyring is not installed here. Run: pip install keyring")
