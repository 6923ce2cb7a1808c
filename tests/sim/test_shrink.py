"""Shrinking finds the least faults with which a run fails, whatever that depends on, and within its limit."""

from __future__ import annotations

import pytest

from raylite.sim.faults import Faults
from raylite.sim.shrink import Shrinking

ALL = Faults(worker_crash=0.1, eviction=0.1, full_store=0.1)
HAPPENED = [(kind, number) for kind in ("worker_crash", "eviction", "full_store") for number in range(0, 40, 2)]


class Runs:
    """Runs that fail if all of certain faults happen. What is not kept from happening happens."""

    def __init__(self, *needed):
        self.needed = set(needed)
        self.n = 0

    def __call__(self, faults):
        self.n += 1
        happened = [
            (kind, number)
            for kind, number in HAPPENED
            if kind in faults.rates and (kind not in faults.kept or number in faults.kept[kind])
        ]
        return happened if self.needed <= set(happened) else None


def shrunk(runs, **options):
    shrinking = Shrinking(ALL, HAPPENED, runs, **options)
    shrinking.run()
    assert shrinking.n_runs == runs.n
    return shrinking.faults


def test_a_failure_without_faults_needs_none():
    runs = Runs()
    assert shrunk(runs) == Faults() and runs.n == 1


@pytest.mark.parametrize(
    "needed",
    [
        [("eviction", 0)],
        [("eviction", 38)],
        [("worker_crash", 12)],
        [("worker_crash", 2), ("worker_crash", 36)],
        [("worker_crash", 6), ("eviction", 10), ("full_store", 14)],
        HAPPENED[:5],
    ],
)
def test_the_least_is_found(needed):
    kept: dict = {}
    for kind, number in needed:
        kept.setdefault(kind, []).append(number)
    assert shrunk(Runs(*needed)) == ALL.keeping(kept)


def test_one_kind_is_left_if_one_suffices_and_few_runs_find_it():
    runs = Runs(("eviction", 38))
    assert shrunk(runs).rates == {"eviction": 0.1} and runs.n == 10


@pytest.mark.parametrize("runs_most", [0, 1, 5, 20])
def test_it_stops_at_its_limit_with_something_that_fails(runs_most):
    runs = Runs(("worker_crash", 6), ("eviction", 10), ("full_store", 14))
    faults = shrunk(runs, runs_most=runs_most)
    assert runs.n <= runs_most
    assert runs(faults) is not None


def test_runs_without_faults_are_not_shrunk():
    def fails(faults):
        raise AssertionError("there is nothing to leave out")

    assert Shrinking(Faults(), [], fails).run() == Faults()


def test_what_takes_too_long_to_run_is_left_as_it_is():
    runs = Runs(("eviction", 0))
    assert shrunk(runs, seconds_most=0.0) == ALL and runs.n == 0
