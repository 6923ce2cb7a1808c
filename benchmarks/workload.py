"""What a workload and its rows are, and the registry of them.

A workload is a function that is given a library (already started, unless it says otherwise) and the plan, prepares
what it needs, and returns a function that takes one sample: a number for each of its rows. Most have one row. Rows of
one workload share a process, so that they can be compared with each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.plan import Plan

Sample = Callable[[], Mapping[str, float]]
Prepare = Callable[[object, Plan], Sample]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str  # what `--only` takes
    label: str
    unit: str
    more_is_better: bool = True
    limits: tuple[str, ...] = ()  # names of limits; the first that this machine can measure is the row's limit
    ray_name: str | None = None  # what Ray's own microbenchmark calls it


@dataclass(frozen=True)
class Workload:
    """Rows that are measured together, and how."""

    name: str
    rows: tuple[Row, ...]
    prepare: Prepare
    needs: tuple[str, ...] = ()  # methods that a library must have to do this at all
    starts_library: bool = True

    @property
    def limits(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(limit for row in self.rows for limit in row.limits))


@dataclass
class Registry:
    """Workloads in the order of the table."""

    workloads: dict[str, Workload] = field(default_factory=dict)

    def row(
        self, name: str, label: str, unit: str, *, needs: Iterable[str] = (), limits: Iterable[str] = (), **row_fields
    ):
        """Decorate the function behind a single row: its samples are plain numbers."""
        row = Row(name, label, unit, limits=tuple(limits), **row_fields)

        def register(prepare):
            def prepare_mapping(library, plan: Plan) -> Sample:
                take = prepare(library, plan)
                return lambda: {name: take()}

            self._add(Workload(name, (row,), prepare_mapping, tuple(needs)))
            return prepare

        return register

    def workload(self, name: str, *rows: Row, needs: Iterable[str] = (), starts_library: bool = True):
        """Decorate the function behind several rows: its samples are dicts by row name."""

        def register(prepare):
            self._add(Workload(name, rows, prepare, tuple(needs), starts_library))
            return prepare

        return register

    def rows(self) -> list[Row]:
        return [row for workload in self.workloads.values() for row in workload.rows]

    def include(self, other: Registry) -> None:
        """Take over all workloads of another registry, after those here."""
        for workload in other.workloads.values():
            self._add(workload)

    def _add(self, workload: Workload) -> None:
        taken = {row.name for row in self.rows()}
        if workload.name in self.workloads or any(row.name in taken for row in workload.rows):
            raise ValueError(f"two workloads or rows are named {workload.name}")
        self.workloads[workload.name] = workload


def rate(operation: Callable[[], object], amount: float, duration_s: float) -> Callable[[], float]:
    """A function that repeats `operation` for at least `duration_s` and returns `amount` of each per second.

    Each sample starts with one operation off the record: while others had their turn, this one's workers slept.
    """

    def sample() -> float:
        operation()
        repeats, elapsed_s = repeat_for(duration_s, operation)
        return amount * repeats / elapsed_s

    return sample


def repeat_for(duration_s: float, operation: Callable[[], object]) -> tuple[int, float]:
    """Repeat `operation` for at least `duration_s`, at least once; how often it was, and how long it took."""
    repeats = 0
    start = now = time.perf_counter()
    while repeats == 0 or now - start < duration_s:
        operation()
        repeats += 1
        now = time.perf_counter()
    return repeats, now - start
