"""Fixtures of the tests of raylite.util: gates and tallies for tasks, what the node holds, programs of their own."""

from __future__ import annotations

from tests.api.conftest import all_freed, gate, n_objects, new_gate, node_sizes, tally
from tests.runtime.conftest import run, start

__all__ = ["all_freed", "gate", "n_objects", "new_gate", "node_sizes", "run", "start", "tally"]
