"""What the magics show: short text, small escaped HTML, nothing that disturbs the output."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from jupyter_nq.client.records import Dataset, Desk, Holder, Status, Stored
from nq_magics import formats
from nq_magics.display import DatasetsView, DeskView, StatusView, stored_line

STATUS = Status("/dev/shm/nq-0", 41, "jupyter server", 9_600_000_000, 3_140_000, 9_000_000_000, 1, 3, None)


def dataset(*holders: Holder, name: str = "NQ.30min", version: int = 2) -> Dataset:
    """Return a dataset that is three minutes old."""
    return Dataset(name, version, 56_083, 3_140_000, datetime.now(UTC) - timedelta(minutes=3, seconds=5), holders)


def notebook(path: str, version: int = 2) -> Holder:
    """Return a holder that is a notebook."""
    return Holder(path.rpartition("/")[2], 7, "k", path, version)


def test_datasets_are_a_sequence_and_a_table() -> None:
    """`%nq_ls` can be looped over, and reads as an aligned table."""
    view = DatasetsView([dataset(notebook("a/risk.ipynb"), Holder("feed.py", 99, None, None, 1)), dataset(name="x")])
    assert [row.name for row in view] == ["NQ.30min", "x"]
    assert (len(view), view[1].name) == (2, "x")
    head, first, second = repr(view).splitlines()
    assert head.split() == ["name", "version", "rows", "size", "age", "held", "by"]
    assert first == "NQ.30min       v2  56,083  3.0 MiB  3 min  risk.ipynb, feed.py (pid 99) (v1)"
    assert second.endswith("nobody")


def test_an_empty_store_says_what_to_do() -> None:
    """No table without rows."""
    assert "%nq_load" in repr(DatasetsView([]))
    assert "%nq_load" in DatasetsView([])._repr_html_()


def test_hostile_names_are_escaped() -> None:
    """A notebook's name can neither inject HTML nor move the cursor."""
    view = DatasetsView([dataset(notebook("<script>\x1b[2J\n.ipynb"))])
    assert "<script>" not in view._repr_html_()
    assert "&lt;" in view._repr_html_()
    assert "\x1b" not in repr(view)
    assert len(repr(view).splitlines()) == 2


def test_status_and_desk_show_everything() -> None:
    """The desk is the datasets and the status; a problem is quoted in one line."""
    assert "pool      3.0 MiB used of 8.9 GiB" in repr(StatusView(STATUS))
    assert "host      jupyter server (pid 41)" in repr(StatusView(STATUS))
    assert repr(StatusView(STATUS)).endswith("problem   none")
    troubled = replace(STATUS, problem="store is\nfull", superseded_bytes=1 << 20)
    desk = DeskView(Desk(troubled, (dataset(),), ()))
    assert "NQ.30min" in repr(desk)
    assert r"problem   store is\nfull" in repr(desk)
    assert "used of 8.9 GiB; 1.0 MiB of it in old or dropped versions" in repr(desk)
    assert desk._repr_html_().count("<table>") == 2
    assert "<th></th>" not in desk._repr_html_()


def test_a_desk_of_many_datasets_begins_with_the_status() -> None:
    """The status is not scrolled away, and what is left out is counted."""
    desk = DeskView(Desk(STATUS, tuple(dataset(name=f"x{i}") for i in range(200)), ()))
    lines = repr(desk).splitlines()
    assert lines[0].startswith("store ")
    assert lines[-1] == "... and 170 more: %nq_ls"
    assert sum(line.startswith("x") for line in lines) == 30
    assert desk._repr_html_().count("<tr><td>x") == 30
    assert "... and 170 more: %nq_ls" in desk._repr_html_()


def test_a_long_name_is_whole_in_the_title() -> None:
    """HTML shows the cut name and keeps the whole one."""
    shown = DatasetsView([dataset(name="n" * 128)])._repr_html_()
    assert f'<td title="{"n" * 128}">{"n" * 24}…{"n" * 23}</td>' in shown


def test_a_put_is_one_line() -> None:
    """Name, version, rows, bytes and time."""
    line = stored_line(Stored("signals", 3, 1_000, 8_192), 0.0021)
    assert line == "signals v3: 1,000 rows, 8.0 KiB, shared in 2.1 ms"
    assert stored_line(Stored("signals", 3, 1_000, 8_192), 0.0021, replaces=True) == f"{line}, replaces v2"


def test_numbers_read_as_a_trader_reads_them() -> None:
    """Units change where the number gets short."""
    assert [formats.duration(s) for s in (0.00093, 0.0412, 0.41, 75)] == ["0.9 ms", "41 ms", "0.41 s", "75.0 s"]
    assert formats.stamp(np.datetime64("2020-06-28T22:00:05.5")) == "2020-06-28 22:00:05"
