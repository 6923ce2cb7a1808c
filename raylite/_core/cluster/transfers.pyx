"""Large objects on their way between nodes: pulled in chunks, several in flight, from one copy at a time.

The node that wants an object leases a block of its arena, asks the copy what the value is, and then for one chunk after
another. A copy that is gone, or lies, is left out and the next one asked. Who serves keeps its value pinned while a
chunk is being read. Neither side opens the bytes: the host reads and writes the arena (CMD_READ, CMD_WRITE).
"""
from cython.operator cimport dereference as deref
from libc.string cimport memcpy
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport ask_store, depart, depart_to_store, tell
from raylite._core.cluster.message cimport NODE_CHUNK, NODE_NOT_HERE, NODE_PULL, NODE_VALUE
from raylite._core.cluster.remote_objects cimport not_at, remote_of
from raylite._core.cluster.table cimport Reading, RemoteObject, Transfer
from raylite._core.envelope cimport Blob, blob_copy, blob_data, blob_new, KIND_CHECKPOINT, system_error
from raylite._core.ids cimport object_id, ObjectId
from raylite._core.message cimport CMD_READ, CMD_WRITE, ReadHeader
from raylite._core.node.arena cimport arena_free, arena_seal
from raylite._core.node.leases cimport lease_room
from raylite._core.node.objects cimport object_here, OBJECT_INLINE, object_pin, OBJECT_REMOTE, OBJECT_SPILLED, \
    object_unpin, objects_find, REACH_COPY
from raylite._core.node.references cimport contain, store_blob
from raylite._core.node.room cimport enter_arena, forget_room, use_value
from raylite._core.node.state cimport emit, ERROR_STORE_FULL
from raylite._core.planted cimport MISPLACED_CHUNK, planted
from raylite._core.scheduler.loads cimport means_transfer
from raylite._core.store.message cimport OP_LOCATE, OP_UNLOCATE

cdef enum:
    CHUNK_BYTES = 1 << 20
    AHEAD_BYTES = 4 << 20         # asked for and not there yet, of one transfer


# ---- wanting ---------------------------------------------------------------------------------------------------

cdef Transfer* find_transfer(NodeState* n, uint64_t id, uint32_t source) noexcept nogil:
    it = n.cluster.transfers.find(id)
    if it == n.cluster.transfers.end() or deref(it).second.source != source:
        return NULL
    return &deref(it).second


cdef void start_transfer(NodeState* n, ObjectRow* row) noexcept nogil:
    """Bring the object here, unless it is on its way."""
    cdef RemoteObject* remote = remote_of(n, row.id)
    cdef Transfer* t
    if remote.transfer or remote.locations.empty():
        return
    n.cluster.last_transfer += 1
    t = &n.cluster.transfers[n.cluster.last_transfer]
    t.id = n.cluster.last_transfer
    t.object = row.id
    t.start_ns = n.now_ns
    # Many that read one object spread over its copies.
    t.source = remote.locations[(n.cluster.address + row.id.task.lo) % remote.locations.size()]
    remote.transfer = t.id
    tell_pull(n, t, 0, 0)


cdef void tell_pull(NodeState* n, const Transfer* t, uint64_t offset, uint64_t size) noexcept nogil:
    cdef Blob* payload = blob_new(8)
    cdef Message* m
    memcpy(blob_data(payload), &size, 8)
    m = tell(n, t.source, NODE_PULL, payload)
    m.object = t.object
    m.request = t.id
    m.aux = offset


cdef void end_transfer(NodeState* n, Transfer* t) noexcept nogil:
    """It is over, one way or another. A block that it leased and did not fill is free again."""
    if t.leased and arena_seal(&n.arena, NODE_CLIENT, t.segment, t.offset, 0):
        arena_free(&n.arena, t.segment, t.offset)
        n.room.changed = True
    elif t.size and not t.leased:
        forget_room(n, NODE_CLIENT, t.id)
    if n.cluster.remote.count(t.object):
        n.cluster.remote[t.object].transfer = 0
    n.cluster.transfers.erase(t.id)


cdef void stop_transfer(NodeState* n, uint64_t id) noexcept nogil:
    """Nobody needs it any more."""
    it = n.cluster.transfers.find(id)
    if it != n.cluster.transfers.end():
        end_transfer(n, &deref(it).second)


cdef void try_elsewhere(NodeState* n, Transfer* t) noexcept nogil:
    """The source does not have it, or is gone."""
    cdef ObjectRow* row = objects_find(&n.objects, t.object)
    cdef uint32_t source = t.source
    end_transfer(n, t)
    if row != NULL:
        not_at(n, row, source)


cdef void transfers_lost(NodeState* n, uint32_t source) noexcept nogil:
    """A node is gone: what came from there comes from elsewhere; what was read for it is not sent."""
    cdef vector[uint64_t] ids
    cdef size_t i
    for entry in n.cluster.transfers:
        if entry.second.source == source:
            ids.push_back(entry.first)
    for i in range(ids.size()):
        try_elsewhere(n, &n.cluster.transfers[ids[i]])


cdef bint on_value(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """What the value is: then there is room made for it. False if it is malformed."""
    cdef Transfer* t = find_transfer(n, m.request, source)
    cdef const ObjectId* refs = <const ObjectId*> payload
    if m.size % sizeof(ObjectId) or m.aux == 0 or m.flags & 0xFF > KIND_CHECKPOINT:
        return False
    if t == NULL or t.size:
        return True
    t.size = m.aux
    t.kind = m.flags & 0xFF
    t.flags = m.flags >> 8
    t.contained.assign(refs, refs + m.size // sizeof(ObjectId))
    lease_room(n, NODE_CLIENT, t.id, t.size)
    return True


cdef void transfer_leased(NodeState* n, uint64_t id, uint32_t segment, uint64_t offset, uint64_t size) noexcept nogil:
    """There is room (or, with size 0, none): the first chunks are asked for."""
    cdef const char* text = b"the arena is full: there is no room for a value from another node"
    cdef Transfer* t
    cdef ObjectRow* row
    it = n.cluster.transfers.find(id)
    if it == n.cluster.transfers.end():
        if size and arena_seal(&n.arena, NODE_CLIENT, segment, offset, 0):
            arena_free(&n.arena, segment, offset)
        return
    t = &deref(it).second
    if size == 0:
        row = objects_find(&n.objects, t.object)
        end_transfer(n, t)
        if row != NULL and row.state == OBJECT_REMOTE:
            store_blob(n, row, system_error(ERROR_STORE_FULL, text, 65))
        return
    t.leased = True
    t.segment = segment
    t.offset = offset
    ask_chunks(n, t)


cdef void ask_chunks(NodeState* n, Transfer* t) noexcept nogil:
    cdef uint64_t size
    while t.asked < t.size and t.asked - t.arrived < AHEAD_BYTES:
        size = min(<uint64_t> CHUNK_BYTES, t.size - t.asked)
        tell_pull(n, t, t.asked, size)
        t.asked += size


cdef bint on_chunk(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """The next bytes: they come in the order in which they were asked for. False if they are others."""
    cdef Transfer* t = find_transfer(n, m.request, source)
    cdef Message* write
    if t == NULL:
        return True
    if not t.leased or m.aux != t.arrived or m.size == 0 or m.size > t.asked - t.arrived:
        return False
    write = emit(n, CMD_WRITE, NODE_CLIENT, blob_copy(payload, m.size))
    write.object = object_id(write.object.task, t.segment)
    write.aux = t.offset + (0 if planted(MISPLACED_CHUNK) else m.aux)
    t.arrived += m.size
    if t.arrived == t.size:
        arrive(n, t)
    else:
        ask_chunks(n, t)
    return True


cdef void arrive(NodeState* n, Transfer* t) noexcept nogil:
    """The whole value is here: this node has a copy, and says so."""
    cdef ObjectRow* row = objects_find(&n.objects, t.object)
    if row == NULL or row.state != OBJECT_REMOTE:
        end_transfer(n, t)
        return
    arena_seal(&n.arena, NODE_CLIENT, t.segment, t.offset, t.size)
    t.leased = False
    row.kind = t.kind
    row.flags = t.flags
    row.segment = t.segment
    row.offset = t.offset
    row.size = t.size
    row.is_copy = True
    row.reach |= REACH_COPY
    enter_arena(n, row)
    contain(n, row, t.contained.data(), <uint32_t> t.contained.size())
    n.arrived.push_back(row.id)
    means_transfer(&n.cluster.means, t.size, n.now_ns - t.start_ns)
    depart_to_store(n, OP_LOCATE, row.id, NULL, NULL)
    end_transfer(n, t)


cdef void on_not_here(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    cdef Transfer* t = find_transfer(n, m.request, source)
    if t != NULL:
        try_elsewhere(n, t)


# ---- serving ---------------------------------------------------------------------------------------------------

cdef void refuse_pull(NodeState* n, uint32_t source, uint64_t transfer, ObjectId object) noexcept nogil:
    """There is no copy here. Who asks has heard of one: so has the store, perhaps, and is told better."""
    cdef Message* answer = tell(n, source, NODE_NOT_HERE, NULL)
    answer.request = transfer
    answer.object = object
    ask_store(n, OP_UNLOCATE, object, NULL)


cdef bint on_pull(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """Another node wants to know what the value is, or a part of its bytes. False if it is malformed."""
    cdef ObjectRow* row = objects_find(&n.objects, m.object)
    cdef uint64_t size
    if m.size != 8:
        return False
    memcpy(&size, payload, 8)
    if row == NULL or not object_here(row):
        refuse_pull(n, source, m.request, m.object)
        return True
    if size == 0:
        describe(n, source, m, row)
        return True
    if size > CHUNK_BYTES or m.aux > row.size or size > row.size - m.aux:
        return False
    if row.state == OBJECT_INLINE:
        send_chunk(n, source, m.request, m.aux, blob_copy(blob_data(row.blob) + m.aux, size))
    else:
        read_chunk(n, source, m, row, size)
    return True


cdef void describe(NodeState* n, uint32_t source, const Message* m, const ObjectRow* row) noexcept nogil:
    cdef Blob* refs = blob_copy(<const char*> row.contained.data(), row.contained.size() * sizeof(ObjectId))
    cdef Message* answer = depart(n, source, NODE_VALUE, refs, NULL)
    answer.request = m.request
    answer.object = m.object
    answer.aux = row.size
    answer.flags = row.kind | <unsigned short> (row.flags << 8)


cdef void read_chunk(NodeState* n, uint32_t source, const Message* m, ObjectRow* row, uint64_t size) noexcept nogil:
    cdef Blob* payload = blob_new(sizeof(ReadHeader))
    cdef ReadHeader* head = <ReadHeader*> blob_data(payload)
    cdef Reading* reading
    cdef Message* read
    cdef bint spilled = row.state == OBJECT_SPILLED
    head.size = size
    head.spilled = row.disk if spilled else 0
    n.cluster.last_reading += 1
    reading = &n.cluster.readings[n.cluster.last_reading]
    reading.target = source
    reading.transfer = m.request
    reading.object = row.id
    reading.offset = m.aux
    object_pin(row, NODE_CLIENT)
    if not spilled:
        use_value(n, row)
    read = emit(n, CMD_READ, NODE_CLIENT, payload)
    read.request = n.cluster.last_reading
    read.object = object_id(read.object.task, 0 if spilled else row.segment)
    read.aux = m.aux if spilled else row.offset + m.aux


cdef void send_chunk(NodeState* n, uint32_t target, uint64_t transfer, uint64_t offset, Blob* bytes) noexcept nogil:
    cdef Message* m = depart(n, target, NODE_CHUNK, bytes, NULL)
    m.request = transfer
    m.aux = offset


cdef void on_bytes(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """The host has read what was to be sent."""
    cdef Reading reading
    cdef ObjectRow* row
    it = n.cluster.readings.find(m.request)
    if it == n.cluster.readings.end():
        return
    reading = deref(it).second
    n.cluster.readings.erase(m.request)
    row = objects_find(&n.objects, reading.object)
    if row != NULL and object_unpin(row, NODE_CLIENT, False):
        n.unsettled.push_back(reading.object)
        n.room.changed = True
    if m.size:
        send_chunk(n, reading.target, reading.transfer, reading.offset, blob_copy(payload, m.size))
    else:
        refuse_pull(n, reading.target, reading.transfer, reading.object)
