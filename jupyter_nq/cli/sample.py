"""`jupyter nq sample`: write realistic NQ files in the vendors' layouts."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from jupyter_nq.bars.sample import write_sample
from jupyter_nq.cli.text import size, table


def sample(arguments: Namespace) -> int:
    """Write the files and list them."""
    written = write_sample(
        Path(arguments.directory), rows=arguments.rows, seed=arguments.seed, layouts=arguments.layout or None
    )
    print(table(["file", "size"], [[str(path), size(path.stat().st_size)] for path in written], right=[1]))
    return 0
