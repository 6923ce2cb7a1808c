"""Who waits for what: what a program is told when nothing can happen any more."""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t
from libcpp.algorithm cimport sort
from libcpp.pair cimport pair
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport blob_data
from raylite._core.ids cimport FUNCTION_INDEX, object_bytes, ObjectId, task_bytes, TaskId
from raylite._core.message cimport EV_AWAIT_READ, EV_GET, EV_NEXT, EV_WAIT
from raylite._core.node.actor_table cimport ACTOR_ALIVE, ActorRow, actors_find
from raylite._core.node.node cimport Node
from raylite._core.node.objects cimport object_ready, objects_find
from raylite._core.node.resources cimport UNIT
from raylite._core.node.state cimport NodeState, Request
from raylite._core.node.task_table cimport is_call, LISTED_CALLER, TASK_FINISHED, TASK_PLACED, TASK_READY, \
    TASK_SPILLED, TASK_WAITING, TaskRow, tasks_find

cdef enum:
    LINES_MOST = 50
    OBJECTS_MOST = 5              # named in one line


def waits(Node node not None, driver=None, dict places=None):
    """A line for each task that has not ended, and for what the driver waits for.

    Args: driver: where its program waits for a lock; places: where tasks do, by task id.
    """
    cdef NodeState* n = node.state
    cdef vector[TaskId] ids
    cdef unordered_map[TaskId, TaskRow].iterator it = n.tasks.rows.begin()
    cdef size_t i
    places = places or {}
    lines = [f"the driver waits in {what}" for what in requests_of(node, n.driver, NULL) + ([driver] if driver else [])]
    while it != n.tasks.rows.end():
        if deref(it).second.state < TASK_FINISHED:
            ids.push_back(deref(it).first)
        preincrement(it)
    sort(ids.begin(), ids.end())
    for i in range(ids.size()):
        if len(lines) == LINES_MOST:
            lines.append(f"... and {ids.size() - i} more tasks")
            break
        lines.append(task_line(node, tasks_find(&n.tasks, ids[i]), places))
    return lines


cdef str task_line(Node node, TaskRow* row, dict places):
    cdef str name = task_name(node, row)
    if row.state == TASK_WAITING:
        return f"{name} waits for its arguments: {missing_arguments(node, row)}"
    if row.state == TASK_READY and is_call(row):
        return f"{name} waits for {what_call_waits_for(node, row)}"
    if row.state == TASK_READY:
        return f"{name} is ready, and {why_not_placed(node, row)}"
    if row.state == TASK_PLACED:
        return f"{name} is in the queue of worker {row.worker}"
    if row.state == TASK_SPILLED:
        return f"{name} was given to node {row.runs_at & 0xFFFFFF}" if row.runs_at else f"{name} has no node yet"
    waiting = requests_of(node, row.worker, &row.id)
    place = places.get(task_bytes(row.id))
    if place is not None:
        waiting.append(place)
    if waiting:
        return f"{name} waits, on worker {row.worker}, in {' and '.join(waiting)}"
    return f"{name} runs on worker {row.worker}"


cdef str what_call_waits_for(Node node, TaskRow* row):
    cdef ActorRow* actor = actors_find(&node.state.actors, row.actor)
    if row.listed == LISTED_CALLER:
        return "an earlier call by the same caller"
    return "its turn" if actor.state == ACTOR_ALIVE else "its actor, which is not there yet"


cdef str task_name(Node node, TaskRow* row):
    if row.name != NULL:
        name = blob_data(row.name)[:row.name.size].decode("utf-8", "replace")
    else:
        name = node.function_name(object_bytes(row.function))
    attempt = f", attempt {row.attempt}" if row.attempt else ""
    return f"{name} ({task_bytes(row.id)[:4].hex()}{attempt})"


cdef str object_name(Node node, ObjectId id):
    cdef TaskRow* creator = tasks_find(&node.state.tasks, id.task)
    if id.index == FUNCTION_INDEX:
        return f"the function {node.function_name(object_bytes(id))}"
    if creator == NULL:
        return f"object {object_bytes(id).hex()[:8]}.{id.index:x}"
    return f"the result of {task_name(node, creator)}" if id.index == 0 \
        else f"result {id.index} of {task_name(node, creator)}"


cdef str listed(list names):
    more = len(names) - OBJECTS_MOST
    return ", ".join(names[:OBJECTS_MOST]) + (f" and {more} more" if more > 0 else "")


cdef str missing_arguments(Node node, TaskRow* row):
    cdef size_t i
    cdef list names = []
    for i in range(row.refs.size() + 1):
        id = row.refs[i] if i < row.refs.size() else row.function
        found = objects_find(&node.state.objects, id)
        if found == NULL or not object_ready(found):
            names.append(object_name(node, id))
    return listed(names)


cdef str why_not_placed(Node node, TaskRow* row):
    cdef list lacking = []
    cdef NodeState* n = node.state
    for amount in n.scheduler.resources.shapes[row.shape].amounts:
        if amount.amount > n.scheduler.resources.available[amount.resource]:
            name = n.scheduler.resources.names[amount.resource].decode()
            lacking.append(f"{amount.amount / UNIT:g} {name}, of which "
                           f"{max(n.scheduler.resources.available[amount.resource], 0) / UNIT:g} of "
                           f"{n.scheduler.resources.total[amount.resource] / UNIT:g} are free")
    if lacking:
        return f"lacks {' and '.join(lacking)}"
    return f"no worker may be added: there are {n.scheduler.workers.size()} of {n.scheduler.worker_cap}"


cdef list requests_of(Node node, uint32_t client, const TaskId* task):
    """What a client (a task of it, if given) waits for."""
    cdef Request* r
    cdef dict found = {}
    cdef list names
    cdef size_t i
    for pair in node.state.requests:
        r = &node.state.requests[pair.first]
        if r.client != client or (task != NULL and (r.task.hi != task.hi or r.task.lo != task.lo)):
            continue
        names = []
        for i in range(r.ids.size()):
            row = objects_find(&node.state.objects, r.ids[i])
            if row == NULL or not object_ready(row):
                names.append(object_name(node, r.ids[i]))
        what = {EV_GET: "get", EV_WAIT: "wait", EV_NEXT: "the next item of a stream",
                EV_AWAIT_READ: "its reader's pace"}[r.kind]
        found[r.id] = f"{what} for {listed(names)}"
    return [text for _, text in sorted(found.items())]
