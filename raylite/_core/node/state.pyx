"""All that a node knows, and the few things every part of it does: emit a command, change a task's state, fail.

Functions of the core return a status and never throw. The first fault poisons the node (rule 8): it handles nothing
more, and the thin class raises what happened.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memset
from libcpp.pair cimport pair
from raylite._core.envelope cimport blob_copy, blob_data
from raylite._core.node.local_scheduler cimport Worker
from raylite._core.message cimport CMD_RECALL, CMD_REJECT, CMD_WARN, MESSAGE_VERSION
from raylite._core.node.room cimport end_gathering
from raylite._core.node.story cimport story_add, StoryEntry
from raylite._core.node.task_table cimport TASK_BLOCKED, TASK_FINISHED, TASK_READY, TASK_RUNNING, TASK_WAITING, \
    transition_allowed


cdef void poison(NodeState* n, const char* what) noexcept nogil:
    """Record the first fault."""
    if n.fault.empty():
        n.fault = string(what)


cdef Message* emit(NodeState* n, uint8_t kind, uint32_t client, Blob* payload) noexcept nogil:
    """Leave a command behind; the caller fills in what else it says. The command owns `payload`."""
    cdef Command command
    memset(&command, 0, sizeof(Command))
    command.message.version = MESSAGE_VERSION
    command.message.kind = kind
    command.message.client = client
    command.message.incarnation = n.incarnation
    command.message.time_ns = n.now_ns
    command.message.size = <uint32_t> payload.size if payload != NULL else 0
    command.payload = payload
    n.commands.push_back(command)
    return &n.commands.back().message


cdef void reject(NodeState* n, const Message* m) noexcept nogil:
    """The event was malformed: nothing of it was done."""
    cdef Message* refusal = emit(n, CMD_REJECT, m.client, NULL)
    refusal.request = m.request
    refusal.aux = m.kind


cdef void warn(NodeState* n, const string* text) noexcept nogil:
    """Tell the driver's user something."""
    emit(n, CMD_WARN, n.driver, blob_copy(text.data(), text.size()))


cdef void call_back_queue(NodeState* n, Worker* w) noexcept nogil:
    """Have the host take back what the worker has not begun; EV_RECALLED says what that was."""
    if not w.queue.empty() and not w.recalling:
        w.recalling = True
        emit(n, CMD_RECALL, w.client, NULL)


cdef void set_state(NodeState* n, TaskRow* row, uint8_t state, uint64_t duration_ns) noexcept nogil:
    """Change a task's state: checked against the table, written into the story."""
    cdef StoryEntry entry
    if not n.room.gathered.empty() and state != TASK_READY and state != TASK_WAITING:
        end_gathering(n, row.id)
    if not transition_allowed(row.state, state):
        poison(n, b"a task changed state in a way the table does not allow")
    entry.time_ns = n.now_ns
    entry.task = row.id
    entry.function = row.function
    entry.duration_ns = duration_ns
    entry.worker = row.worker
    entry.attempt = row.attempt
    entry.old_state = row.state
    entry.new_state = state
    entry.cause = n.cause
    entry.unused = 0
    story_add(&n.story, &entry)
    if row.retry_at_ns:           # it was put off, and is not any more
        n.delayed.erase(pair[uint64_t, TaskId](row.retry_at_ns, row.id))
        row.retry_at_ns = 0
    if state == TASK_READY:
        row.ready_ns = n.now_ns
    elif state == TASK_RUNNING and row.state != TASK_BLOCKED:
        row.start_ns = n.now_ns
    elif state == TASK_WAITING:
        row.ready_ns = row.start_ns = row.end_ns = 0
    elif state >= TASK_FINISHED:
        row.end_ns = n.now_ns
        if duration_ns:
            row.start_ns = n.now_ns - duration_ns
    row.state = state


# ---- reports: copies of what a host may want to know, made without the GIL --------------------------------------

cdef void read_sizes(NodeState* n, Sizes* out) noexcept nogil:
    out.tasks = n.tasks.rows.size()
    out.objects = n.objects.rows.size()
    out.requests = n.requests.size()
    out.functions = n.functions.size()
    out.ready = n.scheduler.n_ready
    out.queued = n.scheduler.n_queued
    out.inline_bytes = n.objects.inline_bytes
    out.arena_bytes = n.arena.used
    out.lineage = n.lineage.size()
    out.commits = n.commits.size()
    out.leases = n.leases.size()
    out.room = n.room.waiting.size() + n.room.gathering.size() + n.room.gathered.size()
    out.spilled = n.room.on_disk.size()
    out.actors = n.actors.rows.size()
    out.beyond = n.cluster.remote.size() + n.cluster.transfers.size() + n.cluster.readings.size() \
        + n.cluster.departures.size() + n.cluster.settling.size() + n.cluster.uncommitted.size() \
        + n.cluster.releases.size() + n.cluster.following.size() + n.cluster.expected.size() \
        + n.cluster.claims.size() + n.cluster.questions.size()


cdef void read_workers(NodeState* n, vector[WorkerReport]* out) noexcept nogil:
    cdef ordered_map[uint32_t, Worker].iterator it = n.scheduler.workers.begin()
    cdef WorkerReport report
    while it != n.scheduler.workers.end():
        report.client = deref(it).first
        report.process = deref(it).second.process
        report.n_running = deref(it).second.running.size()
        report.n_queued = deref(it).second.queue.size()
        report.attached = deref(it).second.attached
        out.push_back(report)
        preincrement(it)


cdef void read_names(NodeState* n, ordered_map[ObjectId, string]* out) noexcept nogil:
    """The names of functions: those registered, and those remembered."""
    cdef unordered_map[ObjectId, Function].iterator it = n.functions.begin()
    for past in n.history.names:
        out[0][past.first] = string(blob_data(past.second), past.second.size)
    while it != n.functions.end():
        if deref(it).second.name != NULL:
            out[0][deref(it).first] = string(blob_data(deref(it).second.name), deref(it).second.name.size)
        preincrement(it)
