"""Fixtures of the tests of actors: those of the API."""

from tests.api.conftest import all_freed, gate, n_objects, new_gate, node_sizes, tally  # noqa: F401
