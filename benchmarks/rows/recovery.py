"""Rows about going on while processes are killed: how much longer all takes, and how much is done again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.payloads import Tally, work
from benchmarks.plan import Plan
from benchmarks.workload import Registry, Row

_LESS = {"more_is_better": False}
_KILL_INTERVAL_S = 0.2
_CALLS_EACH = 500  # from one checkpoint to the next

REGISTRY = Registry()


@REGISTRY.row(
    "tasks_killed", "1 ms tasks, a worker killed each 200 ms", "x undisturbed", needs=["kill_workers"], **_LESS
)
def tasks_killed(library, plan: Plan):
    """10,000 tasks of one millisecond with a worker killed every 200 ms: how many times as long as without."""

    def run() -> float:
        return seconds_of(lambda: library.run_batch(work, plan.map_items, plan.work_iterations))

    def sample() -> float:
        undisturbed_s = run()
        with library.kill_workers(_KILL_INTERVAL_S):
            disturbed_s = run()
        return disturbed_s / undisturbed_s

    return sample


@REGISTRY.workload(
    "checkpoints",
    Row("calls_replayed", "10k actor calls, killed: done again", "calls", **_LESS),
    Row("calls_checkpointed", "10k actor calls, checkpoint each 500", "s", **_LESS),
    Row("calls_logged", "10k actor calls, no checkpoints", "s", **_LESS),
    needs=["start_replaying", "kill_server"],
)
def checkpoints(library, plan: Plan):
    """An actor that replays is called 10,000 times, with and without checkpoints, and then killed."""
    each = min(_CALLS_EACH, plan.map_items // 4)

    def sample() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "calls")
            checkpointed = library.start_replaying(Tally, str(path), checkpoint_interval=each)
            logged = library.start_replaying(Tally, str(Path(folder, "others")))
            figures = {
                "calls_checkpointed": seconds_of(lambda: library.call_batch(checkpointed, plan.map_items)),
                "calls_logged": seconds_of(lambda: library.call_batch(logged, plan.map_items)),
            }
            n_more = each - 2  # with the one that asks for the process, as many as can be without a checkpoint
            library.call_batch(checkpointed, n_more)
            library.kill_server(checkpointed)
            library.call_one_by_one(checkpointed, 1)
            return {"calls_replayed": path.stat().st_size - plan.map_items - n_more - 1, **figures}

    return sample


def seconds_of(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
