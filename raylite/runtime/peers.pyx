"""A client of the host at the end of a ring, as the node's side has it: channel, wake-ups, what waits to be sent.

A message that does not fit into the ring waits in the outbox; nothing blocks. Guarded by the host's Pump.lock.
"""
from libcpp.string cimport string
from raylite._core.envelope cimport blob_data, blob_drop, blob_keep
from raylite._core.message cimport Message
from raylite.runtime.channel cimport BELL_THREAD, BELL_WAITER, CHANNEL_BYTES, channel_map, channel_unmap, ring_write
from raylite.runtime.native cimport close, event_new, event_set, file_size, full_fence, hang_up, load_seq, \
    memory_file, packet_pair, read_at, store_seq

cdef extern from *:
    """
    template <typename T> static T *raylite_peer_new(T *) { return new T(); }
    template <typename T> static void raylite_peer_delete(T *p) { delete p; }
    """
    Peer* raylite_peer_new(Peer*) nogil
    void raylite_peer_delete(Peer*) nogil

cdef enum:
    STDERR_TAIL = 2000


cdef void close_fd(int fd) noexcept nogil:
    if fd >= 0:
        close(fd)


cdef Peer* new_peer(uint32_t client, int* remote_socket) noexcept nogil:
    """A channel, and the other end of its socket. NULL if the system has no memory or descriptors left."""
    cdef Peer* p = raylite_peer_new(<Peer*> NULL)
    cdef int memory = memory_file(b"raylite-channel", CHANNEL_BYTES)
    cdef int pair[2]
    p.client = client
    p.thread_event = event_new()
    p.waiter_event = event_new()
    p.space_event = event_new()
    p.out_file = p.err_file = p.pidfd = p.remote = -1
    pair[0] = pair[1] = -1
    if memory < 0 or p.space_event < 0 or packet_pair(pair) != 0 or not channel_map(&p.channel, memory, True):
        close_fd(pair[1])
        p.socket = pair[0]
        p.channel.memory = memory
        free_peer(p)
        return NULL
    p.socket = pair[0]
    remote_socket[0] = pair[1]
    return p


cdef void free_peer(Peer* p) noexcept nogil:
    cdef size_t i
    for i in range(p.outbox.size()):
        blob_drop(p.outbox[i].payload)
    channel_unmap(&p.channel)
    close_fd(p.channel.memory)
    close_fd(p.thread_event)
    close_fd(p.waiter_event)
    close_fd(p.space_event)
    hang_up(p.socket)             # a driver at the other end hears of it, whoever has a copy of ours
    close_fd(p.socket)
    close_fd(p.out_file)
    close_fd(p.err_file)
    close_fd(p.pidfd)
    close_fd(p.remote)
    raylite_peer_delete(p)


cdef void ring_bell(Peer* p) noexcept nogil:
    """Wake whoever of the peer's process sleeps, if anybody does."""
    cdef uint64_t bell
    full_fence()
    bell = load_seq(&p.channel.client.bell)
    if bell == BELL_WAITER:
        event_set(p.waiter_event)
    elif bell == BELL_THREAD:
        event_set(p.thread_event)
    p.silent = False


cdef void flush_outbox(Peer* p) noexcept nogil:
    cdef Outgoing* first
    while not p.outbox.empty():
        first = &p.outbox.front()
        p.silent = True
        if not ring_write(&p.channel.out, &first.message, blob_data(first.payload) if first.payload != NULL else NULL,
                          &first.progress):
            store_seq(&p.channel.node.wants_space, 1)
            full_fence()
            if not ring_write(&p.channel.out, &first.message,
                              blob_data(first.payload) if first.payload != NULL else NULL, &first.progress):
                return
        store_seq(&p.channel.node.wants_space, 0)
        blob_drop(first.payload)
        p.outbox.pop_front()


cdef void send_to_peer(Peer* p, const Message* m, Blob* payload) noexcept nogil:
    """Write a message to the peer's ring, or keep what does not fit."""
    cdef Outgoing out
    cdef uint64_t progress = 0
    if p.outbox.empty():
        p.silent = True
        if ring_write(&p.channel.out, m, blob_data(payload) if payload != NULL else NULL, &progress):
            return
    out.message = m[0]
    out.payload = blob_keep(payload)
    out.progress = progress
    p.outbox.push_back(out)
    flush_outbox(p)


cdef void append_stderr(const Peer* p, string* text) noexcept nogil:
    """The last lines that the process wrote to its standard error."""
    cdef char tail[STDERR_TAIL]
    cdef uint64_t size = file_size(p.err_file) if p.err_file >= 0 else 0
    cdef uint64_t begin = size - STDERR_TAIL if size > STDERR_TAIL else 0
    cdef int n
    if size == 0:
        return
    n = read_at(p.err_file, tail, size - begin, begin)
    if n > 0:
        text.append(b"\x1f")
        text.append(<const char*> tail, <size_t> n)
