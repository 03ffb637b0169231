"""What is known of a file before the zone and the edge of its stamps are looked for, and what that leaves open."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jupyter_nq.bars import closed
from jupyter_nq.bars.days import DAY_MINUTES, is_day
from jupyter_nq.bars.instruments import Instrument
from jupyter_nq.bars.profile import Edge
from jupyter_nq.bars.sniffing.local import Local
from jupyter_nq.bars.sniffing.readings import Candidate, explained, on_grid, search
from jupyter_nq.bars.vendors import Vendor
from jupyter_nq.bars.zones import zone_names

EDGES = ("start", "end")
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Question:
    """What is known before the zone and the edge are looked for."""

    name: str
    """The file's name, for messages."""
    minutes: int
    instrument: Instrument | None
    tz: str | None
    """The zone as given, None to find it."""
    edge: Edge | None
    """The edge as given, None to find it."""
    carries_offset: bool
    """Whether the stamps themselves say their distance from UTC, and so are UTC already."""
    profile: str = ""
    """How messages name the profile that gave zone or edge; what it says must fit the bars. Empty without one."""
    lookalikes: tuple[Vendor, ...] = ()
    """The vendors whose files have the form of this one."""
    dates: bool = False
    """Whether no stamp has a time of day."""
    origin: str = "as given"
    """Where the zone comes from."""

    @property
    def vendor(self) -> Vendor | None:
        """The only vendor whose files have this form."""
        return self.lookalikes[0] if len(self.lookalikes) == 1 else None

    @property
    def as_vendor(self) -> Question:
        """The question with the answers of the vendor where the user gave none."""
        if self.vendor is None:
            return self
        tz, edge = self.tz or self.vendor.zone(self.instrument), self.edge or self.vendor.edge
        return replace(self, tz=tz, edge=edge, origin=self.origin if self.tz else f"as {self.vendor.title} writes it")

    @property
    def zone(self) -> str | None:
        """The zone that need not be found."""
        return "UTC" if self.carries_offset else self.tz

    @property
    def edges(self) -> tuple[str, ...]:
        """The edges to try."""
        return EDGES if self.edge is None else (self.edge,)

    @property
    def testable(self) -> bool:
        """Whether closed hours can tell anything."""
        return self.instrument is not None and self.instrument.calendar in closed.KNOWN and self.minutes < DAY_MINUTES

    @property
    def said(self) -> bool:
        """Whether both zone and edge are given."""
        return bool(self.tz and self.edge)

    def dated(self, local: Local) -> bool:
        """Return whether stamps are dates of whole sessions, and no other zone's.

        Midnight is a date too, unless it may be the hour of New York's close on another clock. There it is Tuesday
        when Monday's session closes, so that a Monday tells.
        """
        if self.carries_offset or self.instrument is None or not is_day(self.minutes, self.instrument.calendar):
            return False
        own = self.tz in (None, closed.EXCHANGE_ZONE, self.instrument.zone)
        days, since = np.divmod(local.whole(), _DAY_SECONDS)
        monday = (days + 3) % 7 == 0  # 1 January 1970 was a Thursday; Monday is 0
        sure = self.dates or self.tz is not None or bool(monday.any())
        return own and sure and not since.any()

    @property
    def calendar(self) -> str:
        """The calendar's name, for messages."""
        return (self.instrument.calendar if self.instrument else None) or "the exchange"

    def contradicts_vendor(self, local: Local) -> bool:
        """Return whether the habit of the only vendor of this form puts bars into closed hours."""
        habit = replace(self, tz=None, edge=None, profile="").as_vendor
        return self.vendor is not None and habit.edge is not None and not habit.fits(local)

    def fits(self, local: Local) -> bool:
        """Return whether some allowed zone and edge leave no bar in closed hours."""
        return not self.testable or bool(self.candidates(local))

    def candidates(self, local: Local) -> list[Candidate]:
        """Return the readings that leave no bar in closed hours, and explain those that are not as long as others."""
        calendar = self.instrument.calendar if self.instrument else None
        found = search(local, self.minutes, self.edges, [self.zone] if self.zone else zone_names(), calendar)
        found = on_grid(found, local, self.minutes)
        return found if calendar is None else explained(found, local, self.minutes, calendar)
