"""Objects in a shard: who holds them, where their copies are, who watches; freed, lost, made again.

A value is kept while there is a holder other than for lineage, its row while there is any. Holders are sets, so that a
hold said twice is one (DESIGN 4.2). A row that only others have spoken of - their word came before the COMMIT or PUT of
who makes it - is unknown until then. What loses a holder or a copy goes on `unsettled`; settle_object decides.
"""
from cython.operator cimport dereference as deref
from libc.stdint cimport uint32_t
from libc.string cimport memset, strlen
from libcpp.algorithm cimport lower_bound, sort
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, Blob, blob_copy, blob_data, blob_drop, envelope_valid, KIND_CHECKPOINT, \
    KIND_SYSTEM_ERROR, system_error
from raylite._core.ids cimport ACTOR_INDEX
from raylite._core.message cimport take, take_padded
from raylite._core.node.state cimport ERROR_OBJECT_LOST
from raylite._core.planted cimport planted, WAITER_FORGOTTEN
from raylite._core.store.actors cimport actor_unreferenced
from raylite._core.store.message cimport *
from raylite._core.store.state cimport container_holder, discard, find_object, find_task, includes, is_node, is_shard, \
    node_holder, STORED_TASK_ENDED, STORED_TASK_RETIRED, StoredTask
from raylite._core.store.streams cimport answer, begin_out, forward, put_out
from raylite._core.store.tasks cimport n_results, rebuild


# ---- holders ---------------------------------------------------------------------------------------------------

cdef StoredObject* row_of(StoreState* s, ObjectId id) noexcept nogil:
    """The object's row. A new one is not known, but for a result of a task that is: of that it can be made."""
    cdef StoredObject* row = find_object(s, id)
    cdef StoredTask* t
    if row != NULL:
        return row
    row = &s.objects[id]
    row.id = id
    row.id.unused = 0
    t = find_task(s, id.task)
    row.known = t != NULL and t.state != STORED_TASK_RETIRED and id.index < n_results(t)
    if not row.known:
        s.unknown[row.id] = False
    elif t.state == STORED_TASK_ENDED:
        row.state = STORED_MISSING
        t.n_settled = 0
    return row


cdef StoredObject* known_object(StoreState* s, ObjectId id, uint8_t state) noexcept nogil:
    """The object's row, from now on known; `state` if it is new."""
    cdef StoredObject* row = find_object(s, id)
    if row == NULL:
        row = row_of(s, id)
        row.state = state
    if not row.known:
        row.known = True
        s.unknown.erase(row.id)
    return row


cdef void hold_here(StoreState* s, ObjectId id, HolderKey key) noexcept nogil:
    cdef StoredObject* row = row_of(s, id)
    if row.holders.insert(key).second and key.kind != HOLDER_LINEAGE:
        row.n_keeping += 1


cdef void release_here(StoreState* s, ObjectId id, HolderKey key) noexcept nogil:
    cdef StoredObject* row = find_object(s, id)
    if row != NULL and row.holders.erase(key):
        if key.kind != HOLDER_LINEAGE:
            row.n_keeping -= 1
        s.unsettled.push_back(row.id)


cdef Holder holder_of(HolderKey key) noexcept nogil:
    cdef Holder h
    memset(&h, 0, sizeof(Holder))
    h.kind = key.kind
    h.object.task.hi = key.hi
    h.object.task.lo = key.lo
    h.object.index = key.index
    return h


cdef void hold(StoreState* s, ObjectId id, HolderKey key, bint awaited) noexcept nogil:
    """Add a holder, in whichever shard the object is. If `awaited`, the operation's answer waits until it is there."""
    cdef Holder h
    if shard_of(id.task, s.n_shards) == s.shard:
        hold_here(s, id, key)
        return
    h = holder_of(key)
    forward(s, id.task, OP_HOLD, id, <const char*> &h, sizeof(Holder), awaited)


cdef void release(StoreState* s, ObjectId id, HolderKey key) noexcept nogil:
    cdef Holder h
    if shard_of(id.task, s.n_shards) == s.shard:
        release_here(s, id, key)
        return
    h = holder_of(key)
    forward(s, id.task, OP_RELEASE, id, <const char*> &h, sizeof(Holder), False)


cdef bint read_holder(StoreState* s, const Holder* h, HolderKey* out) noexcept nogil:
    """Whom a HOLD or RELEASE is about. False if it is not for the endpoint to say so."""
    if h.kind == HOLDER_NODE:
        out[0] = node_holder(s.asking)
        return is_node(s.asking) and party_key(h.address, h.incarnation) == s.asking
    out[0] = HolderKey(h.kind, h.object.index, h.object.task.hi, h.object.task.lo)
    return is_shard(s.asking) and (h.kind == HOLDER_TASK or h.kind == HOLDER_LINEAGE or h.kind == HOLDER_CONTAINER
                                   or h.kind == HOLDER_LOG or h.kind == HOLDER_PARENT)


cdef bint on_hold(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    """HOLD and RELEASE."""
    cdef const Holder* h = <const Holder*> take(body, sizeof(Holder))
    cdef HolderKey key
    if h == NULL or not read_holder(s, h, &key):
        return False
    if op.kind == OP_HOLD:
        hold_here(s, op.object, key)
    else:
        release_here(s, op.object, key)
    answer(s, op, STORE_OK, NULL, 0)
    return True


# ---- who watches -----------------------------------------------------------------------------------------------

cdef void tell(StoreState* s, uint64_t watcher, const StoredObject* row) noexcept nogil:
    cdef ObjectNotice notice
    cdef uint64_t at = 0
    cdef uint32_t address
    cdef size_t i
    cdef string* out = begin_out(s, watcher, ENTRY_OBJECT, 0, row.id, &at)
    if out == NULL:
        return
    memset(&notice, 0, sizeof(ObjectNotice))
    notice.state = row.state
    notice.kind = row.kind
    notice.flags = row.flags
    notice.is_inline = row.value != NULL
    notice.n_locations = <uint32_t> row.locations.size() if row.state == STORED_READY else 0
    notice.size = row.size
    out.append(<const char*> &notice, sizeof(ObjectNotice))
    for i in range(notice.n_locations):
        address = <uint32_t> (row.locations[i] >> 32)
        out.append(<const char*> &address, 4)
    out.append(align8(4 * notice.n_locations) - 4 * notice.n_locations, <char> 0)
    if row.value != NULL:
        out.append(blob_data(row.value), row.value.size)
    end_item(out, at)


cdef void notify(StoreState* s, const StoredObject* row) noexcept nogil:
    cdef size_t i
    for i in range(row.watchers.size()):
        if i == 0 or not planted(WAITER_FORGOTTEN):
            tell(s, row.watchers[i], row)


cdef void tell_unknown(StoreState* s, uint64_t watcher, ObjectId id) noexcept nogil:
    """Every reference resolves (rule 5): this one, to the error that nothing is known of it."""
    cdef const char* why = b"it is not known to the control store: its last reference was released before"
    cdef StoredObject row
    row.id = id
    row.state = STORED_LOST
    row.kind = KIND_SYSTEM_ERROR
    row.flags = 0
    row.value = system_error(ERROR_OBJECT_LOST, why, strlen(why))
    row.size = row.value.size
    tell(s, watcher, &row)
    blob_drop(row.value)


cdef void on_watch(StoreState* s, const StoreOp* op) noexcept nogil:
    cdef StoredObject* row = find_object(s, op.object)
    if row == NULL:
        tell_unknown(s, s.asking, op.object)
        return
    if not includes(&row.watchers, s.asking):
        row.watchers.push_back(s.asking)
    if not rebuild(s, row):
        tell(s, s.asking, row)


cdef void on_unwatch(StoreState* s, const StoreOp* op) noexcept nogil:
    cdef StoredObject* row = find_object(s, op.object)
    if row != NULL:
        discard(&row.watchers, s.asking)


# ---- values ----------------------------------------------------------------------------------------------------

cdef bint take_given(Cursor* c, GivenValue* out) noexcept nogil:
    """The next StoreValue of a body. False if it is malformed."""
    cdef const StoreValue* v = <const StoreValue*> take(c, sizeof(StoreValue))
    if v == NULL or v.kind > KIND_CHECKPOINT:
        return False
    out.head = v
    out.refs = <const ObjectId*> take(c, sizeof(ObjectId) * <uint64_t> v.n_refs)
    out.inline_value = take_padded(c, v.size) if v.is_inline else NULL
    return not c.failed and (not v.is_inline or envelope_valid(out.inline_value, v.size))


cdef void refuse(StoreState* s, ObjectId id, const GivenValue* value) noexcept nogil:
    """Nobody needs this copy: who has it may let it go."""
    if not value.head.is_inline:
        put_out(s, s.asking, ENTRY_FREE, 0, 0, id, NULL, 0)


cdef void add_location(StoredObject* row, uint64_t key) noexcept nogil:
    cdef vector[uint64_t].iterator at = lower_bound(row.locations.begin(), row.locations.end(), key)
    if at == row.locations.end() or deref(at) != key:
        row.locations.insert(at, key)


cdef void contain(StoreState* s, StoredObject* row, const ObjectId* refs, uint32_t n_refs) noexcept nogil:
    """The value has these references inside. A value made again need not have the same ones."""
    cdef HolderKey key = container_holder(row.id)
    cdef vector[ObjectId] before
    cdef uint32_t i
    cdef size_t k = 0
    before.swap(row.contained)
    for i in range(n_refs):
        row.contained.push_back(refs[i])
        row.contained.back().unused = 0
    sort(row.contained.begin(), row.contained.end())
    for i in range(<uint32_t> row.contained.size()):
        if i and row.contained[i] == row.contained[i - 1]:
            continue
        row.contained[k] = row.contained[i]
        k += 1
        hold(s, row.contained[i], key, True)
    row.contained.resize(k)
    for k in range(before.size()):
        if not has(&row.contained, before[k]):
            release(s, before[k], key)


cdef bint has(const vector[ObjectId]* ids, ObjectId id) noexcept nogil:
    cdef size_t i
    for i in range(ids.size()):
        if ids[0][i] == id:
            return True
    return False


cdef void give(StoreState* s, ObjectId id, const GivenValue* value) noexcept nogil:
    """The endpoint has made the object. While a copy of it lives, another one cannot replace it (DESIGN 4.4)."""
    cdef StoredObject* row = find_object(s, id)
    cdef const StoreValue* v = value.head
    if row == NULL or row.state == STORED_LOST or row.state == STORED_FREEING:
        refuse(s, id, value)
        return
    if row.state == STORED_READY:
        if row.is_inline or v.is_inline or v.size != row.size or v.kind != row.kind:
            refuse(s, id, value)
        else:
            add_location(row, s.asking)
        return
    row.state = STORED_READY
    row.described = True
    row.is_inline = v.is_inline
    row.kind = v.kind
    row.flags = v.flags
    row.size = v.size
    if v.is_inline:
        row.value = blob_copy(value.inline_value, v.size)
    else:
        add_location(row, s.asking)
    contain(s, row, value.refs, v.n_refs)
    notify(s, row)
    s.unsettled.push_back(row.id)
    s.ended.push_back(row.id.task)


cdef void give_error(StoreState* s, StoredObject* row, const char* envelope, uint64_t size) noexcept nogil:
    """The object is this error, for good."""
    cdef const char* data
    row.state = STORED_LOST
    row.kind = KIND_SYSTEM_ERROR
    row.flags = 0
    row.is_inline = True
    row.size = size
    row.value = blob_copy(envelope, size)
    data = blob_data(row.value)
    row.kind = (<const uint8_t*> data)[1]
    notify(s, row)
    s.unsettled.push_back(row.id)
    s.ended.push_back(row.id.task)


cdef void give_up(StoreState* s, StoredObject* row, const char* why) noexcept nogil:
    cdef Blob* error = system_error(ERROR_OBJECT_LOST, why, strlen(why))
    give_error(s, row, blob_data(error), error.size)
    blob_drop(error)


cdef bint on_put(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef GivenValue value
    if not take_given(body, &value) or body.left:
        return False
    known_object(s, op.object, STORED_PENDING)
    if is_node(s.asking):
        hold_here(s, op.object, node_holder(s.asking))
    give(s, op.object, &value)
    answer(s, op, STORE_OK, NULL, 0)
    return True


# ---- copies ----------------------------------------------------------------------------------------------------

cdef void on_locate(StoreState* s, const StoreOp* op) noexcept nogil:
    """There is a copy more: also of what seemed lost."""
    cdef StoredObject* row = find_object(s, op.object)
    if row == NULL or row.state == STORED_LOST:
        put_out(s, s.asking, ENTRY_FREE, 0, 0, op.object, NULL, 0)
        return
    if row.is_inline and row.state == STORED_READY:
        return
    add_location(row, s.asking)
    if row.state == STORED_FREEING:
        put_out(s, s.asking, ENTRY_FREE, 0, 0, op.object, NULL, 0)
    elif row.described and row.state != STORED_READY:
        row.state = STORED_READY
        notify(s, row)
        s.unsettled.push_back(row.id)


cdef void drop_location(StoreState* s, StoredObject* row, uint64_t key) noexcept nogil:
    """A copy is gone. Without any, the value is."""
    if not discard(&row.locations, key) or not row.locations.empty():
        return
    if row.state == STORED_READY and not row.is_inline:
        row.state = STORED_MISSING
    s.unsettled.push_back(row.id)


cdef void on_unlocate(StoreState* s, const StoreOp* op) noexcept nogil:
    cdef StoredObject* row = find_object(s, op.object)
    if row != NULL:
        drop_location(s, row, s.asking)


# ---- what nobody needs -----------------------------------------------------------------------------------------

cdef bint lacks_nothing(const StoredObject* row) noexcept nogil:
    """Whether its value is in the row for as long as the row is: nobody will have to make it again."""
    return row.state == STORED_LOST or row.state == STORED_READY and row.is_inline and row.contained.empty()


cdef void drop_value(StoreState* s, StoredObject* row) noexcept nogil:
    cdef HolderKey key = container_holder(row.id)
    cdef size_t i
    blob_drop(row.value)
    row.value = NULL
    for i in range(row.contained.size()):
        release(s, row.contained[i], key)
    row.contained.clear()


cdef void erase_object(StoreState* s, StoredObject* row) noexcept nogil:
    cdef size_t i
    drop_value(s, row)
    for i in range(row.watchers.size()):
        tell_unknown(s, row.watchers[i], row.id)
    s.ended.push_back(row.id.task)
    s.unknown.erase(row.id)
    s.objects.erase(row.id)


cdef void start_freeing(StoreState* s, StoredObject* row) noexcept nogil:
    cdef size_t i
    row.state = STORED_FREEING
    drop_value(s, row)
    for i in range(row.locations.size()):
        put_out(s, row.locations[i], ENTRY_FREE, 0, 0, row.id, NULL, 0)


cdef void settle_object(StoreState* s, ObjectId id) noexcept nogil:
    """The object has lost a holder or a copy, or has got a value: free what nobody needs, make again what is missed."""
    cdef StoredObject* row = find_object(s, id)
    if row == NULL:
        return
    if row.state == STORED_FREEING and row.locations.empty():
        row.state = STORED_MISSING
    if row.n_keeping:
        if not row.watchers.empty() and row.state == STORED_MISSING:
            rebuild(s, row)
        return
    if id.index == ACTOR_INDEX:
        actor_unreferenced(s, id.task)
    if not row.locations.empty():
        if row.state != STORED_FREEING:
            start_freeing(s, row)
    elif row.holders.empty():
        erase_object(s, row)
    elif row.state == STORED_READY and not lacks_nothing(row):
        drop_value(s, row)
        row.state = STORED_MISSING
    elif row.state == STORED_MISSING:
        drop_value(s, row)        # what it contained may be what it is lineage of
