"""Bottom-up scheduling, the lower half: which ready task goes to which worker of this node (Ray paper, 4.2.2).

Tasks of one shape queue in order of becoming ready. A task is placed on an idle worker of its pool (environment, GPU
set), most recently used first; else on a new one; else, if it is known to be short, behind a short task of the same
shape that a worker already runs, so that the worker need not wait for the next message; unless an older task of
another shape waits for what they use. A task that blocks lends its CPU. Nothing here sends anything: node code performs
what is decided here.
"""
from cython.operator cimport dereference as deref, preincrement
from raylite._core.ids cimport same_task
from raylite._core.node.resources cimport resources_await, resources_fit, resources_lend, resources_release, \
    resources_take_back


cdef void ready_push(LocalScheduler* s, TaskRow* row, bint front) noexcept nogil:
    """Queue a ready task: at the end, or (taken back, retried) in front of those that came after it."""
    cdef ReadyQueue* q
    while s.ready.size() <= row.shape:
        s.ready.push_back(ReadyQueue(NULL, NULL))
    q = &s.ready[row.shape]
    row.next = NULL
    if not front or row.ready_sequence == 0:
        s.sequence += 1
        row.ready_sequence = s.sequence
    else:
        row.next = q.head         # from the front, as what comes back is older than most
        while row.next != NULL and row.next.ready_sequence < row.ready_sequence:
            row.next = row.next.next
    row.previous = row.next.previous if row.next != NULL else q.tail
    if row.next != NULL:
        row.next.previous = row
    else:
        q.tail = row
    if row.previous != NULL:
        row.previous.next = row
    else:
        q.head = row
    s.n_ready += 1


cdef void ready_remove(LocalScheduler* s, TaskRow* row) noexcept nogil:
    cdef ReadyQueue* q = &s.ready[row.shape]
    if row.previous != NULL:
        row.previous.next = row.next
    else:
        q.head = row.next
    if row.next != NULL:
        row.next.previous = row.previous
    else:
        q.tail = row.previous
    row.next = row.previous = NULL
    s.n_ready -= 1


cdef Worker* worker_find(LocalScheduler* s, uint32_t client) noexcept nogil:
    cdef ordered_map[uint32_t, Worker].iterator it = s.workers.find(client)
    if it == s.workers.end():
        return NULL
    return &deref(it).second


cdef Worker* worker_add(LocalScheduler* s, uint32_t client, uint64_t environment) noexcept nogil:
    """A worker that is being started; it may be given work at once."""
    cdef Worker* w = &s.workers[client]
    w.client = client
    w.environment = environment
    s.idle.push_back(client)
    return w


cdef void idle_remove(LocalScheduler* s, uint32_t client) noexcept nogil:
    cdef size_t i
    for i in range(s.idle.size()):
        if s.idle[i] == client:
            s.idle.erase(s.idle.begin() + i)
            return


cdef bint serves(const Worker* w, const LocalScheduler* s, uint32_t shape) noexcept nogil:
    """Whether the worker's pool is the one this shape runs in; GPU tasks get a worker of their own set (see spawn)."""
    return (not w.stopping and w.environment == s.resources.shapes[shape].environment and w.gpus.empty()
            and s.resources.shapes[shape].gpus == 0)


cdef bint older_waits(const LocalScheduler* s, uint32_t shape) noexcept nogil:
    """Whether a task of another shape is older than the first of this one and waits for what this shape's tasks use."""
    cdef uint64_t sequence = s.ready[shape].head.ready_sequence
    cdef const TaskRow* head
    cdef size_t other
    for other in range(s.ready.size()):
        head = s.ready[other].head
        if other != shape and head != NULL and head.ready_sequence < sequence \
                and resources_await(&s.resources, <uint32_t> other, shape):
            return True
    return False


cdef void find_place(LocalScheduler* s, uint32_t shape, uint64_t expected_ns, bint dedicated,
                     Place* place) noexcept nogil:
    """Where a task of this shape can go now. Idle workers of GPU sets are matched later, when the GPUs are known.

    dedicated: it makes an actor, whose worker does not count towards the cap.
    """
    cdef ordered_map[uint32_t, Worker].iterator it
    cdef Worker* w
    cdef uint64_t least = PREFETCH_NS
    cdef size_t i
    place.kind = PLACE_NONE
    place.client = place.stop = 0
    place.starved = False
    if resources_fit(&s.resources, shape):
        for i in range(s.idle.size(), 0, -1):
            w = worker_find(s, s.idle[i - 1])
            if serves(w, s, shape):
                place.kind = PLACE_IDLE
                place.client = w.client
                return
        if dedicated or n_shared(s) < s.worker_cap:
            place.kind = PLACE_SPAWN
            return
        if not s.idle.empty():
            place.kind = PLACE_SPAWN
            place.stop = s.idle[0]
            return
        place.starved = True
    if dedicated or expected_ns == 0 or expected_ns >= PREFETCH_NS or s.resources.shapes[shape].gpus \
            or older_waits(s, shape):
        return
    it = s.workers.begin()
    while it != s.workers.end():
        w = &deref(it).second
        if (w.running.size() == 1 and w.running[0].shape == shape and not w.running[0].lent and not w.recalling
                and not w.dedicated and not w.stalled and not w.stopping and w.queue.size() < PREFETCH_TASKS
                and w.backlog_ns + expected_ns < least):
            least = w.backlog_ns + expected_ns
            place.kind = PLACE_QUEUE
            place.client = w.client
        preincrement(it)


cdef void worker_begin(LocalScheduler* s, Worker* w, TaskRow* row, uint64_t position,
                       uint64_t expected_ns, const vector[uint32_t]* gpus) noexcept nogil:
    """The worker runs this task next: on an empty stack, or in place on top of a blocked one."""
    cdef Run run
    run.task = row.id
    run.shape = row.shape
    run.n_waits = 0
    run.request = 0
    run.position = position
    run.lent = False
    run.expected_ns = expected_ns
    run.gpus = gpus[0]
    w.running.push_back(run)
    w.backlog_ns += expected_ns if expected_ns else PREFETCH_NS


cdef uint64_t n_shared(const LocalScheduler* s) noexcept nogil:
    """How many workers are no actor's."""
    return s.workers.size() - s.n_dedicated


cdef void worker_dedicate(LocalScheduler* s, Worker* w, TaskId actor) noexcept nogil:
    """The worker is this actor's from now on."""
    w.dedicated = True
    w.actor = actor
    s.n_dedicated += 1


cdef void worker_share(LocalScheduler* s, Worker* w) noexcept nogil:
    """The worker is no actor's any more."""
    s.n_dedicated -= w.dedicated
    w.dedicated = False


cdef void worker_remove(LocalScheduler* s, Worker* w) noexcept nogil:
    """The worker is gone: what it held is free again."""
    while not w.running.empty():
        worker_end(s, w, w.running.back().task)
    if w.settled:
        release(s, &w.life)
    worker_share(s, w)
    s.n_queued -= <uint32_t> w.queue.size()
    idle_remove(s, w.client)
    s.workers.erase(w.client)


cdef void release(LocalScheduler* s, Run* run) noexcept nogil:
    if run.lent:
        resources_take_back(&s.resources, run.shape)
    resources_release(&s.resources, run.shape, &run.gpus)


cdef Run* worker_run(Worker* w, TaskId task) noexcept nogil:
    cdef size_t i
    for i in range(w.running.size()):
        if same_task(w.running[i].task, task):
            return &w.running[i]
    return NULL


cdef void worker_end(LocalScheduler* s, Worker* w, TaskId task) noexcept nogil:
    """The task left the worker's stack: its resources are free again."""
    cdef size_t i
    cdef Run* run
    cdef uint64_t work
    for i in range(w.running.size()):
        run = &w.running[i]
        if not same_task(run.task, task):
            continue
        release(s, run)
        work = run.expected_ns if run.expected_ns else PREFETCH_NS
        w.backlog_ns -= work if work < w.backlog_ns else w.backlog_ns
        w.stalled = False
        w.running.erase(w.running.begin() + i)
        return


cdef bint run_block(LocalScheduler* s, Run* run, uint64_t request) noexcept nogil:
    """The task waits in one more request. True if it lends its CPU from now on."""
    run.n_waits += 1
    run.request = request
    if run.lent:
        return False
    run.lent = True
    resources_lend(&s.resources, run.shape)
    return True


cdef bint run_unblock(LocalScheduler* s, Run* run) noexcept nogil:
    """One request fewer. True if the task goes on and has its CPU back."""
    if run.n_waits:
        run.n_waits -= 1
    if run.n_waits or not run.lent:
        return False
    run.lent = False
    resources_take_back(&s.resources, run.shape)
    return True
