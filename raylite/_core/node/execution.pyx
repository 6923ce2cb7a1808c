"""The life of a task on its node: accepted, arguments resolved, its results stored, its end.

The path follows the Ray paper (4.2.2, figure 7): a submission makes the task's row and its results' rows; when the
last argument is there the task is ready, and placement.pyx gives it to a worker; a finished task's values make others
ready. What happens when a worker dies or a task is cancelled is in recovery.pyx.
"""
from cython.operator cimport dereference as deref
from libc.stdint cimport uint32_t, uint64_t, uint8_t
from libc.stdio cimport snprintf
from libc.string cimport memset
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.cluster.actor_log cimport is_known_beyond, log_beyond
from raylite._core.cluster.guests cimport ended_beyond
from raylite._core.cluster.remote_actors cimport actor_from_afar, claim_name
from raylite._core.cluster.remote_streams cimport item_of_guest
from raylite._core.cluster.specs cimport add_task, Submission, take_submission
from raylite._core.cluster.spill cimport ask_for_place, wants_elsewhere
from raylite._core.envelope cimport Blob, blob_data, blob_drop, blob_keep, KIND_SYSTEM_ERROR, KIND_USER_ERROR, \
    system_error
from raylite._core.ids cimport object_id, ObjectId, TaskId
from raylite._core.message cimport CallHeader, CMD_INTERRUPT, CMD_READY, CMD_STOP, Cursor, FINISHED_CANCELLED, \
    FINISHED_EXITS, FINISHED_RETRYABLE, FINISHED_USER_ERROR, FinishedHeader, STOP_KILL, STREAMING, SUBMIT_ACTOR, \
    SUBMIT_CALL, SUBMIT_CONFIRM, SUBMIT_NAME_TAKEN, SUBMIT_TAKEN, SUBMIT_TOO_MANY, SubmitHeader, take, take_value, \
    ValueRecord
from raylite._core.node.actor_calls cimport call_leaves, call_ready, call_waits, want_service
from raylite._core.node.actor_table cimport ACTOR_DEAD, ActorRow, actors_find, CallGroup, CallList
from raylite._core.node.actors cimport actor_exits, actor_is_known, actor_object, add_actor, creation_ended, \
    creation_failed, death_of, GROUPS_MOST, name_is_taken
from raylite._core.node.call_sites cimport note_call_site
from raylite._core.node.local_scheduler cimport Queued, ready_push, Worker, worker_begin, worker_end, worker_find
from raylite._core.node.objects cimport could_be_lost, is_wanted_now, object_exists, object_here, object_in_scope, \
    OBJECT_PENDING, object_ready, ObjectRow, objects_add, objects_find, WAIT_HERE, Waiter
from raylite._core.node.references cimport client_holds, hold_arguments, keep_as_lineage, lineage_to_arguments, \
    refuse_value, retire_task, store_blob, store_value
from raylite._core.node.replay cimport call_repeated, cannot_repeat, is_logged, log_call, made_before, note_made, \
    replays
from raylite._core.node.requests cimport request_arrived, waits_anywhere
from raylite._core.node.resources cimport resources_acquire, resources_lacking
from raylite._core.node.retries cimport retry
from raylite._core.node.room cimport gather
from raylite._core.node.state cimport call_back_queue, emit, ERROR_TASK_CANCELLED, reject, set_state, warn
from raylite._core.node.task_table cimport CANCEL_KILLS, CANCEL_NOT, is_call, is_creation, LISTED_LOGGED, \
    REPLAY_LOGGED, REPLAY_STATE, TASK_BLOCKED, TASK_CANCELLED, TASK_FAILED, TASK_FINISHED, TASK_PLACED, TASK_READY, \
    TASK_RUNNING, TASK_WAITING, tasks_find
from raylite._core.scheduler.loads cimport means_task


cdef enum:
    UNLIMITED = 0xFFFFFFFF


# ---- accepting -------------------------------------------------------------------------------------------------

cdef uint32_t n_result_rows(const TaskRow* row) noexcept nogil:
    """How many result rows a task has from the start; a stream has one, which stands for its end."""
    return 1 if row.n_returns == STREAMING else <uint32_t> row.n_returns


cdef bint results_exist(NodeState* n, TaskId task, uint32_t count) noexcept nogil:
    cdef uint32_t i
    cdef ObjectRow* row
    for i in range(count):
        row = objects_find(&n.objects, object_id(task, i))
        if row == NULL or not object_here(row):
            return False
    return count > 0


cdef void hold_results(NodeState* n, TaskId task, uint32_t count, uint32_t client) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        client_holds(n, objects_add(&n.objects, object_id(task, i)), client)


cdef void confirm(NodeState* n, const Message* m, uint64_t taken) noexcept nogil:
    """taken: 0, or SUBMIT_*: the task was not accepted."""
    cdef Message* answer
    if m.flags & SUBMIT_CONFIRM:
        answer = emit(n, CMD_READY, m.client, NULL)
        answer.request = m.request
        answer.aux = taken


cdef bint stream_begun(NodeState* n, TaskId task, const TaskRow* row) noexcept nogil:
    """Whether the generator has made items: whoever reads it from the start would miss those that were read before. Of
    a guest another node has the items."""
    return row.n_yielded != 0 or row.home != 0 if row != NULL else objects_find(&n.objects, object_id(task, 0)) != NULL


cdef bint is_made_once(NodeState* n, const CallHeader* call) noexcept nogil:
    """Whether the call, if it is done, is not made again by another run of its caller: its actor knows it."""
    return n.cluster.joined and call != NULL and replays(actors_find(&n.actors, call.actor))


cdef bint accept_again(NodeState* n, const Message* m, const SubmitHeader* h, const CallHeader* call) noexcept nogil:
    """Whether this submission repeats a task that is known, or done: then it is that task (rule 3)."""
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef uint32_t count
    if made_before(n, m, h):
        return True
    if m.flags & SUBMIT_CONFIRM and h.n_returns == STREAMING and stream_begun(n, m.object.task, row):
        confirm(n, m, SUBMIT_TAKEN)
        return True
    if actor_is_known(n, m.object.task):      # and it is made once only
        if h.flags & SUBMIT_ACTOR and not m.flags & SUBMIT_CONFIRM:
            client_holds(n, actor_object(n, m.object.task), m.client)
        confirm(n, m, SUBMIT_TAKEN)
        return True
    if row == NULL:
        if h.n_returns == STREAMING or not results_exist(n, m.object.task, <uint32_t> h.n_returns):
            return False
        if m.flags & SUBMIT_CONFIRM and h.flags & SUBMIT_CALL and not is_made_once(n, call):
            confirm(n, m, SUBMIT_TAKEN)   # a parent that runs again calls again: its actor may be a new one
            return True
        count = <uint32_t> h.n_returns
    elif row.digest != h.digest or row.listed == LISTED_LOGGED:
        confirm(n, m, SUBMIT_TAKEN)
        return True
    else:
        count = n_result_rows(row)
    hold_results(n, m.object.task, count, m.client)
    if row != NULL and row.state == TASK_FINISHED and not results_exist(n, m.object.task, count):
        run_again(n, row)
    confirm(n, m, 0)
    return True


cdef bint on_submit(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """Accept a task. False if the message is malformed."""
    return submit(n, m, payload, False)


cdef void on_submit_claimed(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """The task makes an actor whose name is its own by now."""
    submit(n, m, payload, True)


cdef bint submit(NodeState* n, const Message* m, const char* payload, bint claimed) noexcept nogil:
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef Submission s
    cdef TaskRow* row
    if not take_submission(n, &c, m.object.task, &s):
        return False
    if accept_again(n, m, s.header, s.call) or (s.call != NULL and not call_acceptable(n, m, s.call)):
        return True
    if s.header.flags & SUBMIT_ACTOR and name_is_taken(n, &s.actor):
        confirm(n, m, SUBMIT_NAME_TAKEN)
        return True
    if s.header.flags & SUBMIT_ACTOR and s.actor.header.name_size and n.cluster.joined and not claimed:
        return claim_name(n, m, payload, &s.actor)
    row = add_task(n, m.object.task, &s, m.client, m.job)
    if row == NULL:
        return False
    hold_results(n, row.id, n_result_rows(row), m.client)
    if m.aux:
        note_call_site(n, row, n_result_rows(row), m.aux)
    hold_arguments(n, row)
    if n.any_replays:
        note_made(n, row, s.call)
    confirm(n, m, 0)
    set_state(n, row, TASK_WAITING, 0)
    if s.header.flags & SUBMIT_ACTOR:
        add_actor(n, row, &s.actor, m.client)
    if s.call != NULL:
        add_call(n, row, s.call)
    else:
        if not n.cluster.joined:  # there, a scheduler knows
            warn_if_infeasible(n, row)
        resolve(n, row)
    return True


cdef bint call_acceptable(NodeState* n, const Message* m, const CallHeader* call) noexcept nogil:
    """Whether the actor takes one more call; if not, that is the answer."""
    cdef ActorRow* actor = actors_find(&n.actors, call.actor)
    if actor == NULL or actor.state == ACTOR_DEAD:
        return True               # its result says so
    if call.group >= actor.groups.size() and (not n.cluster.joined or call.group >= GROUPS_MOST):
        reject(n, m)
        return False
    if m.flags & SUBMIT_CONFIRM and actor.max_pending >= 0 and actor.n_unfinished >= <uint64_t> actor.max_pending:
        confirm(n, m, SUBMIT_TOO_MANY)
        return False
    return True


cdef void add_call(NodeState* n, TaskRow* row, const CallHeader* call) noexcept nogil:
    """A call of an actor's method: it waits for its turn, or gets what the actor died of."""
    cdef CallGroup group = CallGroup(UNLIMITED, 0, CallList(NULL, NULL, 0), CallList(NULL, NULL, 0), NULL)
    cdef ActorRow* actor = actor_from_afar(n, call.actor) if n.cluster.joined else NULL
    cdef Blob* death = death_of(n, call.actor)
    row.group = call.group
    row.sequence = call.sequence
    if death != NULL:
        fail_task(n, row, death, TASK_FAILED)
        return
    row.actor = call.actor
    while actor != NULL and actor.groups.size() <= call.group:
        actor.groups.push_back(group)     # of an actor elsewhere, where its limits are kept
    actors_find(&n.actors, call.actor).n_unfinished += 1
    if is_known_beyond(n, actors_find(&n.actors, call.actor), row):
        resolve(n, row)


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
    n.last_wait += 1
    row.wait_number = n.last_wait
    row.n_unresolved = 0
    memset(&waiter, 0, sizeof(Waiter))
    waiter.task = row.id
    waiter.request = row.wait_number
    for i in range(row.refs.size() + 1):      # the function is the last
        argument = objects_find(&n.objects, row.refs[i] if i < row.refs.size() else row.function)
        if not object_exists(argument):
            if is_wanted_now(argument):
                n.wanted.push_back(argument.id)
            row.n_unresolved += 1
            argument.waiters.push_back(waiter)
        elif is_error(argument):
            fail_task(n, row, blob_keep(argument.blob), TASK_FAILED)
            return
    if row.n_unresolved == 0:
        arguments_exist(n, row)
    elif is_call(row):
        call_waits(n, row)


cdef void arguments_exist(NodeState* n, TaskRow* row) noexcept nogil:
    """The task can run: elsewhere, or here once copies of its arguments are here."""
    if wants_elsewhere(n, row):
        ask_for_place(n, row)
    elif (n.cluster.joined or n.lost_any) and not arguments_here(n, row):
        gather(n, row)
        if is_call(row) and row.state == TASK_WAITING:
            call_waits(n, row)
    else:
        make_ready(n, row)


cdef bint arguments_here(NodeState* n, const TaskRow* row) noexcept nogil:
    """Whether all arguments are in the messages or in the arena."""
    cdef size_t i
    for i in range(row.refs.size() + 1):
        if not object_ready(objects_find(&n.objects, row.refs[i] if i < row.refs.size() else row.function)):
            return False
    return True


cdef bint await_copies(NodeState* n, TaskRow* row) noexcept nogil:
    """Have the arguments brought here that are elsewhere. False if there are none."""
    cdef ObjectRow* argument
    cdef Waiter waiter
    cdef size_t i
    memset(&waiter, 0, sizeof(Waiter))
    waiter.task = row.id
    waiter.slot = WAIT_HERE
    n.last_wait += 1
    row.wait_number = n.last_wait
    waiter.request = row.wait_number
    for i in range(row.refs.size() + 1):
        argument = objects_find(&n.objects, row.refs[i] if i < row.refs.size() else row.function)
        if not object_ready(argument):
            n.wanted.push_back(argument.id)
            row.n_unresolved += 1
            argument.waiters.push_back(waiter)
    return row.n_unresolved != 0


cdef void make_ready(NodeState* n, TaskRow* row) noexcept nogil:
    set_state(n, row, TASK_READY, 0)
    n.dispatch_wanted = True
    if is_call(row):
        call_ready(n, row)
    else:
        ready_push(&n.scheduler, row, row.ready_sequence != 0)


cdef void argument_arrived(NodeState* n, const Waiter* waiter, ObjectRow* argument) noexcept nogil:
    """A task that has failed or was cancelled stays among the waiters of its other arguments until they arrive."""
    cdef TaskRow* row = tasks_find(&n.tasks, waiter.task)
    if row == NULL or row.wait_number != waiter.request:
        return
    if is_error(argument):
        fail_task(n, row, blob_keep(argument.blob), TASK_FAILED)
        return
    row.n_unresolved -= 1
    if row.n_unresolved == 0:
        arguments_exist(n, row)


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
        if row == NULL or not object_exists(row):
            continue
        waiters.clear()
        waiters.swap(row.waiters)
        if not object_ready(row):
            keep_who_wants_it_here(n, row, &waiters)
        for j in range(waiters.size()):
            if waiters[j].client:
                request_arrived(n, &waiters[j], row)
            else:
                argument_arrived(n, &waiters[j], row)
        n.unsettled.push_back(row.id)
    n.arrived.clear()


cdef void keep_who_wants_it_here(NodeState* n, ObjectRow* row, vector[Waiter]* waiters) noexcept nogil:
    """The object exists, but not in memory here: that is what some have waited for; the others have it brought here."""
    cdef size_t i, kept = 0
    for i in range(waiters.size()):
        if waits_anywhere(n, &waiters[0][i]):
            waiters[0][kept] = waiters[0][i]
            kept += 1
        else:
            row.waiters.push_back(waiters[0][i])
    waiters.resize(kept)
    if not row.waiters.empty():
        n.wanted.push_back(row.id)


# ---- ending ----------------------------------------------------------------------------------------------------

cdef void end_task(NodeState* n, TaskRow* row, unsigned char state, uint64_t duration_ns) noexcept nogil:
    """The task is over: its row stays as lineage if results of it could be lost, else it goes."""
    cdef uint32_t i, n_kept = 0
    cdef ObjectRow* result
    if is_call(row):
        call_ends(n, row)
    set_state(n, row, state, duration_ns)
    if state == TASK_FAILED and row.error == NULL:
        result = objects_find(&n.objects, object_id(row.id, 0))
        row.error = blob_keep(result.blob) if result != NULL and is_error(result) else NULL
    if n.cluster.joined:
        if row.replay >= REPLAY_STATE:
            log_beyond(n, row)
        ended_beyond(n, row, state)
    for i in range(n_result_rows(row)):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result == NULL:
            continue
        n.unsettled.push_back(result.id)
        if row.n_returns == STREAMING:
            result.n_items = row.n_yielded
        n_kept += could_be_lost(result)
    if n_kept and state == TASK_FINISHED and not is_call(row) and not row.home:
        keep_as_lineage(n, row, n_kept)
    elif row.replay == REPLAY_STATE and not n.cluster.joined:
        log_call(n, row)
    else:
        retire_task(n, row)


cdef void call_ends(NodeState* n, TaskRow* row) noexcept nogil:
    cdef ActorRow* actor = actors_find(&n.actors, row.actor)
    call_leaves(n, row)
    actor.n_unfinished -= 1
    want_service(n, actor)


cdef void fail_task(NodeState* n, TaskRow* row, Blob* error, unsigned char state) noexcept nogil:
    """Every result that is not there becomes this error (whose hold passes to here). `row` is gone afterwards."""
    cdef TaskId task = row.id
    cdef uint32_t i, count = n_result_rows(row)
    cdef ObjectRow* result
    if is_creation(row):
        creation_failed(n, row, error)
        return
    if row.replay >= REPLAY_STATE and actors_find(&n.actors, row.actor).state != ACTOR_DEAD:
        cannot_repeat(n, row, error)
        return
    row.error = blob_keep(error)
    for i in range(count):
        result = objects_find(&n.objects, object_id(task, i))
        if result != NULL and result.state == OBJECT_PENDING:
            store_blob(n, result, blob_keep(error))
    end_task(n, row, state, 0)
    blob_drop(error)


cdef void run_again(NodeState* n, TaskRow* row) noexcept nogil:
    """A task that had finished runs again: a result of it is needed and gone. Results that live stay (DESIGN 4.4)."""
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
        if not object_here(result):
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


cdef void stop_running(NodeState* n, const TaskRow* row) noexcept nogil:
    """Interrupt a cancelled task, or have its worker killed: that gets no more work, and what it has not begun goes."""
    cdef Worker* w = worker_find(&n.scheduler, row.worker)
    cdef Message* stop
    if row.cancelled == CANCEL_KILLS:
        call_back_queue(n, w)
        w.stopping = True
        stop = emit(n, CMD_STOP, w.client, NULL)
        stop.flags = STOP_KILL
    else:
        stop = emit(n, CMD_INTERRUPT, row.worker, NULL)
        stop.object = object_id(row.id, 0)
        stop.attempt = row.attempt


cdef void learn_duration(NodeState* n, const TaskRow* row, uint64_t duration_ns) noexcept nogil:
    """Exponential mean of a function's run time (Ray paper 4.2.2), quick to believe that it became long."""
    if n.cluster.joined:
        means_task(&n.cluster.means, row.function, duration_ns)
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
            and (row.state == TASK_RUNNING or row.state == TASK_BLOCKED or row.state == TASK_PLACED and is_call(row)))


cdef bint values_valid(Cursor c, uint32_t n_values) noexcept nogil:
    """Whether so many values follow."""
    cdef const char* body = NULL
    for _ in range(n_values):
        if take_value(&c, &body) == NULL:
            return False
    return True


cdef bint answers_all(const TaskRow* row, const Message* m, const FinishedHeader* h) noexcept nogil:
    """Whether each return has its value. A cancelled task may leave them to the node; a failed creation has one."""
    return h.n_values == n_result_rows(row) or (h.n_values == 0 and m.flags & (FINISHED_CANCELLED | FINISHED_EXITS)) \
        or (is_creation(row) and h.n_values == 1)


cdef bint on_finished(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A worker ended a task. A message about an attempt that does not count only frees what it brought."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const FinishedHeader* h = <const FinishedHeader*> take(&c, sizeof(FinishedHeader))
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef Worker* w = worker_find(&n.scheduler, m.client)
    cdef const ValueRecord* value
    cdef const char* body = NULL
    cdef ObjectRow* result
    cdef bint counts = runs_here(row, m), again, logged
    cdef uint8_t state
    cdef uint32_t i
    cdef uint64_t duration_ns
    if h == NULL or not values_valid(c, h.n_values) or (counts and not answers_all(row, m, h)):
        return False
    if counts and is_creation(row):
        value = take_value(&c, &body) if h.n_values else NULL
        if value != NULL and value.in_arena:
            return False
        creation_ended(n, row, w, body if value != NULL else NULL)
        return True
    logged = counts and is_call(row) and is_logged(n, actors_find(&n.actors, row.actor))
    again = counts and not row.cancelled and m.flags & FINISHED_USER_ERROR and m.flags & FINISHED_RETRYABLE \
        and row.retries_left != 0 and not logged
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
        if not is_call(row):
            release_worker_slot(n, w, row)
    if m.flags & FINISHED_EXITS and is_call(row):
        actor_exits(n, row.actor)     # whose death this call gets, as all others that have not ended
        return True
    if again:
        retry(n, row)
        return True
    state = TASK_FAILED if m.flags & FINISHED_USER_ERROR else TASK_FINISHED
    if row.replay == REPLAY_STATE:
        call_repeated(n, row, state, duration_ns)
    elif m.flags & FINISHED_CANCELLED:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
    else:
        if logged and row.replay < REPLAY_STATE:
            row.replay = REPLAY_STATE
        end_task(n, row, state, duration_ns)
    return True


cdef bint on_yielded(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A generator made an item. It belongs to the stream until the reader takes it."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const char* body = NULL
    cdef const ValueRecord* value = take_value(&c, &body)
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef ObjectRow* stream = objects_find(&n.objects, object_id(m.object.task, 0))
    cdef ObjectRow* item
    cdef ObjectId id = m.object
    if value == NULL or id.index == 0:
        return False
    if not runs_here(row, m) or row.n_returns != STREAMING or row.replay == REPLAY_STATE \
            or row.replay == REPLAY_LOGGED:
        refuse_value(n, m.client, value)
        return True
    if row.home:
        item_of_guest(n, row, m, value, body)
        return True
    if value.kind == KIND_USER_ERROR and id.index <= row.n_yielded:
        id.index = row.n_yielded + 1  # an earlier attempt got further: the error comes after what that made
    if id.index > row.n_yielded:
        row.n_yielded = id.index
    if stream == NULL or not object_in_scope(stream) or id.index <= row.n_consumed:
        refuse_value(n, m.client, value)
        return True
    item = objects_add(&n.objects, id)
    if object_here(item):
        refuse_value(n, m.client, value)
        return True
    store_value(n, m.client, item, value, body)
    item.n_container_holds += 1
    item.place = <uint32_t> stream.contained.size()
    stream.contained.push_back(item.id)
    return True
