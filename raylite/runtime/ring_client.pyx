"""A client at the end of a ring: a worker, or a second driver.

It reads its ring by a pump of its own, as the node does, and writes to the node's under the same lock. A full ring is
waited for without the lock and without the GIL; the node sets `space_event` when it has read.
"""
from libc.string cimport memset
from raylite._core.message cimport CMD_STOP, EV_DECLINED, EV_DESCRIPTOR
from raylite.runtime.channel cimport BELL_THREAD, BELL_WAITER, channel_map, channel_unmap, PAGE, RECORD_MOST, \
    RING_BYTES, ring_has, ring_read, ring_write
from raylite.runtime.task_context cimport TaskContext
from raylite.runtime.inbox cimport inbox_close, inbox_deliver, inbox_flush, inbox_free
from raylite.runtime.native cimport close, cond_wait_until, current_cpu_count, epoll_unwatch, epoll_watch, \
    epoll_watch_hangup, event_clear, event_new, event_set, file_size, full_fence, getpid, hang_up, kill, load_seq, \
    map_shared, monotonic_ns, not_in_forks, open_pidfd, peer_process, pthread_mutex_lock, pthread_mutex_unlock, \
    recv_one_fd, SIGKILL, store_seq, unmap, wait_readable
from raylite.runtime.pump cimport TAG_FIRST, pump_open, pump_start, pump_stop

from _thread import allocate_lock

cdef enum:
    SPIN_NS = 50000

cdef extern from *:
    """
    template <typename T> static T *raylite_link_new(T *) { return new T(); }
    template <typename T> static void raylite_link_delete(T *p) { delete p; }
    """
    void raylite_link_delete(Link*) nogil
    Link* raylite_link_new(Link*) nogil
    Inbox* raylite_link_new(Inbox*) nogil


cdef void ring_node(Link* way) noexcept nogil:
    """Wake whoever of the node's process sleeps, if anybody does."""
    cdef uint64_t bell
    full_fence()
    bell = load_seq(&way.bell.bell)
    if bell == BELL_WAITER:
        event_set(way.node_waiter_event)
    elif bell == BELL_THREAD:
        event_set(way.node_thread_event)


cdef inline void count_message(Link* way) noexcept nogil:
    if way.n_messages_left:
        way.n_messages_left -= 1
        if way.n_messages_left == 0:
            kill(getpid(), SIGKILL)


cdef bint link_send(void* link, const Message* m, const char* payload, bint may_wait) noexcept nogil:
    """Write a message to the ring, under the lock. If it is full: False, or (may_wait) wait for room."""
    cdef Link* way = <Link*> link
    cdef uint64_t progress = 0
    while way.sending:              # never with the GIL held by us and needed by the sender: it waits without it
        if not may_wait:
            return False
        cond_wait_until(&way.pump.moved, &way.pump.lock, monotonic_ns() + 1000000)
    if not may_wait and sizeof(Message) + <uint64_t> m.size + 64 > room(way):
        return False
    way.sending = True
    while not ring_write(&way.channel.out, m, payload, &progress):
        store_seq(&way.channel.client.wants_space, 1)
        full_fence()
        if ring_write(&way.channel.out, m, payload, &progress):
            break
        ring_node(way)
        pthread_mutex_unlock(&way.pump.lock)
        wait_readable(way.space_event, -1)
        event_clear(way.space_event)
        pthread_mutex_lock(&way.pump.lock)
        if way.inbox.closed:
            break                     # there is nobody to read it
    store_seq(&way.channel.client.wants_space, 0)
    way.sending = False
    ring_node(way)
    count_message(way)
    return True


cdef uint64_t room(Link* way) noexcept nogil:
    """Bytes that surely fit into the ring as one record."""
    cdef uint64_t used = way.channel.out.tail - load_seq(way.channel.out.shared_head)
    if used > RING_BYTES - PAGE:
        return 0
    return RING_BYTES - used - 64 if RING_BYTES - used - 64 < RECORD_MOST else RECORD_MOST


cdef void link_poll(void* owner) noexcept nogil:
    cdef Link* way = <Link*> owner
    cdef Message* m
    cdef uint64_t head = way.channel.into.head
    while ring_read(&way.channel.into):
        m = <Message*> way.channel.into.message.data()
        if m.kind == CMD_STOP:
            inbox_close(way.inbox)
        else:
            inbox_deliver(way.inbox, m, way.channel.into.message.data() + sizeof(Message), NULL)
        way.channel.into.message.clear()
        count_message(way)
    if way.channel.into.head != head:             # be it by a part of a message
        full_fence()
        if load_seq(&way.channel.node.wants_space):
            event_set(way.node_thread_event)
    inbox_flush(way.inbox, False)


cdef bint link_pending(void* owner) noexcept nogil:
    return ring_has(&(<Link*> owner).channel.into)


cdef void link_readable(void* owner, uint32_t tag) noexcept nogil:
    """The node has hung up, or its process has ended."""
    cdef Link* way = <Link*> owner
    epoll_unwatch(way.pump.epoll, way.socket)
    epoll_unwatch(way.pump.epoll, way.node_end)
    link_poll(way)                # what it said before counts
    inbox_close(way.inbox)
    event_set(way.space_event)


cdef bint watch_node(Link* way) noexcept nogil:
    """Hear of the node's end: by its hanging up, or (a fork of it may hold its end of the socket) by its process's."""
    way.node_end = open_pidfd(peer_process(way.socket))
    return way.node_end >= 0 and epoll_watch(way.pump.epoll, way.node_end, TAG_FIRST) == 0 \
        and epoll_watch_hangup(way.pump.epoll, way.socket, TAG_FIRST) == 0


cdef void close_link(Link* way) noexcept nogil:
    """Hang up, end the native thread, and give back all but the memory that late calls look into."""
    pthread_mutex_lock(&way.pump.lock)
    way.left = True
    inbox_close(way.inbox)
    pthread_mutex_unlock(&way.pump.lock)
    hang_up(way.socket)
    event_set(way.space_event)
    pump_stop(&way.pump)
    channel_unmap(&way.channel)
    unmap(<char*> way.bell, PAGE)
    close(way.channel.memory)
    close(way.bell_file)
    close(way.node_thread_event)
    close(way.node_waiter_event)
    close(way.pump.thread_event)
    close(way.pump.waiter_event)
    close(way.space_event)
    close(way.socket)
    close(way.node_end)
    close(way.inbox.notice_event)
    way.inbox.notice_event = -1


cdef class RingClient(Client):
    """Args: client: its number; fds: descriptors in the order of PeerFd (host.pxd); job: number; root: 16 bytes, the id
    under which threads without a task submit; is_worker: whether the node sends it tasks."""

    def __init__(self, uint32_t client, fds, uint32_t job, bytes root not None, bint is_worker):
        cdef Link* way = raylite_link_new(<Link*> NULL)
        cdef Inbox* inbox = raylite_link_new(<Inbox*> NULL)
        self.link = way
        if not channel_map(&way.channel, fds[0], False):
            raise OSError("the channel to the node cannot be mapped")
        way.bell = <BellPage*> map_shared(fds[1], 0, PAGE, False)
        if way.bell == NULL:
            raise OSError("the channel to the node cannot be mapped")
        not_in_forks(<char*> way.bell, PAGE)
        way.bell_file = fds[1]
        way.node_thread_event = fds[2]
        way.node_waiter_event = fds[3]
        way.space_event = fds[6]
        way.socket = fds[7]
        if not pump_open(&way.pump, way, &way.channel.client.bell, fds[4], fds[5]):
            raise OSError("the client has no file descriptors left")
        way.pump.poll = link_poll
        way.pump.pending = link_pending
        way.pump.readable = link_readable
        way.pump.spin_ns = SPIN_NS if current_cpu_count() > 1 else 0
        if not is_worker and not watch_node(way):
            raise OSError("the node's process cannot be watched, or has ended")
        way.inbox = inbox
        inbox.pump = &way.pump
        inbox.link = way
        inbox.send = link_send
        inbox.client = client
        inbox.job = job
        inbox.notice_event = event_new()
        self.inbox = inbox
        self.pump = &way.pump
        self.process = getpid()
        self.root = TaskContext.of(root, "driver" if not is_worker else "worker", 0, (), not is_worker)
        self.watched = {}
        self.fetching = allocate_lock()
        self.is_worker = is_worker
        if not pump_start(&way.pump):
            raise OSError("the client cannot start a thread")

    def __dealloc__(self):
        if self.link != NULL and self.link.left:
            inbox_free(self.inbox)    # here, as references look into it until the last is gone
            raylite_link_delete(self.link)

    def close(self):
        """Leave the node, as a driver in another process: what this client held is released there."""
        if self.link.left:
            return
        self.drop_mappings()
        with nogil:
            close_link(self.link)

    cdef bint begin(self, Message* m):
        """See host.recall: we store `started`, then look at the range that is taken back."""
        cdef Message declined
        cdef uint64_t position = m.request
        if position == 0:
            return True
        store_seq(&self.link.channel.client.started, position)
        full_fence()
        if position < load_seq(&self.link.channel.node.recall_from) \
                or position >= load_seq(&self.link.channel.node.recall_to):
            return True
        memset(&declined, 0, sizeof(Message))
        declined.kind = EV_DECLINED
        declined.object = m.object
        declined.attempt = m.attempt
        declined.request = position
        self.post(&declined, NULL)
        return False

    cdef int fetch_segment(self, uint32_t segment, uint64_t* size) except -1:
        cdef Message m
        cdef uint32_t tag = 0
        cdef int fd
        memset(&m, 0, sizeof(Message))
        m.kind = EV_DESCRIPTOR
        m.object.index = segment
        with self.fetching:       # one question at a time, so that the answer is to ours
            self.post(&m, NULL)
            with nogil:
                fd = recv_one_fd(self.link.socket, &tag)
        if fd < 0 or tag != segment:
            raise RuntimeError(f"there is no arena segment {segment}")
        size[0] = file_size(fd)
        return fd

    def notice_event(self):
        """The descriptor that is readable when collect() has something."""
        return self.inbox.notice_event

    def has_notices(self):
        """Whether collect() would bring anything."""
        return not self.inbox.notices.empty() or not self.inbox.arrived.empty()

    def ensure_watched(self):
        """As in Client; by a thread that the first call starts."""
        if not self.inbox.announces_runs:     # who waits for runs there collects this as well
            from raylite.runtime.watcher import ensure_watcher
            ensure_watcher(self)

    def poll(self):
        """Take in what has come, now."""
        with nogil:
            pthread_mutex_lock(&self.pump.lock)
            link_poll(self.link)
            pthread_mutex_unlock(&self.pump.lock)

    def die_after(self, uint64_t n_messages):
        """For tests: have the process killed when so many more messages have been sent or taken in; 0: it lives on."""
        with nogil:
            pthread_mutex_lock(&self.pump.lock)
            self.link.n_messages_left = n_messages
            pthread_mutex_unlock(&self.pump.lock)
