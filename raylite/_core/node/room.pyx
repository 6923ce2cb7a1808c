"""What leaves the arena when it is full, what comes back to it, and who waits for room.

Leases are served in the order in which they were asked for. What nobody views makes way for them: first copies that
nobody here needs and other nodes have, then what was asked for longest ago: a copy, or a value that the disk has by
now, goes at once; another is written to disk first; with no disk to be had, one that can be made again goes. Where
nothing can make way, because all is viewed, a lease waits for a while and then gets a file of its own, or, with no
disk, is refused.

A task's arguments are brought together only just before it runs, for as many tasks at a time as half of the arena
takes, and stay until it does: so no two tasks take turns in driving out what the other waits for.

Order is by counts: of leases, of uses, of what was spilled. Nothing depends on a clock but how long to be patient.
"""
from cython.operator cimport dereference as deref
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport ask_store
from raylite._core.cluster.transfers cimport NODE_CLIENT
from raylite._core.envelope cimport Blob, blob_data, blob_new, system_error
from raylite._core.ids cimport object_id
from raylite._core.message cimport CMD_DROP_SPILLED, CMD_RESTORE, CMD_SPILL
from raylite._core.node.arena cimport arena_free, arena_seal, block_size
from raylite._core.node.execution cimport await_copies, make_ready
from raylite._core.node.leases cimport lease_on_disk, refuse_lease, try_lease
from raylite._core.node.lineage cimport can_be_made_again
from raylite._core.node.local_scheduler cimport Worker, worker_find
from raylite._core.node.objects cimport DISK_NOT, DISK_WHOLE, DISK_WRITING, OBJECT_IN_ARENA, object_in_scope, \
    OBJECT_INLINE, object_pin, OBJECT_RELEASED, OBJECT_REMOTE, OBJECT_SPILLED, object_unpin, objects_find, \
    REACH_COPY, Waiter
from raylite._core.node.references cimport drop_value
from raylite._core.node.requests cimport fail_get
from raylite._core.node.state cimport emit, Gathered, Gathering, RoomRequest
from raylite._core.node.task_table cimport TASK_WAITING, tasks_find
from raylite._core.store.message cimport OP_UNLOCATE


# ---- where the bytes are ---------------------------------------------------------------------------------------

cdef void enter_arena(NodeState* n, ObjectRow* row) noexcept nogil:
    """The value lies sealed in its block from now on."""
    row.state = OBJECT_IN_ARENA
    row.used = 0
    if not n.arena.segments[row.segment].on_disk:
        use_value(n, row)


cdef void use_value(NodeState* n, ObjectRow* row) noexcept nogil:
    """Somebody asks for bytes in the arena (of memory: those in files do not make way)."""
    if row.used:
        n.room.by_use.erase(row.used)
    elif n.arena.segments[row.segment].on_disk:
        return
    n.room.last_use += 1
    row.used = n.room.last_use
    n.room.by_use[row.used] = row.id


cdef void leave_arena(NodeState* n, ObjectRow* row) noexcept nogil:
    """The block is free again. What becomes of the value is the caller's to say."""
    if row.used:
        n.room.by_use.erase(row.used)
        row.used = 0
    arena_free(&n.arena, row.segment, row.offset)
    n.room.changed = True


cdef void leave_disk(NodeState* n, ObjectRow* row) noexcept nogil:
    """The disk need not keep the bytes any more, if it does."""
    if row.on_disk == DISK_NOT:
        return
    if row.on_disk == DISK_WRITING:
        n.room.leaving -= block_size(row.size)
        object_unpin(row, NODE_CLIENT, False)
    n.room.on_disk.erase(row.disk)
    emit(n, CMD_DROP_SPILLED, NODE_CLIENT, NULL).request = row.disk
    row.disk = 0
    row.on_disk = DISK_NOT
    n.room.disk_full_ns = 0
    n.room.changed = True


cdef Message* tell_disk(NodeState* n, uint8_t kind, const ObjectRow* row) noexcept nogil:
    cdef Blob* payload = blob_new(8)
    cdef Message* m
    memcpy(blob_data(payload), &row.size, 8)
    m = emit(n, kind, NODE_CLIENT, payload)
    m.request = row.disk
    m.object = object_id(m.object.task, row.segment)
    m.aux = row.offset
    return m


# ---- leaving ---------------------------------------------------------------------------------------------------

cdef void spill(NodeState* n, ObjectRow* row) noexcept nogil:
    """Have the bytes written to disk; the value can be used meanwhile, and stays if it is."""
    n.room.last_spill += 1
    row.disk = n.room.last_spill
    row.on_disk = DISK_WRITING
    n.room.on_disk[row.disk] = row.id
    n.room.leaving += block_size(row.size)
    object_pin(row, NODE_CLIENT)
    tell_disk(n, CMD_SPILL, row)


cdef void on_spilled(NodeState* n, const Message* m) noexcept nogil:
    """The bytes are on disk as a whole; or nothing of them is, and they stay where they are."""
    it = n.room.on_disk.find(m.request)
    cdef ObjectRow* row = objects_find(&n.objects, deref(it).second) if it != n.room.on_disk.end() else NULL
    if row == NULL or row.on_disk != DISK_WRITING:
        return
    n.room.leaving -= block_size(row.size)
    n.room.changed = True
    if object_unpin(row, NODE_CLIENT, False):
        n.unsettled.push_back(row.id)
    if m.aux == 0:
        row.on_disk = DISK_WHOLE
        n.room.n_spilled += 1
        n.room.spilled_bytes += row.size
        return
    n.room.on_disk.erase(row.disk)
    row.disk = 0
    row.on_disk = DISK_NOT
    n.room.disk_full_ns = n.now_ns


cdef bint may_spill(const NodeState* n) noexcept nogil:
    """Whether there is a disk that takes more; one that was full is tried again after a while."""
    return n.room.spills and (n.room.disk_full_ns == 0 or n.now_ns >= n.room.disk_full_ns + PATIENCE_NS)


cdef bint is_elsewhere(NodeState* n, const ObjectRow* row) noexcept nogil:
    """Whether another node has the value from which this copy was made, as far as is known here."""
    return row.is_copy and n.cluster.remote.count(row.id) and not n.cluster.remote[row.id].locations.empty()


cdef void unlocate(NodeState* n, ObjectRow* row) noexcept nogil:
    """There is no copy here any more, and the store is told."""
    if row.reach & REACH_COPY:
        row.reach &= ~REACH_COPY
        ask_store(n, OP_UNLOCATE, row.id, NULL)


cdef bint make_way(NodeState* n, ObjectRow* row) noexcept nogil:
    """Free the block of a value that nobody views, or begin to. False if the value has to stay."""
    if row.on_disk == DISK_WHOLE:
        leave_arena(n, row)
        row.state = OBJECT_SPILLED
    elif is_elsewhere(n, row):
        drop_value(n, row)
        row.state = OBJECT_REMOTE
        row.is_copy = False
        unlocate(n, row)
        n.unsettled.push_back(row.id)
    elif may_spill(n):
        spill(n, row)
    elif row.contained.empty() and can_be_made_again(n, row.id):   # what it contains might go for good
        drop_value(n, row)
        row.state = OBJECT_RELEASED
        unlocate(n, row)
        n.unsettled.push_back(row.id)
    else:
        return False
    n.lost_any = True             # a ready task may have taken it
    return True


cdef uint64_t make_room(NodeState* n, uint64_t wanted) noexcept nogil:
    """Have as much make way as is wanted, if it can. Returns how many bytes are free, or will be soon."""
    cdef uint64_t coming = n.arena.capacity - n.arena.used + n.room.leaving
    cdef vector[ObjectId] ids
    cdef ObjectRow* row
    cdef uint64_t size
    cdef size_t i
    cdef int turn
    for entry in n.room.by_use:
        ids.push_back(entry.second)
    for turn in range(0 if n.cluster.joined else 1, 2):   # first what only other nodes may want
        for i in range(ids.size()):
            if coming >= wanted:
                return coming
            row = objects_find(&n.objects, ids[i])
            if row.state != OBJECT_IN_ARENA or not row.pins.empty() or row.n_gatherers:
                continue
            if turn == 0 and (object_in_scope(row) or not is_elsewhere(n, row)):
                continue
            size = block_size(row.size)
            if make_way(n, row):
                coming += size
    return coming


# ---- waiting ---------------------------------------------------------------------------------------------------

cdef void ask_for_room(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil:
    """Wait for a block, behind all who do already."""
    cdef RoomRequest r
    memset(&r, 0, sizeof(RoomRequest))
    r.request = request
    r.size = size
    r.client = client
    n.room.waiting.push_back(r)
    n.room.changed = True


cdef void forget_room(NodeState* n, uint32_t client, uint64_t request) noexcept nogil:
    """The client waits for this lease no more; with request 0: for none."""
    cdef size_t i, kept = 0
    for i in range(n.room.waiting.size()):
        if n.room.waiting[i].client == client and (request == 0 or n.room.waiting[i].request == request):
            n.room.changed = True
            continue
        n.room.waiting[kept] = n.room.waiting[i]
        kept += 1
    n.room.waiting.resize(kept)


cdef uint64_t wanted_bytes(const NodeState* n) noexcept nogil:
    """How much room all who wait want together, as far as that can be had."""
    cdef uint64_t wanted = 0
    cdef size_t i
    for i in range(n.room.waiting.size()):
        wanted += block_size(n.room.waiting[i].size)
        if wanted >= n.arena.capacity:
            return n.arena.capacity
    return wanted


cdef bint have_waited(NodeState* n) noexcept nogil:
    """Whether nothing could make way, and nothing was freed either, for as long as patience lasts."""
    if n.room.stuck_ns == 0 or n.arena.used < n.room.stuck_used:
        n.room.stuck_ns = n.now_ns
        n.room.stuck_used = n.arena.used
    return n.now_ns >= n.room.stuck_ns + PATIENCE_NS


cdef bint is_waiting(const NodeState* n, uint32_t client) noexcept nogil:
    cdef size_t i
    for i in range(n.room.waiting.size()):
        if n.room.waiting[i].client == client:
            return True
    return False


cdef bint somebody_works(NodeState* n) noexcept nogil:
    """Whether a worker that views values of the arena runs a task, and does not wait itself: its end frees them."""
    cdef ObjectRow* row
    cdef Worker* w
    cdef size_t i
    for entry in n.room.by_use:
        row = objects_find(&n.objects, entry.second)
        for i in range(row.pins.size()):
            w = worker_find(&n.scheduler, row.pins[i].client)
            if w != NULL and not w.running.empty() and not w.running.back().lent \
                    and not is_waiting(n, row.pins[i].client):
                return True
    return False


cdef void serve_leases(NodeState* n) noexcept nogil:
    cdef RoomRequest r
    while not n.room.waiting.empty():
        r = n.room.waiting.front()
        if try_lease(n, r.client, r.request, r.size):
            n.room.waiting.pop_front()
            n.room.stuck_ns = 0
            continue
        if make_room(n, wanted_bytes(n)) >= block_size(r.size):
            if n.arena.capacity - n.arena.used < block_size(r.size):
                return            # until it is on the disk
        elif not have_waited(n):
            return
        elif may_spill(n):
            n.room.waiting.pop_front()
            lease_on_disk(n, r.client, r.request, r.size)
        elif somebody_works(n):
            n.room.stuck_ns = n.now_ns
            return
        else:
            n.room.waiting.pop_front()
            refuse_lease(n, r.client, r.request, n.room.disk_full_ns != 0)


cdef void serve_room(NodeState* n) noexcept nogil:
    """See whether who waits for room can have it by now."""
    n.room.changed = False
    if not n.room.waiting.empty():
        serve_leases(n)
    if not n.room.gathering.empty():
        let_in(n)


cdef uint64_t room_deadline_ns(const NodeState* n) noexcept nogil:
    """By when room wants to be served although nothing has changed, or 0."""
    cdef uint64_t deadline = 0
    if not n.room.waiting.empty() and n.room.stuck_ns and n.room.stuck_ns + PATIENCE_NS > n.now_ns:
        deadline = n.room.stuck_ns + PATIENCE_NS      # if it is past, what is being written is waited for
    if n.room.kept_out_ns and (deadline == 0 or n.room.kept_out_ns + PATIENCE_NS < deadline):
        deadline = n.room.kept_out_ns + PATIENCE_NS
    return deadline


# ---- coming back -----------------------------------------------------------------------------------------------

cdef void want_restored(NodeState* n, ObjectRow* row) noexcept nogil:
    """Somebody waits for a value that is on disk only."""
    if not row.restoring:
        row.restoring = True
        ask_for_room(n, NODE_CLIENT, RESTORES | row.disk, row.size)


cdef ObjectRow* spilled_object(NodeState* n, uint64_t number) noexcept nogil:
    """What the disk has under this number and is to come back, or NULL."""
    it = n.room.on_disk.find(number)
    cdef ObjectRow* row = objects_find(&n.objects, deref(it).second) if it != n.room.on_disk.end() else NULL
    return row if row != NULL and row.restoring else NULL


cdef void restore_leased(NodeState* n, uint64_t number, uint32_t segment, uint64_t offset) noexcept nogil:
    cdef ObjectRow* row = spilled_object(n, number)
    if row == NULL:
        if arena_seal(&n.arena, NODE_CLIENT, segment, offset, 0):
            arena_free(&n.arena, segment, offset)
        return
    row.segment = segment
    row.offset = offset
    tell_disk(n, CMD_RESTORE, row)


cdef void restore_refused(NodeState* n, uint64_t number, uint32_t code, const char* text, uint64_t size) noexcept nogil:
    """There is no room for it: who gets it hears that; tasks go on waiting. Nothing is lost."""
    cdef ObjectRow* row = spilled_object(n, number)
    cdef vector[Waiter] waiters
    cdef size_t i
    if row == NULL:
        return
    row.restoring = False
    waiters.swap(row.waiters)
    for i in range(waiters.size()):
        if waiters[i].client == 0 or not fail_get(n, &waiters[i], row, system_error(code, text, size)):
            row.waiters.push_back(waiters[i])
    if row.waiters.empty():
        n.unsettled.push_back(row.id)
    else:
        want_restored(n, row)


cdef void on_restored(NodeState* n, const Message* m) noexcept nogil:
    """The bytes are in the arena again; or the disk does not have them any more, and the value is lost."""
    cdef ObjectRow* row = spilled_object(n, m.request)
    if row == NULL or not arena_seal(&n.arena, NODE_CLIENT, row.segment, row.offset, row.size):
        return
    row.restoring = False
    if m.aux == 0:
        enter_arena(n, row)
        n.room.n_restored += 1
        n.room.restored_bytes += row.size
        n.arrived.push_back(row.id)
        return
    arena_free(&n.arena, row.segment, row.offset)
    drop_value(n, row)
    row.state = OBJECT_RELEASED
    unlocate(n, row)
    n.lost_any = True
    if object_in_scope(row):
        n.wanted.push_back(row.id)
    else:
        n.unsettled.push_back(row.id)


# ---- arguments of tasks ----------------------------------------------------------------------------------------

cdef uint64_t list_arguments(NodeState* n, const TaskRow* row, vector[ObjectId]* ids) noexcept nogil:
    """The arguments that are large; returns their bytes."""
    cdef const ObjectRow* argument
    cdef uint64_t bytes = 0
    cdef size_t i
    for i in range(row.refs.size()):
        argument = objects_find(&n.objects, row.refs[i])
        if argument != NULL and argument.state != OBJECT_INLINE:
            bytes += block_size(argument.size)
            ids.push_back(row.refs[i])
    return bytes


cdef bint fits_beside(const NodeState* n, uint64_t bytes) noexcept nogil:
    return n.room.gathered.empty() or n.room.gathered_bytes + bytes <= n.arena.capacity // 2


cdef void gather(NodeState* n, TaskRow* row) noexcept nogil:
    """Have the task's arguments brought together here: at once, or when it is its turn."""
    cdef Gathering g
    cdef vector[ObjectId] ids
    end_gathering(n, row.id)
    g.task = row.id
    g.bytes = list_arguments(n, row, &ids)
    if n.room.gathering.empty() and fits_beside(n, g.bytes):
        begin_gathering(n, row)
        return
    n.last_wait += 1
    row.wait_number = n.last_wait
    row.n_unresolved = 1
    g.wait_number = row.wait_number
    n.room.gathering.push_back(g)
    n.room.changed = True


cdef void begin_gathering(NodeState* n, TaskRow* row) noexcept nogil:
    """The arguments stay, or come, until the task runs."""
    cdef Gathered* g = &n.room.gathered[row.id]
    cdef size_t i
    g.bytes = list_arguments(n, row, &g.ids)
    n.room.gathered_bytes += g.bytes
    for i in range(g.ids.size()):
        objects_find(&n.objects, g.ids[i]).n_gatherers += 1
    row.n_unresolved = 0
    if not await_copies(n, row):
        make_ready(n, row)


cdef void end_gathering(NodeState* n, TaskId task) noexcept nogil:
    """The task views its arguments itself, or does not need them here."""
    it = n.room.gathered.find(task)
    cdef ObjectRow* row
    cdef size_t i
    if it == n.room.gathered.end():
        return
    n.room.gathered_bytes -= deref(it).second.bytes
    for i in range(deref(it).second.ids.size()):
        row = objects_find(&n.objects, deref(it).second.ids[i])
        if row != NULL and row.n_gatherers:
            row.n_gatherers -= 1
    n.room.gathered.erase(it)
    n.room.changed = True


cdef void let_in(NodeState* n) noexcept nogil:
    """Begin with those whose turn it is. If nothing goes on for long, the next one comes in all the same: what came
    before it may wait for it."""
    cdef Gathering g
    cdef TaskRow* row
    while not n.room.gathering.empty():
        g = n.room.gathering.front()
        row = tasks_find(&n.tasks, g.task)
        if row != NULL and row.state == TASK_WAITING and row.wait_number == g.wait_number:
            if not fits_beside(n, g.bytes):
                if n.room.kept_out_ns == 0:
                    n.room.kept_out_ns = n.now_ns
                if n.now_ns < n.room.kept_out_ns + PATIENCE_NS:
                    return
            n.room.gathering.pop_front()
            n.room.kept_out_ns = 0
            begin_gathering(n, row)
        else:
            n.room.gathering.pop_front()
    n.room.kept_out_ns = 0
