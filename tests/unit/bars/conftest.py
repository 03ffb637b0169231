"""Bar files made for one test: stamps as the test wants them, prices on the tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

REAL_NAME = "NQ - 30 min - ETH.csv"
NEW_YORK = ZoneInfo("America/New_York")
HEADER = "Timestamp,Open,High,Low,Close,Volume"

MakeFile = Callable[..., Path]


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Give a function that writes a bar file with the given stamps and returns its path."""

    def make(
        stamps: Iterable[str], *, name: str = REAL_NAME, header: str = HEADER, row: str = "100,101,99,100.25,7"
    ) -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *(f"{stamp},{row}" for stamp in stamps)]) + "\n", encoding="utf-8")
        return path

    return make


def session_starts(first: str, sessions: int, minutes: int = 30) -> list[datetime]:
    """Return the UTC starts of all bars of some sessions; `first` is the first trade date, 2024-05-06."""
    found: list[datetime] = []
    day = datetime.fromisoformat(first)
    while sessions:
        if day.weekday() < 5:
            opening = (day - timedelta(hours=6)).replace(tzinfo=NEW_YORK).astimezone(UTC)
            found += [opening + timedelta(minutes=m) for m in range(0, 23 * 60, minutes)]
            sessions -= 1
        day += timedelta(days=1)
    return found


def written(starts: Iterable[datetime], tz: str, layout: str = "%d/%m/%Y %H:%M:%S", *, minutes: int = 0) -> list[str]:
    """Return stamps as a vendor in `tz` writes them, `minutes` after the start of the bar."""
    zone = ZoneInfo(tz)
    return [(start + timedelta(minutes=minutes)).astimezone(zone).strftime(layout) for start in starts]


def seconds(starts: Iterable[datetime]) -> list[int]:
    """Return seconds since the epoch."""
    return [int(start.timestamp()) for start in starts]
