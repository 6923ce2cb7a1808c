"""The clients of the host at the end of rings, as the node's side has them: channel, wake-ups, what waits to be sent.

A message that does not fit into the ring waits in the outbox; nothing blocks. While the outbox of a driver is not
empty, its ring is not read: one that asks and does not listen costs no memory without end. Guarded by the host's
Pump.lock; only `spinning` is read without it, by a leader that spins, so a peer that has gone is freed when none does.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdio cimport snprintf
from libcpp.string cimport string
from raylite._core.envelope cimport blob_data, blob_drop, blob_keep
from raylite._core.message cimport Message
from raylite.runtime.channel cimport BELL_THREAD, BELL_WAITER, CHANNEL_BYTES, channel_map, channel_unmap, ring_has, \
    ring_write
from raylite.runtime.native cimport close, event_new, event_set, file_size, full_fence, hang_up, load_seq, \
    memory_file, packet_pair, read_at, store_release, store_seq

cdef extern from *:
    """
    template <typename T> static T *raylite_peer_new(T *) { return new T(); }
    template <typename T> static void raylite_peer_delete(T *p) { delete p; }
    """
    Peer* raylite_peer_new(Peer*) nogil
    void raylite_peer_delete(Peer*) nogil

cdef enum:
    STDERR_TAIL = 12288           # as much as output.py keeps


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


# ---- all of them -----------------------------------------------------------------------------------------------

cdef Peer* find_peer(Peers* peers, uint32_t client) noexcept nogil:
    cdef ordered_map[uint32_t, Peer*].iterator it = peers.rows.find(client)
    if it == peers.rows.end():
        return NULL
    return deref(it).second


cdef Peer* open_peer(Peers* peers, uint32_t client, int* remote_socket) noexcept nogil:
    """A channel for a new client. NULL if the system has no memory or descriptors left."""
    cdef Peer* p = new_peer(client, remote_socket) if peers.n_spinning < PEERS_MOST else NULL
    if p == NULL:
        return NULL
    peers.rows[client] = p
    peers.spinning[peers.n_spinning] = p
    store_release(&peers.n_spinning, peers.n_spinning + 1)
    return p


cdef bint bury_peer(Peers* peers, Peer* p) noexcept nogil:
    """The client is gone. Its memory stays mapped until no leader can be looking at it. Whether it left output."""
    cdef uint64_t i
    cdef Finished f
    peers.rows.erase(p.client)
    for i in range(peers.n_spinning):
        if peers.spinning[i] == p:
            peers.spinning[i] = peers.spinning[peers.n_spinning - 1]
            store_release(&peers.n_spinning, peers.n_spinning - 1)
            break
    peers.graveyard.push_back(p)
    if p.out_file < 0:
        return False
    f.client = p.client
    f.process = p.process
    f.out_file = p.out_file
    f.err_file = p.err_file
    p.out_file = p.err_file = -1
    peers.finished.push_back(f)
    return True


cdef void sweep_graveyard(Peers* peers) noexcept nogil:
    """Free those that have gone; no leader spins."""
    cdef size_t i
    for i in range(peers.graveyard.size()):
        free_peer(peers.graveyard[i])
    peers.graveyard.clear()


cdef void free_peers(Peers* peers) noexcept nogil:
    """Free all there is, once nobody pumps any more."""
    cdef ordered_map[uint32_t, Peer*].iterator it = peers.rows.begin()
    cdef size_t i
    while it != peers.rows.end():
        free_peer(deref(it).second)
        preincrement(it)
    peers.rows.clear()
    peers.n_spinning = 0
    sweep_graveyard(peers)
    for i in range(peers.finished.size()):
        close_fd(peers.finished[i].out_file)
        close_fd(peers.finished[i].err_file)
    peers.finished.clear()


cdef bint peers_have_input(Peers* peers) noexcept nogil:
    """Whether any has said something that is to be heard now."""
    cdef uint64_t i
    for i in range((<volatile uint64_t*> &peers.n_spinning)[0]):
        if ring_has(&peers.spinning[i].channel.into) and not peers.spinning[i].unheard:
            return True
    return False


cdef uint32_t n_drivers(Peers* peers) noexcept nogil:
    """How many of them are drivers in other processes."""
    cdef ordered_map[uint32_t, Peer*].iterator it = peers.rows.begin()
    cdef uint32_t n = 0
    while it != peers.rows.end():
        n += not deref(it).second.is_worker
        preincrement(it)
    return n


cdef void list_outputs(Peers* peers, vector[Finished]* out) noexcept nogil:
    """The output files of the workers that live."""
    cdef ordered_map[uint32_t, Peer*].iterator it = peers.rows.begin()
    cdef Finished f
    cdef Peer* p
    while it != peers.rows.end():
        p = deref(it).second
        if p.is_worker and p.process:
            f.client = p.client
            f.process = p.process
            f.out_file = p.out_file
            f.err_file = p.err_file
            out.push_back(f)
        preincrement(it)


# ---- one of them -----------------------------------------------------------------------------------------------

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
                p.unheard = not p.is_worker
                return
        store_seq(&p.channel.node.wants_space, 0)
        blob_drop(first.payload)
        p.outbox.pop_front()
    p.unheard = False


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


cdef void describe_end(const Peer* p, int status, string* text) noexcept nogil:
    """How a process ended (status: as waitpid gives it), and the last lines that it wrote to its standard error."""
    cdef char what[64]
    if status & 0x7f:
        snprintf(what, 64, "signal %d", status & 0x7f)
    else:
        snprintf(what, 64, "exit code %d", (status >> 8) & 0xff)
    text.append(<const char*> what)
    append_stderr(p, text)


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
