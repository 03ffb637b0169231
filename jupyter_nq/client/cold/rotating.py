"""Rotation of the master key: the key of every copy on the disk is sealed by the current one, all of them in one go.

The data are neither decrypted nor written anew but copied as they are. A copy that cannot be given to the current key
stays as it was and is named; doing it again does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_nq.buffers import ColdCopies, ColdInfo, KeyRing, rewrap
from jupyter_nq.client.bars.loading import Progress
from jupyter_nq.errors import ChecksumError, UnknownDataset, UnknownKey
from jupyter_nq.sizes import size


@dataclass(frozen=True)
class Rotated:
    """What a rotation did, one line for each copy; as text a summary."""

    key_id: str
    """Id of the current master key."""
    sealed: tuple[str, ...] = ()
    """Copies that were given to it, as `NAME vVERSION`."""
    sealed_bytes: int = 0
    """Bytes of their files."""
    before: tuple[str, ...] = ()
    """Copies that had it already."""
    plain: tuple[str, ...] = ()
    """Copies that are not encrypted: what is written from now on is."""
    refused: tuple[str, ...] = ()
    """Copies that stay as they were, with the reason."""

    def __str__(self) -> str:
        lines = [f"refused   {line}" for line in self.refused] + [f"plain     {line}" for line in self.plain]
        counts = f"{len(self.sealed)} sealed ({size(self.sealed_bytes)}), {len(self.before)} had it already"
        counts += f", {len(self.plain)} not encrypted, {len(self.refused)} refused"
        end = "The older keys are still needed." if self.refused else "Nothing needs an older key."
        return "\n".join([*lines, f"Master key {self.key_id}: {counts}. {end}"])


def rotate(cold: ColdCopies, keys: KeyRing, progress: Progress | None = None) -> Rotated:
    """Seal the key of every encrypted copy with the current master key.

    Raises
    ------
    StoreFull, StoreError
        The disk has no room for a copy twice, or refuses; what was done so far is done.
    """
    copies = cold.scan()
    known: dict[str, list[ColdInfo]] = {"sealed": [], "before": [], "plain": []}
    refused = [f"{damaged.path.name}: {damaged.reason}" for damaged in cold.damaged()]
    total, done = sum(info.nbytes for info in copies), 0
    for info in copies:
        try:
            known[_give(cold, info, keys)].append(info)
        except (UnknownKey, ChecksumError) as exc:
            refused.append(f"{_named(info)}: {exc}")
        except UnknownDataset:  # dropped meanwhile
            continue
        finally:
            done += info.nbytes
            if progress is not None:
                progress(done / total)
    lines = {what: tuple(map(_named, found)) for what, found in known.items()}
    sealed_bytes = sum(info.nbytes for info in known["sealed"])
    return Rotated(keys.current_id, sealed_bytes=sealed_bytes, refused=tuple(refused), **lines)


def _give(cold: ColdCopies, info: ColdInfo, keys: KeyRing) -> str:
    if info.key_id is None:
        return "plain"
    if info.key_id == keys.current_id:
        return "before"
    rewrap(cold, info.id, keys)
    return "sealed"


def _named(info: ColdInfo) -> str:
    return f"{info.name} v{info.version}"
