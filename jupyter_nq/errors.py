"""The error families. Every message says what is wrong, where, and what to do.

Each error is an `NQError` and also the built-in that a caller would catch. The class name is its
wire name: an error that a coordinator raises arrives in the kernel as the same class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NQError(Exception):
    """Base of every error that this package raises on purpose."""


# -- configuration and names ---------------------------------------------------------------------
class ConfigError(NQError, ValueError):
    """A setting is unknown, has the wrong type or is out of range."""


class InvalidArgument(NQError, ValueError):
    """An argument of a call cannot be understood, or names a column that is not there."""


class InvalidName(NQError, ValueError):
    """A dataset name has characters or a length that is not allowed."""


# -- files and bars ------------------------------------------------------------------------------
class SourceNotFound(NQError, FileNotFoundError):
    """The directory, or a file that matches the request, does not exist."""

    __str__ = Exception.__str__


class AmbiguousSource(NQError, ValueError):
    """Several files match one request."""


class UnknownInstrument(NQError, KeyError):
    """The symbol is not in the instrument table."""

    __str__ = Exception.__str__


class UnknownTimeframe(NQError, ValueError):
    """The timeframe cannot be parsed, or no file has it."""


class UnknownZone(NQError, ValueError):
    """The text is not the name of a time zone."""


class UnreadableSource(NQError, ValueError):
    """The file is not a readable table of bars (binary, wrong encoding, missing columns, bad row)."""


class EmptyDataset(UnreadableSource):
    """The source has no bars: it is empty, or has only a header."""


class AmbiguousStamps(NQError, ValueError):
    """The file has several readings in UTC (day order, zone or edge); the message shows the candidates."""

    nearly: tuple[str, str] | None = None
    """Zone and edge that all but a few bars fit, where no reading fits all and this one stands out."""


# -- shared objects ------------------------------------------------------------------------------
class UnknownDataset(NQError, KeyError):
    """No shared object has this name or version."""

    __str__ = Exception.__str__


class UnknownSnapshot(NQError, KeyError):
    """No snapshot has this label."""

    __str__ = Exception.__str__


class UnsupportedData(NQError, TypeError):
    """The data cannot be laid out in a shared object."""


class StoreError(NQError, OSError):
    """The store directory cannot be used (foreign, another layout, wrong owner or permission)."""

    __str__ = Exception.__str__


class StoreFull(NQError, MemoryError):
    """The request exceeds the byte quota or what is free in the store's file system."""


class CapacityFull(StoreFull):
    """Rows do not fit behind the committed rows of an object; it must grow into a new one."""


class ChecksumError(NQError, ValueError):
    """The bytes of a shared object differ from its digest."""


class UnknownKey(NQError, LookupError):
    """A cold copy is encrypted with a master key that is not there; the message names the id of the key."""


# -- streams -------------------------------------------------------------------------------------
class UnknownStream(NQError, KeyError):
    """No stream has this name."""

    __str__ = Exception.__str__


class SchemaMismatch(NQError, TypeError):
    """Data have another schema than the stream; the message shows both."""


class StreamBusy(NQError, RuntimeError):
    """A stream takes no more publishers: it is exclusive and has one, or all its lanes are taken."""


class StreamFull(NQError, BufferError):
    """A message found no room: the stream keeps what a consumer has not read, or the message exceeds its retention."""


class NotDurable(NQError, OSError):
    """What was published to a durable stream is not on the disk: that refuses, is too slow, or never got it."""

    __str__ = Exception.__str__


class Lagged(NQError, LookupError):
    """A consumer fell behind what the stream keeps; it goes on with the oldest message that is there."""

    lost = 0
    """Messages that it missed since the last one it got, exactly."""

    __str__ = Exception.__str__


class UnreadableMessage(NQError, ValueError):
    """What came from Kafka is no message of a stream; it is kept in a stream of dead letters."""


class BridgeFailed(NQError, ConnectionError):
    """A bridge to Kafka ended: the broker refuses what no further attempt would change; the message says what."""

    __str__ = Exception.__str__


class LiveGap(NQError, LookupError):
    """Live bars cannot be joined to what is known: rows are missing between, and the message says from when to when."""

    __str__ = Exception.__str__


# -- flags ---------------------------------------------------------------------------------------
class Halted(NQError, RuntimeError):
    """A flag is set; the message says by whom, when and why."""


class FlagChanged(NQError, RuntimeError):
    """A flag that was to be cleared was set anew, which nobody here has seen; it stays set."""


class FlagBusy(NQError, RuntimeError):
    """A flag has an owner already, whose heartbeat it waits for."""


# -- coordinator ---------------------------------------------------------------------------------
class CoordinatorUnavailable(NQError, ConnectionError):
    """No coordinator answers, and this process may not or cannot host one."""

    __str__ = Exception.__str__


class VersionMismatch(NQError, RuntimeError):
    """The two ends speak another protocol or layout; the message says which environment to upgrade."""


class ProtocolError(NQError, ValueError):
    """A control message is malformed, oversized or unknown."""


class NameTaken(NQError, ValueError):
    """Another living process is registered under the name; the message says which."""


class UnknownNotebook(NQError, KeyError):
    """No connected process has this registered name, path or pid."""

    __str__ = Exception.__str__


class NotDelivered(NQError, RuntimeError):
    """Another notebook did not take what was handed to it; the message says why."""


class SyncTimeout(NotDelivered, TimeoutError):
    """Another notebook did not say in time that it has what was handed to it."""

    __str__ = Exception.__str__


class MutexTimeout(NQError, TimeoutError):
    """Somebody else has a mutex for longer than was to be waited; the message says who."""

    __str__ = Exception.__str__


class LeaseLost(NQError, RuntimeError):
    """A mutex is not this holder's any more: its lease ended, or it let go."""


# -- work in several workers ---------------------------------------------------------------------
class ChunkFailed(NQError, RuntimeError):
    """A chunk was not processed: its function failed, which is the cause, or its worker was killed."""

    number = 0
    """Of the chunk, counted from 0."""


class ProcessingCancelled(NQError, RuntimeError):
    """Work was cancelled by who had begun it."""


class MissingLibrary(NQError, ImportError):
    """An optional library is needed; the message holds the install command."""


def nearest(word: str, known: Iterable[str], *, limit: int = 3) -> str:
    """Return ` Did you mean ...?` for the closest known words, whatever their case, or an empty string.

    >>> nearest("pool_byte", ["pool_bytes", "store_dir"])
    " Did you mean 'pool_bytes'?"
    """
    folded: dict[str, list[str]] = {}
    for candidate in sorted(known):
        folded.setdefault(candidate.casefold(), []).append(candidate)
    alike = difflib.get_close_matches(word.casefold(), folded, n=limit, cutoff=0.6)
    close = [candidate for one in alike for candidate in folded[one]][:limit]
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""


def by_name(name: str) -> type[NQError]:
    """Return the error class of a wire name, `NQError` for one that this version does not know."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, NQError) else NQError
