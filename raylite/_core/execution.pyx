"""The life of a task on its node: accepted, arguments resolved, placed, run, its results stored, retried when lost.

The path follows the Ray paper (4.2.2, figure 7): a submission makes the task's row and its results' rows; when the
last argument is there the task is ready; dispatch() gives ready tasks to workers as far as resources allow; a finished
task's values make others ready. A worker that dies gives its tasks back: those it had begun have used up an attempt.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport int32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.unordered_set cimport unordered_set
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob, KIND_FUNCTION, KIND_SYSTEM_ERROR, KIND_USER_ERROR, align8, blob_copy, \
    blob_data, blob_drop, blob_keep, blob_new, envelope_valid, system_error
from raylite._core.ids cimport ObjectId, TaskId, object_id, same_task
from raylite._core.local_scheduler cimport Place, PLACE_IDLE, PLACE_NONE, PLACE_NO_PROCESS, PLACE_QUEUE, PLACE_SPAWN, \
    Queued, Run, Worker, find_place, idle_remove, ready_push, ready_remove, worker_add, worker_begin, worker_end, \
    worker_find, worker_run
from raylite._core.message cimport CANCEL_FORCE, CANCEL_RECURSIVE, CMD_INTERRUPT, CMD_READY, CMD_RUN, CMD_SPAWN, CMD_STOP, Cursor, \
    EV_GET, FINISHED_CANCELLED, FINISHED_RETRYABLE, FINISHED_USER_ERROR, FinishedHeader, RUN_ARGS_OBJECT, \
    RUN_HAS_FUNCTION, RUN_IN_PLACE, RUN_RETRY_EXCEPTIONS, RunHeader, STOP_KILL, STREAMING, SUBMIT_ARGS_OBJECT, SUBMIT_CONFIRM, \
    SUBMIT_RETRY_EXCEPTIONS, SubmitHeader, ValueRecord, take, take_padded, take_value
from raylite._core.objects cimport OBJECT_INLINE, OBJECT_IN_ARENA, OBJECT_PENDING, OBJECT_RELEASED, ObjectRow, Waiter, \
    object_hold, object_in_scope, object_pin, object_ready, object_unpin, objects_add, objects_find
from raylite._core.references cimport hold_arguments, keep_as_lineage, lineage_to_arguments, refuse_value, \
    require_object, retire_task, store_blob, store_value
from raylite._core.requests cimport request_arrived
from raylite._core.resources cimport resources_acquire, resources_fit, resources_intern, resources_lacking
from raylite._core.state cimport ERROR_SPAWN_FAILED, ERROR_TASK_CANCELLED, ERROR_WORKER_CRASHED, Request, \
    call_back_queue, emit, request_key, set_state, warn
from raylite._core.task_table cimport CANCEL_INTERRUPTS, CANCEL_KILLS, CANCEL_NOT, TASK_BLOCKED, TASK_CANCELLED, TASK_FAILED, TASK_FINISHED, TASK_PLACED, \
    TASK_READY, TASK_RUNNING, TASK_WAITING, tasks_add, tasks_find


cdef enum:
    RETURNS_MOST = 1 << 20        # of one task
    SPAWNS_MOST = 3               # workers in a row that never came, before their tasks fail


# ---- accepting -------------------------------------------------------------------------------------------------

cdef uint32_t n_result_rows(const TaskRow* row) noexcept nogil:
    """How many result rows a task has from the start; a stream has one, which stands for its end."""
    return 1 if row.n_returns == STREAMING else <uint32_t> row.n_returns


cdef bint results_exist(NodeState* n, TaskId task, uint32_t count) noexcept nogil:
    cdef uint32_t i
    cdef ObjectRow* row
    for i in range(count):
        row = objects_find(&n.objects, object_id(task, i))
        if row == NULL or not object_ready(row):
            return False
    return count > 0


cdef void hold_results(NodeState* n, TaskId task, uint32_t count, uint32_t client) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        object_hold(objects_add(&n.objects, object_id(task, i)), client)


cdef void confirm(NodeState* n, const Message* m, uint64_t taken) noexcept nogil:
    cdef Message* answer
    if m.flags & SUBMIT_CONFIRM:
        answer = emit(n, CMD_READY, m.client, NULL)
        answer.request = m.request
        answer.aux = taken


cdef bint accept_again(NodeState* n, const Message* m, const SubmitHeader* h) noexcept nogil:
    """Whether this submission repeats a task that is known, or done: then it is that task (rule 3)."""
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef uint32_t count
    if row == NULL:
        if h.n_returns == STREAMING or not results_exist(n, m.object.task, <uint32_t> h.n_returns):
            return False
        count = <uint32_t> h.n_returns
    elif row.digest != h.digest:
        confirm(n, m, 1)
        return True
    else:
        count = n_result_rows(row)
    hold_results(n, m.object.task, count, m.client)
    if row != NULL and row.state == TASK_FINISHED and not results_exist(n, m.object.task, count):
        run_again(n, row)
    confirm(n, m, 0)
    return True


cdef bint may_be_function(NodeState* n, ObjectId id) noexcept nogil:
    """Whether the id is a function's, or of nothing known: then the task will fail saying so."""
    cdef ObjectRow* row = objects_find(&n.objects, id)
    return row == NULL or (row.state == OBJECT_INLINE and (row.kind == KIND_FUNCTION or row.kind == KIND_SYSTEM_ERROR))


cdef bint on_submit(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """Accept a task. False if the message is malformed."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const SubmitHeader* h = <const SubmitHeader*> take(&c, sizeof(SubmitHeader))
    cdef const ObjectId* refs
    cdef const char* demand
    cdef const char* name
    cdef const char* args
    cdef TaskRow* row
    cdef int shape
    if h == NULL or h.n_returns < STREAMING or h.n_returns > RETURNS_MOST or h.max_retries < -1 \
            or not may_be_function(n, h.function):
        return False
    refs = <const ObjectId*> take(&c, <uint64_t> h.n_refs * sizeof(ObjectId))
    demand = take_padded(&c, h.demand_size)
    name = take_padded(&c, h.name_size)
    args = take_padded(&c, h.args_size)
    if c.failed or (h.args_size and not envelope_valid(args, h.args_size)) \
            or (h.flags & SUBMIT_ARGS_OBJECT and h.n_refs == 0):
        return False
    if accept_again(n, m, h):
        return True
    shape = resources_intern(&n.scheduler.resources, demand, h.demand_size)
    if shape < 0:
        return False
    row = tasks_add(&n.tasks, m.object.task)
    row.parent = h.parent
    row.function = h.function
    row.digest = h.digest
    row.submit_ns = n.now_ns
    row.client = m.client
    row.job = m.job
    row.shape = <uint32_t> shape
    row.n_returns = h.n_returns
    row.retries_left = h.max_retries
    row.flags = <unsigned char> h.flags
    row.refs.assign(refs, refs + h.n_refs)
    row.name = blob_copy(name, h.name_size) if h.name_size else NULL
    row.arguments = blob_copy(args, h.args_size) if h.args_size else NULL
    hold_results(n, row.id, n_result_rows(row), m.client)
    hold_arguments(n, row)
    confirm(n, m, 0)
    set_state(n, row, TASK_WAITING, 0)
    warn_if_infeasible(n, row)
    resolve(n, row)
    return True


cdef const string* function_name(NodeState* n, const TaskRow* row, string* out) noexcept nogil:
    cdef Blob* name = row.name
    if name == NULL:
        it = n.functions.find(row.function)
        if it != n.functions.end():
            name = deref(it).second.name
    if name == NULL:
        out.assign(b"task")
    else:
        out.assign(blob_data(name), name.size)
    return out


cdef void append_amount(string* text, long long amount) noexcept nogil:
    cdef char buffer[32]
    if amount % 10000 == 0:
        snprintf(buffer, 32, "%lld", amount // 10000)
    else:
        snprintf(buffer, 32, "%.15g", <double> amount / 10000.0)
    text.append(<const char*> buffer)


cdef void warn_if_infeasible(NodeState* n, const TaskRow* row) noexcept nogil:
    """Say once for each shape that this node can never run it: which resource, how much, and what there is."""
    cdef int lacking = resources_lacking(&n.scheduler.resources, row.shape)
    cdef string text, name
    cdef size_t i
    if lacking < 0:
        return
    while n.scheduler.warned.size() <= row.shape:
        n.scheduler.warned.push_back(False)
    if n.scheduler.warned[row.shape]:
        return
    n.scheduler.warned[row.shape] = True
    shape = &n.scheduler.resources.shapes[row.shape]
    text.assign(b"No node can run ")
    text.append(deref(function_name(n, row, &name)))
    text.append(b": it asks for ")
    for i in range(shape.amounts.size()):
        if shape.amounts[i].resource == <uint32_t> lacking:
            append_amount(&text, shape.amounts[i].amount)
    text.append(b" ")
    text.append(n.scheduler.resources.names[lacking])
    text.append(b", and there is ")
    append_amount(&text, n.scheduler.resources.total[lacking])
    text.append(b". The task waits until the cluster has enough. There is:")
    for i in range(n.scheduler.resources.names.size()):
        if n.scheduler.resources.total[i]:
            text.append(b" ")
            text.append(n.scheduler.resources.names[i])
            text.append(b" ")
            append_amount(&text, n.scheduler.resources.total[i])
            text.append(b";")
    text.resize(text.size() - 1)
    warn(n, &text)


# ---- arguments -------------------------------------------------------------------------------------------------

cdef void resolve(NodeState* n, TaskRow* row) noexcept nogil:
    """Wait for the arguments that are not there; with all there the task is ready, or fails as they did."""
    cdef ObjectRow* argument
    cdef Waiter waiter
    cdef size_t i
    memset(&waiter, 0, sizeof(Waiter))
    waiter.task = row.id
    row.n_unresolved = 0
    for i in range(row.refs.size() + 1):      # the function is the last
        argument = objects_find(&n.objects, row.refs[i] if i < row.refs.size() else row.function)
        if not object_ready(argument):
            if argument.state == OBJECT_RELEASED:
                n.wanted.push_back(argument.id)
            row.n_unresolved += 1
            argument.waiters.push_back(waiter)
        elif is_error(argument):
            row.n_unresolved = 0
            drop_argument_waiters(n, row, i)
            fail_task(n, row, blob_keep(argument.blob), TASK_FAILED)
            return
    if row.n_unresolved == 0:
        set_state(n, row, TASK_READY, 0)
        ready_push(&n.scheduler, row, row.ready_sequence != 0)
        n.dispatch_wanted = True


cdef void drop_argument_waiters(NodeState* n, TaskRow* row, size_t count) noexcept nogil:
    """The task waits for none of its first `count` arguments any more."""
    cdef ObjectRow* argument
    cdef size_t i, j, kept
    for i in range(count):
        argument = objects_find(&n.objects, row.refs[i])
        if argument == NULL:
            continue
        kept = 0
        for j in range(argument.waiters.size()):
            if argument.waiters[j].client == 0 and same_task(argument.waiters[j].task, row.id):
                continue
            argument.waiters[kept] = argument.waiters[j]
            kept += 1
        argument.waiters.resize(kept)


cdef void argument_arrived(NodeState* n, TaskId task, ObjectRow* argument) noexcept nogil:
    cdef TaskRow* row = tasks_find(&n.tasks, task)
    if row == NULL or row.state != TASK_WAITING or row.n_unresolved == 0:
        return
    if is_error(argument):
        row.n_unresolved = 0
        drop_argument_waiters(n, row, row.refs.size())
        fail_task(n, row, blob_keep(argument.blob), TASK_FAILED)
        return
    row.n_unresolved -= 1
    if row.n_unresolved == 0:
        set_state(n, row, TASK_READY, 0)
        ready_push(&n.scheduler, row, False)
        n.dispatch_wanted = True


cdef inline bint is_error(const ObjectRow* row) noexcept nogil:
    return row.kind == KIND_USER_ERROR or row.kind == KIND_SYSTEM_ERROR


cdef bint arguments_usable(NodeState* n, const TaskRow* row) noexcept nogil:
    cdef const ObjectRow* argument
    cdef size_t i
    for i in range(row.refs.size()):
        argument = objects_find(&n.objects, row.refs[i])
        if not object_ready(argument) or is_error(argument):
            return False
    return True


cdef void announce_arrivals(NodeState* n) noexcept nogil:
    """Tell whoever waits for an object that it is there, and see whether anybody still cares.

    A loop and no recursion: a task that fails makes others fail, in chains of any length.
    """
    cdef vector[Waiter] waiters
    cdef ObjectRow* row
    cdef size_t i = 0, j
    while i < n.arrived.size():   # it grows: a failed task's results arrive in turn
        row = objects_find(&n.objects, n.arrived[i])
        i += 1
        if row == NULL or not object_ready(row):
            continue
        waiters.clear()
        waiters.swap(row.waiters)
        for j in range(waiters.size()):
            if waiters[j].client:
                request_arrived(n, &waiters[j], row)
            else:
                argument_arrived(n, waiters[j].task, row)
        n.unsettled.push_back(row.id)
    n.arrived.clear()


# ---- ending ----------------------------------------------------------------------------------------------------

cdef void end_task(NodeState* n, TaskRow* row, unsigned char state, uint64_t duration_ns) noexcept nogil:
    """The task is over: its row stays as lineage if results of it could be lost, else it goes."""
    cdef uint32_t i, n_kept = 0
    cdef ObjectRow* result
    set_state(n, row, state, duration_ns)
    for i in range(n_result_rows(row)):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result == NULL:
            continue
        n.unsettled.push_back(result.id)
        if row.n_returns == STREAMING:
            result.n_items = row.n_yielded
        n_kept += result.state == OBJECT_IN_ARENA or result.state == OBJECT_RELEASED
    if n_kept and state == TASK_FINISHED:
        keep_as_lineage(n, row, n_kept)
    else:
        retire_task(n, row)


cdef void fail_task(NodeState* n, TaskRow* row, Blob* error, unsigned char state) noexcept nogil:
    """Every result that is not there becomes this error (whose hold passes to here). `row` is gone afterwards."""
    cdef TaskId task = row.id
    cdef uint32_t i, count = n_result_rows(row)
    cdef ObjectRow* result
    end_task(n, row, state, 0)
    for i in range(count):
        result = objects_find(&n.objects, object_id(task, i))
        if result != NULL and result.state == OBJECT_PENDING:
            store_blob(n, result, blob_keep(error))
    blob_drop(error)


cdef void run_again(NodeState* n, TaskRow* row) noexcept nogil:
    """A task that had finished runs again: some result of it is needed and gone. Results that live stay (DESIGN 4.4)."""
    cdef uint32_t i
    cdef ObjectRow* result
    lineage_to_arguments(n, row)
    row.attempt += 1
    row.n_kept = 0
    row.worker = 0
    row.cancelled = CANCEL_NOT
    for i in range(n_result_rows(row)):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result == NULL:
            result = objects_add(&n.objects, object_id(row.id, i))
        if not object_ready(result):
            result.state = OBJECT_PENDING
    set_state(n, row, TASK_WAITING, 0)
    resolve(n, row)


cdef void release_worker_slot(NodeState* n, Worker* w, TaskRow* row) noexcept nogil:
    """The task is off the worker's stack; the next one in the worker's queue is now what it runs."""
    cdef Queued item
    cdef TaskRow* task
    cdef vector[uint32_t] no_gpus
    worker_end(&n.scheduler, w, row.id)
    w.progress_ns = n.now_ns
    n.dispatch_wanted = True
    if not w.running.empty():
        return
    if w.queue.empty():
        w.backlog_ns = 0
        if not w.stopping:
            n.scheduler.idle.push_back(w.client)
        return
    item = w.queue.front()
    w.queue.pop_front()
    n.scheduler.n_queued -= 1
    w.backlog_ns -= item.expected_ns if item.expected_ns < w.backlog_ns else w.backlog_ns
    task = tasks_find(&n.tasks, item.task)
    resources_acquire(&n.scheduler.resources, task.shape, &no_gpus)
    worker_begin(&n.scheduler, w, task, item.position, item.expected_ns, &no_gpus)
    set_state(n, task, TASK_RUNNING, 0)
    if task.cancelled:            # while it was queued; the worker began it before it could be taken back
        stop_running(n, task)


cdef void learn_duration(NodeState* n, const TaskRow* row, uint64_t duration_ns) noexcept nogil:
    """Exponential mean of a function's run time (Ray paper 4.2.2), quick to believe that it became long."""
    it = n.functions.find(row.function)
    if it == n.functions.end():
        return
    mean = &deref(it).second.mean_ns
    if mean[0] == 0 or duration_ns > 4 * mean[0]:
        mean[0] = <double> duration_ns + 1    # 0 is for not known
    else:
        mean[0] += 0.2 * (<double> duration_ns - mean[0])


cdef bint runs_here(const TaskRow* row, const Message* m) noexcept nogil:
    """Whether what the client says of this task is about the attempt that counts."""
    return (row != NULL and row.worker == m.client and row.attempt == m.attempt
            and (row.state == TASK_RUNNING or row.state == TASK_BLOCKED))


cdef bint values_valid(Cursor c, uint32_t n_values) noexcept nogil:
    """Whether so many values follow."""
    cdef const char* body = NULL
    cdef uint32_t i
    for i in range(n_values):
        if take_value(&c, &body) == NULL:
            return False
    return True


cdef bint answers_all(const TaskRow* row, const Message* m, const FinishedHeader* h) noexcept nogil:
    """Whether each return has its value. A cancelled task may leave them to the node."""
    return h.n_values == n_result_rows(row) or (h.n_values == 0 and m.flags & FINISHED_CANCELLED)


cdef bint on_finished(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A worker ended a task. A message about an attempt that does not count only frees what it brought."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const FinishedHeader* h = <const FinishedHeader*> take(&c, sizeof(FinishedHeader))
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef Worker* w = worker_find(&n.scheduler, m.client)
    cdef const ValueRecord* value
    cdef const char* body = NULL
    cdef ObjectRow* result
    cdef bint counts = runs_here(row, m), again
    cdef uint32_t i
    cdef uint64_t duration_ns
    if h == NULL or not values_valid(c, h.n_values) or (counts and not answers_all(row, m, h)):
        return False
    again = counts and not row.cancelled and m.flags & FINISHED_USER_ERROR and m.flags & FINISHED_RETRYABLE \
        and row.retries_left != 0
    for i in range(h.n_values):
        value = take_value(&c, &body)
        result = objects_find(&n.objects, object_id(m.object.task, i)) if counts and not again else NULL
        if result == NULL or result.state != OBJECT_PENDING:
            refuse_value(n, m.client, value)
        else:
            store_value(n, m.client, result, value, body)
    if not counts:
        return True
    duration_ns = h.end_ns - h.start_ns if h.end_ns > h.start_ns else 0
    if w != NULL:
        learn_duration(n, row, duration_ns)
        release_worker_slot(n, w, row)
    if again:
        retry(n, row)
        return True
    if m.flags & FINISHED_CANCELLED:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
    else:
        end_task(n, row, TASK_FAILED if m.flags & FINISHED_USER_ERROR else TASK_FINISHED, duration_ns)
    return True


cdef bint on_yielded(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A generator made an item. It belongs to the stream until the reader takes it."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const char* body = NULL
    cdef const ValueRecord* value = take_value(&c, &body)
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef ObjectRow* stream = objects_find(&n.objects, object_id(m.object.task, 0))
    cdef ObjectRow* item
    if value == NULL or m.object.index == 0:
        return False
    if not runs_here(row, m) or row.n_returns != STREAMING:
        refuse_value(n, m.client, value)
        return True
    if m.object.index > row.n_yielded:
        row.n_yielded = m.object.index
    if stream == NULL or not object_in_scope(stream) or m.object.index <= row.n_consumed:
        refuse_value(n, m.client, value)
        return True
    item = objects_add(&n.objects, m.object)
    if object_ready(item):
        refuse_value(n, m.client, value)
        return True
    store_value(n, m.client, item, value, body)
    item.n_container_holds += 1
    item.place = <uint32_t> stream.contained.size()
    stream.contained.push_back(item.id)
    return True


# ---- losing and giving back ------------------------------------------------------------------------------------

cdef void back_to_ready(NodeState* n, TaskRow* row) noexcept nogil:
    """The task was placed and has not begun: it queues again where it was, and views of its arguments end."""
    cdef ObjectRow* argument
    cdef size_t i
    for i in range(row.refs.size()):
        argument = objects_find(&n.objects, row.refs[i])
        if argument != NULL and argument.state == OBJECT_IN_ARENA:
            object_unpin(argument, row.worker, False)
    if row.cancelled:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
        return
    row.worker = 0
    set_state(n, row, TASK_READY, 0)
    ready_push(&n.scheduler, row, True)
    n.dispatch_wanted = True


cdef void retry(NodeState* n, TaskRow* row) noexcept nogil:
    """The task runs once more; this uses up a retry."""
    if row.retries_left > 0:
        row.retries_left -= 1
    row.attempt += 1
    row.worker = 0
    set_state(n, row, TASK_WAITING, 0)
    resolve(n, row)


cdef void task_lost(NodeState* n, TaskRow* row, const char* why, uint64_t why_size) noexcept nogil:
    """A worker died while it ran this task."""
    cdef string text, name
    cdef char attempt[16]
    if row.cancelled:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
    elif row.retries_left:
        retry(n, row)
    else:
        snprintf(attempt, 16, "%u", row.attempt)
        text.assign(deref(function_name(n, row, &name)))
        text.append(b"\x1f")
        text.append(<const char*> attempt)
        text.append(b"\x1f")
        text.append(string(why, why_size))
        fail_task(n, row, system_error(ERROR_WORKER_CRASHED, text.data(), text.size()), TASK_FAILED)


cdef void on_worker_gone(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """request: how many queued messages it had begun. What it had not begun goes elsewhere, at no cost."""
    cdef Worker* w = worker_find(&n.scheduler, m.client)
    cdef vector[Run] running
    cdef deque[Queued] queue
    cdef TaskRow* row
    cdef bint came
    cdef size_t i
    if w == NULL:
        return
    came = w.attached
    running = w.running
    queue = w.queue
    for i in range(running.size()):
        worker_end(&n.scheduler, w, running[i].task)
    n.scheduler.n_queued -= <uint32_t> queue.size()
    idle_remove(&n.scheduler, m.client)
    n.scheduler.workers.erase(m.client)
    for i in range(queue.size()):
        row = tasks_find(&n.tasks, queue[i].task)
        if row != NULL:
            back_to_ready(n, row)
    for i in range(running.size()):
        row = tasks_find(&n.tasks, running[i].task)
        if row == NULL:
            continue
        if running[i].position <= m.request:
            task_lost(n, row, payload, m.size)
        elif came or n.scheduler.n_failed_spawns < SPAWNS_MOST - 1:
            back_to_ready(n, row)
        else:
            fail_task(n, row, system_error(ERROR_SPAWN_FAILED, payload, m.size), TASK_FAILED)
    if not came:
        spawn_failed(n)
    n.dispatch_wanted = True


cdef void spawn_failed(NodeState* n) noexcept nogil:
    """A worker never came: those that did have to do, while there are any."""
    cdef string text = string(b"A worker process could not be started. The number of workers is limited to ")
    cdef char number[16]
    n.scheduler.n_failed_spawns += 1
    if n.scheduler.workers.empty() or n.scheduler.workers.size() >= n.scheduler.worker_cap:
        return
    n.scheduler.worker_cap = <uint32_t> n.scheduler.workers.size()
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
    """The worker saw the recall just as it was about to begin this task (position `request`), and left it."""
    cdef Run* run
    cdef Worker* w = worker_find(&n.scheduler, m.client)
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef uint64_t work
    cdef size_t i
    if w == NULL or row == NULL or row.worker != m.client or row.attempt != m.attempt:
        return
    run = worker_run(w, row.id)
    if run != NULL:
        if run.position != m.request or row.state != TASK_RUNNING:
            return
        release_worker_slot(n, w, row)
        back_to_ready(n, row)
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

cdef void stop_running(NodeState* n, const TaskRow* row) noexcept nogil:
    cdef Message* stop
    if row.cancelled == CANCEL_KILLS:
        stop = emit(n, CMD_STOP, row.worker, NULL)
        stop.flags = STOP_KILL
    else:
        stop = emit(n, CMD_INTERRUPT, row.worker, NULL)
        stop.object = object_id(row.id, 0)
        stop.attempt = row.attempt


cdef void cancel_task(NodeState* n, TaskRow* row, unsigned char how) noexcept nogil:
    """A task that has not begun ends here; a running one is interrupted, or its worker killed."""
    if how > row.cancelled:
        row.cancelled = how
    if row.state == TASK_RUNNING or row.state == TASK_BLOCKED:
        stop_running(n, row)
    elif row.state == TASK_PLACED:
        call_back_queue(n, worker_find(&n.scheduler, row.worker))
    else:
        if row.state == TASK_READY:
            ready_remove(&n.scheduler, row)
        else:
            drop_argument_waiters(n, row, row.refs.size())
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
    ids.push_back(m.object.task)
    if m.flags & CANCEL_RECURSIVE:
        add_descendants(n, &ids)
    for i in range(ids.size()):
        row = tasks_find(&n.tasks, ids[i])
        if row != NULL and row.state < TASK_FINISHED:
            cancel_task(n, row, CANCEL_KILLS if m.flags & CANCEL_FORCE else CANCEL_INTERRUPTS)


# ---- placing ---------------------------------------------------------------------------------------------------

cdef uint64_t record_size(const ObjectRow* row) noexcept nogil:
    return sizeof(ValueRecord) + (align8(row.size) if row.state == OBJECT_INLINE else sizeof(ObjectId))


cdef char* write_record(char* at, ObjectRow* row) noexcept nogil:
    cdef ValueRecord* record = <ValueRecord*> at
    memset(record, 0, sizeof(ValueRecord))
    record.kind = row.kind
    record.flags = row.flags
    record.where.size = row.size
    if row.state == OBJECT_INLINE:
        memcpy(at + sizeof(ValueRecord), blob_data(row.blob), row.size)
    else:
        record.in_arena = 1
        record.where.segment = row.segment
        record.where.offset = row.offset
        record.n_refs = 1         # the object itself: whose pin the worker gives back
        (<ObjectId*> (at + sizeof(ValueRecord)))[0] = row.id
    return at + record_size(row)


cdef char* write_padded(char* at, const char* data, uint64_t size) noexcept nogil:
    if size:
        memcpy(at, data, size)
    return at + align8(size)


cdef void send_run(NodeState* n, Worker* w, TaskRow* row, uint64_t position, const vector[uint32_t]* gpus,
                   uint64_t in_place_request) noexcept nogil:
    """Tell a worker to run a task: all that it needs is in the message, or lies in the arena, pinned for it."""
    cdef ObjectRow* function = objects_find(&n.objects, row.function)
    cdef bint ship = w.functions.insert(row.function).second
    cdef uint64_t size = sizeof(RunHeader), args_size = row.arguments.size if row.arguments != NULL else 0
    cdef RunHeader* h
    cdef Blob* payload
    cdef char* at
    cdef Message* m
    cdef ObjectRow* argument
    cdef size_t i
    size += align8(4 * gpus.size()) + align8(row.name.size if row.name != NULL else 0) + align8(args_size)
    size += align8(function.size) if ship else 0
    for i in range(row.refs.size()):
        size += record_size(objects_find(&n.objects, row.refs[i]))
    payload = blob_new(size)
    h = <RunHeader*> blob_data(payload)
    h.function = row.function
    h.parent = row.parent
    h.n_returns = row.n_returns
    h.n_values = <uint32_t> row.refs.size()
    h.n_gpus = <uint32_t> gpus.size()
    h.name_size = <uint32_t> row.name.size if row.name != NULL else 0
    h.function_size = function.size if ship else 0
    h.args_size = args_size
    at = write_padded(<char*> (h + 1), <const char*> gpus.data(), 4 * gpus.size())
    if row.name != NULL:
        at = write_padded(at, blob_data(row.name), row.name.size)
    if ship:
        at = write_padded(at, blob_data(function.blob), function.size)
    if args_size:
        at = write_padded(at, blob_data(row.arguments), args_size)
    for i in range(row.refs.size()):
        argument = objects_find(&n.objects, row.refs[i])
        if argument.state == OBJECT_IN_ARENA:
            object_pin(argument, w.client)
        at = write_record(at, argument)
    m = emit(n, CMD_RUN, w.client, payload)
    m.object = object_id(row.id, 0)
    m.attempt = row.attempt
    m.job = row.job
    m.request = position
    m.flags = (RUN_HAS_FUNCTION if ship else 0) | (RUN_ARGS_OBJECT if row.flags & SUBMIT_ARGS_OBJECT else 0)
    if row.flags & SUBMIT_RETRY_EXCEPTIONS:
        m.flags |= RUN_RETRY_EXCEPTIONS
    if in_place_request:
        m.flags |= RUN_IN_PLACE
        m.aux = in_place_request
    row.worker = w.client
    w.progress_ns = n.now_ns


cdef uint64_t expected_ns(NodeState* n, const TaskRow* row) noexcept nogil:
    """The mean run time of the task's function, at least 1; 0 if it is not known."""
    it = n.functions.find(row.function)
    if it == n.functions.end() or deref(it).second.mean_ns == 0:
        return 0
    return 1 + <uint64_t> deref(it).second.mean_ns


cdef Worker* new_worker(NodeState* n, uint64_t environment, const vector[uint32_t]* gpus) noexcept nogil:
    cdef Worker* w
    cdef Blob* payload = blob_new(8 + 4 * gpus.size())
    n.last_client += 1
    w = worker_add(&n.scheduler, n.last_client, environment)
    w.gpus = gpus[0]
    w.progress_ns = n.now_ns
    memcpy(blob_data(payload), &environment, 8)
    if gpus.size():
        memcpy(blob_data(payload) + 8, gpus.data(), 4 * gpus.size())
    emit(n, CMD_SPAWN, w.client, payload)
    return w


cdef uint32_t start_worker(NodeState* n, uint32_t shape) noexcept nogil:
    """A worker for tasks that need no GPU, before there is one for it."""
    cdef vector[uint32_t] no_gpus
    return new_worker(n, 0, &no_gpus).client


cdef bint same_set(const vector[uint32_t]* a, const vector[uint32_t]* b) noexcept nogil:
    cdef size_t i
    if a.size() != b.size():
        return False
    for i in range(a.size()):
        if a[0][i] != b[0][i]:
            return False
    return True


cdef Worker* gpu_worker(NodeState* n, uint64_t environment, const vector[uint32_t]* gpus) noexcept nogil:
    """An idle worker that has seen exactly these GPUs, or NULL."""
    cdef Worker* w
    cdef size_t i
    for i in range(n.scheduler.idle.size(), 0, -1):
        w = worker_find(&n.scheduler, n.scheduler.idle[i - 1])
        if w.environment == environment and same_set(&w.gpus, gpus) and not w.stopping:
            return w
    return NULL


cdef void place_task(NodeState* n, TaskRow* row, const Place* place, uint64_t expected) noexcept nogil:
    cdef vector[uint32_t] gpus
    cdef Worker* w = NULL
    cdef Queued item
    cdef uint64_t environment = n.scheduler.resources.shapes[row.shape].environment
    ready_remove(&n.scheduler, row)
    if place.kind == PLACE_QUEUE:
        w = worker_find(&n.scheduler, place.client)
        w.position += 1
        item.task = row.id
        item.position = w.position
        item.expected_ns = expected
        w.queue.push_back(item)
        w.backlog_ns += expected
        n.scheduler.n_queued += 1
        row.worker = w.client
        set_state(n, row, TASK_PLACED, 0)
        send_run(n, w, row, w.position, &gpus, 0)
        return
    resources_acquire(&n.scheduler.resources, row.shape, &gpus)
    if place.kind == PLACE_IDLE:
        w = worker_find(&n.scheduler, place.client)
    elif not gpus.empty():
        w = gpu_worker(n, environment, &gpus)
    if w == NULL:
        if place.stop:
            stop_idle_worker(n, place.stop)
        w = new_worker(n, environment, &gpus)
    idle_remove(&n.scheduler, w.client)
    w.position += 1
    row.worker = w.client
    set_state(n, row, TASK_RUNNING, 0)
    worker_begin(&n.scheduler, w, row, w.position, expected, &gpus)
    send_run(n, w, row, w.position, &gpus, 0)


cdef void stop_idle_worker(NodeState* n, uint32_t client) noexcept nogil:
    cdef Worker* w = worker_find(&n.scheduler, client)
    w.stopping = True
    idle_remove(&n.scheduler, client)
    emit(n, CMD_STOP, client, NULL)


cdef bint fits_in_place(NodeState* n, const Worker* w, const TaskRow* row) noexcept nogil:
    shape = &n.scheduler.resources.shapes[row.shape]
    return resources_fit(&n.scheduler.resources, row.shape) and shape.gpus == 0 and shape.environment == w.environment


cdef TaskRow* ready_ancestor(NodeState* n, const Worker* w, const vector[ObjectId]* awaited) noexcept nogil:
    """A ready task, to be run on top of what `w` runs, without which some of these objects will not come.

    It is one's creator, or the creator of what that waits for, and so on. NULL if there is none.
    """
    cdef vector[ObjectId] todo
    cdef unordered_set[TaskId] seen
    cdef ObjectRow* object
    cdef TaskRow* row
    cdef size_t i
    todo.assign(awaited.rbegin(), awaited.rend())
    while not todo.empty():
        object = objects_find(&n.objects, todo.back())
        row = tasks_find(&n.tasks, todo.back().task)
        todo.pop_back()
        if object == NULL or object_ready(object) or row == NULL or not seen.insert(row.id).second:
            continue
        if row.state == TASK_READY and fits_in_place(n, w, row):
            return row
        if row.state == TASK_WAITING:
            for i in range(row.refs.size(), 0, -1):
                todo.push_back(row.refs[i - 1])
    return NULL


cdef bint run_in_place(NodeState* n) noexcept nogil:
    """No process may be added: a blocked worker runs the task it waits for on top of its own. False if none can."""
    cdef ordered_map[uint32_t, Worker].iterator it = n.scheduler.workers.begin()
    cdef Worker* w
    cdef Request* r
    cdef TaskRow* row
    cdef vector[uint32_t] no_gpus
    while it != n.scheduler.workers.end():
        w = &deref(it).second
        preincrement(it)
        if w.running.empty() or not w.running.back().lent or w.stopping:
            continue
        r = blocking_request(n, w)
        row = ready_ancestor(n, w, &r.ids) if r != NULL and r.in_place else NULL
        if row == NULL:
            continue
        ready_remove(&n.scheduler, row)
        resources_acquire(&n.scheduler.resources, row.shape, &no_gpus)
        row.worker = w.client
        set_state(n, row, TASK_RUNNING, 0)
        worker_begin(&n.scheduler, w, row, 0, 0, &no_gpus)
        send_run(n, w, row, 0, &no_gpus, r.id)
        return True
    return False


cdef Request* blocking_request(NodeState* n, const Worker* w) noexcept nogil:
    """The get in which the worker's topmost task blocks, if it blocks in one only."""
    cdef const Run* top = &w.running.back()
    if top.n_waits != 1:
        return NULL
    it = n.requests.find(request_key(w.client, top.request))
    if it == n.requests.end() or deref(it).second.kind != EV_GET:
        return NULL
    return &deref(it).second


cdef void dispatch(NodeState* n) noexcept nogil:
    """Place ready tasks, the longest ready first among those that can go anywhere now."""
    cdef TaskRow* best
    cdef TaskRow* head
    cdef Place place, best_place = Place(PLACE_NONE, 0, 0)
    cdef size_t shape
    cdef uint64_t expected, best_expected = 0
    cdef bint starved
    n.dispatch_wanted = False
    while n.scheduler.n_ready and n.fault.empty():
        best = NULL
        starved = False
        for shape in range(n.scheduler.ready.size()):
            head = n.scheduler.ready[shape].head
            if head == NULL or (best != NULL and head.ready_sequence > best.ready_sequence):
                continue
            expected = expected_ns(n, head)
            find_place(&n.scheduler, <uint32_t> shape, expected, &place)
            if place.kind == PLACE_NO_PROCESS:
                starved = True
            elif place.kind != PLACE_NONE:
                best = head
                best_place = place
                best_expected = expected
        if best != NULL and n.lost_any and not arguments_usable(n, best):
            ready_remove(&n.scheduler, best)
            set_state(n, best, TASK_WAITING, 0)
            resolve(n, best)
        elif best != NULL:
            place_task(n, best, &best_place, best_expected)
        elif not (starved and run_in_place(n)):
            if not (starved and all_blocked(n)):
                return
            n.scheduler.worker_cap += 1   # nobody can go on otherwise


cdef bint all_blocked(NodeState* n) noexcept nogil:
    """Whether every worker waits for another: then only one process more lets anything happen."""
    cdef ordered_map[uint32_t, Worker].iterator it = n.scheduler.workers.begin()
    while it != n.scheduler.workers.end():
        if deref(it).second.running.empty() or not deref(it).second.running.back().lent:
            return False
        preincrement(it)
    return True
