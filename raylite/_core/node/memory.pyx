"""Memory runs short: which worker has to go, before the kernel ends something of its own choice.

The host says so, with what each worker has. One worker goes at a time, and the next one not before that has gone. Of
those whose end would free enough to matter: the one whose task began last among the tasks that can be tried again, for
it has done least; then the youngest actor that can be restarted; then the task that began last of those that cannot be
tried again; then the youngest actor. Ties go to the worker with the higher number.
"""
from cython.operator cimport dereference as deref
from libc.stdint cimport uint32_t, uint64_t
from libc.stdio cimport snprintf
from libcpp.algorithm cimport sort
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.message cimport CMD_STOP, Cursor, MemoryHeader, MemoryUse, STOP_KILL, take
from raylite._core.node.actor_table cimport ActorRow, actors_find
from raylite._core.node.execution cimport function_name
from raylite._core.node.local_scheduler cimport Worker, worker_find
from raylite._core.node.state cimport call_back_queue, emit, warn
from raylite._core.node.task_table cimport TaskRow, tasks_find

cdef enum:
    FREES_LEAST = 100             # a worker with less than this part of the node's memory is not worth its work
    TELL_AGAIN_NS = 60000000000
    NAMED_MOST = 5                # workers, in what is said
    LAST_RESORT_ACTOR = 0
    LAST_RESORT_TASK = 1
    ACTOR_COMES_BACK = 2
    TASK_COMES_BACK = 3

cdef struct Candidate:
    int rank
    uint64_t began_ns             # its task; of an actor: 0
    Worker* worker
    uint64_t size


cdef bint comes_back(const TaskRow* row) noexcept nogil:
    return row.retries_left != 0 or row.home != 0 and row.retries_at_home != 0


cdef bint judge(NodeState* n, Worker* w, Candidate* out) noexcept nogil:
    """What would be lost with the worker. False if it does nothing."""
    cdef TaskRow* row
    cdef ActorRow* actor
    cdef size_t i
    out.worker = w
    out.began_ns = 0
    if w.dedicated:
        actor = actors_find(&n.actors, w.actor)
        out.rank = ACTOR_COMES_BACK if actor != NULL and actor.restarts_left != 0 else LAST_RESORT_ACTOR
        return True
    out.rank = TASK_COMES_BACK
    for i in range(w.running.size()):         # several, if some run on top of those that wait for them
        row = tasks_find(&n.tasks, w.running[i].task)
        if row == NULL:
            continue
        out.began_ns = max(out.began_ns, row.start_ns)
        if not comes_back(row):
            out.rank = LAST_RESORT_TASK
    return not w.running.empty()


cdef bint goes_before(const Candidate* a, const Candidate* b) noexcept nogil:
    if a.rank != b.rank:
        return a.rank > b.rank
    if a.began_ns != b.began_ns:
        return a.began_ns > b.began_ns
    return a.worker.client > b.worker.client


cdef void append_size(string* text, uint64_t size) noexcept nogil:
    cdef char number[32]
    if size >= <uint64_t> 1 << 30:
        snprintf(number, 32, "%.2f GiB", <double> size / (1 << 30))
    else:
        snprintf(number, 32, "%.1f MiB", <double> size / (1 << 20))
    text.append(<const char*> number)


cdef void append_doing(NodeState* n, const Worker* w, string* text) noexcept nogil:
    """What the worker runs, and its process."""
    cdef char number[32]
    cdef string name
    cdef TaskRow* row = tasks_find(&n.tasks, w.running.back().task) if not w.running.empty() else NULL
    cdef ActorRow* actor = actors_find(&n.actors, w.actor) if w.dedicated else NULL
    if actor != NULL:
        text.append(b"actor ")
        text.append(actor.class_name)
    elif row != NULL:
        text.append(deref(function_name(n, row, &name)))
        text.append(b"()")
    else:
        text.append(b"nothing")
    snprintf(number, 32, " (pid %u)", w.process)
    text.append(<const char*> number)


cdef void append_shortage(NodeState* n, const MemoryHeader* h, const MemoryUse* uses, uint64_t count,
                          string* text) noexcept nogil:
    """How short, and who has the most."""
    cdef vector[pair[uint64_t, uint32_t]] largest
    cdef size_t i
    append_size(text, h.used)
    text.append(b" of ")
    append_size(text, h.total)
    text.append(b" were in use, more than the limit of ")
    append_size(text, h.limit)
    for i in range(count):
        if worker_find(&n.scheduler, uses[i].client) != NULL:
            largest.push_back(pair[uint64_t, uint32_t](~uses[i].size, uses[i].client))
    sort(largest.begin(), largest.end())
    for i in range(min(largest.size(), <size_t> NAMED_MOST)):
        text.append(b". The workers with the most: " if i == 0 else b", ")
        append_size(text, ~largest[i].first)
        text.append(b" ")
        append_doing(n, worker_find(&n.scheduler, largest[i].second), text)


cdef void end_worker(NodeState* n, const Candidate* chosen, const string* shortage) noexcept nogil:
    cdef Worker* w = chosen.worker
    cdef string text
    w.short_of.assign(b"its worker had ")
    append_size(&w.short_of, chosen.size)
    w.short_of.append(b" when memory ran short: ")
    w.short_of.append(shortage[0])
    text.assign(b"Memory runs short, so ")
    append_doing(n, w, &text)
    text.append(b" is killed")
    text.append(b", and tried again later: " if chosen.rank >= ACTOR_COMES_BACK else b": ")
    text.append(w.short_of)
    text.append(b".")
    warn(n, &text)
    call_back_queue(n, w)
    w.stopping = True
    emit(n, CMD_STOP, w.client, NULL).flags = STOP_KILL


cdef void say_nothing_helps(NodeState* n, const string* shortage) noexcept nogil:
    """Memory is short, and not for what workers of this node have."""
    cdef string text
    if n.memory_told_ns and n.now_ns < n.memory_told_ns + TELL_AGAIN_NS:
        return
    n.memory_told_ns = n.now_ns
    text.assign(b"Memory runs short, and ending no task here would free much: ")
    text.append(shortage[0])
    text.append(b".")
    warn(n, &text)


cdef bint on_memory_short(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """False if the message is malformed."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const MemoryHeader* h = <const MemoryHeader*> take(&c, sizeof(MemoryHeader))
    cdef uint64_t count = c.left // sizeof(MemoryUse)
    cdef const MemoryUse* uses = <const MemoryUse*> take(&c, count * sizeof(MemoryUse))
    cdef Candidate best, each
    cdef string shortage
    cdef Worker* w
    cdef size_t i
    best.worker = NULL            # and the rest is not looked at then
    best.rank = 0
    best.began_ns = best.size = 0
    if c.failed or c.left:
        return False
    for i in range(count):
        w = worker_find(&n.scheduler, uses[i].client)
        if w == NULL:
            continue
        if not w.short_of.empty():
            return True           # its memory is about to be free
        if w.stopping or uses[i].size < h.total // FREES_LEAST or not judge(n, w, &each):
            continue
        each.size = uses[i].size
        if best.worker == NULL or goes_before(&each, &best):
            best = each
    append_shortage(n, h, uses, count, &shortage)
    if best.worker == NULL:
        say_nothing_helps(n, &shortage)
    else:
        end_worker(n, &best, &shortage)
    return True
