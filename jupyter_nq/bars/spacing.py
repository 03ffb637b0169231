"""The length of a file's bars by its first stamps, for a dataset's name before the file is read.

How a file is read is found out from all its stamps; a name is wanted by every load, also one that only maps what is
there, so the first 64 KiB must do for it. The whole file has to agree when it is read.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from jupyter_nq.bars.answers import Given, answers
from jupyter_nq.bars.reading.blocks import read_blocks, stamps_of
from jupyter_nq.bars.reading.opening import is_columnar
from jupyter_nq.bars.reading.stamps import BadStamp
from jupyter_nq.bars.sniffing.dialect import HEAD_BYTES, detect_dialect
from jupyter_nq.bars.sniffing.fitting import orders_said
from jupyter_nq.bars.sniffing.packed import Stamps
from jupyter_nq.bars.sniffing.sniff import sniff
from jupyter_nq.errors import NQError, UnknownTimeframe

_DAY_MINUTES = 1440


def usual_minutes(path: Path, *, day_first: bool | None = None, profile: Given | None = None, **reading: Any) -> int:
    """Return the usual step between the first stamps of a file, in minutes.

    Parameters
    ----------
    day_first, profile, reading
        Answers about the file, as for `sniff`.

    Raises
    ------
    UnknownTimeframe
        It is no length of bars.
    SourceNotFound, UnreadableSource, AmbiguousStamps
        The first stamps cannot be read, and neither can the file, see `sniff`.
    """
    said = answers(profile)
    if said.minutes is not None:
        return said.minutes
    try:
        stamps = _first_stamps(path, profile)
        _, usual = orders_said(stamps, day_first, said)[0].instants(stamps).steps()
    except (NQError, BadStamp):  # the whole file may tell, and if not, what is wrong with it
        return sniff(path, day_first=day_first, profile=profile, **reading).profile.minutes
    if usual is None:
        raise UnknownTimeframe(
            f"{path.name}: the stamps do not show the length of a bar. Pass timeframe=, e.g. '30min'."
        )
    return _length(path, usual)


def _length(path: Path, seconds: int) -> int:
    minutes, odd = divmod(seconds, 60)
    if odd or minutes > _DAY_MINUTES:
        days, rest = divmod(seconds, 86_400)
        apart = f"{seconds:,} seconds" if rest else f"{days:,} days"
        raise UnknownTimeframe(
            f"{path.name}: the stamps are usually {apart} apart; a bar lasts from 1 minute to 1 day, in whole minutes. "
            "Weeks and months are not supported. If that is what it holds, pass timeframe=, e.g. '30min'."
        )
    return minutes


def _first_stamps(path: Path, profile: Given | None) -> Stamps:
    if is_columnar(path):
        from jupyter_nq.bars.columnar.names import dialect_of
        from jupyter_nq.bars.columnar.reading import all_stamps, check_types
        from jupyter_nq.bars.columnar.sheets import sheet_of

        sheet = sheet_of(path)
        table = dialect_of(sheet, answers(profile))
        check_types(sheet, table)
        return Stamps.of(all_stamps(sheet, table))
    dialect, stamps = detect_dialect(path, answers(profile)), Stamps()
    with closing(read_blocks(path, dialect, ["timestamp"], block_bytes=HEAD_BYTES)) as blocks:  # type: ignore[type-var]
        for batch in blocks:
            stamps.read(stamps_of(batch, len(dialect.columns["timestamp"])))
            break
    return stamps
