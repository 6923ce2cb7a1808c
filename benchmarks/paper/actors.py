"""Actors that come back when their node dies, with and without checkpoints (the paper's figure 11b).

The driver, on a node without work, keeps calls of every actor under way. One node dies, and its actors come back on the
others: from their last checkpoints, or from `__init__`, and then the calls since.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import raylite
from benchmarks.paper.clusters import cluster
from benchmarks.paper.table import Chart, Table
from raylite import sim

NODES = 5
ACTORS_PER_NODE = 4  # as it starts; on the others there is room for those of the node that dies
CALL_S = 0.02
AHEAD = 2  # calls of an actor that are under way
CHECKPOINT_INTERVAL = 25  # calls
DEATH_S = 10.0
END_S = 24.0
STEP_S = 1.0
TINY = {"n_nodes": 2, "n_actors_per_node": 2, "death_s": 2.0, "end_s": 5.0}


class Count:
    """Counts its calls."""

    def __init__(self) -> None:
        self.n = 0

    def more(self) -> int:
        sim.cost(CALL_S)
        self.n += 1
        return self.n

    def __raylite_save__(self) -> int:
        return self.n

    def __raylite_restore__(self, n: int) -> None:
        self.n = n


def measure(
    n_nodes: int = NODES, n_actors_per_node: int = ACTORS_PER_NODE, death_s: float = DEATH_S, end_s: float = END_S
) -> Table:
    """The table: for each second, how many calls end, first and again, with and without checkpoints."""
    table = Table(
        title="Actors that come back as a node dies",
        columns=(
            "virtual s",
            "calls per s with checkpoints",
            "of them again per s",
            "calls per s without",
            "of those again per s",
        ),
        chart=Chart(
            ["calls per s with checkpoints", "of them again per s", "calls per s without", "of those again per s"],
            "calls per second",
        ),
        paper="2,000 actors on 10 nodes, of which 2 die: 500 calls are run again with checkpoints, 10,000 without.",
        why="There are fewer actors, and a call takes 20 ms, so that the same second shows the same calls. Between "
        "death and return lies the second of silence after which a node is declared dead.",
    )
    with_checkpoints, without = (
        _run(n_nodes, n_actors_per_node, death_s, end_s, options)
        for options in ({"checkpoint_interval": CHECKPOINT_INTERVAL}, {})
    )
    for second in range(int(end_s / STEP_S)):
        row: list[float] = [second * STEP_S]
        for counted in (with_checkpoints, without):
            again = counted[second, True] / STEP_S
            row += [counted[second, False] / STEP_S + again, again]
        table.rows.append(row)
    return table


def _run(
    n_nodes: int, n_actors_per_node: int, death_s: float, end_s: float, options: dict[str, Any]
) -> Counter[tuple[int, bool]]:
    """How many calls ended in each second, by whether they had before."""
    n_actors = n_nodes * n_actors_per_node
    working = [sim.Node(num_cpus=n_actors, resources={"desk": n_actors}) for _ in range(n_nodes)]
    with cluster([*(sim.Node(num_cpus=1) for _ in range(3)), *working], store={"n_replicas": 3}) as c:
        kept = raylite.remote(Count).options(
            recovery="replay", resources={"desk": 1}, scheduling_strategy="SPREAD", **options
        )
        actors = [kept.remote() for _ in range(n_actors)]
        raylite.get([actor.__ray_ready__.remote() for actor in actors])
        under_way: list[deque[Any]] = [deque() for _ in actors]
        calls: set[str] = set()
        for at_s in (death_s, end_s):
            while c.now() < at_s:
                for actor, refs in zip(actors, under_way, strict=True):
                    while len(refs) < AHEAD:
                        refs.append(actor.more.remote())
                        calls.add(refs[-1].task_id().hex())
                first = {refs[0]: refs for refs in under_way}
                for ref in raylite.wait(list(first), timeout=min(CALL_S, at_s - c.now()))[0]:
                    first[ref].popleft()
            if at_s == death_s:
                c.kill_node(3)
        numbers = raylite.get([refs[-1] for refs in under_way])
        if sum(numbers) != len(calls):
            raise AssertionError(f"{len(calls)} calls were made, and the actors have counted {sum(numbers)}")
        counted = _count(c, calls)
        del actors, under_way, first, refs, ref, actor
    return counted


def _count(c: sim.cluster, calls: set[str]) -> Counter[tuple[int, bool]]:
    """How many of these calls have ended in each second, by whether they had before."""
    seen: set[str] = set()
    counted: Counter[tuple[int, bool]] = Counter()
    start_ns = c.session.kernel.start_ns
    for row in c.session.story():
        if row["task"] in calls and row["from"] == "RUNNING" and row["to"] == "FINISHED":
            counted[int((row["time_ns"] - start_ns) / 1e9 / STEP_S), row["task"] in seen] += 1
            seen.add(row["task"])
    return counted
