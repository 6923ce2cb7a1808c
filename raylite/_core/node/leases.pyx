"""Blocks of the arena, leased to who is going to write a value: found, waited for while a segment is made, returned."""
from cython.operator cimport dereference as deref
from libc.string cimport memset
from libcpp.map cimport map as ordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.transfers cimport NODE_CLIENT, transfer_leased
from raylite._core.envelope cimport Blob, blob_data, blob_new
from raylite._core.ids cimport object_id
from raylite._core.message cimport CMD_LEASED, CMD_SEGMENT, Location
from raylite._core.node.arena cimport arena_drop_segment, arena_free, ARENA_FULL, arena_lease, arena_new_segment, \
    ARENA_OK, arena_seal, Segment
from raylite._core.node.state cimport emit, PendingLease


cdef void answer_lease(NodeState* n, uint32_t client, uint64_t request, uint32_t segment, uint64_t offset,
                       uint64_t size) noexcept nogil:
    cdef Blob* payload
    cdef Location* where
    if client == NODE_CLIENT:
        transfer_leased(n, request, segment, offset, size)
        return
    payload = blob_new(sizeof(Location))
    where = <Location*> blob_data(payload)
    memset(where, 0, sizeof(Location))
    where.segment = segment
    where.offset = offset
    where.size = size
    emit(n, CMD_LEASED, client, payload).request = request


cdef void lease_room(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil:
    """Find room, or have a segment made and wait for it; a full store answers with size 0."""
    cdef uint32_t segment = 0
    cdef uint64_t offset = 0
    cdef int answer = arena_lease(&n.arena, client, size, &segment, &offset)
    cdef Segment* fresh
    cdef Message* m
    cdef PendingLease pending
    if answer == ARENA_OK:
        answer_lease(n, client, request, segment, offset, size)
    elif answer == ARENA_FULL:
        answer_lease(n, client, request, 0, n.arena.used, 0)
    else:
        fresh = arena_new_segment(&n.arena, client, size)
        m = emit(n, CMD_SEGMENT, client, NULL)
        m.object = object_id(m.object.task, fresh.id)
        m.request = fresh.size
        pending.request = request
        pending.size = size
        pending.client = client
        pending.segment = fresh.id
        n.leases.push_back(pending)


cdef void on_segment(NodeState* n, const Message* m) noexcept nogil:
    """The host made a segment (or could not: request is errno): the leases that waited for it are answered."""
    cdef ordered_map[uint32_t, Segment].iterator it = n.arena.segments.find(m.object.index)
    cdef vector[PendingLease] waiting
    cdef size_t i, kept = 0
    if it == n.arena.segments.end() or deref(it).second.exists:
        return
    if m.request:
        arena_drop_segment(&n.arena, m.object.index)
    else:
        deref(it).second.exists = True
    for i in range(n.leases.size()):
        if n.leases[i].segment == m.object.index:
            waiting.push_back(n.leases[i])
        else:
            n.leases[kept] = n.leases[i]
            kept += 1
    n.leases.resize(kept)
    for i in range(waiting.size()):
        if m.request:
            answer_lease(n, waiting[i].client, waiting[i].request, 0, n.arena.used, 0)
        else:
            lease_room(n, waiting[i].client, waiting[i].request, waiting[i].size)


cdef void on_return(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    cdef const Location* where = <const Location*> payload
    if arena_seal(&n.arena, m.client, where.segment, where.offset, 0):
        arena_free(&n.arena, where.segment, where.offset)


cdef void forget_client_leases(NodeState* n, uint32_t client) noexcept nogil:
    cdef size_t i, kept = 0
    for i in range(n.leases.size()):
        if n.leases[i].client != client:
            n.leases[kept] = n.leases[i]
            kept += 1
    n.leases.resize(kept)
