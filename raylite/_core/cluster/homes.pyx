"""Tasks that get another home: the one that they had has died, or what they made is lost.

The control store decides who that is; each change of home is an epoch of the task's, and what is said under an older
one does not count. A task runs once more only after the store has heard of the attempt: so nobody else can be at it,
and who comes later knows how many there were.
"""
from libc.stdint cimport uint32_t
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport ask_store
from raylite._core.cluster.exposure cimport expose_task
from raylite._core.cluster.guests cimport count_guest_holds, expel
from raylite._core.cluster.remote_actors cimport host_creation
from raylite._core.cluster.remote_objects cimport foreign_object, touch
from raylite._core.cluster.specs cimport add_task, all_arguments, retries_after, Submission, take_submission
from raylite._core.envelope cimport Blob, blob_data, blob_new
from raylite._core.ids cimport object_id
from raylite._core.message cimport Cursor, SUBMIT_ACTOR, SUBMIT_CALL, take
from raylite._core.node.execution cimport call_ends, resolve, run_again
from raylite._core.node.objects cimport object_here, OBJECT_PENDING, OBJECT_REMOTE, ObjectRow, objects_find, \
    REACH_COPY, REACH_EXPOSED, REACH_FOREIGN
from raylite._core.node.references cimport hold_arguments, retire_task
from raylite._core.node.state cimport set_state
from raylite._core.node.task_table cimport is_call, is_creation, TASK_FINISHED, TASK_SPILLED, TASK_WAITING, tasks_find
from raylite._core.store.message cimport AttemptHeader, DoneHeader, OP_ADOPT, OP_ATTEMPT, STORE_OK, STORE_UNKNOWN


cdef Blob* attempt_of(const TaskRow* row) noexcept nogil:
    cdef Blob* body = blob_new(sizeof(AttemptHeader))
    cdef AttemptHeader* head = <AttemptHeader*> blob_data(body)
    head.epoch = row.epoch
    head.attempt = row.attempt
    return body


# ---- at home ---------------------------------------------------------------------------------------------------

cdef void register_attempt(NodeState* n, TaskRow* row) noexcept nogil:
    """The task waits until the store knows that it is tried again."""
    n.last_wait += 1
    row.wait_number = n.last_wait
    row.n_unresolved = 0
    row.registering = True
    ask_store(n, OP_ATTEMPT, object_id(row.id, 0), attempt_of(row))


cdef void attempt_answered(NodeState* n, TaskId id, uint16_t status) noexcept nogil:
    """The attempt counts; or the task is over, or another node's by now."""
    cdef TaskRow* row = tasks_find(&n.tasks, id)
    if row == NULL or not row.registering:
        return
    row.registering = False
    if status == STORE_OK:
        resolve(n, row)
    elif status == STORE_UNKNOWN and row.home == 0:
        commit_anew(n, row)
    else:
        see_elsewhere(n, row)


cdef void commit_anew(NodeState* n, TaskRow* row) noexcept nogil:
    """The store has forgotten the task, as nobody held what it makes; since then somebody may."""
    row.committed = 0
    row.acknowledged = False
    row.epoch = 0
    expose_task(n, row.id)
    resolve(n, row)


cdef void new_epoch(NodeState* n, TaskId id, uint32_t epoch) noexcept nogil:
    """The store knew the task, from another run of its parent, and has given it to this node."""
    cdef TaskRow* row = tasks_find(&n.tasks, id)
    if row != NULL and row.home == 0 and epoch > row.epoch:
        row.epoch = epoch


cdef void see_elsewhere(NodeState* n, TaskRow* row) noexcept nogil:
    """Another home sees to the task, or it has ended: what it makes is asked for like anything from elsewhere."""
    cdef ObjectRow* result
    cdef int i
    if is_call(row):
        call_ends(n, row)
    set_state(n, row, TASK_FINISHED, 0)
    for i in range(1 if row.n_returns < 0 else row.n_returns):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result == NULL:
            continue
        if not object_here(result):
            result.reach |= REACH_EXPOSED | REACH_FOREIGN
        if not result.waiters.empty():
            n.wanted.push_back(result.id)
        n.unsettled.push_back(result.id)
    retire_task(n, row)


# ---- a new home ------------------------------------------------------------------------------------------------

cdef void expect_results(NodeState* n, const TaskRow* row) noexcept nogil:
    cdef ObjectRow* result
    cdef int i
    for i in range(1 if row.n_returns < 0 else row.n_returns):
        result = foreign_object(n, object_id(row.id, i))
        if result.state == OBJECT_REMOTE:
            result.state = OBJECT_PENDING     # those copies are gone


cdef void take_home(NodeState* n, TaskRow* row, uint32_t epoch) noexcept nogil:
    """The task is this node's from now on, and the store knows. What it takes is to be held here, if it was a guest."""
    cdef vector[ObjectId] arguments
    cdef size_t i
    if row.home and row.holds_arguments:
        count_guest_holds(n, row, -1)
        all_arguments(row, &arguments)
        for i in range(arguments.size()):
            touch(n, objects_find(&n.objects, arguments[i]))
    row.home = 0
    row.orphan = False
    row.epoch = epoch
    row.committed = row.committed if row.committed else 1
    row.acknowledged = True


cdef bint on_rerun(NodeState* n, TaskId id, const char* body, uint64_t size) noexcept nogil:
    """The store gives this node a task to be run again. False if it is malformed."""
    cdef Cursor c = Cursor(body, size, False)
    cdef const AttemptHeader* now = <const AttemptHeader*> take(&c, sizeof(AttemptHeader))
    cdef TaskRow* row = tasks_find(&n.tasks, id)
    cdef Submission s
    if now == NULL:
        return False
    if row != NULL:               # it is lineage here; or this node was at it all the while
        if row.home:
            row.retries_left = row.retries_at_home
        take_home(n, row, now.epoch)
        if row.state == TASK_FINISHED:
            if row.retries_left > 0:
                row.retries_left = max(row.retries_left - <int> (now.attempt - row.attempt), 0)
            run_again(n, row)
            row.attempt = now.attempt
        elif row.state == TASK_SPILLED and is_creation(row):
            row.runs_at = 0
            row.attempt = now.attempt
            set_state(n, row, TASK_WAITING, 0)
            resolve(n, row)
        elif row.attempt < now.attempt:       # at it all the while: this attempt is the one that counts
            ask_store(n, OP_ATTEMPT, object_id(id, 0), attempt_of(row))
        return True
    if not take_submission(n, &c, id, &s) or s.header.flags & SUBMIT_CALL:
        return False
    row = add_task(n, id, &s, 0, 0)
    if row == NULL:
        return False
    take_home(n, row, now.epoch)
    row.attempt = now.attempt
    row.retries_left = retries_after(s.header.max_retries, now.attempt)
    expect_results(n, row)
    hold_arguments(n, row)
    set_state(n, row, TASK_WAITING, 0)
    if s.header.flags & SUBMIT_ACTOR:
        host_creation(n, row, &s.actor)
    resolve(n, row)
    return True


cdef void adopt(NodeState* n, TaskRow* row) noexcept nogil:
    """The guest's home is dead: the store says whether anybody needs what it makes."""
    ask_store(n, OP_ADOPT, object_id(row.id, 0), attempt_of(row))


cdef void adoption_answered(NodeState* n, TaskId id, uint16_t status) noexcept nogil:
    cdef TaskRow* row = tasks_find(&n.tasks, id)
    if row == NULL or not row.home:
        return
    if status == STORE_OK:
        take_home(n, row, row.epoch)
    else:
        expel(n, row)


cdef void done_refused(NodeState* n, TaskId id, const char* values, uint64_t size) noexcept nogil:
    """The task has ended under another home: what was made here is nobody's."""
    cdef Cursor c = Cursor(values, size, False)
    cdef const DoneHeader* head = <const DoneHeader*> take(&c, sizeof(DoneHeader))
    cdef ObjectRow* result
    cdef uint32_t i
    for i in range(head.n_values):    # the node has written this itself
        result = objects_find(&n.objects, object_id(id, i))
        if result != NULL:
            result.reach &= ~REACH_COPY
            n.unsettled.push_back(result.id)


cdef void copies_refused(NodeState* n, TaskId id) noexcept nogil:
    """Likewise, if nobody else was to hear of its end."""
    cdef ObjectRow* result = objects_find(&n.objects, object_id(id, 0))
    cdef uint32_t i = 0
    while result != NULL:
        result.reach &= ~REACH_COPY
        n.unsettled.push_back(result.id)
        i += 1
        result = objects_find(&n.objects, object_id(id, i))
