"""The embedded host: one node in the driver's process, pumped without the GIL; worker processes at the end of rings.

It performs the node's commands: messages to clients, workers ordered from the zygote, arena segments made as memory
files. Lock: Pump.lock guards the node, the peers and the local inbox; nothing blocks under it. A full ring never
blocks either: what does not fit waits in the peer's outbox, and the peer rings the bell when it has read.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memcpy, memset, strlen
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob, blob_data, blob_drop
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport *
from raylite._core.node.node cimport node_deadline_ns, node_handle, story_rows, worker_rows
from raylite._core.node.placement cimport start_worker
from raylite._core.node.state cimport Command, read_names, read_sizes, read_workers, Sizes, WorkerReport
from raylite._core.node.story cimport Story
from raylite.runtime.channel cimport PAGE, ring_has, ring_read
from raylite.runtime.task_context cimport TaskContext
from raylite.runtime.door cimport CALLERS_MOST, CROWDED_NS, door_caller, DOOR_CROWDED, DOOR_NOBODY, door_open
from raylite.runtime.inbox cimport inbox_close, inbox_deliver, inbox_flush, inbox_free
from raylite.runtime.native cimport append_to, close, current_cpu_count, dup, epoll_unwatch, epoll_watch, \
    epoll_watch_hangup, event_new, event_set, full_fence, getpid, hang_up, kill, killpg, let_nobody_write, load_seq, \
    map_shared, memory_file, monotonic_ns, not_in_forks, open_pidfd, pthread_mutex_lock, pthread_mutex_unlock, \
    raise_flag, receive, say_no_more, send_with_fds, SIGKILL, store_seq, unmap
from raylite.runtime.peers cimport bury_peer, close_fd, describe_end, FD_BELL, FD_ERR, FD_MEMORY, FD_NODE_THREAD, \
    FD_NODE_WAITER, FD_OUT, FD_SOCKET, FD_SPACE, FD_THREAD, FD_WAITER, find_peer, Finished, flush_outbox, free_peers, \
    GPUS_MOST, list_outputs, n_drivers, open_peer, Peer, PEER_FDS, peers_have_input, ring_bell, send_to_peer, \
    SpawnOrder, sweep_graveyard
from raylite.runtime.pump cimport pump_open, pump_start, pump_stop, pump_wake_by, TAG_FIRST
from raylite.runtime.segments cimport copy_segment, disk_has_done, drop_segment, make_segment, send_descriptor, \
    use_disk
from raylite.runtime.spill_disk cimport disk_close, disk_open

from raylite._core.ids import content_hash

cdef enum:
    TAG_ZYGOTE = TAG_FIRST
    TAG_ZYGOTE_DEATH = TAG_FIRST + 1
    TAG_DOOR = TAG_FIRST + 2
    TAG_PEERS = TAG_FIRST + 3     # and the client's number
    SPIN_NS = 50000
    ORDER_RETRY_NS = 10000000
    ZYGOTES_LOST_MOST = 3         # in a row without a worker started, before no more are tried

cdef const char* TOO_MANY_CALLERS = b"too many others are attached to it"
cdef const char* NO_ROOM = b"it has no memory or file descriptors left for another client"
cdef const char* NO_PROCESS = b"its process could not be started: no memory, file descriptors or processes left"

cdef extern from *:
    """
    template <typename T> static T *raylite_host_new(T *) { return new T(); }
    template <typename T> static void raylite_host_delete(T *p) { delete p; }
    """
    Host* raylite_host_new(Host*) nogil
    Inbox* raylite_host_new(Inbox*) nogil
    void raylite_host_delete(Host*) nogil


# ---- commands --------------------------------------------------------------------------------------------------

cdef void feed(Host* h, uint8_t kind, uint32_t client, uint64_t request, uint32_t segment, uint16_t flags,
               const char* payload, uint32_t size) noexcept nogil:
    """An event of the host's own."""
    cdef Message m
    memset(&m, 0, sizeof(Message))
    m.version = MESSAGE_VERSION
    m.kind = kind
    m.flags = flags
    m.client = client
    m.size = size
    m.request = request
    m.object.index = segment
    m.time_ns = monotonic_ns()
    m.incarnation = h.node.incarnation
    node_handle(h.node, &m, payload)


cdef void send_orders(Host* h) noexcept nogil:
    """Tell the zygote of the workers it is to start; what it has no room for is tried again."""
    while h.zygote >= 0 and not h.orders.empty():
        if not send_order(h, find_peer(&h.peers, h.orders.front())):
            pump_wake_by(&h.pump, ORDER_RETRY_NS)
            return
        h.orders.pop_front()


cdef void list_descriptors(Host* h, Peer* p, int* fds) noexcept nogil:
    """What of a channel the peer's process is to have."""
    fds[<int> FD_MEMORY] = p.channel.memory
    fds[<int> FD_BELL] = h.bell_file
    fds[<int> FD_NODE_THREAD] = h.thread_event
    fds[<int> FD_NODE_WAITER] = h.waiter_event
    fds[<int> FD_THREAD] = p.thread_event
    fds[<int> FD_WAITER] = p.waiter_event
    fds[<int> FD_SPACE] = p.space_event
    fds[<int> FD_SOCKET] = p.remote
    fds[<int> FD_OUT] = p.out_file
    fds[<int> FD_ERR] = p.err_file


cdef bint send_order(Host* h, Peer* p) noexcept nogil:
    """Hand a worker's order and descriptors to the zygote. False if it does not take them now."""
    cdef int fds[PEER_FDS]
    if p == NULL:
        return True
    list_descriptors(h, p, fds)
    if send_with_fds(h.zygote, &p.order, sizeof(SpawnOrder), fds, PEER_FDS) != 0:
        return False
    close_fd(p.remote)
    p.remote = -1
    return True


cdef void spawn(Host* h, const Message* m, const char* payload) noexcept nogil:
    cdef Peer* p = NULL
    cdef int remote = -1
    cdef int out_file = memory_file(b"raylite-stdout", 0)
    cdef int err_file = memory_file(b"raylite-stderr", 0)
    if out_file >= 0 and err_file >= 0 and not h.refuses_workers:
        p = open_peer(&h.peers, m.client, &remote)
    if p == NULL:
        close_fd(out_file)
        close_fd(err_file)
        feed(h, EV_DETACH, m.client, 0, 0, 0, NO_PROCESS, <uint32_t> strlen(NO_PROCESS))
        return
    p.is_worker = True
    p.remote = remote
    append_to(out_file)
    append_to(err_file)
    p.out_file = out_file
    p.err_file = err_file
    p.order.kind = ORDER_SPAWN
    p.order.client = m.client
    memcpy(&p.order.environment, payload, 8)
    p.order.n_gpus = (m.size - 8) // 4
    if p.order.n_gpus > GPUS_MOST:
        p.order.n_gpus = GPUS_MOST
    memcpy(p.order.gpus, payload + 8, 4 * p.order.n_gpus)
    h.orders.push_back(m.client)
    send_orders(h)


cdef void recall(Host* h, uint32_t client) noexcept nogil:
    """Take back what the worker has not begun.

    We store the range and then look at `started`; the worker stores `started` and then looks at the range (both in
    sequentially consistent order), so at least one of the two sees the other. What the worker leaves, it reports.
    """
    cdef Peer* p = find_peer(&h.peers, client)
    cdef uint64_t begun
    if p == NULL:
        return
    store_seq(&p.channel.node.recall_to, h.node.scheduler.workers[client].position + 1)
    store_seq(&p.channel.node.recall_from, load_seq(&p.channel.client.started) + 1)
    full_fence()
    begun = load_seq(&p.channel.client.started)
    feed(h, EV_RECALLED, client, begun, 0, 0, NULL, 0)


cdef void stop_peer(Host* h, const Message* m) noexcept nogil:
    cdef Peer* p = find_peer(&h.peers, m.client)
    if p == NULL:
        return
    if m.flags & STOP_KILL == 0:
        send_to_peer(p, m, NULL)
    elif p.process:
        kill(p.process, SIGKILL)
    else:
        p.doomed = True


cdef void interrupt(Host* h, const Message* m) noexcept nogil:
    cdef Peer* p = find_peer(&h.peers, m.client)
    if p == NULL:
        return
    send_to_peer(p, m, NULL)
    ring_bell(p)
    if p.process:
        kill(p.process, 2)


cdef void perform(Host* h) noexcept nogil:
    """Perform what the node wants done, until it wants no more."""
    cdef vector[Command] commands
    cdef ordered_map[uint32_t, Peer*].iterator it
    cdef Peer* p
    cdef Message* m
    cdef Blob* payload
    cdef size_t i
    while not h.node.commands.empty():
        commands.clear()
        commands.swap(h.node.commands)
        for i in range(commands.size()):
            m = &commands[i].message
            payload = commands[i].payload
            if m.kind == CMD_SPAWN:
                spawn(h, m, blob_data(payload))
            elif m.kind == CMD_RECALL:
                recall(h, m.client)
            elif m.kind == CMD_SEGMENT:
                make_segment(h, m)
            elif m.kind == CMD_UNSEGMENT:
                drop_segment(h, m)
            elif m.kind == CMD_SPILL or m.kind == CMD_RESTORE or m.kind == CMD_DROP_SPILLED:
                use_disk(h, m, blob_data(payload) if payload != NULL else NULL)
            elif m.kind == CMD_STOP:
                stop_peer(h, m)
            elif m.kind == CMD_INTERRUPT:
                interrupt(h, m)
            elif m.kind == CMD_COMMIT:
                feed(h, EV_COMMITTED, 0, m.request, 0, 0, NULL, 0)
            elif m.client == h.local.client:
                inbox_deliver(h.local, m, blob_data(payload) if payload != NULL else NULL, payload)
            else:
                p = find_peer(&h.peers, m.client)
                if p != NULL:
                    send_to_peer(p, m, payload)
            blob_drop(payload)
    it = h.peers.rows.begin()
    while it != h.peers.rows.end():
        if deref(it).second.silent:
            ring_bell(deref(it).second)
        preincrement(it)
    if not h.node.fault.empty() and not h.local.closed:
        inbox_close(h.local)      # a node that is not sound answers nothing any more: say so instead of waiting
    h.bell.n_running = h.node.scheduler.workers.size() - h.node.scheduler.idle.size()
    if h.output_asleep and h.bell.n_running:
        h.output_asleep = False
        event_set(h.local.notice_event)


cdef bint local_send(void* link, const Message* m, const char* payload, bint may_wait) noexcept nogil:
    """The driver's messages: a call into the node."""
    cdef Host* h = <Host*> link
    node_handle(h.node, m, payload)
    perform(h)
    return True


# ---- input -----------------------------------------------------------------------------------------------------

cdef void take_from_peer(Host* h, Peer* p) noexcept nogil:
    """Hand the node what the peer has sent. The client's number is ours to say, not the peer's."""
    cdef Message* m
    while not p.unheard and ring_read(&p.channel.into):
        m = <Message*> p.channel.into.message.data()
        m.client = p.client
        if m.kind == EV_DESCRIPTOR:
            send_descriptor(h, p, m.object.index)
        elif m.kind == EV_ATTACH or m.kind == EV_DETACH or m.kind == EV_SEGMENT or m.kind == EV_RECALLED \
                or m.kind == EV_TICK or m.kind == EV_COMMITTED or m.kind == EV_MEMORY_SHORT or m.kind == EV_SPILLED \
                or m.kind == EV_RESTORED:
            raise_flag(&p.channel.into.broken)        # a host's events, not a client's
        else:
            m.time_ns = monotonic_ns()
            node_handle(h.node, m, p.channel.into.message.data() + sizeof(Message))
            perform(h)
        p.channel.into.message.clear()
    full_fence()                  # after the head that was released, see ring_client.link_send
    if load_seq(&p.channel.client.wants_space):
        event_set(p.space_event)


cdef void expel(Host* h, Peer* p) noexcept nogil:
    """What the peer writes makes no sense: it is heard no more. A worker ends; of a driver, only its channel does."""
    if p.is_worker and p.process:
        kill(p.process, SIGKILL)
    elif not p.is_worker:
        hang_up(p.socket)
        worker_exited(h, p.client, 0)


cdef void host_poll(void* owner) noexcept nogil:
    cdef Host* h = <Host*> owner
    cdef ordered_map[uint32_t, Peer*].iterator it = h.peers.rows.begin()
    cdef Peer* p
    inbox_flush(h.local, True)
    while it != h.peers.rows.end():
        p = deref(it).second
        preincrement(it)
        if not p.outbox.empty():
            flush_outbox(p)
            if p.silent:
                ring_bell(p)
        if ring_has(&p.channel.into):
            take_from_peer(h, p)
        if p.channel.into.broken:
            expel(h, p)
    if not h.pump.leader:
        sweep_graveyard(&h.peers)
    if h.door_opens_at_ns and monotonic_ns() >= h.door_opens_at_ns:
        h.door_opens_at_ns = 0
        epoll_watch(h.pump.epoll, h.door, TAG_DOOR)
    if not h.orders.empty():
        send_orders(h)
    keep_deadline(h)


cdef void keep_deadline(Host* h) noexcept nogil:
    """Tell the node the time when it wants to be told."""
    cdef uint64_t now, deadline = node_deadline_ns(h.node)
    if deadline == 0:
        h.tick_at_ns = 0
        return
    now = monotonic_ns()
    if h.tick_at_ns and now >= h.tick_at_ns:
        h.tick_at_ns = 0
        feed(h, EV_TICK, 0, 0, 0, 0, NULL, 0)
        perform(h)
        deadline = node_deadline_ns(h.node)
    if h.tick_at_ns == 0 or 0 < deadline < h.tick_at_ns:
        h.tick_at_ns = deadline
    if deadline and (h.pump.timer_at_ns == 0 or h.tick_at_ns < h.pump.timer_at_ns):    # others use the timer too
        pump_wake_by(&h.pump, h.tick_at_ns - now if h.tick_at_ns > now else 1)


cdef bint host_pending(void* owner) noexcept nogil:
    return peers_have_input(&(<Host*> owner).peers)


# ---- processes -------------------------------------------------------------------------------------------------

cdef void worker_exited(Host* h, uint32_t client, int status) noexcept nogil:
    """status: as waitpid gives it. What the worker had sent before counts."""
    cdef Peer* p = find_peer(&h.peers, client)
    cdef string text
    if p == NULL:
        return
    take_from_peer(h, p)
    describe_end(p, status, &text)
    feed(h, EV_DETACH, client, load_seq(&p.channel.client.started), 0, 0, text.data(), <uint32_t> text.size())
    if not p.is_worker:
        epoll_unwatch(h.pump.epoll, p.pidfd)
        epoll_unwatch(h.pump.epoll, p.socket)
    if bury_peer(&h.peers, p):
        event_set(h.local.notice_event)
    perform(h)


cdef void read_zygote(Host* h) noexcept nogil:
    cdef ZygoteReport report
    cdef Peer* p
    while receive(h.zygote, &report, sizeof(ZygoteReport)) == sizeof(ZygoteReport):
        p = find_peer(&h.peers, report.client)
        if p == NULL:
            continue
        if report.kind == REPORT_STARTED:
            started(h, p, report.process)
            if p.doomed:
                kill(p.process, SIGKILL)
        elif report.kind == REPORT_EXITED or report.kind == REPORT_FAILED:
            worker_exited(h, report.client, report.status)


cdef void started(Host* h, Peer* p, int process) noexcept nogil:
    p.process = process
    h.n_zygotes_lost = 0
    feed(h, EV_ATTACH, p.client, <uint64_t> process, 0, CLIENT_WORKER, NULL, 0)


cdef void drop_zygote(Host* h) noexcept nogil:
    """Close what we have of the zygote."""
    if h.zygote >= 0:
        epoll_unwatch(h.pump.epoll, h.zygote)
        epoll_unwatch(h.pump.epoll, h.zygote_pidfd)
        close(h.zygote)
        close_fd(h.zygote_pidfd)
    h.zygote = h.zygote_pidfd = -1


cdef void zygote_died(Host* h) noexcept nogil:
    """Its workers die with it. Another one is started by the monitor thread, unless it was never of any use."""
    cdef vector[uint32_t] workers
    cdef ordered_map[uint32_t, Peer*].iterator it = h.peers.rows.begin()
    cdef Peer* p
    cdef size_t i
    drop_zygote(h)
    h.n_zygotes_lost += 1
    h.refuses_workers = h.n_zygotes_lost >= ZYGOTES_LOST_MOST
    h.orders.clear()
    while it != h.peers.rows.end():
        if deref(it).second.is_worker:
            workers.push_back(deref(it).first)
        preincrement(it)
    for i in range(workers.size()):
        p = find_peer(&h.peers, workers[i])
        if p != NULL and p.process:
            killpg(p.process, SIGKILL)
        elif p != NULL and not h.refuses_workers:
            feed(h, EV_ATTACH, p.client, 0, 0, CLIENT_WORKER, NULL, 0)    # not its fault: it counts as having come
        worker_exited(h, workers[i], SIGKILL)
    h.zygote_lost = True
    event_set(h.local.notice_event)


cdef void refuse_workers(Host* h) noexcept nogil:
    """No process can be started any more: what waits for one fails."""
    cdef uint32_t client
    h.refuses_workers = True
    while not h.orders.empty():
        client = h.orders.front()
        h.orders.pop_front()
        worker_exited(h, client, 1 << 8)


cdef void host_readable(void* owner, uint32_t tag) noexcept nogil:
    cdef Host* h = <Host*> owner
    cdef Peer* p
    if tag == TAG_ZYGOTE:
        read_zygote(h)
    elif tag == TAG_ZYGOTE_DEATH:
        if h.zygote >= 0:
            read_zygote(h)
            zygote_died(h)
    elif tag == TAG_DOOR:
        answer_door(h)
    else:
        p = find_peer(&h.peers, tag - TAG_PEERS)
        if p != NULL:
            worker_exited(h, p.client, 0)


cdef void read_fault(Host* h, string* out) noexcept nogil:
    pthread_mutex_lock(&h.pump.lock)
    if h.node != NULL:
        out.assign(h.node.fault)
    pthread_mutex_unlock(&h.pump.lock)


cdef Peer* attach(Host* h, int process) noexcept nogil:
    """A channel for a driver in another process, `remote` still ours; NULL: impossible.

    Its end is seen by its pidfd, and by the socket's, in case that it ended before we asked for the first."""
    cdef int remote = -1
    cdef int pidfd = open_pidfd(process)
    cdef Peer* p = NULL
    if pidfd >= 0:
        h.node.last_client += 1
        p = open_peer(&h.peers, h.node.last_client, &remote)
    if p == NULL:
        close_fd(pidfd)
        return NULL
    p.pidfd = pidfd
    p.remote = remote
    epoll_watch(h.pump.epoll, p.pidfd, TAG_PEERS + p.client)
    epoll_watch_hangup(h.pump.epoll, p.socket, TAG_PEERS + p.client)
    feed(h, EV_ATTACH, p.client, <uint64_t> process, 0, CLIENT_DRIVER, NULL, 0)
    perform(h)
    return p


cdef void answer_door(Host* h) noexcept nogil:
    """Let in those who wait, some at a time: nobody else is kept waiting by however many there are."""
    cdef int32_t process = 0
    cdef int caller = DOOR_NOBODY
    for _ in range(CALLERS_MOST):
        caller = door_caller(h.door, &process)
        if caller < 0:
            break
        let_in(h, caller, process)
        close(caller)
    if caller < DOOR_NOBODY:
        epoll_unwatch(h.pump.epoll, h.door)
    if caller == DOOR_CROWDED:
        h.door_opens_at_ns = monotonic_ns() + CROWDED_NS
        pump_wake_by(&h.pump, CROWDED_NS)


cdef void let_in(Host* h, int caller, int process) noexcept nogil:
    """Make a caller a driver of this runtime: it is told its number and the card, with its descriptors; or why not."""
    cdef int fds[PEER_FDS]
    cdef string answer
    cdef bint crowded = n_drivers(&h.peers) >= CALLERS_MOST
    cdef Peer* p = attach(h, process) if not crowded else <Peer*> NULL
    cdef uint32_t client = p.client if p != NULL else 0
    answer.append(<const char*> &client, sizeof(client))
    if p == NULL:
        answer.append(TOO_MANY_CALLERS if crowded else NO_ROOM)
        send_with_fds(caller, answer.data(), answer.size(), NULL, 0)
        return
    answer.append(h.card)
    list_descriptors(h, p, fds)
    if send_with_fds(caller, answer.data(), answer.size(), fds, FD_OUT) != 0:
        worker_exited(h, client, 0)
        return
    close_fd(p.remote)
    p.remote = -1


cdef void close_host(Host* h) noexcept nogil:
    """Free channels and segments, once nobody pumps any more. A late call finds nothing, under the lock."""
    cdef ordered_map[uint32_t, int].iterator segment = h.segments.begin()
    hang_up(h.door)               # whoever has a copy of it
    close_fd(h.door)
    free_peers(&h.peers)
    while segment != h.segments.end():
        close(deref(segment).second)
        preincrement(segment)
    h.segments.clear()
    close_fd(h.zygote)
    close_fd(h.zygote_pidfd)
    close_fd(h.bell_file)
    close_fd(h.thread_event)
    close_fd(h.waiter_event)
    close_fd(h.local.notice_event)
    h.door = h.zygote = h.zygote_pidfd = h.local.notice_event = -1
    h.door_opens_at_ns = 0
    unmap(<char*> h.bell, PAGE)
    h.bell = NULL
    h.node = NULL


cdef class LocalClient(Client):
    """The driver's client, in the node's own process."""

    def __dealloc__(self):
        if self.inbox != NULL and self.inbox.closed:
            inbox_free(self.inbox)    # here, as references and views look into it until the last is gone

    cdef str fault(self):
        """What poisoned the node, if anything did."""
        cdef string text
        with nogil:
            read_fault(self.owner.host, &text)
        return text.decode("utf-8", "replace")

    cdef int fetch_segment(self, uint32_t segment, uint64_t* size) except -1:
        cdef int fd
        with nogil:
            fd = copy_segment(self.owner.host, segment, size)
        if fd < 0:
            raise RuntimeError(f"there is no arena segment {segment}")
        return fd


cdef class EmbeddedHost:
    """The node of this process and its worker processes.

    Args: node: a Node nobody else hosts; job: number of the job; root: 16 random bytes, the job's root task id.
    """

    def __cinit__(self):
        self.host = NULL

    def __dealloc__(self):
        if self.host != NULL and self.host.node == NULL:
            raylite_host_delete(self.host)

    def __init__(self, Node node not None):
        cdef Host* h = raylite_host_new(<Host*> NULL)
        self.host = h
        self.node = node
        h.node = node.state
        h.door = h.zygote = h.zygote_pidfd = -1
        h.bell_file = memory_file(b"raylite-bell", PAGE)
        h.bell = <BellPage*> map_shared(h.bell_file, 0, PAGE, True)
        h.thread_event = event_new()
        h.waiter_event = event_new()
        if h.bell == NULL or h.waiter_event < 0:
            raise OSError("raylite cannot start: the system has no memory or file descriptors left")
        let_nobody_write(h.bell_file)
        not_in_forks(<char*> h.bell, PAGE)
        if not pump_open(&h.pump, h, &h.bell.bell, h.thread_event, h.waiter_event):
            raise OSError("raylite cannot start: the system has no file descriptors left")
        h.pump.poll = host_poll
        h.pump.pending = host_pending
        h.pump.readable = host_readable
        h.pump.spin_ns = SPIN_NS if current_cpu_count() > 1 else 0

    def connect(self, bytes root not None, uint32_t job):
        """The driver's own client; then the native thread starts."""
        cdef LocalClient client = LocalClient.__new__(LocalClient)
        cdef Inbox* inbox = raylite_host_new(<Inbox*> NULL)
        inbox.pump = &self.host.pump
        inbox.link = self.host
        inbox.send = local_send
        inbox.job = job
        self.node.state.last_client += 1
        inbox.client = self.node.state.last_client
        inbox.notice_event = event_new()
        client.inbox = inbox
        client.pump = &self.host.pump
        client.owner = self
        client.process = getpid()
        client.root = TaskContext.of(root, "driver", 0, (), True)
        client.watched = {}
        client.node = content_hash(root)
        self.host.local = inbox
        feed(self.host, EV_ATTACH, inbox.client, <uint64_t> getpid(), 0, CLIENT_DRIVER, NULL, 0)
        perform(self.host)
        if not pump_start(&self.host.pump):
            raise OSError("raylite cannot start: no thread can be made")
        return client

    def spill_to(self, bytes folder not None):
        """Write what the arena has no room for to files in this folder; before any client is there."""
        cdef string where = folder
        disk_open(&self.host.disk, &where, self.host, disk_has_done)

    def start_workers(self, int count):
        """Order workers before there is work for them."""
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            for _ in range(count):
                start_worker(self.host.node, 0)
            perform(self.host)
            pthread_mutex_unlock(&self.host.pump.lock)

    def adopt_zygote(self, int socket, int pidfd):
        """Order workers through this socket from now on; both descriptors are the host's from here."""
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            self.host.zygote = socket
            self.host.zygote_pidfd = pidfd
            self.host.zygote_lost = False
            send_orders(self.host)
            epoll_watch(self.host.pump.epoll, socket, TAG_ZYGOTE)
            epoll_watch(self.host.pump.epoll, pidfd, TAG_ZYGOTE_DEATH)
            pthread_mutex_unlock(&self.host.pump.lock)

    def zygote_lost(self):
        """Whether the zygote died, another is worth trying, and none has been adopted since."""
        return bool(self.host.zygote_lost and not self.host.refuses_workers)

    def refuse_workers(self):
        """No zygote can be had: tasks that need a process fail from now on."""
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            refuse_workers(self.host)
            pthread_mutex_unlock(&self.host.pump.lock)

    def attach(self, int process):
        """A channel for one more driver, in process `process`; returns its client number and the descriptors to pass
        to it, in the order of PeerFd. The caller closes them once passed. Raises OSError."""
        cdef int fds[PEER_FDS]
        cdef uint32_t client = 0
        cdef Peer* p
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            p = attach(self.host, process)
            if p != NULL:
                client = p.client
                list_descriptors(self.host, p, fds)
                for i in range(<int> FD_SOCKET):
                    fds[i] = dup(fds[i])
                p.remote = -1
            pthread_mutex_unlock(&self.host.pump.lock)
        if client == 0:
            raise OSError("no memory or file descriptors left for another client")
        return client, [fds[i] for i in range(<int> FD_OUT)]

    def open_door(self, bytes name not None, bytes card not None):
        """Let processes of this user attach themselves, who connect to the abstract Unix socket of this name; `card` is
        what they are told of the runtime. Whether the system has such sockets."""
        cdef Host* h = self.host
        cdef string where = name, text = card
        with nogil:
            pthread_mutex_lock(&h.pump.lock)
            h.door = door_open(where.data(), where.size())
            h.card = text
            if h.door >= 0:
                epoll_watch(h.pump.epoll, h.door, TAG_DOOR)
            pthread_mutex_unlock(&h.pump.lock)
        return h.door >= 0

    def leave_door(self):
        """In a forked child, which has none of the threads: the door is the parent's alone."""
        close_fd(self.host.door)
        self.host.door = -1

    def workers(self):
        """The workers as the node sees them (see Node.workers)."""
        cdef vector[WorkerReport] workers
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            read_workers(self.host.node, &workers)
            pthread_mutex_unlock(&self.host.pump.lock)
        return worker_rows(&workers)

    def sizes(self):
        """The sizes of the node's tables (see Node.sizes)."""
        cdef Sizes sizes
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            inbox_flush(self.host.local, True)
            read_sizes(self.host.node, &sizes)
            pthread_mutex_unlock(&self.host.pump.lock)
        return sizes

    def story(self):
        """The node's remembered transitions (see Node.story)."""
        cdef Story story
        cdef ordered_map[ObjectId, string] names
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            story = self.host.node.story
            read_names(self.host.node, &names)
            pthread_mutex_unlock(&self.host.pump.lock)
        return story_rows(&story, &names)

    def outputs(self):
        """Where workers write: a list of (client, pid, stdout fd, stderr fd, ended). Descriptors of ended ones are the
        caller's to close; the others stay the host's, and open as long as only the caller of this reaps ended ones."""
        cdef vector[Finished] running, ended
        cdef size_t i
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            list_outputs(&self.host.peers, &running)
            ended.swap(self.host.peers.finished)
            pthread_mutex_unlock(&self.host.pump.lock)
        return [(running[i].client, running[i].process, running[i].out_file, running[i].err_file, False)
                for i in range(running.size())] + \
            [(ended[i].client, ended[i].process, ended[i].out_file, ended[i].err_file, True)
             for i in range(ended.size())]

    def doze(self):
        """The monitor wants to be woken when something runs. True if nothing does now."""
        cdef bint idle
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            idle = self.host.bell.n_running == 0
            self.host.output_asleep = idle
            pthread_mutex_unlock(&self.host.pump.lock)
        return bool(idle)

    def memory_short(self, bytes report not None):
        """Tell the node that memory is short; report: the payload of EV_MEMORY_SHORT."""
        cdef string payload = report
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            feed(self.host, EV_MEMORY_SHORT, 0, 0, 0, 0, payload.data(), <uint32_t> payload.size())
            perform(self.host)
            pthread_mutex_unlock(&self.host.pump.lock)

    def hang_up(self):
        """Tell the zygote to end, with all below it; it is given no more orders. What it has still to say is heard."""
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            if self.host.zygote >= 0:
                say_no_more(self.host.zygote)
            pthread_mutex_unlock(&self.host.pump.lock)

    def hear_zygote(self):
        """Take in what the zygote has said, though nobody may have read it yet: which workers there were."""
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            if self.host.zygote >= 0:
                read_zygote(self.host)
            pthread_mutex_unlock(&self.host.pump.lock)

    def wake_monitor(self):
        """Let the monitor take a turn."""
        event_set(self.host.local.notice_event)

    def notice_event(self):
        """The descriptor that is readable when the monitor has something to do."""
        return self.host.local.notice_event

    def close_calls(self):
        """No call waits any more: every one is answered with the news that the runtime is gone."""
        with nogil:
            pthread_mutex_lock(&self.host.pump.lock)
            inbox_close(self.host.local)
            pthread_mutex_unlock(&self.host.pump.lock)

    def stop(self):
        """End the native thread and free channels and segments. The processes are the caller's to end, before."""
        with nogil:
            pump_stop(&self.host.pump)
            disk_close(&self.host.disk)
            pthread_mutex_lock(&self.host.pump.lock)
            close_host(self.host)
            pthread_mutex_unlock(&self.host.pump.lock)
        self.node = None          # its tables may be large, and references to us outlive the runtime
