"""`UnifiedDataLoader`: the specification's loader, thin over the process's session."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jupyter_nq.bars.discovery import timeframes
from jupyter_nq.client.selection import Stamp

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_nq.client.session import Session


class UnifiedDataLoader:
    """Load bars by timeframe; all loaders of all notebooks share one parsed copy.

    Parameters
    ----------
    data_dir
        Directory of the bar files; None takes the configured one.
    symbol
        Instrument that the timeframes belong to; None takes the configured one.
    session
        Session to load through; None takes the process's own.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        symbol: str | None = None,
        session: Session | None = None,
    ) -> None:
        from jupyter_nq.client.api import connect

        self._session = session or connect()
        self._data_dir = data_dir or self._session.data_dir
        self._symbol = symbol or self._session.settings.default_symbol

    def load_data(
        self,
        timeframe: str = "30min",
        start_date: Stamp | None = None,
        end_date: Stamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return the bars of one timeframe as a read-only zero-copy frame.

        Columns are `timestamp` (UTC ns, start of bar), `open high low close` (float64) and `volume`
        (int64); `start_date` and `end_date` are inclusive. Errors are those of `jupyter_nq.load`.
        """
        frame: pd.DataFrame = self._session.load(
            timeframe=timeframe,
            symbol=self._symbol,
            data_dir=self._data_dir,
            start=start_date,
            end=end_date,
            columns=columns,
        )
        return frame

    def get_available_timeframes(self) -> list[str]:
        """Return the timeframes that the directory holds for the loader's symbol, shortest first."""
        return timeframes(self._data_dir, self._symbol)
