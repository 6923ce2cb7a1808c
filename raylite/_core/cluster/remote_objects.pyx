"""Objects beyond this node: which of them it holds in the control store, where copies of them are, how they come here.

A row that the store knows of (REACH_EXPOSED) is held there while anything here needs it: a client, a task of this
node's, a value. Guests do not count: their home has committed them, and the store holds what they take. A copy made
here stays, needed here or not, until the store says that nobody needs it any more (ENTRY_FREE).
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memset, strlen
from libcpp.algorithm cimport sort
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport ask_store, depart_release
from raylite._core.cluster.spill cimport function_gone
from raylite._core.cluster.table cimport PEER_CLIENT
from raylite._core.cluster.transfers cimport start_transfer, stop_transfer
from raylite._core.envelope cimport Blob, blob_copy, blob_data, blob_new, envelope_valid, KIND_CHECKPOINT, \
    KIND_FUNCTION, system_error
from raylite._core.message cimport Cursor, take, take_padded
from raylite._core.node.objects cimport object_here, object_in_scope, OBJECT_PENDING, OBJECT_REMOTE, objects_add, \
    objects_find, REACH_COPY, REACH_EXPOSED, REACH_FOREIGN, REACH_HELD, REACH_WATCHED
from raylite._core.node.references cimport comes_from_elsewhere, store_blob
from raylite._core.node.state cimport ERROR_OBJECT_LOST
from raylite._core.planted cimport FREED_EARLY, planted
from raylite._core.store.message cimport Holder, HOLDER_NODE, ObjectNotice, OP_HOLD, OP_UNLOCATE, OP_UNWATCH, \
    OP_WATCH, STORED_LOST, STORED_READY


# ---- holding ---------------------------------------------------------------------------------------------------

cdef RemoteObject* remote_of(NodeState* n, ObjectId id) noexcept nogil:
    """What is known of the object's copies; made if it is new."""
    return &n.cluster.remote[id]


cdef ObjectRow* foreign_object(NodeState* n, ObjectId id) noexcept nogil:
    """The row of an object of which nothing is known here but that it exists."""
    cdef ObjectRow* row = objects_add(&n.objects, id)
    row.reach |= REACH_EXPOSED | REACH_FOREIGN
    return row


cdef void touch(NodeState* n, const ObjectRow* row) noexcept nogil:
    """Something here came to need the object, perhaps."""
    if row.reach & REACH_EXPOSED and not row.reach & REACH_HELD:
        n.cluster.touched.push_back(row.id)


cdef bint needed_here(NodeState* n, const ObjectRow* row) noexcept nogil:
    """Whether this node has to hold the object: apart from guests, and from those that were sent it to keep."""
    cdef uint32_t of_guests = 0
    cdef size_t i
    if row.kept or row.n_container_holds and not planted(FREED_EARLY):
        return True
    for i in range(row.holders.size()):
        if not row.holders[i] & PEER_CLIENT:
            return True
    if row.n_task_holds and n.cluster.remote.count(row.id):
        of_guests = n.cluster.remote[row.id].n_guest_holds
    return row.n_task_holds > of_guests


cdef Blob* this_holder(NodeState* n) noexcept nogil:
    cdef Blob* body = blob_new(sizeof(Holder))
    cdef Holder* holder = <Holder*> blob_data(body)
    memset(holder, 0, sizeof(Holder))
    holder.kind = HOLDER_NODE
    holder.address = n.cluster.address
    holder.incarnation = n.incarnation
    return body


cdef void hold_touched(NodeState* n) noexcept nogil:
    """Hold in the store what came to be needed."""
    cdef ObjectRow* row
    cdef size_t i
    for i in range(n.cluster.touched.size()):
        row = objects_find(&n.objects, n.cluster.touched[i])
        if row != NULL and row.reach & REACH_EXPOSED and needed_here(n, row):
            hold_in_store(n, row)
    n.cluster.touched.clear()


cdef void hold_in_store(NodeState* n, ObjectRow* row) noexcept nogil:
    if not row.reach & REACH_HELD:
        row.reach |= REACH_HELD
        ask_store(n, OP_HOLD, row.id, this_holder(n))


cdef void hold_refused(NodeState* n, ObjectId id) noexcept nogil:
    """The store does not know the object: its last holder had let go before. Every reference resolves (rule 5)."""
    cdef const char* text = b"the object is not known to the cluster: its last reference was released before"
    cdef ObjectRow* row = objects_find(&n.objects, id)
    if row == NULL:
        return
    row.reach &= ~(REACH_EXPOSED | REACH_HELD | REACH_WATCHED)
    if row.state == OBJECT_PENDING and row.reach & REACH_FOREIGN or row.state == OBJECT_REMOTE:
        store_blob(n, row, system_error(ERROR_OBJECT_LOST, text, strlen(text)))


cdef void unwatch(NodeState* n, ObjectRow* row) noexcept nogil:
    if row.reach & REACH_WATCHED:
        row.reach &= ~REACH_WATCHED
        ask_store(n, OP_UNWATCH, row.id, NULL)


cdef void forget_remote(NodeState* n, ObjectId id) noexcept nogil:
    """The row goes: with it what was known of copies, and what is on its way here."""
    if n.cluster.remote.count(id) == 0:
        return
    stop_transfer(n, n.cluster.remote[id].transfer)
    n.cluster.remote.erase(id)


cdef bint settle_beyond(NodeState* n, ObjectRow* row) noexcept nogil:
    """What was needed here may be no more: the store is told. True if the row has to stay for others."""
    if row.kind == KIND_FUNCTION and not needed_here(n, row):
        function_gone(n, row.id)  # not when the row goes: nodes may have sent it to each other
    if row.reach & REACH_HELD and not needed_here(n, row):
        row.reach &= ~REACH_HELD
        depart_release(n, row.id, this_holder(n))
    if object_in_scope(row):
        return True
    unwatch(n, row)
    return row.reach & REACH_COPY != 0


cdef void on_free_entry(NodeState* n, ObjectId id) noexcept nogil:
    """Nobody needs the object any more: the copy goes. Views of it keep its bytes until they end."""
    cdef ObjectRow* row = objects_find(&n.objects, id)
    ask_store(n, OP_UNLOCATE, id, NULL)
    if row == NULL:
        return
    row.reach &= ~REACH_COPY
    n.unsettled.push_back(id)


# ---- finding ---------------------------------------------------------------------------------------------------

cdef void watch(NodeState* n, ObjectRow* row) noexcept nogil:
    """Have the store say when the object exists, and where; and have it made again if it is lost. Who watches holds:
    of what a guest takes the store may not have heard yet, and would say that it is gone."""
    hold_in_store(n, row)
    if not row.reach & REACH_WATCHED:
        row.reach |= REACH_WATCHED
        ask_store(n, OP_WATCH, row.id, NULL)


cdef void want_from_elsewhere(NodeState* n, ObjectRow* row) noexcept nogil:
    """Somebody waits for the object, which is not here."""
    if row.state == OBJECT_REMOTE:
        start_transfer(n, row)
    elif row.state == OBJECT_PENDING and row.reach & REACH_FOREIGN:
        watch(n, row)


cdef void is_at(NodeState* n, ObjectRow* row, uint64_t size, const uint32_t* locations, uint32_t count) noexcept nogil:
    """The object exists on these nodes."""
    cdef RemoteObject* remote
    if object_here(row):
        return
    remote = remote_of(n, row.id)
    remote.locations.assign(locations, locations + count)
    row.size = size
    row.reach |= REACH_EXPOSED
    if row.state != OBJECT_REMOTE:
        row.state = OBJECT_REMOTE
        n.arrived.push_back(row.id)
    elif not row.waiters.empty():
        n.wanted.push_back(row.id)


cdef void not_at(NodeState* n, ObjectRow* row, uint32_t address) noexcept nogil:
    """The object is not there, or not any more. With no place left the store is asked."""
    strike_out(n, row, address)
    if remote_of(n, row.id).locations.empty() and row.state == OBJECT_REMOTE:
        row.state = OBJECT_PENDING
        row.reach |= REACH_FOREIGN
    if not row.waiters.empty():
        n.wanted.push_back(row.id)


cdef void strike_out(NodeState* n, const ObjectRow* row, uint32_t address) noexcept nogil:
    """There is no copy there any more."""
    cdef RemoteObject* remote = remote_of(n, row.id)
    cdef size_t i, kept = 0
    for i in range(remote.locations.size()):
        if remote.locations[i] != address:
            remote.locations[kept] = remote.locations[i]
            kept += 1
    remote.locations.resize(kept)


cdef void forget_locations(NodeState* n, uint32_t address) noexcept nogil:
    """A node is gone, and its copies with it."""
    cdef unordered_map[ObjectId, RemoteObject].iterator it = n.cluster.remote.begin()
    cdef vector[ObjectId] ids
    cdef ObjectRow* row
    cdef size_t i
    while it != n.cluster.remote.end():
        ids.push_back(deref(it).first)
        preincrement(it)
    sort(ids.begin(), ids.end())
    for i in range(ids.size()):
        row = objects_find(&n.objects, ids[i])
        if row != NULL and row.state == OBJECT_REMOTE:
            not_at(n, row, address)
        elif row != NULL and row.is_copy:
            strike_out(n, row, address)


cdef bint on_object_entry(NodeState* n, ObjectId id, const char* body, uint64_t size) noexcept nogil:
    """The store says what has become of a watched object. False if it is malformed."""
    cdef Cursor c = Cursor(body, size, False)
    cdef const ObjectNotice* notice = <const ObjectNotice*> take(&c, sizeof(ObjectNotice))
    cdef const uint32_t* locations
    cdef vector[uint32_t] elsewhere
    cdef const char* value = NULL
    cdef ObjectRow* row = objects_find(&n.objects, id)
    cdef uint32_t i
    if notice == NULL:
        return False
    locations = <const uint32_t*> take_padded(&c, 4 * <uint64_t> notice.n_locations)
    if notice.is_inline:
        value = take(&c, notice.size)         # the body's padding is not part of it
    if c.failed or (notice.is_inline and not envelope_valid(value, notice.size)) or notice.kind > KIND_CHECKPOINT:
        return False
    if row == NULL or (notice.state != STORED_READY and notice.state != STORED_LOST):
        return True
    for i in range(notice.n_locations):
        if locations[i] != n.cluster.address:
            elsewhere.push_back(locations[i])
    if elsewhere.size() < notice.n_locations and not object_here(row):
        ask_store(n, OP_UNLOCATE, id, NULL)   # it was lost here, and what said that it is came after that
        if elsewhere.empty():
            return True
    unwatch(n, row)
    if object_here(row):
        return True
    if notice.is_inline or not elsewhere.empty():
        comes_from_elsewhere(n, row)
    if notice.is_inline:
        store_blob(n, row, blob_copy(value, notice.size))
    elif not elsewhere.empty():
        is_at(n, row, notice.size, elsewhere.data(), <uint32_t> elsewhere.size())
    return True
