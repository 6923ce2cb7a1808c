"""A replica of the control store dies while a program uses it (the paper's figure 10a): how long the program waits.

A driver has tasks run on another node, one after the other; what each gives is told only when the store has it. The
head of the chain dies, or its tail, and comes back with what its journal has. A failure is seen by its silence, so
the times of the master's heartbeats are what is varied: the waiting is hardly anything else.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import raylite
from benchmarks.paper.clusters import cluster
from benchmarks.paper.table import Chart, Table
from raylite import sim

DEAD_AFTER_MS = (10, 30, 100, 300, 1000)  # 1000 is what a cluster has by default
USUAL_MS = 200  # that tasks run for before, and between
TINY = {"dead_after_ms": (30, 100), "usual_ms": 20}
REPLICAS = 3
BEATS = 10  # heartbeats until a replica counts as dead; suspected after 3 of them


@raylite.remote(resources={"away": 1}, max_retries=-1)
def nothing():
    sim.cost(0)


def measure(dead_after_ms: Sequence[int] = DEAD_AFTER_MS, usual_ms: int = USUAL_MS) -> Table:
    """The table: for each time of silence after which a replica counts as dead, the longest that a task took."""
    table = Table(
        title="Failover of the control store",
        columns=("dead after ms", "usual, ms", "head dies: longest, ms", "tail dies: longest, ms"),
        chart=Chart(
            ["head dies: longest, ms", "tail dies: longest, ms", "usual, ms"],
            "time of a task, ms",
            is_log_across=True,
            is_log_up=True,
        ),
        paper="under 30 ms, the longest that a client saw, from failure to recovery.",
        why="There clients and neighbours in the chain report connections that fail, at once; here no "
        "connection breaks, and silence alone tells. So it takes as long as a replica may be silent: within the "
        "paper's figure if that is up to some 25 ms, and a second by default.",
    )
    for dead_ms in dead_after_ms:
        usual_s, head_s = _task_s(dead_ms, usual_ms, 0)
        _, tail_s = _task_s(dead_ms, usual_ms, REPLICAS - 1)
        table.rows.append((dead_ms, usual_s * 1e3, head_s * 1e3, tail_s * 1e3))
    return table


def _task_s(dead_ms: int, usual_ms: int, replica: int) -> tuple[float, float]:
    """The median of the times of tasks, and the longest after the replica has died."""
    beat_ns = dead_ms * 1_000_000 // BEATS
    times = {"heartbeat_ns": beat_ns, "suspect_ns": 3 * beat_ns, "dead_ns": BEATS * beat_ns}
    nodes = [sim.Node(num_cpus=1) for _ in range(REPLICAS)]
    with cluster([*nodes, sim.Node(num_cpus=1, resources={"away": 1})], store={**times, "n_replicas": REPLICAS}) as c:
        raylite.get([nothing.remote() for _ in range(10)])
        before = _times_s(c, usual_ms / 1e3)
        c.kill_replica(replica)
        after = _times_s(c, (usual_ms + 2 * dead_ms) / 1e3)
        c.restart_replica(replica)
        after += _times_s(c, (usual_ms + 2 * dead_ms) / 1e3)
        return statistics.median(before), max(after)


def _times_s(c: sim.cluster, for_s: float) -> list[float]:
    """What each task takes, one after the other."""
    times = []
    end_s = c.now() + for_s
    while c.now() < end_s:
        start_s = c.now()
        raylite.get(nothing.remote())
        times.append(c.now() - start_s)
    return times
