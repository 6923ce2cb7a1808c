"""Fixtures of the tests of the API: gates and tallies for tasks, and what the node holds."""

from __future__ import annotations

import gc
import sys

import pytest

from raylite.util.state import list_objects
from tests.api.gates import Gate, Tally


@pytest.fixture
def gate(tmp_path):
    """A closed Gate."""
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


@pytest.fixture
def new_gate(tmp_path):
    """A function that makes closed gates."""
    gates = []

    def make():
        gates.append(Gate(tmp_path / f"gate-{len(gates)}"))
        return gates[-1]

    yield make
    for gate in gates:
        gate.open()


@pytest.fixture
def tally(tmp_path):
    """A Tally at 0."""
    return Tally(tmp_path / "tally")


@pytest.fixture
def node_sizes():
    """A function that gives the sizes of the node's tables."""
    return lambda: sys.modules["raylite.lifecycle"].runtime().sizes()


@pytest.fixture
def n_objects(node_sizes):
    """A function that counts the objects that the node has, functions aside."""

    def count():
        sizes = node_sizes()
        return sizes["objects"] - sizes["functions"]

    return count


@pytest.fixture
def all_freed(wait_until, node_sizes, n_objects):
    """A function that returns once the node holds nothing any more, functions aside, and fails if it still does."""

    def wait():
        gc.collect()
        try:
            wait_until(lambda: n_objects() == 0, what="that every object is freed")
        except pytest.fail.Exception as failure:
            pytest.fail("\n".join([str(failure), *map(str, list_objects(detail=True))]))
        wait_until(lambda: not any(node_sizes()[name] for name in ("tasks", "arena_bytes", "requests", "leases")))

    return wait
