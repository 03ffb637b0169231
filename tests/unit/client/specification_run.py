"""How the specification's examples are run: after one preamble, without the lines that need what is not there yet."""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jupyter_nq as nq

from .specification import EXAMPLES

LATER = (
    "PerformanceMonitor",
    "PerformanceTimer",
    "ScalabilityManager",
    "ScalingConfiguration",
)
"""What the examples use and `jupyter_nq` has not got yet."""

NOTHING_LEFT = (
    "Benchmarking Suite",
    "Multi-GPU Processing",
    "Auto-scaling",
)
"""Examples that do not run yet at all."""

MADE_OF_LATER = {
    "benchmark_suite": "PerformanceMonitor",
    "memory_manager": "MemoryManager",
    "performance_monitor": "PerformanceMonitor",
    "scalability_manager": "ScalabilityManager",
}
"""What the page's examples call their objects -> what these are made of."""

ENDLESS = "Example 3: Real-time Stream Processing"
"""Runs until it is interrupted."""

MODULES = (
    "unified_data_loader",
    "memory_manager",
    "performance_monitor",
    "data_flow_coordinator",
    "scalability_manager",
)

PREAMBLE = """
import os
import time

from jupyter_nq import DataFlowCoordinator, DataStreamType, MemoryManager, UnifiedDataLoader, create_notebook_client

config = {"development": {"profiling": {"enabled": False}}}
data_loader = UnifiedDataLoader()
memory_manager = MemoryManager()
data = data_loader.load_data("30min")
feature_data = data[["timestamp", "rsi_14"]]
coordinator = DataFlowCoordinator()
execution_client = create_notebook_client("execution_engine", "execution", coordinator)
output_stream = execution_client.create_data_stream("output", DataStreamType.SIGNALS)
processed = []


def process_chunk(chunk):
    return chunk["close"].mean()


def process_message(message_data):
    if len(processed) == 3:
        raise KeyboardInterrupt
    processed.append(message_data)
    return message_data
"""

RISK = 'risk_client = create_notebook_client("risk_management", "risk", coordinator)\n'
"""The other notebook of the examples, which may be another process."""


@pytest.fixture(autouse=True)
def store(nq_store_dir: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make a private store and the sample files those that this process uses by itself."""
    nq.disconnect()
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(data))
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))
    level = logging.root.level
    yield
    logging.root.setLevel(level)
    nq.disconnect()


class WithoutLater(ast.NodeTransformer):
    """Takes imports from `jupyter_nq`, and leaves out every statement that needs what is not there yet."""

    def __init__(self) -> None:
        self.left_out: list[str] = []

    def visit(self, node: ast.AST) -> Any:
        """Look at statements from the outside in."""
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            node.module = "jupyter_nq"
            node.names = [alias for alias in node.names if alias.name not in LATER]
            return node if node.names else None
        if isinstance(node, ast.With):
            node.items = [item for item in node.items if not self.needs_later(item)]
            if not node.items:
                return [self.visit(inner) for inner in node.body]
        if isinstance(node, (ast.Assign, ast.Expr)) and self.needs_later(node):
            return None
        if isinstance(node, ast.While):
            return None if self.needs_later(node) else self.generic_visit(node)
        return self.generic_visit(node)

    def needs_later(self, node: ast.AST) -> bool:
        """Tell whether anything in a statement is made of what is not there yet."""
        named = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        later = {name for name in named if MADE_OF_LATER.get(name, name) in LATER}
        self.left_out += sorted(later)
        return bool(later)


def runnable(example: str) -> tuple[ast.Module, list[str]]:
    """Return an example as it can run now, and the names for which lines are left out."""
    without = WithoutLater()
    tree = without.visit(ast.parse(EXAMPLES[example]))
    tree.body = [node for node in tree.body if node is not None]
    return ast.fix_missing_locations(tree), without.left_out


def run(example: str, *, alone: bool = True) -> dict[str, Any]:
    """Run the preamble and an example; returns its names. The other notebook is this process too, when it is alone."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(PREAMBLE + RISK if alone else PREAMBLE, "preamble", "exec"), names)
    exec(compile(runnable(example)[0], example, "exec"), names)
    return names
