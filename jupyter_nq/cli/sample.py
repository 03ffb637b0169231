"""`jupyter nq sample`: write realistic NQ files in the vendors' layouts."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from jupyter_nq.bars.sample import LAYOUTS, write_sample
from jupyter_nq.client.listing import table
from jupyter_nq.sizes import size


def sample(arguments: Namespace) -> int:
    """Write the files and list them."""
    where, layouts = Path(arguments.directory), arguments.layout or None
    if not arguments.force:
        _check_free(where, layouts or LAYOUTS)
    written = _write(where, arguments.rows, arguments.seed, layouts)
    print(table(["file", "size"], [[str(path), size(path.stat().st_size)] for path in written], right=[1]))
    return 0


def _write(where: Path, rows: int, seed: int, layouts: list[str] | None) -> list[Path]:
    try:
        return write_sample(where, rows=rows, seed=seed, layouts=layouts)
    except OSError as exc:
        raise OSError(f"The sample cannot be written to {where}: {exc.strerror}. Name another directory.") from exc


def _check_free(where: Path, layouts: Iterable[str]) -> None:
    """Refuse to replace files: the damaged sample bears the name of the file that it imitates."""
    there = [name for name in layouts if name in LAYOUTS and (where / LAYOUTS[name].file_name).exists()]
    if there:
        name = LAYOUTS[there[0]].file_name
        raise FileExistsError(f"{where} holds {name!r} already. Name another directory, or --force to replace it.")
