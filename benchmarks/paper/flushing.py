"""How much the control store keeps of tasks that have ended, with flushing and without (the paper's figure 10b).

The driver submits a batch of empty tasks after the other, that other nodes run, and lets go of what they gave.
"""

from __future__ import annotations

import raylite
from benchmarks.paper.clusters import KeepingPlane, cluster
from benchmarks.paper.table import Chart, Table
from raylite import sim
from raylite.sim.control_plane import ControlPlane

BATCHES = 10
TASKS_PER_BATCH = 500
TINY = {"n_batches": 2, "tasks_per_batch": 20}


@raylite.remote(resources={"away": 1})
def nothing():
    sim.cost(0)


def measure(n_batches: int = BATCHES, tasks_per_batch: int = TASKS_PER_BATCH) -> Table:
    """The table: after each batch, how many rows the store has of tasks and objects."""
    table = Table(
        title="Rows of the control store, with flushing and without",
        columns=("tasks", "rows, flushing", "rows, not flushing"),
        chart=Chart(["rows, flushing", "rows, not flushing"], "rows of tasks and objects"),
        paper="50 million tasks; without flushing memory grows with tasks until it is full and the program "
        "stops, with it memory stays below a limit that the user sets.",
        why="Ours goes by need and not by a limit: the row of a task goes when nothing can need its results any more. "
        "Rows are counted and not bytes, and tasks are fewer, as growth is in proportion to them.",
    )
    kept, flushed = (_rows(n_batches, tasks_per_batch, plane) for plane in (KeepingPlane, ControlPlane))
    for batch, (rows, rows_kept) in enumerate(zip(flushed, kept, strict=True)):
        table.rows.append(((batch + 1) * tasks_per_batch, rows, rows_kept))
    return table


def _rows(n_batches: int, tasks_per_batch: int, plane: type[ControlPlane]) -> list[int]:
    nodes = [sim.Node(num_cpus=1), *(sim.Node(num_cpus=4, resources={"away": 4}) for _ in range(2))]
    rows = []
    with cluster(nodes, plane=plane) as c:
        for _ in range(n_batches):
            raylite.get([nothing.remote() for _ in range(tasks_per_batch)])
            c.settle()
            sizes = c.session.plane.sizes()
            rows.append(sizes["tasks"] + sizes["objects"])
    return rows
