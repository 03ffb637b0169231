"""Finding out how a damaged file is to be read.

The form of the stamps is found out from the whole stamp column, and one that is no date ends that. So when a file
has such rows, it is looked at in a copy without them; nothing else is taken from the copy.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from jupyter_nq.bars.answers import answers
from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.lenient import sound_lines
from jupyter_nq.bars.sniffing.dialect import detect_dialect
from jupyter_nq.bars.sniffing.sniff import sniff
from jupyter_nq.errors import AmbiguousStamps, UnreadableSource


def profile_of_damaged(path: Path, **reading: Any) -> Profile:
    """Return the profile of a text file that may have rows that cannot be read; arguments are those of `sniff`.

    Raises
    ------
    SourceNotFound, UnreadableSource
        Too little of it can be read to tell what it is.
    AmbiguousStamps
    """
    try:
        return sniff(path, **reading).profile
    except UnreadableSource:
        dialect = detect_dialect(path, answers(reading.get("profile")))
    with tempfile.TemporaryDirectory(prefix="jupyter-nq-") as place:
        copy = Path(place) / path.name
        with copy.open("wb") as file:
            for lines in sound_lines(path, dialect):
                file.write(lines)
        try:
            return sniff(copy, **reading).profile
        except (UnreadableSource, AmbiguousStamps) as exc:
            raise type(exc)(str(exc).replace(str(copy), str(path))) from None
