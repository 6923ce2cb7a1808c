# cython: language_level=3, cdivision=True
"""Two sides of a channel in one process: each with its pump and its native thread, and threads that wait beside them.

The client's threads ask and wait for the answer; the node's pump answers whatever is asked, as a node does, and now and
then a thread that waits there leads instead. Both sides use one mapping of the memory, writable for both: a sanitizer
tells threads apart, and not two addresses of the same byte.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from raylite._core.message cimport Message
from raylite.runtime.channel cimport BELL_THREAD, BELL_WAITER, Channel, CHANNEL_BYTES, channel_map, channel_unmap, \
    RING_BYTES, ring_has, ring_read, ring_write
from raylite.runtime.native cimport close, event_new, event_set, full_fence, load_seq, memory_file, monotonic_ns, \
    pthread_join, pthread_mutex_lock, pthread_mutex_unlock, pthread_t, sched_yield, start_thread
from raylite.runtime.pump cimport Pump, pump_open, pump_start, pump_stop, pump_wait

cdef enum:
    N_ASKING = 3
    PATIENCE_NS = 30000000000
    LEAD_NS = 300000
    PAYLOAD_MOST = 40000

cdef struct Side:
    Channel channel
    Pump pump
    Side* other
    uint64_t n_read
    uint64_t n_answered           # the client's: answers so far
    uint64_t n_wrong
    bint answers
    bint stopping                 # guarded by the pump's lock

cdef struct Asking:               # one thread of the client
    Side* side
    pthread_t thread
    uint64_t n_left
    uint64_t number               # asked for at present
    bint answered
    bint late

cdef Side node, client
cdef Asking asking[N_ASKING]
cdef pthread_t leader
cdef char payload[PAYLOAD_MOST]


cdef void wake(Side* side) noexcept nogil:
    """As ring_node and ring_bell do."""
    cdef uint64_t bell
    full_fence()
    bell = load_seq(side.other.pump.bell)
    if bell == BELL_WAITER:
        event_set(side.other.pump.waiter_event)
    elif bell == BELL_THREAD:
        event_set(side.other.pump.thread_event)


cdef bint say(Side* side, uint64_t who, uint64_t number) noexcept nogil:
    """Write a message under the lock. False, and nothing is written, if it does not fit now."""
    cdef Message m
    cdef uint64_t progress = 0
    if RING_BYTES - (side.channel.out.tail - load_seq(side.channel.out.shared_head)) < 2 * PAYLOAD_MOST:
        return False
    memset(&m, 0, sizeof(Message))
    m.client = <uint32_t> who
    m.request = number
    m.size = <uint32_t> (number * 7919 % PAYLOAD_MOST)
    if not ring_write(&side.channel.out, &m, payload, &progress):
        side.n_wrong += 1
    wake(side)
    return True


cdef void poll(void* owner) noexcept nogil:
    cdef Side* side = <Side*> owner
    cdef Message* m
    while ring_read(&side.channel.into):
        m = <Message*> side.channel.into.message.data()
        side.n_read += 1
        if m.size != m.request * 7919 % PAYLOAD_MOST or m.client >= N_ASKING:
            side.n_wrong += 1
        elif side.answers:
            if not say(side, m.client, m.request):
                side.n_wrong += 1             # each thread has one question under way: there is room
        elif asking[m.client].number != m.request:
            side.n_wrong += 1
        else:
            asking[m.client].answered = True
            side.n_answered += 1
        side.channel.into.message.clear()
    if side.channel.into.broken:
        side.n_wrong += 1


cdef bint pending(void* owner) noexcept nogil:
    return ring_has(&(<Side*> owner).channel.into)


cdef void readable(void* owner, uint32_t tag) noexcept nogil:
    pass


cdef bint is_answered(void* what) noexcept nogil:
    return (<Asking*> what).answered


cdef bint is_stopping(void* what) noexcept nogil:
    return (<Side*> what).stopping


cdef void* ask(void* what) noexcept nogil:
    """A thread of the client: one question after the other."""
    cdef Asking* a = <Asking*> what
    cdef Side* side = a.side
    cdef uint64_t until
    pthread_mutex_lock(&side.pump.lock)
    while a.n_left and not a.late:
        a.n_left -= 1
        a.number += 1
        a.answered = False
        while not say(side, <uint64_t> (a - asking), a.number):
            pthread_mutex_unlock(&side.pump.lock)
            sched_yield()
            pthread_mutex_lock(&side.pump.lock)
        until = monotonic_ns() + PATIENCE_NS
        while not a.answered and not a.late:
            pump_wait(&side.pump, is_answered, a, 1000000000, a.number % 2)
            a.late = monotonic_ns() > until
    pthread_mutex_unlock(&side.pump.lock)
    return NULL


cdef void* lead_at_times(void* what) noexcept nogil:
    """A thread of the node's process that waits for a moment, again and again, and leads while it does."""
    cdef Side* side = <Side*> what
    pthread_mutex_lock(&side.pump.lock)
    while not side.stopping:
        pump_wait(&side.pump, is_stopping, side, LEAD_NS, True)
        pthread_mutex_unlock(&side.pump.lock)
        sched_yield()
        pthread_mutex_lock(&side.pump.lock)
    pthread_mutex_unlock(&side.pump.lock)
    return NULL


cdef bint open_side(Side* side, Side* other, uint64_t* bell) noexcept nogil:
    side.other = other
    if not pump_open(&side.pump, side, bell, event_new(), event_new()):
        return False
    side.pump.poll = poll
    side.pump.pending = pending
    side.pump.readable = readable
    side.pump.spin_ns = 20000
    return True


def run(uint64_t n_questions):
    """Each of the client's threads asks so many. Raises AssertionError if an answer is wrong, or does not come."""
    cdef int memory = memory_file(b"raylite-threads", CHANNEL_BYTES)
    cdef uint64_t bell = 0
    cdef Channel other_view
    assert memory >= 0 and channel_map(&node.channel, memory, True) and channel_map(&other_view, memory, False)
    # What each side writes, by the mapping that is writable; both sides use that.
    client.channel.out = other_view.out
    client.channel.out.shared_head = &node.channel.node.head
    node.channel.into.data = other_view.out.data
    client.channel.into.data = node.channel.out.data
    client.channel.into.shared_tail = &node.channel.node.tail
    client.channel.into.shared_head = &other_view.client.head
    node.channel.into.shared_tail = &other_view.client.tail
    node.channel.out.shared_head = &other_view.client.head
    node.answers = True
    assert open_side(&node, &client, &bell) and open_side(&client, &node, &other_view.client.bell)
    with nogil:
        pump_start(&node.pump)
        pump_start(&client.pump)
        start_thread(&leader, lead_at_times, &node)
        for i in range(N_ASKING):
            asking[i].side = &client
            asking[i].n_left = n_questions
            start_thread(&asking[i].thread, ask, &asking[i])
        for i in range(N_ASKING):
            pthread_join(asking[i].thread, NULL)
        pthread_mutex_lock(&node.pump.lock)
        node.stopping = True
        pthread_mutex_unlock(&node.pump.lock)
        pthread_join(leader, NULL)
        pump_stop(&client.pump)
        pump_stop(&node.pump)
    for fd in (node.pump.thread_event, node.pump.waiter_event, client.pump.thread_event, client.pump.waiter_event):
        close(fd)
    channel_unmap(&node.channel)
    channel_unmap(&other_view)
    close(memory)
    late = [i for i in range(N_ASKING) if asking[i].late]
    assert not late, f"threads {late} waited in vain; read: {node.n_read} by the node, {client.n_read} by the client"
    assert node.n_wrong == client.n_wrong == 0, f"{node.n_wrong} wrong at the node, {client.n_wrong} at the client"
    assert client.n_answered == N_ASKING * n_questions, client.n_answered
