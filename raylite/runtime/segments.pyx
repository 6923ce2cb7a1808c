"""The arena's segments in the embedded host: memory files and files on disk, their descriptors, what moves to and fro.

What the disk's own threads have done comes back under the pump's lock, like any other event.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint8_t
from libc.string cimport memset
from libcpp.map cimport map as ordered_map
from raylite._core.message cimport CMD_DROP_SPILLED, CMD_SPILL, EV_RESTORED, EV_SEGMENT, EV_SPILLED, MESSAGE_VERSION, \
    SEGMENT_ON_DISK
from raylite._core.node.node cimport node_handle
from raylite.runtime.host cimport feed, keep_deadline, perform
from raylite.runtime.inbox cimport inbox_deliver
from raylite.runtime.native cimport close, dup, errno, memory_file, monotonic_ns, pthread_mutex_lock, \
    pthread_mutex_unlock, send_with_fds
from raylite.runtime.peers cimport close_fd, send_to_peer
from raylite.runtime.spill_disk cimport disk_add, DISK_DROP, DISK_RESTORE, DISK_SEGMENT, DISK_SPILL

cdef enum:
    NO_DISK = 28                  # errno: ENOSPC, of a disk that cannot be used


cdef void add_segment(Host* h, uint32_t segment, int fd, uint64_t size, int error) noexcept nogil:
    """A segment was made, or could not be."""
    if fd >= 0:
        h.segments[segment] = fd
        h.segment_sizes[segment] = size
    feed(h, EV_SEGMENT, 0, error if fd < 0 else 0, segment, 0, NULL, 0)


cdef void make_segment(Host* h, const Message* m) noexcept nogil:
    cdef int fd
    if m.flags & SEGMENT_ON_DISK:
        if not disk_add(&h.disk, DISK_SEGMENT, m.object.index, -1, 0, m.request):
            add_segment(h, m.object.index, -1, 0, NO_DISK)
        return
    fd = memory_file(b"raylite-arena", m.request)
    add_segment(h, m.object.index, fd, m.request, errno)


cdef void tell_of_disk(Host* h, uint8_t kind, uint64_t number, int error) noexcept nogil:
    cdef Message m
    memset(&m, 0, sizeof(Message))
    m.version = MESSAGE_VERSION
    m.kind = kind
    m.request = number
    m.aux = <uint64_t> error
    m.time_ns = monotonic_ns()
    m.incarnation = h.node.incarnation
    node_handle(h.node, &m, NULL)


cdef void use_disk(Host* h, const Message* m, const char* payload) noexcept nogil:
    """Have a value written to disk, or read from there, by threads of the disk's own."""
    cdef int kind = DISK_SPILL if m.kind == CMD_SPILL else DISK_RESTORE
    cdef int memory
    if m.kind == CMD_DROP_SPILLED:
        disk_add(&h.disk, DISK_DROP, m.request, -1, 0, 0)
        return
    memory = dup(h.segments[m.object.index])
    if memory >= 0 and disk_add(&h.disk, kind, m.request, memory, m.aux, (<const uint64_t*> payload)[0]):
        return
    close_fd(memory)
    tell_of_disk(h, EV_SPILLED if kind == DISK_SPILL else EV_RESTORED, m.request, NO_DISK)


cdef void disk_has_done(void* owner, int kind, uint64_t number, int error, uint64_t size, int fd) noexcept nogil:
    """From a thread of the disk's."""
    cdef Host* h = <Host*> owner
    pthread_mutex_lock(&h.pump.lock)
    if kind == DISK_SEGMENT:
        add_segment(h, <uint32_t> number, fd, size, error)
    else:
        tell_of_disk(h, EV_SPILLED if kind == DISK_SPILL else EV_RESTORED, number, error)
    perform(h)
    keep_deadline(h)
    pthread_mutex_unlock(&h.pump.lock)


cdef void drop_segment(Host* h, const Message* m) noexcept nogil:
    cdef ordered_map[uint32_t, Peer*].iterator it = h.peers.rows.begin()
    close(h.segments[m.object.index])
    h.segments.erase(m.object.index)
    h.segment_sizes.erase(m.object.index)
    inbox_deliver(h.local, m, NULL, NULL)
    while it != h.peers.rows.end():
        send_to_peer(deref(it).second, m, NULL)
        preincrement(it)


cdef void send_descriptor(Host* h, Peer* p, uint32_t segment) noexcept nogil:
    cdef ordered_map[uint32_t, int].iterator it = h.segments.find(segment)
    cdef uint32_t none = 0
    if it == h.segments.end():
        send_with_fds(p.socket, &none, 4, NULL, 0)
        return
    send_with_fds(p.socket, &segment, 4, &deref(it).second, 1)


cdef int copy_segment(Host* h, uint32_t segment, uint64_t* size) noexcept nogil:
    """A descriptor of its own for a segment, or -1."""
    cdef ordered_map[uint32_t, int].iterator it
    cdef int fd = -1
    pthread_mutex_lock(&h.pump.lock)
    it = h.segments.find(segment)
    if it != h.segments.end():
        fd = dup(deref(it).second)
        size[0] = h.segment_sizes[segment]
    pthread_mutex_unlock(&h.pump.lock)
    return fd
