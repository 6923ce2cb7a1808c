"""Blocks of the arena, leased to who is going to write a value: found, waited for while a segment is made, returned.

Where there is no room, who leases waits for it (see room.pyx). What the whole arena could not hold is refused.
"""
from cython.operator cimport dereference as deref
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset
from libcpp.algorithm cimport sort
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.cluster.transfers cimport NODE_CLIENT, transfer_leased
from raylite._core.envelope cimport Blob, blob_data, blob_new
from raylite._core.ids cimport object_id
from raylite._core.message cimport CMD_LEASED, CMD_SEGMENT, LEASE_NO_DISK, Location, SEGMENT_ON_DISK
from raylite._core.node.arena cimport arena_block, arena_drop_segment, arena_forget_lease, arena_free, ARENA_FULL, \
    arena_lease, arena_lease_in, arena_new_segment, ARENA_OK, arena_seal, block_size, Segment
from raylite._core.node.room cimport ask_for_room, forget_room, restore_leased, restore_refused, RESTORES
from raylite._core.node.state cimport emit, ERROR_OUT_OF_DISK, ERROR_STORE_FULL, PendingLease

cdef enum:
    NAMED_MOST = 3                # of those who fill the arena
    NO_SPACE = 28                 # errno
    QUOTA_USED_UP = 122           # errno


cdef void answer_lease(NodeState* n, uint32_t client, uint64_t request, uint32_t segment, uint64_t offset,
                       uint64_t size) noexcept nogil:
    cdef Blob* payload
    cdef Location* where
    if client == NODE_CLIENT and request & RESTORES:
        restore_leased(n, request & ~(<uint64_t> RESTORES), segment, offset)
        return
    if client == NODE_CLIENT:
        transfer_leased(n, request, segment, offset, size)
        return
    arena_block(&n.arena, segment, offset).request = request
    payload = blob_new(sizeof(Location))
    where = <Location*> blob_data(payload)
    memset(where, 0, sizeof(Location))
    where.segment = segment
    where.offset = offset
    where.size = size
    emit(n, CMD_LEASED, client, payload).request = request


cdef void name_viewers(NodeState* n, string* out) noexcept nogil:
    """Who views most of what lies in the arena, as text; empty if nobody views anything."""
    cdef ordered_map[uint32_t, uint64_t] bytes
    cdef vector[pair[uint64_t, uint32_t]] most        # the largest last
    cdef char text[96]
    cdef uint32_t process
    cdef size_t i
    for entry in n.room.by_use:
        row = n.objects.rows.find(entry.second)
        for i in range(deref(row).second.pins.size()):
            bytes[deref(row).second.pins[i].client] += deref(row).second.size
    for viewer in bytes:
        if viewer.first != NODE_CLIENT:
            most.push_back(pair[uint64_t, uint32_t](viewer.second, viewer.first))
    sort(most.begin(), most.end())
    for i in range(most.size()):
        if i == NAMED_MOST:
            return
        viewed = most[most.size() - 1 - i]
        process = n.clients[viewed.second].process if n.clients.count(viewed.second) else 0
        snprintf(text, 96, "%sprocess %u (%s) has views of %llu bytes", "" if i == 0 else ", ", process,
                 "the driver" if viewed.second == n.driver else "a worker", <unsigned long long> viewed.first)
        out.append(<const char*> text)


cdef void refuse_lease(NodeState* n, uint32_t client, uint64_t request, bint no_disk) noexcept nogil:
    """The store is full, and nothing in it can make way: the answer says of whom."""
    cdef string who
    cdef Blob* payload
    cdef Location* where
    cdef Message* m
    name_viewers(n, &who)
    if client == NODE_CLIENT and request & RESTORES:
        restore_refused(n, request & ~(<uint64_t> RESTORES), ERROR_OUT_OF_DISK if no_disk else ERROR_STORE_FULL,
                        who.data(), who.size())
        return
    if client == NODE_CLIENT:
        transfer_leased(n, request, 0, n.arena.used, 0)
        return
    payload = blob_new(sizeof(Location) + who.size())
    where = <Location*> blob_data(payload)
    memset(where, 0, sizeof(Location))
    where.offset = n.arena.used
    memcpy(<char*> (where + 1), who.data(), who.size())
    m = emit(n, CMD_LEASED, client, payload)
    m.request = request
    m.flags = LEASE_NO_DISK if no_disk else 0


cdef void order_segment(NodeState* n, uint32_t client, uint64_t request, uint64_t size, bint on_disk) noexcept nogil:
    """Have a segment made; the lease waits for that."""
    cdef Segment* fresh = arena_new_segment(&n.arena, client, size, on_disk)
    cdef Message* m = emit(n, CMD_SEGMENT, client, NULL)
    cdef PendingLease pending
    m.object = object_id(m.object.task, fresh.id)
    m.request = fresh.size
    m.flags = SEGMENT_ON_DISK if on_disk else 0
    pending.request = request
    pending.size = size
    pending.client = client
    pending.segment = fresh.id
    n.leases.push_back(pending)


cdef bint try_lease(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil:
    """Find room, or have a segment made. False if the arena is full."""
    cdef uint32_t segment = 0
    cdef uint64_t offset = 0
    cdef int answer = arena_lease(&n.arena, client, size, &segment, &offset)
    if answer == ARENA_FULL:
        return False
    if answer == ARENA_OK:
        answer_lease(n, client, request, segment, offset, size)
    else:
        order_segment(n, client, request, size, False)
    return True


cdef void lease_on_disk(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil:
    """A segment of its own, in a file."""
    order_segment(n, client, request, size, True)


cdef void lease_room(NodeState* n, uint32_t client, uint64_t request, uint64_t size) noexcept nogil:
    """Find room; where there is none, wait for it, behind all who do."""
    if size > n.arena.capacity or block_size(size) > n.arena.capacity:
        refuse_lease(n, client, request, False)
    elif not n.room.waiting.empty() or not try_lease(n, client, request, size):
        ask_for_room(n, client, request, size)


cdef void on_segment(NodeState* n, const Message* m) noexcept nogil:
    """The host made a segment (or could not: request is errno): the leases that waited for it are answered."""
    cdef ordered_map[uint32_t, Segment].iterator it = n.arena.segments.find(m.object.index)
    cdef vector[PendingLease] waiting
    cdef bint on_disk
    cdef size_t i, kept = 0
    if it == n.arena.segments.end() or deref(it).second.exists:
        return
    on_disk = deref(it).second.on_disk
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
            refuse_lease(n, waiting[i].client, waiting[i].request,
                         on_disk and (m.request == NO_SPACE or m.request == QUOTA_USED_UP))
        elif on_disk:
            answer_lease(n, waiting[i].client, waiting[i].request, m.object.index,
                         arena_lease_in(&n.arena, m.object.index, waiting[i].client, waiting[i].size), waiting[i].size)
        else:
            lease_room(n, waiting[i].client, waiting[i].request, waiting[i].size)


cdef void on_return(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    cdef const Location* where = <const Location*> payload
    if arena_seal(&n.arena, m.client, where.segment, where.offset, 0):
        arena_free(&n.arena, where.segment, where.offset)
        n.room.changed = True


cdef void drop_pending(NodeState* n, uint32_t client, uint64_t request) noexcept nogil:
    cdef size_t i, kept = 0
    for i in range(n.leases.size()):
        if n.leases[i].client != client or request != 0 and n.leases[i].request != request:
            n.leases[kept] = n.leases[i]
            kept += 1
    n.leases.resize(kept)


cdef void forget_lease(NodeState* n, uint32_t client, uint64_t request) noexcept nogil:
    """The client gave up waiting for this lease, whether or not it has it by now."""
    drop_pending(n, client, request)
    forget_room(n, client, request)
    arena_forget_lease(&n.arena, client, request)
    n.room.changed = True


cdef void forget_client_leases(NodeState* n, uint32_t client) noexcept nogil:
    drop_pending(n, client, 0)
    forget_room(n, client, 0)
    n.room.changed = True
