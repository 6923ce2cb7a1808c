"""Saying something once: `if log_once("slow disk"): logger.warning(...)`; and where all processes are in their code.

What has been said is kept for this process.
"""

from __future__ import annotations

from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PERIOD_S = 60.0

_said: set[str] = set()
_last_said_s = 0.0
_is_disabled = False
_is_periodic = False


def log_once(key: str) -> bool:
    """Whether this is the first call with this key in this process: whether to say it now.

    Args: key: a string of the caller's choice.
    """
    global _last_said_s
    if _is_disabled:
        return False
    now_s = monotonic()
    if key not in _said:
        _said.add(key)
        _last_said_s = now_s
        return True
    if _is_periodic and now_s - _last_said_s > PERIOD_S:
        _said.clear()
        _last_said_s = now_s
    return False


def enable_periodic_logging() -> None:
    """Have log_once forget all keys of this process once nothing has been said for a minute."""
    global _is_periodic
    _is_periodic = True


def disable_log_once_globally() -> None:
    """Have log_once return False from now on, in this process."""
    global _is_disabled
    _is_disabled = True


class ProcessStacks:
    """Where a process is. Attributes: pid; type: "DRIVER" or "WORKER"; task: what it runs, "" if nothing; threads: for
    each thread a list of lines, the innermost call last, the main thread's first; None if it does not answer."""

    def __init__(self, pid: int, type: str, task: str, threads: list[list[str]] | None) -> None:
        self.pid, self.type, self.task, self.threads = pid, type, task, threads

    def __repr__(self) -> str:
        lines = [f"{self.type.lower()} {self.pid}{f': {self.task}' if self.task else ''}"]
        if self.threads is None:
            lines.append("  does not say where it is")
        for number, thread in enumerate(self.threads or ()):
            lines += [f"  thread {number + 1}"] if len(self.threads or ()) > 1 else []
            lines += [f"    {line}" for line in thread] or ["    in no Python code"]
        return "\n".join(lines)


def stacks() -> list[ProcessStacks]:
    """The current Python stacks of the driver and all workers, this process's own excepted if it only looks on.

    Also of a process that is stuck in C or waits for the GIL. Raises RaySystemError without a runtime.
    """
    from os import getpid

    from raylite.api import connected_client
    from raylite.runtime.stacks import answer_file, stacks_of
    from raylite.util.state.reports import Question

    question = Question(connected_client(), 30.0)
    running: dict[int, Any] = {task.worker: task for task in question.tasks(states=1 << 4 | 1 << 5)}
    found = []
    for client in sorted(question.clients(), key=lambda client: client.id):
        if client.is_past or not client.process or (client.process == getpid() and answer_file(getpid()) is None):
            continue
        task = running.get(client.id)
        threads = stacks_of(client.process)
        found.append(
            ProcessStacks(
                client.process,
                "DRIVER" if client.is_driver else "WORKER",
                (task.name or task.function) if task is not None else "",
                None if threads is None else [thread.lines() for thread in threads],
            )
        )
    return found
