"""Files elsewhere: `s3://`, `gs://`, `abfss://`, fetched once to the user's cache directory and read there.

A copy is kept for each address in each of its states (size, and ETag or time), so an unchanged file is not fetched
twice and a changed one is never taken for the old. Fetching happens under an exclusive lock of the copy, to a draft
that is renamed when it is whole; whoever uses a copy holds the lock shared, and copies that nobody uses go, the
longest unused first, when all together would exceed `fetch_bytes`. Who is allowed to read is decided by the standard
credentials of the cloud (environment, configuration files, machine roles); an address that carries any is refused,
and no message, record or name has more of an address than bucket and path.
"""

from __future__ import annotations

import fcntl
import io
import os
import re
import shutil
import stat
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

import xxhash

from jupyter_nq.buffers.locks import is_current, open_lock_file, try_flock
from jupyter_nq.config import Settings, default_cache_dir, environment
from jupyter_nq.errors import InvalidArgument, SourceNotFound, StoreError, StoreFull, UnreadableSource
from jupyter_nq.sizes import size as shown_size

_SCHEMES = {
    "s3": frozenset({"region", "scheme", "endpoint_override"}),
    "gs": frozenset({"scheme", "endpoint_override", "retry_limit_seconds"}),
    "abfss": frozenset({"enable_tls", "blob_storage_authority", "dfs_storage_authority"}),
}
"""What an address may say behind its `?`: where and how, never who."""
_SIGN_IN = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws/credentials or a role of the machine",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or gcloud auth application-default login",
    "abfss": "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, or az login",
}
_DENIED = ("access_denied", "access denied", "forbidden", "unauthorized", "credential", "invalid_access_key",
           "signature", "invalid_client_token", "status code 403", "http 403", "http 401")  # fmt: skip
_OWN = re.compile(r"[0-9a-f]{32}")
_PIECE_BYTES = 4 << 20  # 4 MiB
_SPARE_BYTES = 64 << 20  # 64 MiB that a download leaves on the disk

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Address:
    """Where a file lies."""

    scheme: str
    place: str
    """Bucket and path; for Azure the container, then the account."""
    uri: str
    """What Arrow is asked; its options say how the place is reached, and hold no credentials."""

    @property
    def label(self) -> str:
        """What messages, records and names call it."""
        return f"{self.scheme}://{self.place}"

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.place.rpartition("/")[2]


@dataclass(frozen=True)
class State:
    """A file elsewhere as it is now."""

    size: int
    """Bytes."""
    version: str
    """ETag, or the time of its last change."""

    @property
    def quick(self) -> tuple[int, int, int]:
        """The same as the numbers that tell the states of a local file apart."""
        return self.size, xxhash.xxh3_64_intdigest(self.version.encode()) >> 1, 0


def is_address(source: Any) -> bool:
    """Tell an address from a path or a symbol."""
    return isinstance(source, str) and "://" in source


def local_path(source: str) -> Path | None:
    """Return the path of a `file://` address, None for any other.

    Raises
    ------
    InvalidArgument
        It names another machine.
    """
    parts = urlsplit(source)
    if parts.scheme.lower() != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise InvalidArgument("a file:// address has three slashes: file:///home/me/NQ_5min.csv.")
    return Path(unquote(parts.path))


def address_of(source: str) -> Address:
    """Return the address that a text is.

    Raises
    ------
    InvalidArgument
        It is of another kind, has no path, or carries credentials, or options that could be some.
    """
    parts = urlsplit(source)
    scheme = {"gcs": "gs", "abfs": "abfss"}.get(parts.scheme.lower(), parts.scheme.lower())
    if scheme not in _SCHEMES:
        raise InvalidArgument(
            f"{parts.scheme}:// addresses are not read. Understood are s3://, gs://, abfss:// and file://; "
            "download the file otherwise."
        )
    user, _, host = parts.netloc.rpartition("@")
    if ":" in user or (user and scheme != "abfss"):
        raise InvalidArgument(
            f"the {scheme}:// address carries credentials, which would be seen by whoever sees the call. Leave them "
            f"out; sign in with {_SIGN_IN[scheme]}."
        )
    unknown = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if name not in _SCHEMES[scheme]]
    if unknown or parts.fragment:
        raise InvalidArgument(
            f"the {scheme}:// address has the option {(unknown or ['#'])[0]!r}, which may be a credential. Options are "
            f"{', '.join(sorted(_SCHEMES[scheme]))}; sign in with {_SIGN_IN[scheme]}."
        )
    place = f"{user}@{host}{unquote(parts.path)}" if user else f"{host}{unquote(parts.path)}"
    if not parts.path.strip("/") or parts.path.endswith("/") or not host:
        raise InvalidArgument(f"{scheme}://{place} names no file. Write {scheme}://bucket/path/NQ_5min.parquet.")
    return Address(scheme, place, urlunsplit((scheme, parts.netloc, quote(unquote(parts.path)), parts.query, "")))


# -- the file elsewhere -----------------------------------------------------------------------------
class Remote:
    """A file elsewhere. Used by one thread.

    Raises
    ------
    SourceNotFound, UnreadableSource
        It is not there, may not be read, or cannot be reached; so do all methods.
    """

    def __init__(self, address: Address) -> None:
        from pyarrow.fs import FileSystem  # only files elsewhere need it

        self.address = address
        with reaching(address):
            self._system, self._path = FileSystem.from_uri(address.uri)

    def state(self) -> State:
        """Ask for size and version, which is all that is transferred."""
        with reaching(self.address):
            if self.address.scheme == "s3":
                with self._system.open_input_stream(self._path) as stream:  # one request, with the ETag
                    said = {name.lower(): value for name, value in (stream.metadata() or {}).items()}
                if "content-length" in said and "etag" in said:
                    return State(int(said["content-length"]), _text(said["etag"]))
            found = self._system.get_file_info(self._path)
        if found.type.name == "NotFound":
            raise SourceNotFound(f"{self.address.label} does not exist, or you may not see it.")
        if not found.is_file:
            raise UnreadableSource(f"{self.address.label} is a directory. Name one file, or a list of them.")
        return State(found.size, f"{found.mtime_ns}")

    def open(self) -> Any:
        """Open it for Arrow, to read parts of it."""
        return self._system.open_input_file(self._path)

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes."""
        with reaching(self.address), self._system.open_input_stream(self._path) as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield piece


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextmanager
def reaching(address: Address) -> Iterator[None]:
    """Turn what a cloud says into the package's errors, without the options of the address."""
    label = address.label
    try:
        yield
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{label} does not exist, or you may not see it.") from exc
    except (OSError, ValueError, NotImplementedError) as exc:
        if isinstance(exc, (UnreadableSource, SourceNotFound)):
            raise
        why = str(exc).partition("\n")[0].replace(address.uri, label)
        low = why.lower()
        if "not a regular file" in low:
            raise UnreadableSource(f"{label} is a directory. Name one file, or a list of them.") from None
        if isinstance(exc, PermissionError) or any(word in low for word in _DENIED):
            raise UnreadableSource(
                f"{label} may not be read with the credentials of this process. "
                f"Sign in with {_SIGN_IN[address.scheme]}."
            ) from None
        raise UnreadableSource(f"{label} cannot be reached: {why}. Check the network and the address.") from None


def fetch_dir(settings: Settings) -> Path:
    """Return the directory of the copies: `fetched` in that of the archives where one is named, else beside it."""
    named = environment().get("cache_dir") or settings.cache_dir
    return Path(named) / "fetched" if named else default_cache_dir().with_name("fetched")


# -- the copies -------------------------------------------------------------------------------------
class Copy:
    """The copy of a file elsewhere, kept from being removed as long as this lives.

    Parameters
    ----------
    remote, state
        The file and the state of it that is wanted.
    settings
        `fetch_bytes` limits all copies together.
    """

    def __init__(self, remote: Remote, state: State, settings: Settings) -> None:
        self._remote, self._state, self._limit = remote, state, settings.fetch_bytes
        self._root = fetch_dir(settings)
        key = xxhash.xxh3_128_hexdigest(f"{remote.address.uri}\0{state.size}\0{state.version}".encode())
        self._place = self._root / key
        self._lock = self._root / f"{key}.lock"
        self.path = self._place / remote.address.name
        """Where the copy is, once it was fetched; it has the name of the original."""
        self.ready = False
        """Whether it is there, and kept."""

    def fetch(self, progress: Progress | None = None) -> bool:
        """Have the copy there; returns whether it had to be fetched.

        Raises
        ------
        SourceNotFound, UnreadableSource
            The original is gone, changed, or cannot be read.
        StoreFull
            There is no room, by the quota or on the disk; nothing was fetched.
        """
        fetched = False
        if not self.ready:
            _prepare(self._root)
            while not self._keep():
                fetched = self._fetch_alone(progress or (lambda _: None)) or fetched
        return fetched

    def _keep(self) -> bool:
        """Keep the copy if it is there; returns whether it is. Others that keep it are not waited for."""
        lock = self._locked(fcntl.LOCK_SH)
        if not self._is_there():
            os.close(lock)
            return False
        weakref.finalize(self, os.close, lock)
        os.utime(self._place)
        self.ready = True
        return True

    def _fetch_alone(self, progress: Progress) -> bool:
        """Fetch the copy unless somebody else has just done so; returns whether it was fetched."""
        lock = self._locked(fcntl.LOCK_EX)
        try:
            if self._is_there():
                return False
            self._fetch(progress)
            return True
        finally:
            os.close(lock)

    def _locked(self, how: int) -> int:
        while True:
            lock = open_lock_file(self._lock)
            try:
                fcntl.flock(lock, how)
            except BaseException:
                os.close(lock)
                raise
            if is_current(lock, self._lock):
                return lock
            os.close(lock)

    def _is_there(self) -> bool:
        try:
            found = self.path.lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == self._state.size and found.st_uid == os.geteuid()

    def _fetch(self, progress: Progress) -> None:
        size, label = self._state.size, self._remote.address.label
        _make_room(self._root, size, self._limit, label)
        draft = self._place.with_suffix(".part")
        draft.unlink(missing_ok=True)  # of a process that was killed
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for piece in self._remote.pieces():
                    _write(file, piece, label, self._root)
                    if file.tell() > size:
                        break
                    progress(file.tell() / size)
                whole = file.tell() == size
            if not whole or self._remote.state() != self._state:
                raise UnreadableSource(f"{label} changed while it was fetched. Load it again.")
            self._place.mkdir(mode=0o700, exist_ok=True)
            draft.rename(self.path)
        finally:
            draft.unlink(missing_ok=True)


def _write(file: io.FileIO, piece: bytes, label: str, root: Path) -> None:
    try:
        done = 0
        while done < len(piece):
            done += file.write(piece[done:]) or 0
    except OSError as exc:
        raise StoreFull(f"{label} cannot be kept in {root}: {exc.strerror}.") from exc


def _prepare(root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise StoreError(f"{root} is not a directory of yours alone. Remove it, or chmod 700 it.")


def _make_room(root: Path, size: int, limit: int, label: str) -> None:
    """Remove the copies that nobody uses, the longest unused first, until `size` bytes more are allowed."""
    if size > limit:
        raise StoreFull(f"{label} has {shown_size(size)}, and copies may take {shown_size(limit)} (fetch_bytes).")
    found = (place for place in root.iterdir() if _OWN.fullmatch(place.name) and place.is_dir())
    copies = sorted(found, key=lambda place: place.stat().st_mtime_ns)
    taken = {place: sum(file.stat().st_size for file in place.iterdir()) for place in copies}
    total = sum(taken.values()) + sum(part.stat().st_size for part in root.glob("*.part"))
    free = shutil.disk_usage(root).free
    for place in copies:
        if total + size <= limit and size + _SPARE_BYTES <= free:
            break
        if _remove(place):
            total, free = total - taken[place], free + taken[place]
    if total + size > limit:
        raise StoreFull(f"{label} has {shown_size(size)}; copies in use leave no room for it in {shown_size(limit)}.")
    if size + _SPARE_BYTES > free:
        raise StoreFull(f"{label} has {shown_size(size)}, and {root} has {shown_size(free)} free.")


def _remove(place: Path) -> bool:
    """Remove a copy that nobody uses; False when somebody does."""
    path = place.with_suffix(".lock")
    lock = open_lock_file(path)
    try:
        if not try_flock(lock, fcntl.LOCK_EX) or not is_current(lock, path):
            return False
        shutil.rmtree(place, ignore_errors=True)
        place.with_suffix(".part").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(lock)


def local_copy(source: str, settings: Settings, progress: Progress | None = None) -> Copy:
    """Return the copy of the file at an address, fetched when it was not there."""
    remote = Remote(address_of(source))
    copy = Copy(remote, remote.state(), settings)
    copy.fetch(progress)
    return copy


def usage(settings: Settings) -> tuple[int, int]:
    """Return how many copies there are, and their bytes."""
    sizes = [sum(file.stat().st_size for file in place.iterdir()) for place in _copies(settings)]
    return len(sizes), sum(sizes)


def clear(settings: Settings) -> None:
    """Remove all copies that nobody uses, and the directory when nothing is left in it."""
    for place in _copies(settings):
        _remove(place)
    for rest in (*fetch_dir(settings).glob("*.lock"), *fetch_dir(settings).glob("*.part")):
        if _OWN.fullmatch(rest.stem):
            _remove(rest.with_suffix(""))
    with suppress(OSError):
        fetch_dir(settings).rmdir()


def _copies(settings: Settings) -> list[Path]:
    root = fetch_dir(settings)
    return [place for place in root.iterdir() if _OWN.fullmatch(place.name) and place.is_dir()] if root.is_dir() else []
