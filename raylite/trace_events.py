"""The node's story as Chrome trace events: one row for each worker, one slice for each run of a task.

Times are given in nanoseconds; in the events they are microseconds, as the format has it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def trace_events(runtime: Any) -> list[dict[str, Any]]:
    """Trace events (dicts) of what the runtime remembers; times in microseconds."""
    story = runtime.story()
    pids = {worker["client"]: worker["pid"] for worker in runtime.workers()}
    events = [process_name(0, "raylite node")]
    rows = sorted({entry["worker"] for entry in story if entry["worker"]})
    for worker in rows:
        label = f"worker {worker}" + (f" (pid {pids[worker]})" if worker in pids else "")
        events.append(thread_name(0, worker, label))
    events.extend(slice_of(entry) for entry in story if entry["duration_ns"])
    return events


def slice_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The slice of one run of a task."""
    args = {"task_id": entry["task"], "attempt": entry["attempt"], "state": entry["to"]}
    begin_ns = entry["time_ns"] - entry["duration_ns"]
    return slice_event(entry["function"], 0, entry["worker"], begin_ns, entry["duration_ns"], args)


def process_name(pid: int, name: str) -> dict[str, Any]:
    """What a process is called."""
    return {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}


def thread_name(pid: int, tid: int, name: str) -> dict[str, Any]:
    """What a thread, a row of slices, is called."""
    return {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}


def slice_event(
    name: str, pid: int, tid: int, begin_ns: int, duration_ns: int, args: dict[str, Any], category: str = "task"
) -> dict[str, Any]:
    """A time in which a thread was busy."""
    return {
        "ph": "X",
        "cat": category,
        "name": name,
        "pid": pid,
        "tid": tid,
        "ts": begin_ns / 1000,
        "dur": duration_ns / 1000,
        "args": args,
    }


def instant(name: str, pid: int, tid: int, time_ns: int, args: dict[str, Any], category: str) -> dict[str, Any]:
    """Something that happened to a thread's process, and took no time."""
    event = {"ph": "i", "s": "p", "cat": category, "name": name, "pid": pid, "tid": tid, "ts": time_ns / 1000}
    return {**event, "args": args}
