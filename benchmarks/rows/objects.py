"""Rows about values put into the store and read from it."""

from __future__ import annotations

from benchmarks.plan import Plan
from benchmarks.workload import Registry, rate

_REPEATS = 100
_STORE = {"needs": ["put", "get"]}

REGISTRY = Registry()


@REGISTRY.row(
    "put_small",
    "put small",
    "puts/s",
    limits=["pickled_value"],
    ray_name="single client put calls (Plasma Store)",
    **_STORE,
)
def put_small(library, plan: Plan):
    """Put a small integer; its reference is dropped at once."""
    put = library.put

    def operation() -> None:
        for _ in range(_REPEATS):
            put(0)

    return rate(operation, _REPEATS, plan.sample_s)


@REGISTRY.row(
    "get_small",
    "get small",
    "gets/s",
    limits=["pickled_value"],
    ray_name="single client get calls (Plasma Store)",
    **_STORE,
)
def get_small(library, plan: Plan):
    """Get the same small integer again and again."""
    get, reference = library.get, library.put(0)

    def operation() -> None:
        for _ in range(_REPEATS):
            get(reference)

    return rate(operation, _REPEATS, plan.sample_s)


@REGISTRY.row(
    "put_large", "put 100 MB array", "GB/s", limits=["warm_copy"], ray_name="single client put gigabytes", **_STORE
)
def put_large(library, plan: Plan):
    """Put an array; its reference is dropped before the next is put."""
    array = large_array(plan)

    def operation() -> None:
        library.put(array)

    return rate(operation, array.nbytes / 1e9, plan.sample_s)


@REGISTRY.row("get_large", "get 100 MB array", "GB/s", limits=["warm_copy"], **_STORE)
def get_large(library, plan: Plan):
    """Get an array that this process put; a library that reads in place passes the speed of any copy."""
    array = large_array(plan)
    reference = library.put(array)
    if not (library.get(reference) == array).all():
        raise AssertionError("the array that came back is not the one that was put")

    def operation() -> None:
        library.get(reference)

    return rate(operation, array.nbytes / 1e9, plan.sample_s)


def large_array(plan: Plan):
    """An array whose pages are all its own: one of zeros would be read from a single page in the cache."""
    import numpy

    return numpy.arange(plan.large_bytes // 8, dtype=numpy.float64)
