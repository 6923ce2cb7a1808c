"""What a task or an actor failed of: Ray's name for it, and the text that `get` shows."""

from __future__ import annotations

from struct import Struct

from raylite import system_errors

RAISED = 19  # ERROR_RAISED of state.pxd
KIND_SYSTEM_ERROR = 2
ENVELOPE = Struct("<BBBBIIIQQ")
REFERENCE_BYTES = 24
SPAN = Struct("<QQ")

TYPES = {
    system_errors.WORKER_CRASHED: "WORKER_DIED",
    system_errors.OBJECT_LOST: "OBJECT_LOST",
    system_errors.TASK_CANCELLED: "TASK_CANCELLED",
    system_errors.STORE_FULL: "OUT_OF_MEMORY",
    system_errors.SPAWN_FAILED: "WORKER_DIED",
    system_errors.ACTOR_DIED: "ACTOR_DIED",
    system_errors.ACTOR_UNAVAILABLE: "ACTOR_UNAVAILABLE",
    system_errors.ACTOR_INIT: "ACTOR_DIED",
    RAISED: "TASK_EXECUTION_EXCEPTION",
    system_errors.UNGROUPED: "TASK_PLACEMENT_GROUP_REMOVED",
    system_errors.UNSCHEDULABLE: "TASK_UNSCHEDULABLE_ERROR",
    system_errors.ACTOR_UNGROUPED: "ACTOR_PLACEMENT_GROUP_REMOVED",
    system_errors.OUT_OF_MEMORY: "OUT_OF_MEMORY",
    system_errors.NOT_REMADE: "OBJECT_UNRECONSTRUCTABLE",
    system_errors.ACTOR_UNSCHEDULABLE: "ACTOR_UNSCHEDULABLE_ERROR",
}


def error_type(code: int, is_creation: bool = False) -> str | None:
    """Ray's name for an error code of the node; None for 0."""
    if is_creation and code == system_errors.ACTOR_INIT:
        return TYPES[RAISED]
    return TYPES.get(code, "LOCAL_RAYLET_DIED") if code else None


def error_message(envelope: bytes, task: str) -> str:
    """The text of an error value; empty for none. task: the id, in hexadecimal."""
    if not envelope:
        return ""
    _, kind, _, _, n_refs, n_actors, n_buffers, pickle_size, _ = ENVELOPE.unpack_from(envelope)
    spans = ENVELOPE.size + REFERENCE_BYTES * (n_refs + n_actors)
    start = spans + SPAN.size * n_buffers
    pickle = envelope[start : start + pickle_size]
    if kind == KIND_SYSTEM_ERROR:
        return str(system_errors.system_error(pickle, task))
    buffers = [SPAN.unpack_from(envelope, spans + SPAN.size * i) for i in range(n_buffers)]
    from pickle import loads

    try:
        return str(loads(pickle, buffers=[envelope[offset : offset + size] for offset, size in buffers]))
    except Exception as error:
        return f"its exception cannot be loaded in this process: {error!r}"
