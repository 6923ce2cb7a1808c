"""Tasks that do not end by themselves: their worker died, gave them back, or somebody cancelled them.

A worker that dies gives its tasks back: those it had begun have used up an attempt, the others cost nothing. A
cancelled task that has not begun ends here and now; one that runs is interrupted, or its worker killed.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t, uint64_t
from libc.stdio cimport snprintf
from libcpp.deque cimport deque
from libcpp.pair cimport pair
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.specs cimport retries_in_all
from raylite._core.cluster.spill cimport cancel_spilled
from raylite._core.envelope cimport Blob, system_error
from raylite._core.ids cimport object_id, PUT_INDEX, same_task, TaskId
from raylite._core.message cimport CANCEL_FORCE, CANCEL_RECURSIVE, CMD_CANCEL, CMD_READY, DECLINED_NO_FUNCTION
from raylite._core.node.actor_calls cimport call_comes_back
from raylite._core.node.actor_table cimport ACTOR_DEAD, ActorRow, actors_find
from raylite._core.node.actors cimport actor_lost
from raylite._core.node.execution cimport fail_task, function_name, release_worker_slot, stop_running
from raylite._core.node.local_scheduler cimport n_shared, Queued, ready_push, ready_remove, Run, Worker, worker_find, \
    worker_remove, worker_run, worker_share
from raylite._core.node.objects cimport OBJECT_IN_ARENA, object_unpin, ObjectRow, objects_find
from raylite._core.node.references cimport retire_task
from raylite._core.node.retries cimport retry, retry_when_memory_allows
from raylite._core.node.state cimport call_back_queue, emit, ERROR_OUT_OF_MEMORY, ERROR_SPAWN_FAILED, \
    ERROR_TASK_CANCELLED, ERROR_WORKER_CRASHED, set_state, warn
from raylite._core.node.task_table cimport CANCEL_INTERRUPTS, CANCEL_KILLS, is_call, is_creation, REPLAY_LOGGED, \
    REPLAY_STATE, TASK_BLOCKED, TASK_CANCELLED, TASK_FAILED, TASK_FINISHED, TASK_PLACED, TASK_READY, TASK_RUNNING, \
    TASK_SPILLED, TaskRow, tasks_find

cdef enum:
    SPAWNS_MOST = 3               # workers in a row that never came, before their tasks fail


# ---- losing and giving back ------------------------------------------------------------------------------------

cdef void back_to_ready(NodeState* n, TaskRow* row) noexcept nogil:
    """The task was placed and has not begun: it queues again where it was, and views of its arguments end."""
    cdef ObjectRow* argument
    cdef size_t i
    for i in range(row.refs.size()):
        argument = objects_find(&n.objects, row.refs[i])
        if argument != NULL and argument.state == OBJECT_IN_ARENA:
            object_unpin(argument, row.worker, False)
            n.room.changed = True
    if row.cancelled:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
        return
    row.worker = 0
    set_state(n, row, TASK_READY, 0)
    ready_push(&n.scheduler, row, True)
    n.dispatch_wanted = True


cdef void task_lost(NodeState* n, TaskRow* row, uint32_t process, uint32_t code, const char* why,
                    uint64_t why_size) noexcept nogil:
    """A worker died while it ran this task. code: ERROR_WORKER_CRASHED or ERROR_OUT_OF_MEMORY."""
    if is_creation(row):
        actor_lost(n, actors_find(&n.actors, row.id), 0, why, why_size)
    elif row.cancelled:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
    elif row.retries_left and code == ERROR_OUT_OF_MEMORY:
        retry_when_memory_allows(n, row)
    elif row.retries_left:
        retry(n, row)
    else:
        fail_task(n, row, crash_error(n, row, process, code, why, why_size), TASK_FAILED)


cdef Blob* crash_error(NodeState* n, const TaskRow* row, uint32_t process, uint32_t code, const char* why,
                       uint64_t why_size) noexcept nogil:
    """Function, attempt, retries allowed, process and reason, with 0x1f between them."""
    cdef string text, name
    cdef char numbers[64]
    snprintf(numbers, 64, "\x1f%u\x1f%d\x1f%u\x1f", row.attempt, retries_in_all(row), process)
    text.assign(deref(function_name(n, row, &name)))
    text.append(<const char*> numbers)
    text.append(string(why, why_size))
    return system_error(code, text.data(), text.size())


cdef void on_worker_gone(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """request: how many queued messages it had begun. What it had not begun goes elsewhere, at no cost."""
    cdef Worker* w = worker_find(&n.scheduler, m.client)
    cdef vector[Run] running
    cdef deque[Queued] queue
    cdef TaskRow* row
    cdef ActorRow* actor = NULL
    cdef bint came                # or was ended by us before it could
    cdef string why = string(payload, m.size), short_of
    cdef uint32_t code = ERROR_WORKER_CRASHED, process
    cdef size_t i
    if w == NULL:
        return
    came = w.attached or w.stopping
    process = w.process
    short_of = w.short_of
    if not short_of.empty():      # nobody else killed it
        code = ERROR_OUT_OF_MEMORY
        why = short_of
    running = w.running
    queue = w.queue
    if w.settled:
        actor = actors_find(&n.actors, w.actor)
    worker_remove(&n.scheduler, w)
    for i in range(queue.size()):
        row = tasks_find(&n.tasks, queue[i].task)
        if row != NULL:
            back_to_ready(n, row)
    for i in range(running.size()):
        row = tasks_find(&n.tasks, running[i].task)
        if row == NULL:
            continue
        if is_creation(row) and creation_is_over(n, row):
            retire_task(n, row)
        elif running[i].position <= m.request:
            task_lost(n, row, process, code, why.data(), why.size())
        elif came or n.scheduler.n_failed_spawns < SPAWNS_MOST - 1:
            back_to_ready(n, row)
        else:
            fail_task(n, row, system_error(ERROR_SPAWN_FAILED, payload, m.size), TASK_FAILED)
    if actor != NULL and actor.worker == m.client:
        actor_lost(n, actor, m.request, why.data(), why.size())
    if not came:
        spawn_failed(n)
    n.dispatch_wanted = True


cdef bint creation_is_over(NodeState* n, TaskRow* row) noexcept nogil:
    """Whether the actor died while this task was still making it; the task then ends with its worker."""
    cdef ActorRow* actor = actors_find(&n.actors, row.id)
    if actor != NULL and actor.state != ACTOR_DEAD:
        return False
    set_state(n, row, TASK_CANCELLED, 0)
    return True


cdef void spawn_failed(NodeState* n) noexcept nogil:
    """A worker never came: those that did have to do, while there are any."""
    cdef string text = string(b"A worker process could not be started. The number of workers is limited to ")
    cdef char number[16]
    n.scheduler.n_failed_spawns += 1
    if n_shared(&n.scheduler) == 0 or n_shared(&n.scheduler) >= n.scheduler.worker_cap:
        return
    n.scheduler.worker_cap = <uint32_t> n_shared(&n.scheduler)
    snprintf(number, 16, "%u", n.scheduler.worker_cap)
    text.append(<const char*> number)
    text.append(b" from now on.")
    warn(n, &text)


cdef void on_recalled(NodeState* n, const Message* m) noexcept nogil:
    """The worker's queue was taken back, but for the messages up to position `request`, which it had begun."""
    cdef Worker* w = worker_find(&n.scheduler, m.client)
    cdef TaskRow* row
    cdef uint64_t work
    if w == NULL:
        return
    w.recalling = False
    while not w.queue.empty() and w.queue.back().position > m.request:
        row = tasks_find(&n.tasks, w.queue.back().task)
        work = w.queue.back().expected_ns
        w.backlog_ns -= work if work < w.backlog_ns else w.backlog_ns
        w.queue.pop_back()
        n.scheduler.n_queued -= 1
        if row != NULL:
            back_to_ready(n, row)


cdef void on_declined(NodeState* n, const Message* m) noexcept nogil:
    """The worker left this task (position `request`): it saw the recall just as it was about to begin it, or nobody
    waits any more for what it was to be run in place for, or the worker lacks its function."""
    cdef Run* run
    cdef Worker* w = worker_find(&n.scheduler, m.client)
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef uint64_t work
    cdef size_t i
    if w == NULL or row == NULL or row.worker != m.client or row.attempt != m.attempt:
        return
    if m.flags & DECLINED_NO_FUNCTION:
        w.functions.erase(row.function)
    run = worker_run(w, row.id)
    if run != NULL:
        if run.position != m.request or row.state != TASK_RUNNING:
            return
        worker_share(&n.scheduler, w)
        release_worker_slot(n, w, row)
        back_to_ready(n, row)
        return
    if is_call(row) and row.position == m.request:
        call_comes_back(n, actors_find(&n.actors, row.actor), row)
        return
    for i in range(w.queue.size()):
        if same_task(w.queue[i].task, row.id) and w.queue[i].position == m.request:
            work = w.queue[i].expected_ns
            w.backlog_ns -= work if work < w.backlog_ns else w.backlog_ns
            w.queue.erase(w.queue.begin() + i)
            n.scheduler.n_queued -= 1
            back_to_ready(n, row)
            return


# ---- cancelling ------------------------------------------------------------------------------------------------

cdef void cancel_task(NodeState* n, TaskRow* row, unsigned char how) noexcept nogil:
    """A task that has not begun ends here; a running one is interrupted, or its worker killed."""
    if how > row.cancelled:
        row.cancelled = how
    if is_call(row) and (row.state == TASK_RUNNING or row.state == TASK_PLACED):
        cancel_sent_call(n, row)
    elif row.state == TASK_RUNNING or row.state == TASK_BLOCKED:
        stop_running(n, row)
    elif row.state == TASK_PLACED:
        call_back_queue(n, worker_find(&n.scheduler, row.worker))
    elif row.state == TASK_SPILLED:
        cancel_spilled(n, row)
    else:
        if row.state == TASK_READY and not is_call(row):
            ready_remove(&n.scheduler, row)
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)


cdef void cancel_sent_call(NodeState* n, TaskRow* row) noexcept nogil:
    """The actor's worker is told. A call whose turn has not come ends here; one that runs ends there, if it can."""
    cdef Message* m = emit(n, CMD_CANCEL, row.worker, NULL)
    m.object = object_id(row.id, 0)
    m.attempt = row.attempt
    m.aux = row.position
    if row.state == TASK_PLACED:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)


cdef void add_descendants(NodeState* n, vector[TaskId]* ids) noexcept nogil:
    """The tasks that this one submitted, that those submitted, and so on, as far as they are known."""
    cdef ordered_set[pair[TaskId, TaskId]] children     # (parent, child), as the table has no order
    cdef ordered_set[pair[TaskId, TaskId]].iterator child
    cdef unordered_map[TaskId, TaskRow].iterator row = n.tasks.rows.begin()
    cdef TaskId parent
    cdef size_t i = 0
    while row != n.tasks.rows.end():
        children.insert(pair[TaskId, TaskId](deref(row).second.parent, deref(row).first))
        preincrement(row)
    while i < ids.size():
        parent = ids[0][i]
        i += 1
        child = children.lower_bound(pair[TaskId, TaskId](parent, TaskId(0, 0)))
        while child != children.end() and same_task(deref(child).first, parent):
            ids.push_back(deref(child).second)
            child = children.erase(child)     # each once, even if ids were forged into a circle


cdef void on_cancel(NodeState* n, const Message* m) noexcept nogil:
    cdef vector[TaskId] ids
    cdef TaskRow* row
    cdef size_t i
    row = tasks_find(&n.tasks, m.object.task)
    if m.request:                 # who asks for force hears whether that is possible
        emit(n, CMD_READY, m.client, NULL).request = m.request
        if row != NULL and is_call(row) and row.state < TASK_FINISHED:
            n.commands.back().message.aux = 1
            return
    if m.object.index & PUT_INDEX:
        return                    # a value that was put is nobody's result; its id has the task that put it
    ids.push_back(m.object.task)
    if m.flags & CANCEL_RECURSIVE:
        add_descendants(n, &ids)
    for i in range(ids.size()):
        row = tasks_find(&n.tasks, ids[i])
        if row != NULL and row.state < TASK_FINISHED and not is_creation(row) \
                and row.replay != REPLAY_STATE and row.replay != REPLAY_LOGGED:
            cancel_task(n, row, CANCEL_KILLS if m.flags & CANCEL_FORCE else CANCEL_INTERRUPTS)
