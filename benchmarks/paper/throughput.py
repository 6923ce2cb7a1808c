"""Empty tasks on ever more nodes (the paper's figure 8b): how many a second of virtual time.

Each node has a branch that submits independent tasks and waits for them. What a task takes in virtual time is what it
costs on the real runtime: the worker's part, or, if that is more, the core's: a node has one core for all its workers,
so a worker of c may not take tasks faster than the core hands them to all c.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.paper.costs import core_s_per_task, worker_s_per_task
from benchmarks.paper.table import Chart, Table
from raylite import sim
from raylite.demand import UNITS_PER_ONE, pack_demand
from raylite.sim import synthetic

NODES = (10, 25, 50, 100)
TASKS_PER_NODE = 1000
CPUS_PER_NODE = 4
WARM_UP = (32, 20_000_000)  # tasks of each node, and ns that each takes: until all workers run
SECOND_NS = 1_000_000_000
TINY = {"nodes": (2, 3), "tasks_per_node": 40, "core_s": 5e-6, "worker_s": 5e-6}


def measure(
    nodes: Sequence[int] = NODES,
    tasks_per_node: int = TASKS_PER_NODE,
    core_s: float | None = None,
    worker_s: float | None = None,
) -> Table:
    """The table. Args: core_s, worker_s: what an empty task costs of the core and of a worker, by default as measured
    now."""
    core_s = core_s_per_task() if core_s is None else core_s
    worker_s = worker_s_per_task() if worker_s is None else worker_s
    task_s = max(worker_s, core_s * CPUS_PER_NODE)
    table = Table(
        title="Throughput of empty tasks",
        columns=("nodes", "tasks", "virtual s", "tasks per s", "tasks per s and node", "tasks per s the cores allow"),
        chart=Chart(["tasks per s", "tasks per s the cores allow"], "tasks per second of virtual time"),
        paper="linear from 10 to 100 nodes, 1.8 million tasks a second at 100, 18,000 on each.",
        why="A node is given more tasks at once than it can begin; some are spilled through the one global scheduler. "
        "That, and the simulator's messages to workers, of which one in 64 takes up to 5 ms, leave a part of what the "
        "cores allow; with 2,000 tasks for each node instead of 1,000 more are spilled, and 100 nodes end 0.8 million "
        "a second. What the submitter and the control store cost is left out. The paper's nodes have 64 virtual CPUs, "
        "ours 4.",
        measured=f"{core_s * 1e6:.2f} us of the core and {worker_s * 1e6:.2f} us of a worker for an empty task, so "
        f"{task_s * 1e6:.2f} us of virtual time on each of the {CPUS_PER_NODE} workers of a node.",
    )
    for n_nodes in nodes:
        n_tasks = n_nodes * tasks_per_node
        elapsed_s = _elapsed_s(n_nodes, tasks_per_node, round(task_s * 1e9))
        table.rows.append(
            (n_nodes, n_tasks, elapsed_s, n_tasks / elapsed_s, tasks_per_node / elapsed_s, n_nodes / core_s)
        )
    return table


def _elapsed_s(n_nodes: int, tasks_per_node: int, task_ns: int) -> float:
    """Virtual seconds that a branch on each node takes for so many tasks, once workers and functions are there."""
    demands = [pack_demand({"CPU": UNITS_PER_ONE, f"branch {number}": UNITS_PER_ONE}) for number in range(n_nodes)]
    nodes = [sim.Node(num_cpus=CPUS_PER_NODE, resources={f"branch {number}": 1}) for number in range(n_nodes)]
    with sim.cluster(1, nodes, check=False) as c:
        client = c.session.client
        synthetic.run(client, [(0, 1, demands[0])], 1, SECOND_NS)  # the nodes learn that a branch takes its time
        for n_tasks, duration_ns in (WARM_UP, WARM_UP, (tasks_per_node, task_ns)):
            start_s = c.now()
            branches = [(number, n_tasks, demand) for number, demand in enumerate(demands)]
            values = synthetic.run(client, branches, n_tasks, duration_ns)
            elapsed_s = c.now() - start_s
        if values != [synthetic.expected(number, size, size) for number, size, _ in branches]:
            raise RuntimeError("the branches give other sums than a serial run")
    return elapsed_s
