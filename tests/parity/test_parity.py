"""One program, every host: the same node, so the same results."""

from __future__ import annotations

import pytest

import raylite
from raylite import sim
from tests.parity.programs import OPTIONS, PROGRAMS

SEEDS = range(5)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_hosts_agree(program):
    with raylite.init(**OPTIONS):
        embedded = program(raylite)
    for seed in SEEDS:
        assert sim.run(program, raylite, seed=seed, check=True, **OPTIONS).value == embedded, f"seed {seed}"
