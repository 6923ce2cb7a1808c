"""Rows about tasks: how many a second, one by one and many in flight, short and not so short."""

from __future__ import annotations

from benchmarks.payloads import increment, noop, work
from benchmarks.plan import Plan
from benchmarks.workload import Registry, rate

_ONE_BY_ONE = ("two_ring_call", "eventfd_round_trip_one_core", "eventfd_round_trip", "spinning_round_trip")
_MANY = ("two_ring_calls_in_flight", "pickled_call")

REGISTRY = Registry()


@REGISTRY.row(
    "tasks_async",
    "tasks async",
    "tasks/s",
    needs=["run_batch"],
    limits=_MANY,
    ray_name="single client tasks async",
)
def tasks_async(library, plan: Plan):
    """Submit 1,000 no-op tasks, then wait for all of them."""
    return rate(lambda: library.run_batch(noop, plan.in_flight), plan.in_flight, plan.sample_s)


@REGISTRY.row(
    "tasks_sync",
    "tasks sync",
    "tasks/s",
    needs=["run_one_by_one"],
    limits=_ONE_BY_ONE,
    ray_name="single client tasks sync",
)
def tasks_sync(library, plan: Plan):
    """Submit a no-op task and wait for it, then the next."""
    count = max(1, plan.in_flight // 10)
    return rate(lambda: library.run_one_by_one(noop, count), count, plan.sample_s)


@REGISTRY.row("tasks_1ms", "1 ms tasks", "tasks/s", needs=["run_batch"], limits=["cores_at_work"])
def tasks_1ms(library, plan: Plan):
    """Many tasks of a fixed amount of work, one millisecond on a core of its own; the limit is bare processes."""
    count = plan.in_flight // 5
    return rate(lambda: library.run_batch(work, count, plan.work_iterations), count, plan.sample_s)


@REGISTRY.row("map_10k", "map 10k items", "items/s", needs=["run_map"], limits=["plain_map"])
def map_10k(library, plan: Plan):
    """A function over 10,000 small items in the way that the library's own guide does it, at its default settings."""
    items = list(range(plan.map_items))
    return rate(lambda: library.run_map(increment, items), len(items), plan.sample_s)


@REGISTRY.row("chain_1k", "chain of 1k tasks", "tasks/s", needs=["run_chain"], limits=_ONE_BY_ONE)
def chain_1k(library, plan: Plan):
    """Each task takes the result of the one before; all are submitted at once, the last is waited for."""
    return rate(lambda: library.run_chain(increment, plan.in_flight), plan.in_flight, plan.sample_s)


@REGISTRY.row(
    "wait_1k_refs",
    "wait 1k refs",
    "refs/s",
    needs=["run_and_take_each"],
    limits=_MANY,
    ray_name="single client wait 1k refs",
)
def wait_1k_refs(library, plan: Plan):
    """Submit 1,000 no-op tasks and take one finished after the other."""
    return rate(lambda: library.run_and_take_each(noop, plan.in_flight), plan.in_flight, plan.sample_s)
