"""The state of every task the node has accepted, and which changes of state there are.

    (new) -> WAITING -> READY -> PLACED -> RUNNING <-> BLOCKED
    WAITING or READY -> SPILLED -> WAITING    given to another node, and back; a call of an actor that moved: READY
    WAITING -> FINISHED   another home has seen to it
                                    |         |           |
              READY <---------------+---------+-----------+   taken back
            WAITING <---------------+---------+-----------+   retried
      any of them -> FINISHED | FAILED | CANCELLED
      READY -> WAITING      an argument's bytes were lost
      FINISHED -> WAITING   lineage: its result is needed again
      FINISHED or FAILED -> WAITING     a call of an actor that replays: what it did to the actor is needed again
      READY -> FINISHED     and then it is not, as the actor ends

A call of an actor's method that is sent is PLACED until its turn comes; with several at once, it may well run then.

A row is found by its id, so that a repeated submission is the same task. It leaves with its task, unless a result of
it lies in the arena: then it stays as lineage.
"""
from cython.operator cimport dereference as deref
from raylite._core.envelope cimport blob_drop

cdef uint32_t allowed[TASK_N_STATES]
allowed[<int> TASK_NONE] = 1 << TASK_WAITING
allowed[<int> TASK_WAITING] = (1 << TASK_READY) | (1 << TASK_FAILED) | (1 << TASK_CANCELLED) \
    | (1 << TASK_SPILLED) | (1 << TASK_FINISHED)
allowed[<int> TASK_READY] = (1 << TASK_PLACED) | (1 << TASK_RUNNING) | (1 << TASK_CANCELLED) | (1 << TASK_WAITING) \
    | (1 << TASK_FAILED) | (1 << TASK_SPILLED) | (1 << TASK_FINISHED)
allowed[<int> TASK_PLACED] = (1 << TASK_RUNNING) | (1 << TASK_READY) | (1 << TASK_CANCELLED) | (1 << TASK_FAILED) \
    | (1 << TASK_FINISHED) | (1 << TASK_WAITING)
allowed[<int> TASK_RUNNING] = (1 << TASK_BLOCKED) | (1 << TASK_FINISHED) | (1 << TASK_FAILED) | (1 << TASK_CANCELLED) \
    | (1 << TASK_READY) | (1 << TASK_WAITING)
allowed[<int> TASK_BLOCKED] = (1 << TASK_RUNNING) | (1 << TASK_FINISHED) | (1 << TASK_FAILED) | (1 << TASK_CANCELLED) \
    | (1 << TASK_READY) | (1 << TASK_WAITING)
allowed[<int> TASK_SPILLED] = (1 << TASK_WAITING) | (1 << TASK_READY) | (1 << TASK_FINISHED) | (1 << TASK_FAILED) \
    | (1 << TASK_CANCELLED)
allowed[<int> TASK_FINISHED] = 1 << TASK_WAITING
allowed[<int> TASK_FAILED] = 1 << TASK_WAITING
allowed[<int> TASK_CANCELLED] = 0


cdef bint transition_allowed(uint8_t old, uint8_t new) noexcept nogil:
    return old < TASK_N_STATES and new < TASK_N_STATES and (allowed[old] >> new) & 1


cdef TaskRow* tasks_find(TaskTable* t, TaskId id) noexcept nogil:
    cdef unordered_map[TaskId, TaskRow].iterator it = t.rows.find(id)
    if it == t.rows.end():
        return NULL
    return &deref(it).second


cdef TaskRow* tasks_add(TaskTable* t, TaskId id) noexcept nogil:
    cdef TaskRow* row = &t.rows[id]
    row.id = id
    return row


cdef void tasks_erase(TaskTable* t, TaskRow* row) noexcept nogil:
    blob_drop(row.arguments)
    blob_drop(row.name)
    blob_drop(row.error)
    t.rows.erase(row.id)


def state_names():
    """The names of the task states, by number."""
    return ("NONE", "WAITING", "READY", "PLACED", "RUNNING", "BLOCKED", "SPILLED", "FINISHED", "FAILED", "CANCELLED")


def transitions():
    """Every allowed change of state, as (old, new) numbers."""
    return [(a, b) for a in range(TASK_N_STATES) for b in range(TASK_N_STATES) if transition_allowed(a, b)]
