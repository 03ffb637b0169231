"""Master keys: where they are looked for, and how they seal the key of each file.

Every encrypted file has a random key of its own, which lies in its head sealed by a master key. So a master key
encrypts nothing but keys, and giving a file to a new one rewrites its head alone (`rotation`). A master key is
known by its id, a short digest of it that tells nothing of the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_nq.buffers.cold.layout import SealedKey
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError, ConfigError, MissingLibrary, UnknownKey

KEY_VARIABLE = "JUPYTER_NQ_KEY"
KEY_BYTES = 32
_KEYRING_USER = "master key"
_LONGEST_FILE_BYTES = 64 << 10  # 64 KiB: some hundreds of keys


class KeyRing:
    """Master keys by their ids; the first one is current and seals what is written from now on.

    Parameters
    ----------
    keys
        32 bytes each, the current one first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigError(f"A master key has {KEY_BYTES} bytes, and one is needed. Make one with new_key().")
        self._keys = {key_id(key): key for key in keys}
        self.current_id = key_id(keys[0])
        """Id of the key that seals new files."""

    def __repr__(self) -> str:
        return f"<KeyRing {', '.join(self._keys)}>"

    def __contains__(self, wanted: object) -> bool:
        return wanted in self._keys

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all keys, the current one first."""
        return tuple(self._keys)

    def wrap(self, data_key: bytes, about: bytes) -> SealedKey:
        """Seal the key of a file with the current master key, for what `about` says and nothing else."""
        nonce = os.urandom(12)
        sealed = aead(self._keys[self.current_id]).encrypt(nonce, data_key, about)
        return SealedKey(self.current_id, nonce, sealed)

    def unwrap(self, key: SealedKey, about: bytes) -> bytes:
        """Return the key of a file.

        Raises
        ------
        UnknownKey
            Its master key is none of these; the message names the id.
        ChecksumError
            It was not sealed by that master key for what `about` says.
        """
        if key.key_id not in self._keys:
            raise UnknownKey(
                f"The master key {key.key_id} is not among those given ({', '.join(self._keys)}). Put it into the key "
                "file, behind the current one."
            )
        return opened(aead(self._keys[key.key_id]), key.nonce, key.sealed, about, f"the key {key.key_id} of this file")


def load_keys(
    *,
    env: str | None = KEY_VARIABLE,
    file: str | os.PathLike[str] | None = None,
    keyring: str | None = None,
) -> KeyRing | None:
    """Collect master keys, the current one first; None when no source has one.

    Parameters
    ----------
    env
        Environment variable with one key, 32 bytes in base64, or with what `new_key` made; it is passed over when it
        is absent. None: none.
    file
        Key file of mode 0600 with `id:base64` on each line: the current key first, then older ones.
    keyring
        Name of a service in the user's keyring whose entry `master key` holds such lines (needs `keyring`).

    Raises
    ------
    ConfigError
        A source that was named is absent or open to others, or holds something else than keys. The message
        shows no key.
    MissingLibrary
        `keyring` is not installed.
    """
    keys: list[bytes] = []
    if env is not None and os.environ.get(env):
        text, where = os.environ[env], f"The environment variable {env}"
        keys += _keys_of(text, where) if ":" in text else [_key_of(text, where)]
    if file is not None:
        keys += _keys_of(_read_private(Path(file)), str(file))
    if keyring is not None:
        keys += _keys_of(_read_keyring(keyring), f"The keyring entry {keyring}")
    return KeyRing(keys) if keys else None


def new_key() -> str:
    """Return a new random master key as a line for a key file: `id:base64`."""
    key = os.urandom(KEY_BYTES)
    return f"{key_id(key)}:{base64.b64encode(key).decode()}"


def key_id(key: bytes) -> str:
    """Return the id of a master key: 16 hexadecimal digits.

    >>> key_id(bytes(32))
    '67cfae28003b9e1b'
    """
    return hashlib.blake2b(key, digest_size=8, person=b"nq key id").hexdigest()


def aead(key: bytes) -> Any:
    """Return AES-256-GCM with a key; `MissingLibrary` when `cryptography` is not there, or too old."""
    try:
        found = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
    except ImportError as exc:
        raise MissingLibrary("cryptography is not installed here. Run: pip install 'jupyter-nq[crypto]'") from exc
    if not hasattr(found, "encrypt_into"):
        raise MissingLibrary("cryptography is too old here (47 is needed). Run: pip install 'jupyter-nq[crypto]'")
    return found(key)


def opened(cipher: Any, nonce: bytes, sealed: bytes, about: bytes, what: str) -> bytes:
    """Return what was sealed; `ChecksumError` when it is not what was sealed with this key for `about`."""
    from cryptography.exceptions import InvalidTag

    try:
        found: bytes = cipher.decrypt(nonce, sealed, about)
    except InvalidTag as exc:
        raise ChecksumError(f"{what} is not authentic") from exc
    return found


def _key_of(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{where} holds no key of {KEY_BYTES} bytes in base64. Make one with new_key().")
    return key


def _keys_of(text: str, where: str) -> list[bytes]:
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        label, _, coded = line.strip().partition(":")
        key = _key_of(coded, f"{where}, line {number},")
        if label != key_id(key):
            raise ConfigError(f"{where}, line {number}, has the id of another key: this one is {key_id(key)}.")
        keys.append(key)
    if not keys:
        raise ConfigError(f"{where} holds no key. Make one with new_key().")
    return keys


def _read_private(path: Path) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise ConfigError(f"The key file {path} cannot be read: {exc.strerror}. Check the path.") from exc
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ConfigError(f"{path} is no key file of yours. Name a file that belongs to you.")
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = stat.S_IMODE(found.st_mode)
            raise ConfigError(f"Others may read the key file {path} (mode {mode:o}). Close it: chmod 600 {path}")
        with refused(path):
            return os.read(fd, _LONGEST_FILE_BYTES).decode("ascii", "replace")
    finally:
        os.close(fd)


def _read_keyring(service: str) -> str:
    try:
        library = importlib.import_module("keyring")
    except ImportError as exc:
        raise MissingLibrary("keyring is not installed here. Run: pip install keyring") from exc
    try:
        found = library.get_password(service, _KEYRING_USER)
    except library.errors.KeyringError as exc:
        raise ConfigError(f"The keyring cannot be read: {exc}. Unlock it, or use a key file.") from exc
    if not found:
        raise ConfigError(f"The keyring has no entry {_KEYRING_USER!r} of the service {service!r}. Add one.")
    return str(found)
