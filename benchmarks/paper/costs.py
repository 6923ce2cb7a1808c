"""What a task costs on the real runtime, as CPU time: a function for each cost, and each the least of a few rounds.

The least, since whatever else the machine does only adds to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import raylite

ROUNDS = 5
N_TASKS = 4000


@raylite.remote
def nothing():
    """The empty task."""


@raylite.remote
def cpu_s():
    """CPU seconds that the worker which runs this has taken."""
    return time.process_time()


@raylite.remote
def submit_nothing(n_tasks):
    """Run empty tasks from within a task; returns the CPU seconds that the submitter took."""
    before = time.process_time()
    raylite.get([nothing.remote() for _ in range(n_tasks)])
    return time.process_time() - before


def core_s_per_task(n_tasks: int = N_TASKS, rounds: int = ROUNDS) -> float:
    """CPU seconds of the process with the core for a task that a worker submits and another runs: all its events."""

    def once() -> float:
        before = time.process_time()
        raylite.get(submit_nothing.remote(n_tasks))
        return time.process_time() - before

    return _least(once, rounds, n_cpus=2) / n_tasks


def submitter_s_per_task(n_tasks: int = N_TASKS, rounds: int = ROUNDS) -> float:
    """CPU seconds of a worker for a task that it submits and whose value it gets."""
    return _least(lambda: raylite.get(submit_nothing.remote(n_tasks)), rounds, n_cpus=2) / n_tasks


def worker_s_per_task(n_tasks: int = N_TASKS, rounds: int = ROUNDS) -> float:
    """CPU seconds of the worker that runs an empty task."""

    def once() -> float:
        before = raylite.get(cpu_s.remote())
        raylite.get([nothing.remote() for _ in range(n_tasks)])
        return raylite.get(cpu_s.remote()) - before

    return _least(once, rounds, n_cpus=1) / n_tasks


def _least(once: Callable[[], float], rounds: int, n_cpus: int) -> float:
    """The least of some rounds on a runtime of its own, after one that starts the workers."""
    raylite.init(num_cpus=n_cpus)
    try:
        once()
        return min(once() for _ in range(rounds))
    finally:
        raylite.shutdown()
