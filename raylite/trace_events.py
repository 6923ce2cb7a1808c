"""The node's story as Chrome trace events: one row for each worker, one slice for each run of a task."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def trace_events(runtime: Any) -> list[dict[str, Any]]:
    """Trace events (dicts) of what the runtime remembers; times in microseconds."""
    story = runtime.story()
    pids = {worker["client"]: worker["pid"] for worker in runtime.workers()}
    events = [{"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "raylite node"}}]
    rows = sorted({entry["worker"] for entry in story if entry["worker"]})
    for worker in rows:
        label = f"worker {worker}" + (f" (pid {pids[worker]})" if worker in pids else "")
        events.append({"ph": "M", "name": "thread_name", "pid": 0, "tid": worker, "args": {"name": label}})
    events.extend(slice_of(entry) for entry in story if entry["duration_ns"])
    return events


def slice_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The slice of one run of a task."""
    return {
        "ph": "X",
        "cat": "task",
        "name": entry["function"],
        "pid": 0,
        "tid": entry["worker"],
        "ts": (entry["time_ns"] - entry["duration_ns"]) / 1000,
        "dur": entry["duration_ns"] / 1000,
        "args": {"task_id": entry["task"], "attempt": entry["attempt"], "state": entry["to"]},
    }
