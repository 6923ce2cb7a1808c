"""The row about a killed worker: which libraries do it, and that the time is that of a second attempt."""

import raylite
from benchmarks.adapters import LIBRARIES, can_do
from benchmarks.plan import quick_plan
from benchmarks.rows import deaths


def test_those_do_it_that_retry():
    [workload] = deaths.REGISTRY.workloads.values()
    assert [name for name in LIBRARIES if can_do(name, workload)] == ["raylite", "ray"]


def test_the_time_is_from_the_kill_to_the_result(raylite_2cpu):
    attempts = []

    class Library:
        def run_retried(self, function, path):
            ref = raylite.remote(function).remote(path)
            killed_ns = raylite.get(ref)
            attempts.extend(row.attempt_number for row in raylite.util.state.list_tasks() if row.name == "die_first")
            return killed_ns

    sample = deaths.killed_to_retried(Library(), quick_plan())
    assert sample() > 0
    assert attempts == [1]
