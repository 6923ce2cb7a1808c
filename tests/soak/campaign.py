"""Tasks, puts and actor calls in ten equal parts; after each, what driver and workers hold.

After the first part everything has been made that stays, so from then on memory is steady, and descriptors, threads and
the node's tables are the same.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass

import raylite
from tests.chaos.campaign import await_empty_tables
from tests.chaos.killer import workers_of

N_PARTS = 10
BATCH = 1000
LARGE_EVERY = 50  # one put of so many goes to the arena
LARGE_BYTES = 200_000
KIB = 1024


@dataclass(frozen=True)
class Held:
    """What the processes hold at one moment: memory of the driver and of all workers, descriptors, threads."""

    driver_bytes: int
    worker_bytes: int
    n_workers: int
    n_descriptors: int
    n_threads: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        workers = workers_of(os.getpid())
        return cls(
            private_bytes(os.getpid()),
            sum(map(private_bytes, workers)),
            len(workers),
            len(os.listdir("/proc/self/fd")),
            len(os.listdir("/proc/self/task")),
        )


@dataclass(frozen=True)
class Amounts:
    """How many of each, in all."""

    n_tasks: int = 10_000_000
    n_puts: int = 1_000_000
    n_calls: int = 100_000

    def times(self, share: float) -> Amounts:
        return Amounts(*(round(n * share) for n in (self.n_tasks, self.n_puts, self.n_calls)))


def run(amounts: Amounts) -> Iterator[Held]:
    """All parts, on the raylite that is there; yields after each one."""
    increment = raylite.remote(plus_one)
    counter = raylite.remote(Counter).remote()
    n_called = 0
    for _ in range(N_PARTS):
        for first in range(0, amounts.n_tasks // N_PARTS, BATCH):
            refs = [increment.remote(number) for number in range(first, first + BATCH)]
            assert raylite.get(refs) == list(range(first + 1, first + BATCH + 1))
        for number in range(amounts.n_puts // N_PARTS):
            value = bytes(LARGE_BYTES) if number % LARGE_EVERY == 0 else number
            assert raylite.get(raylite.put(value)) == value
        for _ in range(0, amounts.n_calls // N_PARTS, BATCH):
            refs = [counter.add.remote() for _ in range(BATCH)]
            n_called += BATCH
            assert raylite.get(refs)[-1] == n_called
        del refs
        yield Held.now()
    del counter, increment
    gc.collect()
    await_empty_tables()


def growth(before: Held, after: Held) -> float:
    """By which share the memory of driver or workers has grown, whichever grew more."""
    return max(after.driver_bytes / before.driver_bytes, after.worker_bytes / before.worker_bytes) - 1


def private_bytes(pid: int) -> int:
    """Memory that a process has for itself. What is shared, as the arena, is bounded by its cap."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        rows = dict(line.split(":", 1) for line in file if ":" in line)
    return sum(int(rows[name].split()[0]) for name in ("Private_Clean", "Private_Dirty")) * KIB


def plus_one(number):
    return number + 1


class Counter:
    """Counts its calls."""

    def __init__(self):
        self.n = 0

    def add(self):
        self.n += 1
        return self.n
