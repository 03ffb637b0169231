"""Preprocessing of a frame in one call: its features, and beside them the features brought to one size.

What the frame holds stays as it is, row by row; columns are added. Scaled columns have a name of their own,
`rsi_14_scaled`, so that the value in its unit is there too. By default each row is scaled by the rows before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_nq.bars.columns import Floats
from jupyter_nq.bars.features.clock import CLOCK_FEATURES
from jupyter_nq.bars.features.frames import bars_of, column_of, is_frame, with_columns
from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.features.scalers import DEFAULT_WINDOW, MODES, SCALERS
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.errors import ConfigError, InvalidArgument, UnsupportedData, nearest

if TYPE_CHECKING:
    import pandas as pd

SCALED = "_scaled"
"""What the names of scaled columns end in."""

DEFAULTS: Mapping[str, Any] = {
    "features": None,
    "calendar": None,
    "minutes": None,
    "regular_hours": None,
    "scaler": "zscore",
    "mode": "expanding",
    "window": DEFAULT_WINDOW,
}
"""The keys of a configuration: features as `Features` takes them, calendar, length of a bar and regular hours for the
features of sessions, the scaler's name or None, its mode and window."""


class DataPreprocessor:
    """Adds features, and scaled features, to a frame of bars.

    Parameters
    ----------
    config
        Any of the keys of `DEFAULTS`; None takes these.

    Raises
    ------
    ConfigError
        An unknown key, scaler or mode, or a feature that cannot be computed without what is left out. The mode
        "fixed" is none: it has rows to fit to, which `ZScore` and the others take.
    InvalidArgument
        A feature cannot be understood, or the window is not a whole number of rows, 2 or more.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        given = dict(config or {})
        unknown = [str(key) for key in given if key not in DEFAULTS]
        if unknown:
            raise ConfigError(
                f"preprocessing has no setting {unknown[0]!r}.{nearest(unknown[0], DEFAULTS)} It has "
                f"{', '.join(DEFAULTS)}."
            )
        self.config = {**DEFAULTS, **given}
        scaler, mode = self.config["scaler"], self.config["mode"]
        if scaler is not None and scaler not in list(SCALERS):
            raise ConfigError(
                f"scaler={scaler!r}.{nearest(str(scaler), SCALERS)} Take one of {', '.join(SCALERS)}, or None."
            )
        causal = [name for name in MODES if name != "fixed"]
        if mode not in causal:
            raise ConfigError(
                f"mode={mode!r}: preprocessing scales rows by those before them; take one of {', '.join(causal)}. To "
                "scale by a span of your own, fit a scaler such as jupyter_nq.ZScore to it."
            )
        self._features = self._pipeline()
        self._scaler()

    def __repr__(self) -> str:
        scaled = f"{self.config['scaler']}, {self.config['mode']}" if self.config["scaler"] else "not scaled"
        return f"<DataPreprocessor {', '.join(map(str, self._features.features))}: {scaled}>"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are added."""
        return (*self._features.columns, *(name + SCALED for name in self._to_scale()))

    def preprocess_data(self, df: pd.DataFrame) -> pd.DataFrame:
        """Return a new frame: the given columns and rows, then the features, then the scaled ones.

        Parameters
        ----------
        df
            Bars: `open high low close volume`, of which the features need some, and a column `timestamp` or an
            index of times, with a zone and strictly increasing. It is not changed. It may have features of these rows
            already, as `UnifiedDataLoader` returns them.

        Returns
        -------
        The same index and rows; added columns are float64, NaN while they warm up (the first two scaled values of
        each too) and never 0 for it. Features of the clock are not scaled.

        Raises
        ------
        UnsupportedData
            It is not a pandas frame.
        InvalidArgument
            A column is missing, stamps do not increase, or a column has the name of a feature and other values.
        """
        if not is_frame(df):
            raise UnsupportedData(f"a {type(df).__name__} is not a pandas.DataFrame. Convert it, or take nq.Features.")
        found = self._pipeline().compute(bars_of(df, (*PRICES, "volume")))
        added = {name: column_of(found, name) for name in self._features.columns}
        scaler = self._scaler()
        if scaler is not None:
            scaled = scaler.transform(found)
            added |= {name + SCALED: column_of(scaled, name) for name in self._to_scale()}
        _refuse_others(df, added)
        return with_columns(df, added)

    def _pipeline(self) -> Features:
        config = self.config
        told = {name: config[name] for name in ("calendar", "minutes", "regular_hours")}
        return Features(config["features"], **told)

    def _scaler(self) -> Any:
        kind = self.config["scaler"]
        if kind is None or not self._to_scale():
            return None
        return SCALERS[kind](self._to_scale(), mode=self.config["mode"], window=self.config["window"])

    def _to_scale(self) -> tuple[str, ...]:
        if self.config["scaler"] is None:
            return ()
        return tuple(c for f in self._features.features if f.name not in CLOCK_FEATURES for c in f.columns)


def _refuse_others(df: pd.DataFrame, added: Mapping[str, Floats]) -> None:
    """Raise `InvalidArgument` for a column that has the name of another one that is to be added, and is not it."""
    import pandas as pd

    for name in (name for name in added if name in df.columns):
        there = pd.to_numeric(df[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        if not np.array_equal(there, added[name], equal_nan=True):
            raise InvalidArgument(
                f"the frame has another column {name!r} already. Rename it; or, when it is the feature of more rows "
                "than these, preprocess the bars alone: UnifiedDataLoader(preprocessing_enabled=False) loads them."
            )
