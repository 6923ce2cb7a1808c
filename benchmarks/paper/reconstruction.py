"""Tasks while nodes leave and come back (the paper's figure 11a): how many end a second, and how many of them again.

Chains of tasks, each of which takes the large value of the one before it. The values stay where they were made: the
driver, on a node without work, waits for a small value that comes with each, and submits the chain's next tasks then.
It keeps some of the large ones, so what a node took along is made again from the last of these that is left.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import raylite
from benchmarks.paper.clusters import cluster
from benchmarks.paper.table import Chart, Table
from raylite import sim

NODES = 6
CPUS_PER_NODE = 4
CHAINS = 24
TASK_S = 0.1
VALUE_BYTES = 150_000  # more than what travels inside messages, so it is where it was made
AHEAD = 3  # tasks of a chain that are submitted and have not ended
EVENTS_S = (6.0, 9.0, 12.0, 21.0, 24.0, 27.0)  # a node leaves at each of the first half, and returns at the others
END_S = 33.0
KEPT_EVERY = 10  # steps, a large value of each chain
KEPT = 3  # of them, the last
STEP_S = 1.0
TINY = {"n_nodes": 3, "n_chains": 12, "events_s": (1.0, 2.0), "end_s": 4.0}


@raylite.remote(max_retries=-1, num_returns=2, resources={"worker": 1})
def step(number, before, task_s):
    sim.cost(task_s)
    return bytes([number % 256]) * VALUE_BYTES, number


class _Chain:
    """One chain, as the driver knows it."""

    def __init__(self) -> None:
        self.number = 0
        self.last: Any = None
        self.ended: deque[Any] = deque()  # the small values of the tasks under way, the oldest first
        self.kept: deque[Any] = deque(maxlen=KEPT)

    def oldest(self) -> Any:
        """The small value of the oldest task under way, when there are as many as there should be."""
        while len(self.ended) < AHEAD:
            self.last, ended = step.remote(self.number, self.last, TASK_S)
            self.ended.append(ended)
            if self.number % KEPT_EVERY == 0:
                self.kept.append(self.last)
            self.number += 1
        return self.ended[0]


def measure(
    n_nodes: int = NODES, n_chains: int = CHAINS, events_s: tuple[float, ...] = EVENTS_S, end_s: float = END_S
) -> Table:
    """The table: for each second, how many nodes there are and how many tasks end, first and again."""
    table = Table(
        title="Tasks reconstructed as nodes leave",
        columns=("virtual s", "nodes", "tasks per s", "of them again per s", "tasks per s and node"),
        chart=Chart(["tasks per s", "of them again per s", "tasks per s and node"], "tasks per second"),
        paper="chains of 100 ms tasks, on fewer and fewer nodes: throughput of each node stays steady while "
        "lost tasks are run again, and is as before when nodes come back.",
        why="Of each chain the driver keeps one value in ten, so no more than ten tasks of a chain are run again, one "
        "after the other, and on few nodes; the paper's chains go back to their start. A node is declared dead after "
        "a second of silence, in which the chains that it ran stand still: the dips after each departure.",
    )
    departures = len(events_s) // 2
    counted = _run(n_nodes, n_chains, events_s, end_s)
    for second in range(int(end_s / STEP_S)):
        start_s = second * STEP_S
        gone = sum(event_s <= start_s for event_s in events_s[:departures])
        back = sum(event_s <= start_s for event_s in events_s[departures:])
        first, again = counted[second, False], counted[second, True]
        nodes, rate = n_nodes - gone + back, (first + again) / STEP_S
        table.rows.append((start_s, nodes, rate, again / STEP_S, rate / nodes))
    return table


def _run(n_nodes: int, n_chains: int, events_s: tuple[float, ...], end_s: float) -> Counter[tuple[int, bool]]:
    """How many tasks ended in each second, by whether they had before."""
    working = [sim.Node(num_cpus=CPUS_PER_NODE, resources={"worker": CPUS_PER_NODE}) for _ in range(n_nodes)]
    departures = len(events_s) // 2
    with cluster([*(sim.Node(num_cpus=1) for _ in range(3)), *working], store={"n_replicas": 3}) as c:
        chains = [_Chain() for _ in range(n_chains)]
        for event, at_s in enumerate((*events_s, end_s)):
            while c.now() < at_s:
                oldest = {chain.oldest(): chain for chain in chains}
                for ref in raylite.wait(list(oldest), timeout=min(TASK_S, at_s - c.now()))[0]:
                    oldest[ref].ended.popleft()
            if event < departures:
                c.kill_node(3 + event)
            elif event < len(events_s):
                c.restart_node(3 + event - departures)
        raylite.get([chain.oldest() for chain in chains])  # raises what a task did
        counted = _count(c)
        del chains, oldest, ref
    return counted


def _count(c: sim.cluster) -> Counter[tuple[int, bool]]:
    """How many tasks have ended in each second, by whether they had before."""
    seen: set[str] = set()
    counted: Counter[tuple[int, bool]] = Counter()
    start_ns = c.session.kernel.start_ns
    for row in c.session.story():
        if row["from"] == "RUNNING" and row["to"] == "FINISHED" and row["function"] == "step":
            counted[int((row["time_ns"] - start_ns) / 1e9 / STEP_S), row["task"] in seen] += 1
            seen.add(row["task"])
    return counted
