"""Virtual time: what is planned, in order of (time, sequence of planning), so that no tie is ever left to chance."""
from libc.string cimport memset
from raylite._core.envelope cimport blob_drop


cdef void timeline_plan(Timeline* t, uint64_t time_ns, const Event* event) noexcept nogil:
    """Have the event handled at its time."""
    cdef Due due
    if t.free.empty():
        due.slot = <uint32_t> t.slots.size()
        t.slots.push_back(event[0])
    else:
        due.slot = t.free.back()
        t.free.pop_back()
        t.slots[due.slot] = event[0]
    t.last_sequence += 1
    due.time_ns = time_ns
    due.sequence = t.last_sequence
    t.n_foreground += not event.background
    t.due.push(due)


cdef bint timeline_take(Timeline* t, uint64_t until_ns, Event* out) noexcept nogil:
    """Take the next event, if it is due by `until_ns`, and move on to its time. False if there is none."""
    cdef Due due
    if t.due.empty():
        return False
    due = t.due.top()
    if due.time_ns > until_ns:
        return False
    t.due.pop()
    out[0] = t.slots[due.slot]
    memset(&t.slots[due.slot], 0, sizeof(Event))
    t.free.push_back(due.slot)
    t.n_foreground -= not out.background
    if due.time_ns > t.now_ns:    # who reads the clock moves it on (Kernel.read_clock): some events come late
        t.now_ns = due.time_ns
    return True


cdef void timeline_clear(Timeline* t) noexcept nogil:
    """Forget all that is planned."""
    cdef Event event
    while timeline_take(t, NEVER, &event):
        blob_drop(event.payload)
