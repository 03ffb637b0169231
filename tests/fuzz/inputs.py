"""Files to read, sound and damaged, each made from a seed and a number, and from nothing else.

A sound file is a table of bars in one of the forms that vendors write; damage is done to its cells, its lines and its
bytes. The same seed and number give the same file on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.profile import Profile

LAYOUTS = (
    "YYYY-MM-DD HH:MM:SS", "YYYY-MM-DD HH:MM", "DD/MM/YYYY HH:MM", "DD/MM/YYYY HH:MM:SS", "MM/DD/YYYY HH:MM",
    "M/D/YYYY H:MM", "DD.MM.YYYY HH:MM", "D-M-YYYY H:MM:SS", "YYYY/MM/DD HH:MM:SS.f", "YYYY-MM-DD HH:MM:SS.f",
    "YYYY-MM-DDTHH:MM:SSZ", "YYYY-MM-DDTHH:MM:SS.fZ", "YYYYMMDD HHMMSS", "YYYYMMDD HHMM", "YYYYMMDD HH:MM:SS",
    "MM/DD/YYYY HH:MM AM", "M/D/YYYY H:MM:SS AM", "YYYY-MM-DD", "DD/MM/YYYY", "YYYYMMDD", "MM/DD/YY HH:MM",
    "epoch s", "epoch ms", "epoch us", "epoch ns",
)  # fmt: skip
ZONES = ("UTC", "UTC", "America/New_York", "America/New_York", "Asia/Jerusalem", "Europe/Berlin",
         "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")  # fmt: skip
MOMENTS = (
    datetime(2024, 7, 8, 13, 30, tzinfo=UTC), datetime(2024, 11, 3, 4, 50, tzinfo=UTC),  # New York repeats an hour
    datetime(2024, 3, 10, 6, 30, tzinfo=UTC), datetime(2024, 10, 26, 21, 40, tzinfo=UTC),  # and skips one; Jerusalem
    datetime(2024, 10, 27, 0, 20, tzinfo=UTC), datetime(2024, 4, 6, 14, 10, tzinfo=UTC),  # Berlin; Lord Howe
    datetime(2023, 12, 31, 22, 0, tzinfo=UTC), datetime(2024, 2, 29, 20, 0, tzinfo=UTC),
    datetime(1970, 1, 1, 0, 0, tzinfo=UTC), datetime(2199, 12, 31, 20, 0, tzinfo=UTC),
)  # fmt: skip
ODD_CELLS = (
    "", " ", "\t", "1e5", "1E+5", "1e-5", "1e400", "1e-400", "+1", "-1", "--1", "+-1", "0x10", "0X1F", "010", "1_000",
    "1 000", "1,5", "1.5.5", "1.", ".5", ".", "-", "+", "e5", "1e", "1e+", "nan", "NaN", "inf", "-inf", "Infinity",
    "null", "None", "N/A", "#N/A", "true", "-0", "-0.0", "0", "00", "1.0", "٣", "１２", "½", "1\u00a0", "\u00a01",
    " 1", "1 ", " 1\t", "\x0b1", "1\x0c", "1\0", "\0", '"1"', '" 1 "', '"1"0', '1"0"', '"1', '1"', '""', '"', '"1,2"',
    '"1\n2"', '"1\r2"', "'1'", "$1", "1%", "(1)", "1d", "1f", "1L", "9007199254740993", "9223372036854775807",
    "9223372036854775808", "18446744073709551616", "99999999999999999999999", "123456789012345678",
    "1234567890123456789", "0.1234567890123456789", "12345678.12345678", "123456789.123456789", "0.30000000000000004",
    "4.35", "1.7976931348623157e308", "1.7976931348623159e308", "4.9e-324", "2e-324", "1" * 400, "1" * 5000,
    "0" * 5000 + "7", "0." + "0" * 330 + "1",
    "17945.25", "1;2", "<", "=1+1", "\ufeff1", "\ufeff", "x" * 100, "<<<<<<< HEAD", "\u202e1", "1\u2028", "1\x85",
)  # fmt: skip
ODD_STAMPS = (
    "31/02/2024 09:30", "30/02/2024 09:30:00", "2024-02-30 09:30", "2023-02-29 09:30:00", "2024-13-01 09:30",
    "00/01/2024 09:30", "2024-00-10 09:30", "2024-01-00 09:30", "2024-07-08 24:00", "2024-07-08 24:00:00",
    "2024-07-08 09:60", "2024-07-08 09:30:60", "2024-07-08 23:59:60", "08/07/2024 09:30:60", "2024-7-8 9:30",
    "8/7/2024 9:30", "8/7/24 9:30", "08/07/0024 09:30", "2024-07-08T09:30:00", "2024-07-08T09:30:00Z",
    "2024-07-08T09:30:00+02:00", "2024-07-08 09:30:00+0200", "2024-07-08 09:30:00 -05", "2024-07-08T09:30:00+15:00",
    "2024-07-08T09:30:00+14:60", "2024-07-08T09:30:00z", "2024-07-08 09:30:00.5", "2024-07-08 09:30:00.123456789",
    "2024-07-08 09:30:00.1234567891", "2024-07-08 09:30:00.", "2024-07-08 09:30:00,5", "2024-07-08", "09:30",
    "2024-07-08 09", "2024-07-08 9:5", "20240708", "20240708 093000", "20240708 93000", "20240708 930", "2024070809",
    "1720431000", "1720431000000", "1720431000000000", "1720431000000000000", "172043100", "17204310000", "-1720431000",
    "9999999999", "99999999999999999", "0", "12:30 AM", "08/07/2024 12:30 AM", "08/07/2024 13:30 PM",
    "08/07/2024 0:30 AM", "08/07/2024 11:59 pm", "08/07/2024 11:59PM", "08/07-2024 09:30", "08.07/2024 09:30",
    "08/07/2024  09:30", " 08/07/2024 09:30 ", "08/07/2024\t09:30", "08/07/2024 09:30 ", "08/07/2024T09:30",
    "08/07/2024 09:30x", "x08/07/2024 09:30", "08/07/2024 ٠٩:30", "08/07/2024 09:30\0", "2200-01-01 00:00",
    "1969-12-31 23:59", "2300-01-01 00:00:00", "9999-12-31 23:59:59", "0000-01-01 00:00", "now", "2024-11-03 01:30:00",
    "2024-11-03 01:30", "03/11/2024 01:30", "2024-03-10 02:30:00", "10/03/2024 02:30", "2024-07-08 -9:30",
    "2024-07-08 09:-3", "+2024-07-08 09:30", "2024--7-08 09:30", '"2024-07-08 09:30"',
    "2024-07-08 09:30:00 " + "0" * 40,
    " " * 40 + "2024-07-08 09:30", "2024-07-08 " + " " * 40 + "09:30",
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One file, and how it is to be read."""

    data: bytes
    profile: Profile
    damage: int
    """How often it was damaged."""


def make(seed: int, number: int) -> Input:
    """Return one input."""
    random = Random(f"{seed}/{number}")
    profile = _profile(random)
    lines, endings = _lines(random, profile), _endings(random)
    damage = random.choice((0, 0, 1, 1, 1, 2, 4))
    on_cells = [change for change in range(damage) if random.random() < 0.6]
    for _ in on_cells:
        random.choice(_LINE_CHANGES)(random, lines, profile)
    ends = [random.choice(endings) for _ in lines]
    if random.random() < 0.1:
        ends[-1:] = [""]
    data = "".join(line + end for line, end in zip(lines, ends, strict=True)).encode("utf-8", "surrogatepass")
    if random.random() < 0.05:
        data = b"\xef\xbb\xbf" + data
    changed = bytearray(data)
    for _ in range(damage - len(on_cells)):
        random.choice(_BYTE_CHANGES)(random, changed)
    return Input(bytes(changed), profile, damage)


# -- sound files ----------------------------------------------------------------------------------------------------
def _profile(random: Random) -> Profile:
    delimiter = random.choice((",", ",", ",", ";", "\t", "|"))
    stamp = random.choice((("Timestamp",), ("Timestamp",), ("Date", "Time")))
    volume = random.choice((("Volume",), ("Volume",), ("Volume",), ("Up", "Down")))
    prices = ("Open", "High", "Low", "Close")
    names = [*stamp, *prices, *volume]
    for place in range(random.choice((0, 0, 0, 1, 2))):
        names.insert(random.randrange(len(names) + 1), f"Other {place}")
    if random.random() < 0.1:
        random.shuffle(names)
    columns = {"timestamp": stamp, **{name.lower(): (name,) for name in prices}, "volume": volume}
    possible = [
        label for label in LAYOUTS if len(stamp) == 1 or ("T" not in label and " " in label and "." not in label[:3])
    ]
    if len(stamp) == 2:
        possible = [label for label in possible if not label.startswith("epoch")]
    layouts = tuple(dict.fromkeys(random.choice(possible) for _ in range(random.choice((1, 1, 1, 2, 3)))))
    header = random.random() < 0.8
    return Profile(
        delimiter,
        header,
        random.choice((1, 1, 1, 2)) if header else 0,
        tuple(names),
        columns,
        "," if delimiter != "," and random.random() < 0.3 else ".",
        _without_doubt(layouts),
        None,
        random.choice(ZONES),
        random.choice(("start", "start", "end")),
        random.choice((1, 1, 5, 30, 60, 1440)),
        random.choice((None, None, EQUITY)),
        positive_prices=random.random() < 0.5,
    )


def _without_doubt(layouts: tuple[str, ...]) -> tuple[str, ...]:
    """Keep the first of layouts that differ only in the order of day and month, or in widths."""
    kept: dict[str, str] = {}
    for label in layouts:
        form = (
            label.replace("DD", "D")
            .replace("MM/D", "M/D")
            .replace("HH", "H")
            .replace("D/MM", "M/D")
            .replace("D/M", "M/D")
        )
        kept.setdefault(form, label)
    return tuple(kept.values())


def _lines(random: Random, profile: Profile) -> list[str]:
    rows = random.choice((1, 2, 3, 5, 8, 12, 40))
    first = random.choice(MOMENTS) + timedelta(minutes=random.randrange(-30, 30))
    step = timedelta(minutes=profile.minutes) if random.random() < 0.8 else timedelta(milliseconds=250)
    step = max(step, *map(_finest, profile.layouts)) if random.random() < 0.9 else step
    zone = UTC if _in_utc(profile) else ZoneInfo(profile.tz)
    lines = [profile.delimiter.join(profile.names)] if profile.skip_lines else []
    lines = ["a line of the vendor"] * (profile.skip_lines - 1) + lines
    for i in range(rows):
        at = max(first + step * i, datetime(1970, 1, 1, tzinfo=UTC)).astimezone(zone)
        lines.append(_row(random, profile, written(at, random.choice(profile.layouts))))
    return lines


def _finest(label: str) -> timedelta:
    """Return the smallest step between two stamps of a layout."""
    if label.startswith("epoch"):
        return timedelta(seconds=label == "epoch s")
    if "H" not in label:
        return timedelta(days=1)
    return timedelta(minutes=1) if "SS" not in label else timedelta(seconds=".f" not in label)


def _in_utc(profile: Profile) -> bool:
    return any(label.startswith("epoch") or label.endswith("Z") for label in profile.layouts)


def _row(random: Random, profile: Profile, stamp: str) -> str:
    cells = dict(
        zip(profile.columns["timestamp"], stamp.split(" ", len(profile.columns["timestamp"]) - 1), strict=False)
    )
    places = random.choice((0, 2, 2, 4))
    base = random.choice((100.0, 17945.25, 0.5, -37.63))
    for name in ("Open", "High", "Low", "Close"):
        cells[name] = f"{base + random.randrange(-400, 400) / 100:.{places}f}".replace(".", profile.decimal)
    for name in profile.columns["volume"]:
        cells[name] = str(random.choice((0, 1, random.randrange(10_000))))
    quoted = random.random() < 0.05
    texts = [cells.get(name, random.choice(("", "x", "7", "a b"))) for name in profile.names]
    return profile.delimiter.join(f'"{text}"' if quoted else text for text in texts)


def written(at: datetime, label: str) -> str:
    """Return a moment in a layout that is written as in a profile."""
    if label.startswith("epoch"):
        unit = {"s": 10**6, "ms": 10**3, "us": 1}.get(label[6:], 0)
        micros = round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
        return str(micros // unit) if unit else str(micros * 1000)
    date, _, time = label.replace("T", " ").partition(" ")
    numbers = (("YYYY", f"{at.year:04d}"), ("YY", f"{at.year % 100:02d}"), ("DD", f"{at.day:02d}"), ("D", f"{at.day}"))
    for letters, number in (*numbers, ("MM", f"{at.month:02d}"), ("M", f"{at.month}")):
        date = date.replace(letters, number)
    half = " AM" in time
    hour = (at.hour - 1) % 12 + 1 if half else at.hour
    time = time.replace("Z", "\1").replace("HH", f"{hour:02d}").replace("H", f"{hour}").replace(" AM", "\2")
    time = (
        time.replace("MM", f"{at.minute:02d}").replace("SS", f"{at.second:02d}").replace("f", f"{at.microsecond:06d}")
    )
    time = time.replace("\1", "Z").replace("\2", " AM" if at.hour < 12 else " PM")
    return date + ("T" if "T" in label else " ") * bool(time) + time


def _endings(random: Random) -> tuple[str, ...]:
    return random.choice((("\n",), ("\n",), ("\n",), ("\r\n",), ("\r",), ("\n", "\r\n"), ("\n", "\r\n", "\r", "\n\n")))


# -- damage to cells and lines ----------------------------------------------------------------------------------------
def _odd_cell(random: Random, lines: list[str], profile: Profile) -> None:
    at = random.randrange(len(lines))
    cells = lines[at].split(profile.delimiter)
    cells[random.randrange(len(cells))] = random.choice(ODD_CELLS)
    lines[at] = profile.delimiter.join(cells)


def _odd_stamp(random: Random, lines: list[str], profile: Profile) -> None:
    at = random.randrange(len(lines))
    cells = lines[at].split(profile.delimiter)
    name = random.choice(profile.columns["timestamp"])
    cells[min(profile.names.index(name), len(cells) - 1)] = random.choice(ODD_STAMPS)
    lines[at] = profile.delimiter.join(cells)


def _swapped_cells(random: Random, lines: list[str], profile: Profile) -> None:
    at = random.randrange(len(lines))
    cells = lines[at].split(profile.delimiter)
    a, b = random.randrange(len(cells)), random.randrange(len(cells))
    cells[a], cells[b] = cells[b], cells[a]
    lines[at] = profile.delimiter.join(cells)


def _more_or_fewer_cells(random: Random, lines: list[str], profile: Profile) -> None:
    at = random.randrange(len(lines))
    cells = lines[at].split(profile.delimiter)
    cells = [*cells, ""] if random.random() < 0.5 else cells[: random.randrange(len(cells))]
    lines[at] = profile.delimiter.join(cells)


def _line_twice(random: Random, lines: list[str], profile: Profile) -> None:
    at = random.randrange(len(lines))
    lines.insert(random.choice((at, random.randrange(len(lines) + 1))), lines[at])


def _line_gone(random: Random, lines: list[str], profile: Profile) -> None:
    del lines[random.randrange(len(lines))]
    if not lines:
        lines.append("")


def _lines_swapped(random: Random, lines: list[str], profile: Profile) -> None:
    a, b = random.randrange(len(lines)), random.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]


def _line_between(random: Random, lines: list[str], profile: Profile) -> None:
    text = random.choice(
        ("", " ", "\t", "<<<<<<< HEAD", "=======", "# comment", profile.delimiter * 5, "Total", '"', "\0" * 30)
    )
    lines.insert(random.randrange(len(lines) + 1), text)


_LineChange = Callable[[Random, list[str], Profile], None]
_LINE_CHANGES: tuple[_LineChange, ...] = (
    _odd_cell, _odd_cell, _odd_cell, _odd_stamp, _odd_stamp, _swapped_cells, _more_or_fewer_cells, _line_twice,
    _line_gone, _lines_swapped, _line_between,
)  # fmt: skip


# -- damage to bytes --------------------------------------------------------------------------------------------------
def _byte_changed(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice((random.randrange(256), *b'\0"\r\n,;.-+eE 0179/:T\xff\xc3'))


def _byte_in(random: Random, data: bytearray) -> None:
    data.insert(random.randrange(len(data) + 1), random.choice((random.randrange(256), *b'\0"\r\n,;. 0\xef')))


def _bytes_out(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data) + 1)
    del data[at : at + random.choice((1, 1, 2, 8, 40))]


def _cut(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data) + 1) :]


def _bytes_twice(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data) + 1)
    part = data[at : at + random.choice((1, 2, 8, 40))]
    data[at:at] = part


def _tail_of_nul(random: Random, data: bytearray) -> None:
    data.extend(bytes(random.choice((1, 8, 512))))


_BYTE_CHANGES: tuple[Callable[[Random, bytearray], None], ...] = (
    _byte_changed, _byte_changed, _byte_changed, _byte_in, _byte_in, _bytes_out, _cut, _bytes_twice, _tail_of_nul,
)  # fmt: skip
