"""How many tasks, actors and objects there are of each kind, in the form of Ray's summaries.

Each takes its rows one by one, so that however many there are, only the counts are kept.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from raylite.util.state.common import ActorState, ObjectState, TaskState

BYTES_PER_MB = 1024**2
TOTALS = {
    "NORMAL_TASK": "total_tasks",
    "ACTOR_TASK": "total_actor_tasks",
    "ACTOR_CREATION_TASK": "total_actor_scheduled",
}


def count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


class TaskSummary:
    """By name."""

    def of(self, rows: Iterable[TaskState]) -> dict[str, Any]:
        groups: dict[str, dict[str, Any]] = {}
        totals = dict.fromkeys(TOTALS.values(), 0)
        for row in rows:
            group = groups.setdefault(row.name, {"func_or_class_name": row.name, "type": row.type, "state_counts": {}})
            count(group["state_counts"], row.state)
            count(totals, TOTALS[row.type])
        return {"cluster": {"summary": groups, **totals, "summary_by": "func_name"}}


class ActorSummary:
    """By class."""

    def of(self, rows: Iterable[ActorState]) -> dict[str, Any]:
        groups: dict[str, dict[str, Any]] = {}
        total = 0
        for row in rows:
            group = groups.setdefault(row.class_name, {"class_name": row.class_name, "state_counts": {}})
            count(group["state_counts"], row.state)
            total += 1
        return {"cluster": {"summary": groups, "total_actors": total, "summary_by": "class"}}


class ObjectSummary:
    """By call site, which is not recorded: all under "disabled", as Ray has them unless told to record it."""

    def of(self, rows: Iterable[ObjectState]) -> dict[str, Any]:
        groups: dict[str, dict[str, Any]] = {}
        processes: dict[str, set[int | None]] = {}
        for row in rows:
            group = groups.setdefault(row.call_site, self.empty())
            processes.setdefault(row.call_site, set()).add(row.pid)
            group["total_objects"] += 1
            group["total_size_mb"] += max(row.object_size, 0) / BYTES_PER_MB
            count(group["task_state_counts"], row.task_status)
            count(group["task_attempt_number_counts"], str(row.attempt_number))
            count(group["ref_type_counts"], row.reference_type)
        for site, group in groups.items():
            group["total_num_workers"] = len(processes[site])
        return {
            "cluster": {
                "summary": groups,
                "total_objects": sum(group["total_objects"] for group in groups.values()),
                "total_size_mb": sum(group["total_size_mb"] for group in groups.values()),
                "callsite_enabled": False,
                "summary_by": "callsite",
            }
        }

    def empty(self) -> dict[str, Any]:
        return {
            "total_objects": 0,
            "total_size_mb": 0.0,
            "total_num_workers": 0,
            "total_num_nodes": 1,
            "task_state_counts": {},
            "task_attempt_number_counts": {},
            "ref_type_counts": {},
        }
