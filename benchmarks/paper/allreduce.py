"""A ring allreduce made of tasks, and delay added to the global scheduler (the paper's figure 12b).

Each node has a part of the data for each of the nodes. In a round it takes one from the node before it and adds its
own, or keeps it: a task that only this node can run, so that every one is placed by the global scheduler, which is on a
node of its own with a slower link. A task cannot be placed before those of the round before that it takes from have
ended. At the end a small task on each node looks at each part.
"""

from __future__ import annotations

from collections.abc import Sequence

import raylite
from benchmarks.paper.clusters import SchedulerApartPlane, cluster
from benchmarks.paper.table import Chart, Table
from raylite import sim

NODES = 8
TOTAL_BYTES = 40_000_000
DELAYS_MS = (0, 1, 5, 10)
ITERATIONS = 1
ADD_BYTES_PER_S = 5e9  # how fast a task adds its part up
TINY = {"delays_ms": (0, 10), "n_nodes": 2, "total_bytes": 400_000, "iterations": 1}


@raylite.remote
def start(number, size_bytes):
    sim.cost(0)
    return bytearray([number]) * size_bytes


@raylite.remote
def add(mine, other):
    sim.cost(len(mine) / ADD_BYTES_PER_S)
    return mine[:-1] + bytes([(mine[-1] + other[-1]) % 256])  # one byte stands for all


@raylite.remote
def keep(mine, other):
    sim.cost(len(mine) / ADD_BYTES_PER_S)
    return bytes(other)


@raylite.remote
def last(value):
    sim.cost(0)
    return value[-1]


def measure(
    delays_ms: Sequence[int] = DELAYS_MS,
    n_nodes: int = NODES,
    total_bytes: int = TOTAL_BYTES,
    iterations: int = ITERATIONS,
) -> Table:
    """The table: for each delay that a question to the scheduler and its answer have in all, the mean time of one."""
    table = Table(
        title=f"Allreduce of {total_bytes / 1e6:g} MB on {n_nodes} nodes, the scheduler delayed",
        columns=("added delay, ms", "iteration, ms", "times that without"),
        chart=Chart(["iteration, ms"], "time of an iteration, ms"),
        paper="100 MB on 16 nodes: a few milliseconds added to the scheduling of each task nearly double an iteration.",
        why="A task is placed once its arguments are there, so each round has the delay on its path: 14 of them and "
        "the look at the end, where the paper's ring has 30. Ours without delay is slower than its transfers, as each "
        "round takes its messages between nodes, workers and the store; so a delay weighs less.",
    )
    usual_s = 0.0
    for delay_ms in delays_ms:
        iteration_s = _iteration_s(delay_ms, n_nodes, total_bytes // n_nodes, iterations)
        usual_s = usual_s or iteration_s
        table.rows.append((delay_ms, iteration_s * 1e3, iteration_s / usual_s))
    return table


def _iteration_s(delay_ms: int, n_nodes: int, part_bytes: int, iterations: int) -> float:
    ring = [sim.Node(num_cpus=2, resources={f"ring {number}": 4}) for number in range(n_nodes)]
    nodes = [sim.Node(num_cpus=2), *ring, sim.Node(num_cpus=1)]  # the driver's first, the scheduler's last
    with cluster(nodes, plane=SchedulerApartPlane) as c:
        _iterate(n_nodes, 200_000)  # until workers and functions are there
        for number in range(n_nodes + 1):
            c.set_link(number, n_nodes + 1, latency_s=50e-6 + delay_ms / 2e3)
        return sum(_iterate(n_nodes, part_bytes, c) for _ in range(iterations)) / iterations


def _iterate(n_nodes: int, part_bytes: int, c: sim.cluster | None = None) -> float:
    """Reduce once, and look at the result; returns what it took from the time at which the parts were there."""
    on = [{"resources": {f"ring {number}": 1}} for number in range(n_nodes)]
    parts = [[start.options(**on[node]).remote(node, part_bytes) for _ in range(n_nodes)] for node in range(n_nodes)]
    _ends(parts, on)
    start_s = c.now() if c else 0.0
    for turn in range(2 * (n_nodes - 1)):
        task = add if turn < n_nodes - 1 else keep
        taken = []
        for node in range(n_nodes):
            before, part = (node - 1) % n_nodes, (node - 1 - turn) % n_nodes
            taken.append((node, part, task.options(**on[node]).remote(parts[node][part], parts[before][part])))
        for node, part, ref in taken:
            parts[node][part] = ref
    sums = _ends(parts, on)
    elapsed_s = c.now() - start_s if c else 0.0
    if sums != {sum(range(n_nodes)) % 256}:
        raise RuntimeError(f"the sums are {sorted(sums)}")
    return elapsed_s


def _ends(parts: list[list], on: list[dict]) -> set[int]:
    """How the parts end, each read where it is: when all are there."""
    return set(raylite.get([last.options(**on[node]).remote(ref) for node, row in enumerate(parts) for ref in row]))
