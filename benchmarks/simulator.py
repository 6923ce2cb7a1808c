"""How fast the simulator is: tasks a second of real time, seeds a second, and the memory that they take.

`python -m benchmarks.simulator` prints a line for each; with names as arguments, these only. Each is measured in
processes of its own, one after the other on one core, and the median shown; tasks in virtual clusters are checked
against a serial run.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable

import raylite
from benchmarks.machine import cpu_model
from raylite import sim
from raylite.demand import pack_demand
from raylite.sim import synthetic, workloads
from raylite.sim.faults import Faults

SEED = 7
RUNS = 3
CPUS = 4  # of a node
LANES = 16
MEAN_NS = 2_000_000
WARM_UP_SEEDS = 10
FAULTS = Faults(
    message_loss=0.01,
    message_duplication=0.01,
    message_delay=0.01,
    message_reordering=0.01,
    clock_skew=0.3,
    worker_crash=0.005,
    node_crash=0.001,
    partition=0.0005,
)


@raylite.remote
def add(x: int, y: int) -> int:
    return x + y


def synthetic_tasks(n_nodes: int, n_tasks: int) -> float:
    """Tasks a second without code of Python's: a branch of the graph on each node."""
    nodes = [sim.Node(num_cpus=CPUS, resources={f"node{number}": 1}) for number in range(n_nodes)]
    demands = [pack_demand({f"node{number}": 1}) for number in range(n_nodes)]
    size = n_tasks // n_nodes
    with sim.cluster(SEED, nodes, check=False) as c:
        time.sleep(1)  # virtual: by then all nodes know of each other
        start_s = time.process_time()
        branches = [(number, size, demand) for number, demand in enumerate(demands)]
        sums = synthetic.run(c.session.client, branches, LANES, MEAN_NS)
        took_s = time.process_time() - start_s
        assert sums == [synthetic.expected(number, size, LANES) for number in range(n_nodes)]
    return n_tasks / took_s


def python_tasks(n_nodes: int, n_tasks: int) -> float:
    """Tasks a second that a driver submits, a thousand at a time, each a call of a Python function."""
    with sim.cluster(SEED, [sim.Node(num_cpus=CPUS) for _ in range(n_nodes)], check=False):
        start_s = time.process_time()
        for begin in range(0, n_tasks, 1000):
            sums = raylite.get([add.remote(begin, i) for i in range(1000)])
            assert sums == list(range(begin, begin + 1000))
        return n_tasks / (time.process_time() - start_s)


def faulty_seeds(name: str, n_seeds: int) -> float:
    """Seeds a second of a workload of 50 tasks on 4 nodes, under faults of most kinds."""
    nodes = [sim.Node(num_cpus=2) for _ in range(4)]
    start_s = 0.0
    for seed in range(WARM_UP_SEEDS + n_seeds):
        if seed == WARM_UP_SEEDS:
            start_s = time.process_time()
        with sim.cluster(seed, nodes, FAULTS, faults_for_s=10.0, check=False):
            workloads.run(name, 50, seed)
    return n_seeds / (time.process_time() - start_s)


ROWS: dict[str, tuple[Callable[..., float], tuple[object, ...]]] = {
    "synthetic-1-node": (synthetic_tasks, (1, 300_000)),
    "synthetic-100-nodes": (synthetic_tasks, (100, 1_000_000)),
    "synthetic-100-nodes-tenth": (synthetic_tasks, (100, 100_000)),
    "synthetic-1000-nodes": (synthetic_tasks, (1000, 1_000_000)),
    "python-1-node": (python_tasks, (1, 50_000)),
    "python-4-nodes": (python_tasks, (4, 20_000)),
    **{
        f"seeds-{name}": (faulty_seeds, (name, 200)) for name in ("diamond", "actors", "effects", "chain", "map-reduce")
    },
}


def measured(name: str) -> tuple[float, float]:
    """The rate of a row, and how much memory the process has taken at most, in MB."""
    function, arguments = ROWS[name]
    rate = function(*arguments)
    return rate, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in ROWS]:
        sys.exit(f"no row named {', '.join(unknown)}; there are: {', '.join(ROWS)}")
    print(f"{cpu_model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians of {RUNS}")
    for name in names or ROWS:
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            runs = [pool.apply(measured, (name,)) for _ in range(RUNS)]
        rate, size_mb = (statistics.median(each) for each in zip(*runs, strict=True))
        print(f"{name:28} {rate:10,.0f} a second {size_mb:8,.0f} MB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
