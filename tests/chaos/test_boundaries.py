"""A worker killed at message boundaries of a short program; at all of them in `make chaos`."""

from __future__ import annotations

import pytest

import raylite
from tests.chaos import boundaries


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", boundaries.PROGRAMS)
def test_a_worker_killed_at_any_message_boundary_changes_nothing(name, tmp_path):
    raylite.init(num_cpus=1)
    deaths = list(boundaries.every_boundary(name, tmp_path, every=5))
    assert len(deaths) >= 4
