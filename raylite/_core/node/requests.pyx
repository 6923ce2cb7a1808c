"""What clients wait for: get, wait, the next item of a stream.

A get is answered object by object as they become ready, a wait once, when enough are ready. A task that blocks in one
lends its CPU until the request has ended, and what was queued behind it is called back.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint16_t, uint64_t
from libc.string cimport memcpy, memset
from libcpp.algorithm cimport sort
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.remote_objects cimport foreign_object
from raylite._core.cluster.remote_streams cimport tell_reading
from raylite._core.envelope cimport Blob, blob_data, blob_drop, blob_keep, blob_new, KIND_VALUE
from raylite._core.ids cimport object_id, ObjectId, PUT_INDEX, same_object, TaskId
from raylite._core.message cimport CMD_READY, CMD_VALUE, EV_GET, EV_NEXT, EV_WAIT, GET_IN_PLACE, GET_LENDS, Location, \
    READY_END, STREAMING, VALUE_IN_ARENA, WAIT_ANYWHERE
from raylite._core.node.leases cimport forget_lease
from raylite._core.node.local_scheduler cimport Run, run_block, run_unblock, Worker, worker_find, worker_run
from raylite._core.node.objects cimport is_wanted_now, object_exists, object_here, object_in_scope, OBJECT_INLINE, \
    OBJECT_PENDING, object_pin, object_ready, OBJECT_RELEASED, OBJECT_REMOTE, objects_add, objects_find, \
    REACH_FOREIGN, WAIT_EXISTS
from raylite._core.node.references cimport client_holds, store_blob, unknown_object
from raylite._core.node.room cimport use_value
from raylite._core.node.state cimport call_back_queue, emit, Request, request_key, set_state
from raylite._core.node.task_table cimport TASK_BLOCKED, TASK_FINISHED, TASK_RUNNING, TaskRow, tasks_find


cdef void deliver(NodeState* n, uint32_t client, uint64_t request, uint32_t slot, ObjectRow* row) noexcept nogil:
    """Send one value: its bytes, or the place where they lie, which is then pinned for the client."""
    cdef Message* m
    cdef Blob* where
    cdef Location* location
    if row.state == OBJECT_INLINE:
        m = emit(n, CMD_VALUE, client, blob_keep(row.blob))
    else:
        where = blob_new(sizeof(Location))
        location = <Location*> blob_data(where)
        location.segment = row.segment
        location.unused = 0
        location.offset = row.offset
        location.size = row.size
        m = emit(n, CMD_VALUE, client, where)
        m.flags = VALUE_IN_ARENA
        object_pin(row, client)
        use_value(n, row)
    m.request = request
    m.aux = slot
    m.object = row.id


cdef void deliver_lost(NodeState* n, uint32_t client, uint64_t request, uint32_t slot, ObjectId id) noexcept nogil:
    cdef Message* m = emit(n, CMD_VALUE, client, unknown_object())
    m.request = request
    m.aux = slot
    m.object = id


cdef Request* open_request(NodeState* n, const Message* m, const char* payload, uint64_t n_ids) noexcept nogil:
    """A new request; an open one of the same number is dropped."""
    cdef Request* r = find_request(n, m.client, m.request)
    if r != NULL:
        abandon_request(n, r)
    r = &n.requests[request_key(m.client, m.request)]
    r.id = m.request
    r.client = m.client
    r.kind = m.kind
    r.task = m.object.task
    r.n_missing = 0
    r.n_wanted = m.aux
    r.in_place = m.flags & GET_IN_PLACE != 0
    r.anywhere = m.kind == EV_WAIT and m.flags & WAIT_ANYWHERE != 0
    r.blocks = False
    r.ids.assign(<const ObjectId*> payload, <const ObjectId*> payload + n_ids)
    return r


cdef void await_object(NodeState* n, Request* r, ObjectRow* row, uint32_t slot) noexcept nogil:
    cdef Waiter waiter
    if is_wanted_now(row):
        n.wanted.push_back(row.id)
    memset(&waiter, 0, sizeof(Waiter))
    waiter.request = r.id
    waiter.client = r.client
    waiter.slot = slot
    row.waiters.push_back(waiter)


cdef void block(NodeState* n, Request* r) noexcept nogil:
    """The asking task waits: it lends its CPU, and what was queued behind it goes elsewhere."""
    cdef Worker* w = worker_find(&n.scheduler, r.client)
    cdef Run* run
    cdef TaskRow* task
    if w == NULL:
        return
    run = worker_run(w, r.task)
    if run == NULL and not w.settled:
        return
    r.blocks = True
    n.dispatch_wanted = True
    if run == NULL:               # a call of an actor: it lends what that has for life
        run_block(&n.scheduler, &w.life, r.id)
    elif run_block(&n.scheduler, run, r.id):
        task = tasks_find(&n.tasks, r.task)
        if task != NULL:
            set_state(n, task, TASK_BLOCKED, 0)
    call_back_queue(n, w)


cdef void unblock_actor(NodeState* n, Worker* w) noexcept nogil:
    if w.keeps_cpu:
        run_unblock(&n.scheduler, &w.life)
    elif w.life.n_waits:
        w.life.n_waits -= 1


cdef void close_request(NodeState* n, Request* r) noexcept nogil:
    cdef Worker* w
    cdef Run* run
    cdef TaskRow* task
    if r.blocks:
        w = worker_find(&n.scheduler, r.client)
        run = worker_run(w, r.task) if w != NULL else NULL
        if w != NULL and w.settled and run == NULL:
            unblock_actor(n, w)
        if run != NULL and run_unblock(&n.scheduler, run):
            task = tasks_find(&n.tasks, r.task)
            if task != NULL and task.state == TASK_BLOCKED:
                set_state(n, task, TASK_RUNNING, 0)
    n.requests.erase(request_key(r.client, r.id))


cdef void on_get(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    cdef uint64_t n_ids = m.size // sizeof(ObjectId), i
    cdef const ObjectId* ids = <const ObjectId*> payload
    cdef Request* r = NULL
    cdef ObjectRow* row
    for i in range(n_ids):
        row = objects_find(&n.objects, ids[i])
        if row == NULL and n.cluster.joined:
            row = foreign_object(n, ids[i])
        if row == NULL:
            deliver_lost(n, m.client, m.request, <uint32_t> i, ids[i])
        elif object_ready(row):
            deliver(n, m.client, m.request, <uint32_t> i, row)
        else:
            if r == NULL:
                r = open_request(n, m, payload, n_ids)
            r.n_missing += 1
            await_object(n, r, row, <uint32_t> i)
    if r != NULL and m.flags & GET_LENDS:
        block(n, r)


cdef bint settled(NodeState* n, ObjectId id, bint anywhere) noexcept nogil:
    """Whether wait() counts this object as ready: it is, or nothing will ever make it. anywhere: or it is elsewhere.

    Of a stream, the next item counts also when the stream has ended: then the reader learns that.
    """
    cdef ObjectRow* row = objects_find(&n.objects, id)
    cdef ObjectRow* stream
    if row != NULL and (object_exists(row) if anywhere else object_here(row) or made_way(n, row)):
        return True
    if n.cluster.joined and (row == NULL or row.reach & REACH_FOREIGN or row.state == OBJECT_REMOTE):
        return False              # the cluster may have it
    if tasks_find(&n.tasks, id.task) == NULL:
        return row == NULL or row.state == OBJECT_PENDING
    if not is_stream_item(n, id):
        return row == NULL
    stream = objects_find(&n.objects, object_id(id.task, 0))
    return stream == NULL or object_ready(stream)


cdef bint made_way(NodeState* n, const ObjectRow* row) noexcept nogil:
    """Whether the value was there, and a get makes it again: were it made for a wait, others would have to go."""
    cdef const TaskRow* creator
    if row.state != OBJECT_RELEASED or row.reach:
        return False
    creator = tasks_find(&n.tasks, row.id.task)
    return creator != NULL and creator.state == TASK_FINISHED and creator.retries_left != 0


cdef bint is_stream_item(NodeState* n, ObjectId id) noexcept nogil:
    cdef TaskRow* task = tasks_find(&n.tasks, id.task)
    return task != NULL and task.n_returns == STREAMING and id.index != 0 and (id.index & PUT_INDEX) == 0


cdef void answer_wait(NodeState* n, uint32_t client, uint64_t request, const ObjectId* ids, uint64_t n_ids,
                      uint64_t most, bint anywhere) noexcept nogil:
    """Send the positions of the first `most` objects that are ready."""
    cdef Blob* slots
    cdef uint64_t i, found = 0
    cdef vector[uint32_t] ready
    for i in range(n_ids):
        if found == most:
            break
        if settled(n, ids[i], anywhere):
            ready.push_back(<uint32_t> i)
            found += 1
    slots = blob_new(found * sizeof(uint32_t))
    if found:
        memcpy(blob_data(slots), ready.data(), found * sizeof(uint32_t))
    emit(n, CMD_READY, client, slots).request = request


cdef ObjectRow* known_or_foreign(NodeState* n, ObjectId id) noexcept nogil:
    cdef ObjectRow* row = objects_find(&n.objects, id)
    if row == NULL and n.cluster.joined and not is_stream_item(n, id):
        return foreign_object(n, id)
    return row if row != NULL else objects_add(&n.objects, id)


cdef void on_wait(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """aux: how many objects are enough; flags without GET_LENDS and aux 0: answer at once with what is ready."""
    cdef bint anywhere = m.flags & WAIT_ANYWHERE != 0
    cdef uint64_t n_ids = m.size // sizeof(ObjectId), i, found = 0, wanted = m.aux
    cdef const ObjectId* ids = <const ObjectId*> payload
    cdef Request* r
    if wanted > n_ids:
        wanted = n_ids
    for i in range(n_ids):
        if found >= wanted:
            break
        found += settled(n, ids[i], anywhere)
    if found >= wanted:
        answer_wait(n, m.client, m.request, ids, n_ids, wanted if wanted else n_ids, anywhere)
        return
    r = open_request(n, m, payload, n_ids)
    r.n_missing = <uint32_t> (wanted - found)
    for i in range(n_ids):
        if settled(n, ids[i], anywhere):
            continue
        await_object(n, r, known_or_foreign(n, ids[i]), <uint32_t> i)
        if is_stream_item(n, ids[i]):
            r.has_streams = True
            await_object(n, r, objects_find(&n.objects, object_id(ids[i].task, 0)), <uint32_t> i)
    if m.flags & GET_LENDS:
        block(n, r)


cdef void answer_next(NodeState* n, uint32_t client, uint64_t request, ObjectRow* item) noexcept nogil:
    """The reader gets the item: it holds it from now on, the stream no more."""
    cdef ObjectRow* stream = objects_find(&n.objects, object_id(item.id.task, 0))
    cdef TaskRow* task = tasks_find(&n.tasks, item.id.task)
    client_holds(n, item, client)
    emit(n, CMD_READY, client, NULL).request = request
    if task != NULL and item.id.index > task.n_consumed:
        task.n_consumed = item.id.index
        if task.read_request and task.n_consumed >= task.read_index:
            release_generator(n, task, 0)
        tell_reading(n, task, item.id.index, 0)
    if stream != NULL and item.place < stream.contained.size() and same_object(stream.contained[item.place], item.id):
        take_out(n, stream, item)


cdef void release_generator(NodeState* n, TaskRow* task, uint16_t flags) noexcept nogil:
    """A generator that waits for its reader goes on; READY_END: there is none any more."""
    cdef Message* m = emit(n, CMD_READY, task.worker, NULL)
    cdef Request* r = find_request(n, task.worker, task.read_request)
    m.request = task.read_request
    m.aux = task.n_consumed
    m.flags = flags
    task.read_request = 0
    if r != NULL:
        close_request(n, r)


cdef void on_await_read(NodeState* n, const Message* m) noexcept nogil:
    """A generator is as far ahead of its reader as its options allow."""
    cdef TaskRow* task = tasks_find(&n.tasks, m.object.task)
    cdef ObjectRow* stream = objects_find(&n.objects, object_id(m.object.task, 0))
    cdef Request* r
    if task == NULL or task.worker != m.client \
            or not task.home and (stream == NULL or not object_in_scope(stream)):
        end_next(n, m.client, m.request)
        return
    if task.n_consumed >= m.object.index:
        emit(n, CMD_READY, m.client, NULL).request = m.request
        n.commands.back().message.aux = task.n_consumed
        return
    r = open_request(n, m, NULL, 0)
    r.task = m.object.task
    task.read_request = m.request
    task.read_index = m.object.index
    if m.flags & GET_LENDS:
        block(n, r)


cdef void take_out(NodeState* n, ObjectRow* stream, ObjectRow* item) noexcept nogil:
    """The stream holds the item no more; its last item takes that place in the list."""
    cdef ObjectRow* last = objects_find(&n.objects, stream.contained.back())
    if last != NULL and last.place == stream.contained.size() - 1:
        last.place = item.place
    stream.contained[item.place] = stream.contained.back()
    stream.contained.pop_back()
    item.n_container_holds -= 1


cdef void end_next(NodeState* n, uint32_t client, uint64_t request) noexcept nogil:
    cdef Message* m = emit(n, CMD_READY, client, NULL)
    m.request = request
    m.flags = READY_END


cdef void fail_next(NodeState* n, const Message* m, Blob* error) noexcept nogil:
    """The item that the reader gets is an error, and the last one."""
    cdef ObjectRow* item = objects_add(&n.objects, m.object)
    cdef Message* answer
    store_blob(n, item, error)
    client_holds(n, item, m.client)
    answer = emit(n, CMD_READY, m.client, NULL)
    answer.request = m.request
    answer.aux = 1


cdef TaskId running_task(NodeState* n, uint32_t client) noexcept nogil:
    """The task that the worker's thread is in: the topmost on its stack."""
    cdef Worker* w = worker_find(&n.scheduler, client)
    if w == NULL or w.running.empty():
        return TaskId(0, 0)
    return w.running.back().task


cdef void on_next(NodeState* n, const Message* m) noexcept nogil:
    """The item of a stream that the client reads next, once it exists; or that the stream has ended.

    The row with index 0 stands for the whole stream: ready when the generator has ended, an error if it cannot go on.
    """
    cdef ObjectRow* stream = objects_find(&n.objects, object_id(m.object.task, 0))
    cdef ObjectRow* item = objects_find(&n.objects, m.object)
    cdef TaskRow* task = tasks_find(&n.tasks, m.object.task)
    cdef Request* r
    if item != NULL and object_here(item):
        answer_next(n, m.client, m.request, item)
        return
    if m.aux:                     # the reader has had its error
        end_next(n, m.client, m.request)
        return
    if stream == NULL or (task != NULL and m.object.index <= task.n_consumed) \
            or (object_ready(stream) and m.object.index <= stream.n_items):
        fail_next(n, m, unknown_object())     # nobody can read a stream that is gone, or an item twice
        return
    if object_ready(stream):
        if stream.kind == KIND_VALUE:
            end_next(n, m.client, m.request)
        else:                     # the error is the stream's last item
            fail_next(n, m, blob_keep(stream.blob))
        return
    r = open_request(n, m, <const char*> &m.object, 1)
    r.task = running_task(n, m.client)
    r.n_missing = 1
    if item == NULL:
        item = objects_add(&n.objects, m.object)
    await_object(n, r, item, 0)
    await_object(n, r, stream, 1)
    if m.flags & GET_LENDS:
        block(n, r)


cdef void drop_waiters(NodeState* n, const Request* r, ObjectId id) noexcept nogil:
    """The request no longer waits for this object."""
    cdef ObjectRow* row = objects_find(&n.objects, id)
    cdef size_t i, kept = 0
    if row == NULL:
        return
    for i in range(row.waiters.size()):
        if row.waiters[i].client == r.client and row.waiters[i].request == r.id and r.client:
            continue
        row.waiters[kept] = row.waiters[i]
        kept += 1
    row.waiters.resize(kept)
    n.unsettled.push_back(id)


cdef void abandon_request(NodeState* n, Request* r) noexcept nogil:
    cdef size_t i
    for i in range(r.ids.size()):
        drop_waiters(n, r, r.ids[i])
        if r.kind == EV_NEXT or r.has_streams:
            drop_waiters(n, r, object_id(r.ids[i].task, 0))
    close_request(n, r)


cdef Request* find_request(NodeState* n, uint32_t client, uint64_t request) noexcept nogil:
    cdef unordered_map[uint64_t, Request].iterator it = n.requests.find(request_key(client, request))
    if it == n.requests.end():
        return NULL
    return &deref(it).second


cdef void on_forget(NodeState* n, const Message* m) noexcept nogil:
    cdef Request* r = find_request(n, m.client, m.request)
    if r != NULL:
        abandon_request(n, r)
    else:
        forget_lease(n, m.client, m.request)


cdef bint fail_get(NodeState* n, const Waiter* waiter, ObjectRow* row, Blob* error) noexcept nogil:
    """Who asked for the object gets this error (whose hold passes to here), though the object has none. False if it
    was no get."""
    cdef Request* r = find_request(n, waiter.client, waiter.request)
    cdef Message* m
    if r == NULL or r.kind != EV_GET:
        blob_drop(error)
        return r == NULL
    m = emit(n, CMD_VALUE, r.client, error)
    m.request = r.id
    m.aux = waiter.slot
    m.object = row.id
    r.n_missing -= 1
    if r.n_missing == 0:
        close_request(n, r)
    return True


cdef void ask_again(NodeState* n, Request* r) noexcept nogil:
    """What a wait or next waited for may be there: it is asked anew, and answered unless it was counted twice."""
    cdef Message m
    cdef vector[ObjectId] ids
    memset(&m, 0, sizeof(Message))
    m.kind = r.kind
    m.client = r.client
    m.request = r.id
    m.aux = r.n_wanted
    m.flags = (GET_LENDS if r.blocks else 0) | (WAIT_ANYWHERE if r.anywhere else 0)
    m.object = object_id(r.task, 0) if r.kind == EV_WAIT else r.ids[0]
    m.size = <uint32_t> (r.ids.size() * sizeof(ObjectId))
    ids = r.ids
    abandon_request(n, r)
    if m.kind == EV_WAIT:
        on_wait(n, &m, <const char*> ids.data())
    else:
        on_next(n, &m)


cdef bint waits_anywhere(NodeState* n, const Waiter* waiter) noexcept nogil:
    """Whether it is enough for who waits that the object exists on some node."""
    cdef const Request* r
    if waiter.client == 0:
        return waiter.slot == WAIT_EXISTS
    r = find_request(n, waiter.client, waiter.request)
    return r == NULL or r.anywhere


cdef void request_arrived(NodeState* n, const Waiter* waiter, ObjectRow* row) noexcept nogil:
    """An object that a request waits for is ready (and no longer lists this waiter)."""
    cdef Request* r = find_request(n, waiter.client, waiter.request)
    if r == NULL:
        return
    r.n_missing -= 1
    if r.kind == EV_GET:
        deliver(n, r.client, r.id, waiter.slot, row)
        if r.n_missing == 0:
            close_request(n, r)
    elif r.n_missing == 0:
        ask_again(n, r)


cdef void forget_client_requests(NodeState* n, uint32_t client) noexcept nogil:
    """A client ended: nobody waits for its answers."""
    cdef unordered_map[uint64_t, Request].iterator it = n.requests.begin()
    cdef vector[uint64_t] mine
    cdef size_t i
    while it != n.requests.end():
        if deref(it).second.client == client:
            mine.push_back(deref(it).second.id)
        preincrement(it)
    sort(mine.begin(), mine.end())
    for i in range(mine.size()):
        abandon_request(n, find_request(n, client, mine[i]))
