"""Trials drawn from seeds: a workload, one to four nodes, and which faults befall them, how often."""

from __future__ import annotations

import random

from raylite import sim
from raylite.sim import workloads
from raylite.sim.faults import KINDS, Faults
from raylite.sim.trials import RIGHT, Trial, WorkloadTrials

N_NODES = (1, 2, 3, 3, 4)
N_TASKS = (10, 20, 50)
GPUS = (0, 0, 1, 2)
RESOURCES = (None, {"a": 1}, {"a": 2, "b": 1})
# What a program whose tasks may be retried does not notice; so often that the cluster still gets somewhere.
HIGHEST = {"node_crash": 2e-3, "replica_crash": 2e-3, "head_crash": 2e-3}
LIKELY = 0.4  # that a kind of fault is there


def drawn_nodes(rng: random.Random) -> list[sim.Node]:
    return [
        sim.Node(num_cpus=rng.randrange(1, 4), num_gpus=rng.choice(GPUS), resources=rng.choice(RESOURCES))
        for _ in range(rng.choice(N_NODES))
    ]


def drawn_faults(rng: random.Random, n_nodes: int) -> Faults:
    rates = {}
    for name, kind in KINDS.items():
        low, high = kind.drawn[0], HIGHEST.get(name, kind.drawn[1])
        if kind.hidden and rng.random() < LIKELY and (n_nodes > 1 or kind.alone):
            rates[name] = float(f"{low * (high / low) ** rng.random():.2g}")
    return Faults(**rates)


def run(seed: int, *, check: bool = False) -> Trial:
    """The trial of a seed. Args: check: check every table after every event, and not only what programs see."""
    rng = random.Random(f"swarm {seed}")
    nodes, n_tasks = drawn_nodes(rng), rng.choice(N_TASKS)
    faults = drawn_faults(rng, len(nodes))
    trials = WorkloadTrials(list(workloads.WORKLOADS)[seed % len(workloads.WORKLOADS)], n_tasks, nodes, faults)
    trials.check = check
    return trials.run(seed)


def fails(seed: int) -> bool:
    """Whether the trial of a seed comes to anything but what it must."""
    return run(seed).came_to != RIGHT
