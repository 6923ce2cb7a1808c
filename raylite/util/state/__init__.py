"""What a runtime has and had: tasks, actors, objects, processes, placement groups; and the lineage graph.

Ray's `ray.util.state`, with `task_graph` beside it. Everything goes through the client of the process that asks, so it
works in the driver, in tasks and in the simulator.
"""

from raylite.refused import StateApiClient, get_log, list_cluster_events, list_logs, list_runtime_envs
from raylite.util.state.api import (
    get_actor,
    get_job,
    get_node,
    get_objects,
    get_placement_group,
    get_task,
    get_worker,
    list_actors,
    list_jobs,
    list_nodes,
    list_objects,
    list_placement_groups,
    list_tasks,
    list_workers,
    summarize_actors,
    summarize_objects,
    summarize_tasks,
)
from raylite.util.state.graph import TaskGraph, task_graph

__all__ = [
    "StateApiClient",
    "TaskGraph",
    "get_actor",
    "get_job",
    "get_log",
    "get_node",
    "get_objects",
    "get_placement_group",
    "get_task",
    "get_worker",
    "list_actors",
    "list_cluster_events",
    "list_jobs",
    "list_logs",
    "list_nodes",
    "list_objects",
    "list_placement_groups",
    "list_runtime_envs",
    "list_tasks",
    "list_workers",
    "summarize_actors",
    "summarize_objects",
    "summarize_tasks",
    "task_graph",
]


def __getattr__(name: str) -> object:
    from raylite.absent import missing

    raise missing("raylite.util.state", name)
