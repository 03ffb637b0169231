"""Frames and tables that know what their bars are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.sample import write_sample
from jupyter_nq.client.origin import Origin, origin_of
from jupyter_nq.client.session import Session
from jupyter_nq.errors import InvalidArgument


def test_a_view_of_bars_names_its_dataset(nq_store_dir: Path, tmp_path: Path) -> None:
    """Loaded or mapped by name, as a frame or a table, it says symbol, bar length and calendar."""
    write_sample(tmp_path, rows=500, seed=3)
    with Session(nq_store_dir) as session:
        expected = Origin("NQ.30min", 1, "NQ", 30, EQUITY)
        frame = session.load("NQ", "30min", data_dir=tmp_path)
        assert origin_of(frame) == expected
        assert origin_of(frame[frame["volume"] > 0]) == expected, "what is selected from it still says so"
        assert origin_of(session.get("NQ.30min", as_="arrow")) == expected
        assert origin_of(session.get("NQ.30min", as_="numpy")) is None


def test_other_data_has_no_origin(nq_store_dir: Path) -> None:
    """What a notebook put says nothing, and comes back without a note."""
    with Session(nq_store_dir) as session:
        session.put("signals", pd.DataFrame({"x": np.arange(3.0)}))
        assert session.get("signals").attrs == {}
        assert origin_of(session.get("signals")) is None


def test_a_foreign_note_is_refused() -> None:
    """Somebody else's attribute of that name is not taken for an origin."""
    frame = pd.DataFrame({"x": [1.0]})
    frame.attrs["nq"] = {"version": 1}
    with pytest.raises(InvalidArgument, match="not one of jupyter-nq"):
        origin_of(frame)
