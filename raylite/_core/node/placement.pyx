"""Ready tasks to workers: what local_scheduler decides is done here, and put into the message that says it.

dispatch() places the longest ready task that can go anywhere; a message to run a task has all that it needs, or says
where in the arena it lies, pinned for the worker. With no process to be had, a blocked worker runs what it waits for.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset
from libcpp.map cimport map as ordered_map
from libcpp.unordered_set cimport unordered_set
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, Blob, blob_data, blob_new
from raylite._core.ids cimport object_id, ObjectId, TaskId
from raylite._core.message cimport CMD_RUN, CMD_SPAWN, CMD_STOP, EV_GET, Message, RUN_ARGS_OBJECT, RUN_CALL, \
    RUN_CAPTURES, RUN_CREATES, RUN_HAS_FUNCTION, RUN_IN_PLACE, RUN_RESTORES, RUN_RETRY_EXCEPTIONS, RunHeader, \
    SUBMIT_ARGS_OBJECT, SUBMIT_RESTORES, SUBMIT_RETRY_EXCEPTIONS, ValueRecord, write_padded
from raylite._core.node.actor_calls cimport actor_is_busy
from raylite._core.node.actors cimport serve_actors
from raylite._core.node.execution cimport arguments_usable, resolve
from raylite._core.node.local_scheduler cimport find_place, idle_remove, Place, PLACE_IDLE, PLACE_NONE, PLACE_QUEUE, \
    Queued, ready_remove, Run, Worker, worker_add, worker_begin, worker_dedicate, worker_find
from raylite._core.node.objects cimport OBJECT_IN_ARENA, OBJECT_INLINE, object_pin, object_ready, ObjectRow, \
    objects_find
from raylite._core.node.resources cimport resources_acquire, resources_fit
from raylite._core.node.room cimport use_value
from raylite._core.node.state cimport emit, Request, request_key, set_state
from raylite._core.node.task_table cimport is_call, is_creation, TASK_PLACED, TASK_READY, TASK_RUNNING, TASK_WAITING, \
    TaskRow, tasks_find


# ---- placing ---------------------------------------------------------------------------------------------------

cdef uint64_t record_size(const ObjectRow* row) noexcept nogil:
    return sizeof(ValueRecord) + (align8(row.size) if row.state == OBJECT_INLINE else sizeof(ObjectId))


cdef char* write_record(char* at, ObjectRow* row) noexcept nogil:
    cdef ValueRecord* record = <ValueRecord*> at
    memset(record, 0, sizeof(ValueRecord))
    record.kind = row.kind
    record.flags = row.flags
    record.where.size = row.size
    at += sizeof(ValueRecord)
    if row.state == OBJECT_INLINE:
        return write_padded(at, blob_data(row.blob), row.size)
    record.in_arena = 1
    record.where.segment = row.segment
    record.where.offset = row.offset
    record.n_refs = 1             # the object itself: whose pin the worker gives back
    (<ObjectId*> at)[0] = row.id
    return at + sizeof(ObjectId)


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
    h.group = n.scheduler.resources.shapes[row.shape].group
    h.n_returns = row.n_returns
    h.n_values = <uint32_t> row.refs.size()
    h.n_gpus = <uint32_t> gpus.size()
    h.name_size = <uint32_t> row.name.size if row.name != NULL else 0
    h.function_size = function.size if ship else 0
    h.args_size = args_size
    h.backpressure = row.backpressure
    h.is_forgotten = 0
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
            use_value(n, argument)
        at = write_record(at, argument)
    m = emit(n, CMD_RUN, w.client, payload)
    m.object = object_id(row.id, 0)
    m.attempt = row.attempt
    m.job = row.job
    m.request = position
    m.flags = (RUN_HAS_FUNCTION if ship else 0) | (RUN_ARGS_OBJECT if row.flags & SUBMIT_ARGS_OBJECT else 0)
    if row.flags & SUBMIT_RETRY_EXCEPTIONS:
        m.flags |= RUN_RETRY_EXCEPTIONS
    if n.scheduler.resources.shapes[row.shape].captures:
        m.flags |= RUN_CAPTURES
    if in_place_request:
        m.flags |= RUN_IN_PLACE
        m.aux = in_place_request
    elif is_creation(row):
        m.flags |= RUN_CREATES | (RUN_RESTORES if row.flags & SUBMIT_RESTORES else 0)
    elif is_call(row):
        m.flags |= RUN_CALL
        m.aux = row.group
    row.worker = w.client


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
        if w.queue.empty():
            w.progress_ns = n.now_ns
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
    if is_creation(row):
        worker_dedicate(&n.scheduler, w, row.id)
    w.progress_ns = n.now_ns
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
        if row.state == TASK_READY and row.actor.hi == 0 and row.actor.lo == 0 and fits_in_place(n, w, row):
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
        if w.running.empty() or not w.running.back().lent or w.stopping or w.dedicated:
            continue
        r = blocking_request(n, w)
        row = ready_ancestor(n, w, &r.ids) if r != NULL and r.in_place else NULL
        if row == NULL:
            continue
        ready_remove(&n.scheduler, row)
        if n.lost_any and not arguments_usable(n, row):
            set_state(n, row, TASK_WAITING, 0)
            resolve(n, row)
            return True
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
    cdef Place place, best_place = Place(PLACE_NONE, 0, 0, False)
    cdef size_t shape
    cdef uint64_t expected, best_expected = 0
    cdef bint starved
    n.dispatch_wanted = False
    serve_actors(n)
    while n.scheduler.n_ready and n.fault.empty():
        best = NULL
        starved = False
        for shape in range(n.scheduler.ready.size()):
            head = n.scheduler.ready[shape].head
            if head == NULL or (best != NULL and head.ready_sequence > best.ready_sequence):
                continue
            expected = expected_ns(n, head)
            find_place(&n.scheduler, <uint32_t> shape, expected, is_creation(head), &place)
            starved |= place.starved
            if place.kind != PLACE_NONE:
                best = head
                best_place = place
                best_expected = expected
        if best != NULL and n.lost_any and not arguments_usable(n, best):
            ready_remove(&n.scheduler, best)
            set_state(n, best, TASK_WAITING, 0)
            resolve(n, best)
        elif starved and (best == NULL or best_place.kind == PLACE_QUEUE) and run_in_place(n):
            pass                          # rather than behind something that may take long
        elif best != NULL:
            place_task(n, best, &best_place, best_expected)
        elif starved and all_blocked(n):
            n.scheduler.worker_cap += 1   # nobody can go on otherwise
        else:
            return


cdef bint all_blocked(NodeState* n) noexcept nogil:
    """Whether every worker waits for another: then only one process more lets anything happen."""
    cdef ordered_map[uint32_t, Worker].iterator it = n.scheduler.workers.begin()
    while it != n.scheduler.workers.end():
        if not waits(n, &deref(it).second):
            return False
        preincrement(it)
    return True


cdef bint waits(NodeState* n, const Worker* w) noexcept nogil:
    """Whether the worker waits in a get, or is an actor's that has nothing to do."""
    if w.settled:
        return w.life.n_waits != 0 or not actor_is_busy(n, w.actor)
    return not w.running.empty() and w.running.back().lent
