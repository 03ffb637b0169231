"""Numbers and lists as people read them: one form for errors, commands and magics."""

from __future__ import annotations

from collections.abc import Sequence

_UNITS = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def size(count: float) -> str:
    """Return a number of bytes in the unit that suits it.

    >>> size(2_916_352), size(812), size(-3 << 20)
    ('2.8 MiB', '812 B', '-3.0 MiB')
    """
    for unit, step in _UNITS:
        if abs(count) >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count:.0f} B"


def counted(count: int, what: str) -> str:
    """Return how many there are of something.

    >>> counted(1, "bar"), counted(2000, "bar")
    ('1 bar', '2,000 bars')
    """
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def together(names: Sequence[str]) -> str:
    """Return names as a sentence lists them.

    >>> together(["open"]), together(["open", "high", "low"])
    ('open', 'open, high and low')
    """
    return " and ".join([", ".join(names[:-1]), *names[-1:]] if len(names) > 1 else names)


def shortened(text: str, characters: int) -> str:
    """Return a text of at most so many characters: a longer one ends behind a word, with an ellipsis.

    >>> shortened("no room for bars", 16), shortened("no room for bars", 12), shortened("nowhere", 4)
    ('no room for bars', 'no room …', 'now…')
    """
    if len(text) <= characters:
        return text
    start = text[: characters - 1]
    words = start.rpartition(" ")[0].rstrip()
    return f"{words} …" if words else f"{start}…"
