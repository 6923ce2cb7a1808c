"""One program, every host: the same node, so the same results."""

from __future__ import annotations

import pytest

import raylite
from raylite import sim
from tests.parity import actor_programs, concurrent_programs, programs

SEEDS = range(5)


@pytest.mark.parametrize(
    "program",
    [*programs.PROGRAMS, *actor_programs.PROGRAMS, *concurrent_programs.PROGRAMS],
    ids=lambda program: program.__name__,
)
def test_hosts_agree(program):
    with raylite.init(**programs.OPTIONS):
        embedded = program(raylite)
    for seed in SEEDS:
        assert sim.run(program, raylite, seed=seed, check=True, **programs.OPTIONS).value == embedded, f"seed {seed}"
