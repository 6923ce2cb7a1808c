"""The stream of events that the node has handled: its hash, and on request the stream itself.

Times, kinds, ids and numbers count. Payloads and their sizes do not: pickles differ from process to process where sets
of strings or classes of `__main__` are in them, and nothing in the control plane depends on what they say.
"""
from libc.string cimport memset
from raylite._core.ids cimport hash_bytes, object_bytes


cdef struct Digested:
    TaskId before
    Message message


cdef void trace_add(Trace* t, const Message* m) noexcept nogil:
    cdef Digested d
    memset(&d, 0, sizeof(Digested))
    d.before = t.hash
    d.message = m[0]
    d.message.size = 0
    d.message.object.unused = 0
    t.hash = hash_bytes(<const char*> &d, sizeof(Digested), 0)
    t.n_events += 1
    if t.recording:
        t.events.push_back(d.message)


cdef void trace_deliver(Trace* t, const Message* m, uint64_t arrived_ns, bint to_client) noexcept nogil:
    """Note, if that is wanted, that a message has arrived; its time_ns is when it was sent."""
    cdef Delivery d
    if not t.recording or m.time_ns == 0:     # 0: the host's own
        return
    d.sent_ns = m.time_ns
    d.arrived_ns = arrived_ns
    d.to_client = to_client
    d.message = m[0]
    t.deliveries.push_back(d)


cdef list trace_deliveries(const Trace* t):
    """The recorded deliveries, as they arrived: dicts."""
    cdef size_t i
    cdef const Delivery* d
    out = []
    for i in range(t.deliveries.size()):
        d = &t.deliveries[i]
        out.append({"sent_ns": d.sent_ns, "arrived_ns": d.arrived_ns, "to_client": d.to_client, "kind": d.message.kind,
                    "client": d.message.client, "attempt": d.message.attempt, "request": d.message.request,
                    "object": object_bytes(d.message.object).hex()})
    return out


cdef list trace_rows(const Trace* t):
    """The recorded events: dicts."""
    cdef size_t i
    cdef const Message* m
    out = []
    for i in range(t.events.size()):
        m = &t.events[i]
        out.append({"time_ns": m.time_ns, "kind": m.kind, "flags": m.flags, "client": m.client, "attempt": m.attempt,
                    "request": m.request, "object": object_bytes(m.object).hex(), "aux": m.aux})
    return out
