"""System errors, which the core writes as a code and a text, as the exceptions that `get` raises."""

from __future__ import annotations

from raylite import exceptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WORKER_CRASHED, OBJECT_LOST, TASK_CANCELLED, STORE_FULL, SPAWN_FAILED = 1, 2, 3, 4, 5
UNGROUPED, UNSCHEDULABLE = 20, 21


def system_error(payload: bytes, task_id: str) -> exceptions.RayError:
    """The exception for an envelope of kind system error.

    Args: payload: 32-bit code and text; task_id: hexadecimal id of the task whose result it is.
    """
    code = int.from_bytes(payload[:4], "little")
    text = payload[4:].decode("utf-8", "replace")
    if code == WORKER_CRASHED:
        return worker_crashed(text)
    if code == TASK_CANCELLED:
        return exceptions.TaskCancelledError(task_id)
    if code == STORE_FULL:
        return exceptions.ObjectStoreFullError(text)
    if code == OBJECT_LOST:
        return exceptions.ObjectLostError(task_id, explanation=text)
    if code == UNGROUPED:
        return exceptions.TaskPlacementGroupRemoved()
    if code == UNSCHEDULABLE:
        return exceptions.TaskUnschedulableError(
            "The node specified via NodeAffinitySchedulingStrategy doesn't exist any more or is infeasible, and "
            f"soft=False was specified. name={text}"
        )
    return exceptions.RaySystemError(text)


def worker_crashed(text: str) -> exceptions.WorkerCrashedError:
    """Fields are separated by 0x1f: function, attempt, how it ended, the last of its standard error."""
    function_name, attempt, how, *stderr = text.split("\x1f")
    kind, _, number = how.rpartition(" ")
    known = {"signal": "signal", "exit code": "exit_code"}.get(kind)
    fields: dict[str, Any] = {known: int(number)} if known else {}
    lines = without_marks("\x1f".join(stderr))
    return exceptions.WorkerCrashedError(function_name=function_name, attempt=int(attempt), stderr=lines, **fields)


def without_marks(output: str) -> list[str]:
    """The lines of a worker's output, without its notes on who wrote them (runtime.output_marks)."""
    lines = []
    for line in output.removesuffix("\n").split("\n"):
        text, mark, _ = line.partition("\x1e")
        if text or not mark:
            lines.append(text)
    return lines
