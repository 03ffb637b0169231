"""Master keys: where they come from, and what they seal."""

from __future__ import annotations

import base64
import doctest
import os
import sys
import types
from pathlib import Path

import pytest

from jupyter_nq.buffers import KeyRing, load_keys, new_key
from jupyter_nq.buffers.cold import keys
from jupyter_nq.buffers.cold.keys import key_id
from jupyter_nq.errors import ChecksumError, ConfigError, MissingLibrary, UnknownKey

FIRST, SECOND = bytes(32), bytes(range(32))


def _line(key: bytes) -> str:
    return f"{key_id(key)}:{base64.b64encode(key).decode()}"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTER_NQ_KEY", raising=False)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Give a key file with two keys."""
    path = tmp_path / "keys"
    path.write_text(f"{_line(FIRST)}\n\n{_line(SECOND)}\n")
    path.chmod(0o600)
    return path


def test_examples() -> None:
    """The examples in the docstrings are true."""
    result = doctest.testmod(keys)
    assert (result.attempted > 0, result.failed) == (True, 0)


def test_a_key_seals_for_one_purpose() -> None:
    """What was sealed opens with the same key and purpose, and with no other."""
    ring = KeyRing([FIRST, SECOND])
    sealed = ring.wrap(b"d" * 32, b"this object")
    assert sealed.key_id == ring.current_id == key_id(FIRST)
    assert ring.unwrap(sealed, b"this object") == b"d" * 32
    assert KeyRing([SECOND, FIRST]).unwrap(sealed, b"this object") == b"d" * 32
    with pytest.raises(ChecksumError, match=f"the key {key_id(FIRST)} of this file is not authentic"):
        ring.unwrap(sealed, b"another object")
    with pytest.raises(UnknownKey, match=f"{key_id(FIRST)} is not among those given \\({key_id(SECOND)}\\)"):
        KeyRing([SECOND]).unwrap(sealed, b"this object")


def test_a_ring_shows_no_key() -> None:
    """Its repr has the ids alone."""
    ring = KeyRing([FIRST, SECOND])
    assert repr(ring) == f"<KeyRing {key_id(FIRST)}, {key_id(SECOND)}>"
    assert key_id(SECOND) in ring
    assert "x" not in ring
    assert ring.ids == (key_id(FIRST), key_id(SECOND))


@pytest.mark.parametrize("wrong", [[], [b"short"], [FIRST, b""]])
def test_keys_have_32_bytes(wrong: list[bytes]) -> None:
    """And there is at least one."""
    with pytest.raises(ConfigError, match="32 bytes"):
        KeyRing(wrong)


def test_no_source_has_a_key() -> None:
    """Then nothing is encrypted, and the caller decides whether that is right."""
    assert load_keys() is None
    assert load_keys(env=None) is None


def test_the_environment_comes_first(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is the current one, those of the file are older ones; another variable may be named."""
    third = os.urandom(32)
    monkeypatch.setenv("JUPYTER_NQ_KEY", base64.b64encode(third).decode())
    ring = load_keys(file=key_file)
    assert ring is not None
    assert ring.ids == (key_id(third), key_id(FIRST), key_id(SECOND))
    assert load_keys(env="OTHER_KEY") is None
    monkeypatch.setenv("JUPYTER_NQ_KEY", "c2hvcnQ=")
    with pytest.raises(ConfigError, match="environment variable JUPYTER_NQ_KEY holds no key of 32 bytes") as caught:
        load_keys()
    assert "c2hvcnQ" not in str(caught.value)


def test_a_new_key_is_a_line_of_a_key_file(key_file: Path) -> None:
    """Written before the others it is the current one."""
    line = new_key()
    assert line != new_key()
    key_file.write_text(f"{line}\n{key_file.read_text()}")
    ring = load_keys(file=key_file)
    assert ring is not None
    assert ring.ids == (line.partition(":")[0], key_id(FIRST), key_id(SECOND))


def test_a_new_key_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was made; under the id of another key it is refused."""
    line = new_key()
    monkeypatch.setenv("JUPYTER_NQ_KEY", line)
    ring = load_keys()
    assert ring is not None
    assert ring.ids == (line.partition(":")[0],)
    monkeypatch.setenv("JUPYTER_NQ_KEY", f"{key_id(FIRST)}:{line.partition(':')[2]}")
    with pytest.raises(ConfigError, match="The environment variable JUPYTER_NQ_KEY, line 1, has the id of another key"):
        load_keys()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_key_file_that_others_may_read(key_file: Path, mode: int) -> None:
    """It is refused, and the message says how to close it."""
    key_file.chmod(mode)
    with pytest.raises(ConfigError, match=rf"Others may read the key file .* \(mode {mode:o}\).*chmod 600"):
        load_keys(file=key_file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no key"),
        ("abc", "line 1, holds no key of 32 bytes"),
        (f"{_line(FIRST)}\n{key_id(SECOND)}:!!!", "line 2, holds no key of 32 bytes"),
        (
            _line(FIRST).replace(key_id(FIRST), key_id(SECOND)),
            f"has the id of another key: this one is {key_id(FIRST)}",
        ),
        ("\xff\xfe", "holds no key"),
    ],
)
def test_a_file_that_holds_something_else(key_file: Path, text: str, says: str) -> None:
    """The message names the line."""
    key_file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=says):
        load_keys(file=key_file)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A path that was named is there, and is a file."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_keys(file=tmp_path / "absent")
    with pytest.raises(ConfigError, match="no key file of yours"):
        load_keys(file=tmp_path)


def _no_backend(service: str, user: str) -> str:
    raise RuntimeError("no backend")


def test_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of the user's keyring holds the same lines; a missing library, backend or entry is said."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingLibrary, match="pip install keyring"):
        load_keys(keyring="nq")
    entries = {("nq", "master key"): _line(SECOND)}
    library = types.ModuleType("keyring")
    library.get_password = lambda service, user: entries.get((service, user))  # type: ignore[attr-defined]
    library.errors = types.SimpleNamespace(KeyringError=RuntimeError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", library)
    ring = load_keys(keyring="nq")
    assert ring is not None
    assert ring.current_id == key_id(SECOND)
    with pytest.raises(ConfigError, match="no entry 'master key' of the service 'other'"):
        load_keys(keyring="other")
    monkeypatch.setattr(library, "get_password", _no_backend)
    with pytest.raises(ConfigError, match="The keyring cannot be read: no backend"):
        load_keys(keyring="nq")


def test_a_library_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot encrypt into a buffer is named with what is needed."""
    old = types.ModuleType("aead")
    old.AESGCM = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", old)
    with pytest.raises(MissingLibrary, match=r"too old here \(47 is needed\)"):
        KeyRing([FIRST]).wrap(bytes(32), b"")
