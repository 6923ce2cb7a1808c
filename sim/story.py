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
    "SPILLED": "is given to another node",
    "PLACED": "is in the queue of {worker}",
    "RUNNING": "runs on {worker}, attempt {attempt}",
    "BLOCKED": "waits in a get, on {worker}",
    "FINISHED": "has ended",
    "FAILED": "has failed, on attempt {attempt}",
    "CANCELLED": "is cancelled",
    "NONE": "is forgotten",
}
NAMES_WORKER = ("PLACED", "RUNNING", "BLOCKED")
BACK = {
    "RUNNING": "was interrupted in attempt {attempt}",
    "BLOCKED": "was interrupted in attempt {attempt}",
    "FINISHED": "has to run again: a result is gone",
}


def story_text(session: Any, tasks: Collection[str] | None = None) -> str:
    """The story of tasks (by their ids in hexadecimal; None: of all), with the faults between its lines; those of
    messages are left out if it would be too long."""
    entries = session.story()
    steps = [entry for entry in entries if tasks is None or entry["task"] in tasks]
    labels = labels_of(steps)
    names = {entry["task"]: short_name(entry) for entry in entries}
    lines = [(time_s, f"** {text}") for time_s, _, text in session.told]
    lines += [(session.kernel.seconds(entry["time_ns"]), step_line(entry, labels)) for entry in lasting(steps)]
    faults = session.occurred()
    if len(lines) + len(faults) > LINES_MOST:  # of messages there are many, and each matters little
        faults = [fault for fault in faults if not fault["kind"].startswith("message_")]
    lines += [(fault["time_s"], fault_line(fault, names)) for fault in faults]
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
    left: dict[tuple[str, int, int], int] = {}
    for i, entry in enumerate(entries):
        left[instant_of(entry)] = i
    return [
        entry
        for i, entry in enumerate(entries)
        if left[instant_of(entry)] == i or entry["from"] in BACK or entry["to"] not in ("WAITING", "READY")
    ]


def instant_of(entry: dict[str, Any]) -> tuple[str, int, int]:
    """Of a task, what a node does with it at one time."""
    return entry["task"], entry["time_ns"], entry.get("node", 0)


def labels_of(entries: list[dict[str, Any]]) -> dict[str, str]:
    """A short name for each task: its function's, and the number of its first appearance."""
    labels: dict[str, str] = {}
    for entry in entries:
        labels.setdefault(entry["task"], f"{short_name(entry)} #{len(labels) + 1}")
    return labels


def short_name(entry: dict[str, Any]) -> str:
    """The last part of its function's name."""
    return entry["function"].rpartition(".")[2]


def step_line(entry: dict[str, Any], labels: dict[str, str]) -> str:
    """One step of a task, in words."""
    node = f" of node {entry['node']}" if "node" in entry else ""
    worker = f"worker {entry['worker']}{node}"
    step = STEPS.get(entry["to"], entry["to"]).format(worker=worker, attempt=entry["attempt"])
    if entry["to"] in ("WAITING", "READY") and entry["from"] in BACK:
        step = BACK[entry["from"]].format(attempt=max(entry["attempt"] - 1, 0))
    took = f" after {entry['duration_ns'] / 1e9:.6f} s" if entry["duration_ns"] else ""
    where = f", on node {entry['node']}" if node and entry["to"] not in NAMES_WORKER else ""
    if entry["from"] == "SPILLED" and entry["to"] == "FINISHED":
        return f"{labels[entry['task']]} has ended elsewhere, as node {entry['node']} hears"
    return f"{labels[entry['task']]} {step}{took}{where}"


def fault_line(fault: dict[str, Any], names: dict[str, str]) -> str:
    """One fault, in words. Args: names: of the tasks that are known."""
    whom = fault["whom"]
    if "object" in fault:
        whom = f"the result of {names.get(fault['object'][:32], 'a task')}, {whom}"
    number = "by command" if fault["number"] is None else fault["number"]
    return f"** {fault['kind']} {number}: {whom}"
