"""Placement that knows where a task's argument is, against one that does not (the paper's figure 8a).

A value is made on one of two nodes at random, then a task that takes it is placed on either by the global scheduler;
this is done a number of times, one after the other, with a value of its own each.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import raylite
from benchmarks.paper.clusters import UnawarePlane, cluster
from benchmarks.paper.table import Chart, Table
from raylite import sim
from raylite.sim.control_plane import ControlPlane

SIZES_BYTES = (100_000, 1_000_000, 10_000_000, 100_000_000)
TASKS = 8
TINY = {"sizes_bytes": (200_000, 20_000_000), "n_tasks": 6}


@raylite.remote(num_returns=2)
def make(size_bytes):
    """A large value, and a small one to wait for: it would be pulled to who waits for it."""
    sim.cost(0)
    return bytes(size_bytes), None


@raylite.remote(resources={"worker": 1})
def take(value):
    sim.cost(0)
    return len(value)


def measure(sizes_bytes: Sequence[int] = SIZES_BYTES, n_tasks: int = TASKS) -> Table:
    """The table: for each size the mean time from submitting the task that takes the value to its end."""
    table = Table(
        title="Tasks placed with and without regard to where their argument is",
        columns=("bytes of the argument", "aware, ms", "unaware, ms", "unaware / aware"),
        chart=Chart(["aware, ms", "unaware, ms"], "mean time of a task, ms", is_log_across=True, is_log_up=True),
        paper="aware placement takes the same time at any size, unaware placement one to two orders of magnitude more "
        "at 10 to 100 MB.",
        why="There are two nodes, so an unaware scheduler finds the value by luck at times, and the network has "
        "25 Gbit/s for this transfer alone: 32 ms for 100 MB, beside some 3 ms that the messages of any task take. "
        "100 KB travel inside messages and are pulled by nobody.",
    )
    for size_bytes in sizes_bytes:
        aware_s, unaware_s = (_task_s(size_bytes, n_tasks, plane) for plane in (ControlPlane, UnawarePlane))
        table.rows.append((size_bytes, aware_s * 1e3, unaware_s * 1e3, unaware_s / aware_s))
    return table


def _task_s(size_bytes: int, n_tasks: int, plane: type[ControlPlane]) -> float:
    places = [sim.Node(num_cpus=2, resources={"worker": 1, f"node {number}": 1}) for number in range(2)]
    draws = random.Random(0)
    total_s = 0.0
    with cluster([sim.Node(num_cpus=2), *places], plane=plane) as c:
        for turn in range(-2, n_tasks):  # before 0: until workers and functions are there
            place = turn % 2 if turn < 0 else draws.randrange(2)
            ref, made = make.options(resources={f"node {place}": 1}).remote(size_bytes)
            raylite.get(made)
            start_s = c.now()
            if raylite.get(take.remote(ref)) != size_bytes:
                raise RuntimeError("the task was given another value")
            total_s += (c.now() - start_s) * (turn >= 0)
            del ref, made
            c.settle()
    return total_s / n_tasks
