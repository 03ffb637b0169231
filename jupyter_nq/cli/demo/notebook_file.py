"""Notebook files as plain JSON, format 4: read, written, and the kernel's messages turned into outputs.

The nbformat library does the same and more, and takes seconds to import; the demo needs only this much.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Document = dict[str, Any]
"""A notebook, or a part of one, as it stands in the file."""

_KEPT = {
    "stream": ("name", "text"),
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}


def read(path: Path) -> Document:
    """Return a notebook with every cell's source as one text."""
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    for cell in document["cells"]:
        cell["source"] = "".join(cell["source"])
    return document


def write(document: Document, path: Path) -> None:
    """Write a notebook."""
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def code_cells(document: Document) -> list[Document]:
    """Return the code cells from top to bottom; changing one changes the notebook."""
    return [cell for cell in document["cells"] if cell["cell_type"] == "code"]


def insert_code(document: Document, tag: str, source: str) -> None:
    """Insert a code cell behind the one that carries a tag."""
    at = next(i for i, cell in enumerate(document["cells"]) if tag in cell["metadata"].get("tags", ()))
    cell = {"cell_type": "code", "id": f"{tag}-set", "metadata": {}, "source": source}
    document["cells"].insert(at + 1, {**cell, "execution_count": None, "outputs": []})


def output(kind: str, content: Mapping[str, Any]) -> Document | None:
    """Return a kernel's message as an output; None for messages that show nothing."""
    if kind not in _KEPT:
        return None
    return {"output_type": kind, **{key: content[key] for key in _KEPT[kind]}}


def plain_text(outputs: list[Document]) -> str:
    """Return what a cell showed on standard output and as results, without its errors."""
    parts = [
        found["text"] if found["output_type"] == "stream" else found["data"].get("text/plain", "")
        for found in outputs
        if found["output_type"] != "error" and found.get("name") != "stderr"
    ]
    return "\n".join(part.rstrip("\n") for part in parts if part)
