"""The rows of the table, in its order: one module for each part of it."""

from __future__ import annotations

from benchmarks.rows import actors, deaths, lifecycle, nested, objects, recovery, spilling, tasks
from benchmarks.workload import Registry, Row, Workload

REGISTRY = Registry()

for part in (tasks, actors, nested, objects, spilling, deaths, recovery, lifecycle):
    REGISTRY.include(part.REGISTRY)


def select(names: list[str] | None) -> list[tuple[Workload, tuple[Row, ...]]]:
    """The workloads that measure these rows, each with the rows wanted of it; all where `names` is None.

    A workload's own name stands for all of its rows. ValueError names what is unknown, and what there is.
    """
    if names is None:
        return [(workload, workload.rows) for workload in REGISTRY.workloads.values()]
    known = {row.name for row in REGISTRY.rows()} | set(REGISTRY.workloads)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no row named {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    chosen = []
    for workload in REGISTRY.workloads.values():
        rows = workload.rows if workload.name in names else tuple(r for r in workload.rows if r.name in names)
        if rows:
            chosen.append((workload, rows))
    return chosen
