"""What is over, for whoever asks: tasks, actors and clients whose rows are gone, and names of forgotten functions.

Nothing is decided by it and nothing is kept alive by it: references are ids, not holds. A task is recorded when its row
goes, by moving what the row has. It is a ring whose size is bounded, and the bytes behind its entries are too: the
oldest go first.
"""
from cython.operator cimport dereference as deref
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, blob_keep


cdef uint64_t bytes_of(const PastTask* task) noexcept nogil:
    cdef uint64_t size = task.refs.size() * sizeof(ObjectId)
    if task.name != NULL:
        size += task.name.size
    if task.error != NULL:
        size += task.error.size
    return size


cdef void forget_oldest(History* h) noexcept nogil:
    cdef PastTask* task = &h.tasks[h.n_first % h.capacity]
    h.bytes -= bytes_of(task)
    h.n_first += 1
    blob_drop(task.name)
    blob_drop(task.error)
    task.name = task.error = NULL
    task.refs = vector[ObjectId]()


cdef void history_add_task(History* h, TaskRow* row, const vector[ObjectId]* more_refs, uint64_t shape_serial,
                           uint32_t error_code) noexcept nogil:
    """The task's row goes: what it has beyond numbers is the history's from here on. more_refs: inside arguments."""
    cdef PastTask* task
    if h.capacity == 0:
        return
    if h.n_tasks - h.n_first == h.capacity:
        forget_oldest(h)
    if h.tasks.size() < h.capacity:
        h.tasks.resize(h.tasks.size() + 1)
    task = &h.tasks[h.n_tasks % h.capacity]
    h.n_tasks += 1
    task.id = row.id
    task.parent = row.parent
    task.actor = row.actor
    task.before = row.before
    task.function = row.function
    task.submit_ns = row.submit_ns
    task.ready_ns = row.ready_ns
    task.start_ns = row.start_ns
    task.end_ns = row.end_ns
    task.shape_serial = shape_serial
    task.refs.swap(row.refs)
    task.refs.insert(task.refs.end(), more_refs.begin(), more_refs.end())
    task.name = row.name
    task.error = NULL
    task.error_code = error_code
    if row.error != NULL and row.error.size <= HISTORY_ERROR_MOST:
        task.error = row.error
        row.error = NULL
    row.name = NULL
    task.client = row.client
    task.job = row.job
    task.attempt = row.attempt
    task.shape = row.shape
    task.worker = row.worker
    task.n_returns = row.n_returns
    task.home = row.home
    task.runs_at = row.runs_at
    task.state = row.state
    h.bytes += bytes_of(task)
    while h.bytes > h.bytes_most:
        forget_oldest(h)


cdef void history_add_actor(History* h, const ActorRow* row) noexcept nogil:
    """The actor is dead, and nobody has a handle of it any more."""
    cdef PastActor actor
    actor.id = row.id
    actor.function = row.function
    actor.class_name = row.class_name
    actor.name = row.name
    actor.made_ns = row.made_ns
    actor.shape = row.shape
    actor.shape_serial = row.shape_serial
    actor.job = row.job
    actor.process = row.process
    actor.n_restarts = row.n_restarts
    actor.flags = row.flags
    actor.death = blob_keep(row.death)
    h.actors.push_back(actor)
    if h.actors.size() > HISTORY_ROWS:
        blob_drop(h.actors.front().death)
        h.actors.pop_front()


cdef void history_add_client(History* h, uint32_t id, uint32_t flags, uint32_t process, uint64_t attach_ns,
                             uint64_t detach_ns, const char* why, uint64_t why_size) noexcept nogil:
    """The client is gone. why: how it ended, up to the first 0x1f."""
    cdef PastClient* client = &h.clients[id]
    client.id = id
    client.flags = flags
    client.process = process
    client.attach_ns = attach_ns
    client.detach_ns = detach_ns
    client.why.assign(why, why_size if why_size < HISTORY_NAME_MOST else <uint64_t> HISTORY_NAME_MOST)
    client.why = client.why.substr(0, client.why.find(b"\x1f"))
    if h.clients.size() > HISTORY_ROWS:
        h.clients.erase(h.clients.begin())


cdef void history_add_name(History* h, ObjectId function, Blob* name) noexcept nogil:
    """The function's row goes. Takes over the hold of `name`."""
    cdef ordered_map[ObjectId, Blob*].iterator oldest
    if name == NULL or h.names.count(function):
        blob_drop(name)
        return
    if name.size > HISTORY_NAME_MOST:
        h.names[function] = blob_copy(blob_data(name), HISTORY_NAME_MOST)
        blob_drop(name)
    else:
        h.names[function] = name
    h.name_order.push_back(function)
    if h.name_order.size() > HISTORY_ROWS:
        oldest = h.names.find(h.name_order.front())
        h.name_order.pop_front()
        blob_drop(deref(oldest).second)
        h.names.erase(oldest)


cdef void history_clear(History* h) noexcept nogil:
    """Free all of it."""
    while h.n_first < h.n_tasks:
        forget_oldest(h)
    for actor in h.actors:
        blob_drop(actor.death)
    for name in h.names:
        blob_drop(name.second)
    h.actors.clear()
    h.names.clear()
    h.name_order.clear()
    h.clients.clear()
