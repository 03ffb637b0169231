"""What `jupyter nq demo` prints at its end: what each notebook did, what it cost, who holds what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_nq.cli.demo.notebook_run import CellRun, NotebookRun
from jupyter_nq.cli.text import one_line, seconds
from jupyter_nq.client.listing import table
from jupyter_nq.sizes import size

_TITLE_CHARACTERS = 64
_LOADED = re.compile(r"^(?P<name>\S+) v\d+: .*\b(?P<how>parsed|mapped) in (?P<took>.+)$", re.MULTILINE)


def notebook_table(run: NotebookRun) -> str:
    """Return one notebook: its cells with time and private memory, under a line for the whole."""
    growth = signed_size(run.private_bytes - run.started_bytes)
    head = (
        f"{run.name} (pid {run.pid}): {len(run.cells)} cells in {seconds(run.seconds)}, private memory "
        f"{size(run.started_bytes)} before, {size(run.private_bytes)} after ({growth})"
    )
    rows = [[title(cell), seconds(cell.seconds), signed_size(cell.private_bytes)] for cell in run.cells]
    return f"{head}\n{indent(table(['cell', 'took', 'private memory'], rows, right=[1, 2]))}"


def title(cell: CellRun) -> str:
    """Return what a cell does, in its own words: the comment or the magic that it begins with."""
    return one_line(cell.source.removeprefix("# "), _TITLE_CHARACTERS)


def load_table(runs: Sequence[NotebookRun], again: Mapping[str, float]) -> str:
    """Return who parsed each dataset and who mapped it.

    Parameters
    ----------
    runs
        The notebooks.
    again
        Seconds that a load takes when the dataset is already there, by dataset name.
    """
    rows = [[load.name, run.name, load.how, load.took, load.private] for run in runs for load in loads(run)]
    rows += [[name, "again, afterwards", "mapped", seconds(took), ""] for name, took in again.items()]
    return table(["dataset", "notebook", "", "in", "private memory"], sorted(rows, key=_order), right=[3, 4])


def _order(row: Sequence[str]) -> tuple[str, bool, bool]:
    return row[0], row[2] != "parsed", row[1].startswith("again")


@dataclass(frozen=True)
class Load:
    """One load, as a cell printed it."""

    name: str
    how: str
    """`parsed` or `mapped`."""
    took: str
    private: str
    """Growth of the kernel's private memory over the cell."""


def loads(run: NotebookRun) -> list[Load]:
    """Return the loads of a notebook, in the order of its cells."""
    return [
        Load(found["name"], found["how"], found["took"], signed_size(cell.private_bytes))
        for cell in run.cells
        for found in _LOADED.finditer(cell.text)
    ]


def parses(runs: Sequence[NotebookRun]) -> dict[str, int]:
    """Return how often each dataset was parsed."""
    counts: dict[str, int] = {}
    for run in runs:
        for load in loads(run):
            counts[load.name] = counts.get(load.name, 0) + (load.how == "parsed")
    return counts


def desk_table(datasets: Sequence[Mapping[str, Any]]) -> str:
    """Return the datasets as the server's REST interface lists them."""
    rows = [
        [
            row["name"],
            f"v{row['version']}",
            f"{row['rows']:,}",
            size(row["bytes"]),
            ", ".join(holder["who"] for holder in row["holders"]) or "nobody",
        ]
        for row in datasets
    ]
    return table(["name", "version", "rows", "shared", "held by"], rows, right=[1, 2, 3])


def shared_line(datasets: Sequence[Mapping[str, Any]]) -> str:
    """Return the shared bytes, counted once, against one private copy for each holder."""
    shared = sum(row["bytes"] for row in datasets)
    copies = sum(row["bytes"] * max(1, len(row["holders"])) for row in datasets)
    return f"{size(shared)} of shared memory, counted once; a private copy for each holder would take {size(copies)}."


def signed_size(count: int) -> str:
    """Return a growth in bytes with its sign.

    >>> signed_size(3 << 20), signed_size(-4096), signed_size(0)
    ('+3.0 MiB', '-4.0 KiB', '+0 B')
    """
    return size(count) if count < 0 else f"+{size(count)}"


def indent(text: str) -> str:
    """Return a text two columns to the right."""
    return "\n".join(f"  {line}" for line in text.splitlines())
