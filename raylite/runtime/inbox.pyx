"""A client's end of the one interface (DESIGN 4.13): what it asked for, what has come, what it still has to say.

The same for a driver beside its node and for a process at the end of a ring; only `send` differs. Everything goes to
the node in order: what destructors released first, then the message. Destructors run anywhere, so they only push onto
a lock-free stack; whoever sends next, or the pump's timer, takes it from there.

Tasks and notices are kept apart, and functions come with tasks and go with notices. So that they come and go in the
order that the node meant, a task that brings a function waits until the notices before it have been taken, and one
that was taken back brings nothing any more once the word to forget its function has come.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, blob_keep, blob_new, EnvelopeHeader, \
    KIND_SYSTEM_ERROR, KIND_USER_ERROR
from raylite._core.ids cimport same_object
from raylite._core.message cimport CMD_FORGET_FUNCTION, CMD_LEASED, CMD_READY, CMD_RUN, CMD_VALUE, EV_DECLINED, \
    EV_FORGET, EV_UNPIN, MESSAGE_VERSION, RUN_HAS_FUNCTION, RUN_IN_PLACE, RunHeader, VALUE_IN_ARENA
from raylite.runtime.native cimport event_set, exchange_pointer, monotonic_ns, pthread_mutex_lock, \
    pthread_mutex_unlock, push_pointer, timer_arm
from raylite.runtime.pump cimport pump_nudge

cdef enum:
    RELEASE_DELAY_NS = 2000000    # how long a release may wait for the next message to go with it

cdef extern from *:
    """
    template <typename T> static T *raylite_make(T *) { return new T(); }
    template <typename T> static void raylite_unmake(T *p) { delete p; }
    """
    Call* raylite_make(Call*) nogil
    void raylite_unmake(Call*) nogil
    void raylite_unmake(Inbox*) nogil


cdef Blob* whole(const Message* m, const char* payload) noexcept nogil:
    """The message and its payload in one blob."""
    cdef Blob* blob = blob_new(sizeof(Message) + m.size)
    memcpy(blob_data(blob), m, sizeof(Message))
    if m.size:
        memcpy(blob_data(blob) + sizeof(Message), payload, m.size)
    return blob


cdef Call* find_call(Inbox* b, uint64_t request) noexcept nogil:
    cdef unordered_map[uint64_t, Call*].iterator it = b.calls.find(request)
    if it == b.calls.end():
        return NULL
    return deref(it).second


cdef void fill(Call* call, const Message* m, const char* payload, Blob* shared) noexcept nogil:
    cdef Slot* slot
    if m.aux >= call.slots.size() or call.slots[m.aux].filled:
        return
    slot = &call.slots[m.aux]
    slot.filled = True
    slot.object = m.object
    if m.flags & VALUE_IN_ARENA:
        slot.in_arena = True
        memcpy(&slot.where, payload, sizeof(Location))
    else:
        slot.blob = blob_keep(shared) if shared != NULL else blob_copy(payload, m.size)
        if m.size >= sizeof(EnvelopeHeader):
            call.failed |= (<const EnvelopeHeader*> blob_data(slot.blob)).kind == KIND_USER_ERROR \
                or (<const EnvelopeHeader*> blob_data(slot.blob)).kind == KIND_SYSTEM_ERROR
    call.n_missing -= 1


cdef void notify(Inbox* b) noexcept nogil:
    if b.notice_event >= 0:
        event_set(b.notice_event)


cdef bint inbox_has_task(const Inbox* b) noexcept nogil:
    """Whether a task has come that may be taken before any notice is."""
    return not b.closed and not b.runs.empty() \
        and (b.notices.empty() or not (<const Message*> blob_data(b.runs.front())).flags & RUN_HAS_FUNCTION)


cdef void forget_function(Inbox* b, ObjectId function) noexcept nogil:
    """Tasks that have come and bring it were taken back: it is held for as long as one is to be run."""
    cdef RunHeader* h
    cdef size_t i
    for i in range(b.runs.size()):
        h = <RunHeader*> (blob_data(b.runs[i]) + sizeof(Message))
        if (<const Message*> blob_data(b.runs[i])).flags & RUN_HAS_FUNCTION and same_object(h.function, function):
            h.is_forgotten = 1


cdef void inbox_deliver(Inbox* b, const Message* m, const char* payload, Blob* shared) noexcept nogil:
    """A message from the node. `shared`: the blob that `payload` lies in, if it may be kept."""
    cdef Call* call
    if m.kind == CMD_RUN:
        call = find_call(b, m.aux) if m.flags & RUN_IN_PLACE else NULL
        if call != NULL:
            call.in_place.push_back(whole(m, payload))
        elif m.flags & RUN_IN_PLACE:
            decline_later(b, m)
        else:
            b.runs.push_back(whole(m, payload))
            if b.announces_runs:
                notify(b)
        if b.pump != NULL:
            pump_nudge(b.pump)
        return
    if m.kind == CMD_FORGET_FUNCTION:
        forget_function(b, m.object)
    if m.kind != CMD_VALUE and m.kind != CMD_READY and m.kind != CMD_LEASED:
        b.notices.push_back(whole(m, payload))
        notify(b)
        return
    call = find_call(b, m.request)
    if call == NULL:
        if m.kind == CMD_VALUE and m.flags & VALUE_IN_ARENA:
            inbox_release_later(b, EV_UNPIN, m.object)   # the value of a call that was given up
        return
    if m.kind == CMD_VALUE:
        fill(call, m, payload, shared)
        call.answered = call.n_missing == 0 or call.failed
    else:
        call.answered = True
        call.flags = m.flags
        call.aux = m.aux
        call.answer = blob_copy(payload, m.size)
    if call.answered and call.token:
        b.arrived.push_back(call.id)
        notify(b)
    elif call.answered and b.pump != NULL:
        pump_nudge(b.pump)


cdef Call* inbox_call(Inbox* b, uint32_t n_slots, uint64_t token) noexcept nogil:
    """A new call; its id is what the request to the node carries."""
    cdef Call* call = raylite_make(<Call*> NULL)
    b.last_request += 1
    call.id = b.last_request
    call.token = token
    call.n_missing = n_slots
    call.answered = b.closed      # by nothing, for ever: what asks after the end must not wait
    call.slots.resize(n_slots)
    b.calls[call.id] = call
    return call


cdef bint inbox_detach(Inbox* b, Call* call, bint may_wait) noexcept nogil:
    """Take the call off the table; what still comes for it is refused. False: telling the node would have to wait."""
    cdef Message m
    cdef size_t i
    if call.n_missing or (call.slots.empty() and not call.answered):
        memset(&m, 0, sizeof(Message))
        m.kind = EV_FORGET
        m.request = call.id
        if not inbox_send(b, &m, NULL, may_wait):
            return False
    b.calls.erase(call.id)
    for i in range(call.in_place.size()):
        decline_later(b, <const Message*> blob_data(call.in_place[i]))
        blob_drop(call.in_place[i])
    call.in_place.clear()
    return True


cdef void inbox_free_call(Call* call) noexcept nogil:
    """Free a detached call, and the bytes that came for it."""
    cdef size_t i
    for i in range(call.slots.size()):
        blob_drop(call.slots[i].blob)
    blob_drop(call.answer)
    raylite_unmake(call)


cdef void inbox_take_arrived(Inbox* b, vector[Call*]* calls) noexcept nogil:
    """Detach the asynchronous calls that are done."""
    cdef Call* call
    cdef size_t i
    for i in range(b.arrived.size()):
        call = find_call(b, b.arrived[i])
        if call != NULL and inbox_detach(b, call, True):
            calls.push_back(call)
    b.arrived.clear()


cdef void inbox_lock(Inbox* b) noexcept nogil:
    if b.pump != NULL:
        pthread_mutex_lock(&b.pump.lock)


cdef void inbox_unlock(Inbox* b) noexcept nogil:
    if b.pump != NULL:
        pthread_mutex_unlock(&b.pump.lock)


cdef void inbox_release_later(Inbox* b, uint32_t kind, ObjectId object) noexcept nogil:
    """From a destructor: tell the node soon. Takes no lock and no GIL."""
    push_release(b, kind, object, 0)


cdef void decline_later(Inbox* b, const Message* m) noexcept nogil:
    """Nobody waits any more for what this task was to be run in place for: it is the node's again."""
    push_release(b, EV_DECLINED, m.object, m.attempt)


cdef void push_release(Inbox* b, uint32_t kind, ObjectId object, uint32_t attempt) noexcept nogil:
    cdef Release* r = <Release*> malloc(sizeof(Release))
    r.kind = kind
    r.object = object
    r.attempt = attempt
    if not push_pointer(&b.releases, <void**> &r.next, r):
        return
    if b.pump != NULL:
        timer_arm(b.pump.timer, RELEASE_DELAY_NS)
    elif b.wake != NULL:
        b.wake(b.link)


cdef void take_releases(Inbox* b) noexcept nogil:
    """Move what destructors pushed to the end of the list of what is to be said."""
    cdef Release* r
    cdef Release* ordered = NULL
    cdef Release* last
    cdef Release* next_release
    if b.releases == NULL:
        return
    r = last = <Release*> exchange_pointer(&b.releases, NULL)
    while r != NULL:
        next_release = r.next
        r.next = ordered
        ordered = r
        r = next_release
    if b.unsaid == NULL:
        b.unsaid = ordered
    else:
        b.unsaid_last.next = ordered
    b.unsaid_last = last


cdef bint inbox_flush(Inbox* b, bint may_wait) noexcept nogil:
    """Say what destructors left to be said, in their order. False: it would have to wait, and may not."""
    cdef Release* r
    cdef Message m
    take_releases(b)
    if b.unsaid == NULL:
        return True
    memset(&m, 0, sizeof(Message))
    m.version = MESSAGE_VERSION
    m.client = b.client
    m.job = b.job
    m.time_ns = monotonic_ns()
    while b.unsaid != NULL:
        r = b.unsaid
        m.kind = <unsigned char> r.kind
        m.object = r.object
        m.attempt = r.attempt
        b.unsaid = r.next         # before sending, which may wait without the lock
        if not b.closed and not b.send(b.link, &m, NULL, may_wait):
            r.next = b.unsaid
            b.unsaid = r
            return False
        free(r)
    return True


cdef bint inbox_send(Inbox* b, Message* m, const char* payload, bint may_wait) noexcept nogil:
    """Send a message to the node, after all that came before it. False: it would have to wait, and may not."""
    if not inbox_flush(b, may_wait):
        return False
    m.version = MESSAGE_VERSION
    m.client = b.client
    m.job = b.job
    m.time_ns = monotonic_ns()
    if b.closed:
        return True
    return b.send(b.link, m, payload, may_wait)


cdef void inbox_close(Inbox* b) noexcept nogil:
    """The node is gone: every call is answered with nothing, so that nobody waits for ever."""
    cdef unordered_map[uint64_t, Call*].iterator it = b.calls.begin()
    b.closed = True
    while it != b.calls.end():
        deref(it).second.answered = True
        if deref(it).second.token:
            b.arrived.push_back(deref(it).first)
        preincrement(it)
    notify(b)
    if b.pump != NULL:
        pump_nudge(b.pump)


cdef void inbox_forget(Inbox* b) noexcept nogil:
    """Free what has come and nobody will take: tasks to run, notices."""
    cdef size_t i
    for i in range(b.runs.size()):
        blob_drop(b.runs[i])
    for i in range(b.notices.size()):
        blob_drop(b.notices[i])
    b.runs.clear()
    b.notices.clear()


cdef void inbox_free(Inbox* b) noexcept nogil:
    """Free an inbox that nobody uses any more, and all that is left in it."""
    cdef unordered_map[uint64_t, Call*].iterator it = b.calls.begin()
    cdef Release* r
    cdef size_t i
    take_releases(b)
    while b.unsaid != NULL:
        r = b.unsaid
        b.unsaid = r.next
        free(r)
    while it != b.calls.end():
        for i in range(deref(it).second.in_place.size()):
            blob_drop(deref(it).second.in_place[i])
        inbox_free_call(deref(it).second)
        preincrement(it)
    inbox_forget(b)
    raylite_unmake(b)
