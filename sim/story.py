"""What happened, told in virtual time: a line for each step of a task, and for each fault."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

LINES_MOST = 200

# What a change of a task's state says, by the new state; worker and attempt are filled in.
STEPS = {
    "WAITING": "waits for arguments",
    "READY": "is ready",
    "PLACED": "is in the queue of worker {worker}",
    "RUNNING": "runs on worker {worker}, attempt {attempt}",
    "BLOCKED": "waits in a get, on worker {worker}",
    "FINISHED": "has ended",
    "FAILED": "has failed, on attempt {attempt}",
    "CANCELLED": "is cancelled",
    "NONE": "is forgotten",
}
BACK = {
    "RUNNING": "was interrupted in attempt {attempt}",
    "BLOCKED": "was interrupted in attempt {attempt}",
    "FINISHED": "has to run again: a result is gone",
}


def story_text(session: Any, tasks: Collection[str] | None = None) -> str:
    """The story of tasks (by their ids in hexadecimal; None: of all), with the faults between its lines."""
    entries = session.story()
    steps = [entry for entry in entries if tasks is None or entry["task"] in tasks]
    labels = labels_of(steps)
    lines = [(fault["time_s"], fault_line(fault, entries)) for fault in session.occurred()]
    lines += [(session.kernel.seconds(entry["time_ns"]), step_line(entry, labels)) for entry in lasting(steps)]
    lines.sort(key=lambda line: line[0])
    left_out = len(lines) - LINES_MOST
    shown = [f"{time_s:12.6f} s  {text}" for time_s, text in lines[-LINES_MOST:]]
    return "\n".join(([f"... {left_out} earlier lines"] if left_out > 0 else []) + shown)


def concerned(session: Any) -> set[str]:
    """The tasks that a failure is likely to be about: that failed or ran more than once, and that have not ended.

    If there is none, all of them.
    """
    last: dict[str, dict[str, Any]] = {}
    for entry in session.story():
        last[entry["task"]] = entry
    found = {
        task
        for task, entry in last.items()
        if entry["attempt"] or entry["to"] not in ("FINISHED", "NONE") or entry["from"] in ("FAILED", "CANCELLED")
    }
    return found or set(last)


def lasting(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the states that a task is through in the instant in which it comes to them."""
    left: dict[tuple[str, int], int] = {}
    for i, entry in enumerate(entries):
        left[entry["task"], entry["time_ns"]] = i
    return [
        entry
        for i, entry in enumerate(entries)
        if left[entry["task"], entry["time_ns"]] == i
        or entry["from"] in BACK
        or entry["to"] not in ("WAITING", "READY")
    ]


def labels_of(entries: list[dict[str, Any]]) -> dict[str, str]:
    """A short name for each task: its function's, and the number of its first appearance."""
    labels: dict[str, str] = {}
    for entry in entries:
        labels.setdefault(entry["task"], f"{entry['function'].rpartition('.')[2]} #{len(labels) + 1}")
    return labels


def step_line(entry: dict[str, Any], labels: dict[str, str]) -> str:
    """One step of a task, in words."""
    step = STEPS.get(entry["to"], entry["to"]).format(**entry)
    if entry["to"] in ("WAITING", "READY") and entry["from"] in BACK:
        step = BACK[entry["from"]].format(attempt=max(entry["attempt"] - 1, 0))
    took = f" after {entry['duration_ns'] / 1e9:.6f} s" if entry["duration_ns"] else ""
    return f"{labels[entry['task']]} {step}{took}"


def fault_line(fault: dict[str, Any], entries: list[dict[str, Any]]) -> str:
    """One fault, in words."""
    whom = fault["whom"]
    if fault["kind"] == "eviction":
        names = {entry["task"]: entry["function"].rpartition(".")[2] for entry in entries}
        whom = f"the result of {names.get(whom[:32], 'a task')} ({whom[:8]})"
    else:
        whom = f"worker {whom}"
    return f"** {fault['kind']} {fault['number']}: {whom}"
