"""Attempts after the first: at once, or after the delay that the task asks for.

A delay may grow by a random share (jitter), so that tasks which failed together do not come back together. That share
is derived from the task's id and the attempt, as ids are: whatever else happens, the same attempt waits as long. Who
was killed for want of memory waits at least a second, and longer each time: at once there would be no more of it.
"""
from cython.operator cimport dereference as deref
from libc.stdint cimport uint64_t
from libcpp.pair cimport pair
from raylite._core.cluster.homes cimport register_attempt
from raylite._core.ids cimport TaskId
from raylite._core.node.actor_calls cimport call_leaves, call_waits
from raylite._core.node.execution cimport resolve
from raylite._core.node.resources cimport UNIT
from raylite._core.node.state cimport set_state
from raylite._core.node.task_table cimport is_call, TASK_WAITING, tasks_find
from raylite._core.planted cimport planted, RETRY_FREE
from raylite._core.rng cimport Rng, rng_unit

cdef enum:
    SHORT_DELAY_NS = 1000000000   # after a kill for want of memory; doubled each time
    SHORT_DOUBLED_MOST = 5        # times
    NS_PER_MS = 1000000


cdef uint64_t delay_ns(const TaskRow* row) noexcept nogil:
    """How long this attempt is put off."""
    cdef Rng rng = Rng(row.id.lo ^ row.attempt)
    cdef double share = <double> row.retry_jitter / UNIT * rng_unit(&rng)
    return <uint64_t> (<double> row.retry_delay_ms * NS_PER_MS * (1 + share))


cdef void retry(NodeState* n, TaskRow* row) noexcept nogil:
    """The task runs once more; this uses up a retry."""
    begin_attempt(n, row)
    put_off(n, row, delay_ns(row))


cdef void retry_when_memory_allows(NodeState* n, TaskRow* row) noexcept nogil:
    """As retry(), of a task that was killed to free memory."""
    cdef uint64_t short_ns = (<uint64_t> SHORT_DELAY_NS) << row.n_short
    begin_attempt(n, row)
    if row.n_short < SHORT_DOUBLED_MOST:
        row.n_short += 1
    put_off(n, row, max(delay_ns(row), short_ns))


cdef void begin_attempt(NodeState* n, TaskRow* row) noexcept nogil:
    if is_call(row):
        call_leaves(n, row)
    row.read_request = 0
    row.runs_at = 0
    row.placed = False
    if row.retries_left > 0 and not planted(RETRY_FREE):
        row.retries_left -= 1
    row.attempt += 1
    row.worker = 0
    set_state(n, row, TASK_WAITING, 0)


cdef void put_off(NodeState* n, TaskRow* row, uint64_t wait_ns) noexcept nogil:
    if wait_ns == 0:
        try_again(n, row)
        return
    n.last_wait += 1
    row.wait_number = n.last_wait
    row.n_unresolved = 0
    row.retry_at_ns = n.now_ns + wait_ns
    n.delayed.insert(pair[uint64_t, TaskId](row.retry_at_ns, row.id))
    if is_call(row):              # those that the same caller made later wait for it
        call_waits(n, row)


cdef void try_again(NodeState* n, TaskRow* row) noexcept nogil:
    if (row.committed or row.home) and n.cluster.joined:
        register_attempt(n, row)
        if is_call(row):
            call_waits(n, row)
    else:
        resolve(n, row)


cdef void end_delays(NodeState* n) noexcept nogil:
    """The tasks whose time has come are tried again. Those that have ended meanwhile are on the list no more."""
    cdef pair[uint64_t, TaskId] first
    cdef TaskRow* row
    while not n.delayed.empty() and deref(n.delayed.begin()).first <= n.now_ns:
        first = deref(n.delayed.begin())
        n.delayed.erase(n.delayed.begin())
        row = tasks_find(&n.tasks, first.second)
        if row != NULL and row.retry_at_ns == first.first:
            row.retry_at_ns = 0
            try_again(n, row)
