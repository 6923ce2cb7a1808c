"""The stream of events that the nodes and other parties have handled: its hash, and on request the stream itself.

Times, kinds, ids and numbers count. Payloads and their sizes do not: pickles differ from process to process where sets
of strings or classes of `__main__` are in them, and nothing in the control plane depends on what they say.
"""
from libc.string cimport memset
from raylite._core.ids cimport hash_bytes, object_bytes


cdef struct Digested:
    TaskId before
    Traced what


cdef void trace(Trace* t, Digested* d, const Message* m) noexcept nogil:
    d.before = t.hash
    d.what.message = m[0]
    d.what.message.size = 0
    d.what.message.object.unused = 0
    t.hash = hash_bytes(<const char*> d, sizeof(Digested), 0)
    t.n_events += 1
    if t.recording:
        t.events.push_back(d.what)


cdef void trace_add(Trace* t, uint64_t time_ns, uint32_t address, const Message* m) noexcept nogil:
    """A node, by its address in the cluster (0: it is alone), handles a message of a client's or its host's."""
    cdef Digested d
    memset(&d, 0, sizeof(Digested))
    d.what.time_ns = time_ns
    d.what.target = address
    trace(t, &d, m)


cdef void trace_packet(Trace* t, uint64_t time_ns, const Packet* p, uint64_t sent_ns) noexcept nogil:
    """A party handles a packet."""
    cdef Digested d
    memset(&d, 0, sizeof(Digested))
    d.what.time_ns = time_ns
    d.what.sent_ns = sent_ns
    d.what.sequence = p.head.sequence
    d.what.source = p.head.source
    d.what.target = p.head.target
    trace(t, &d, &p.message)


cdef void trace_deliver(Trace* t, const Message* m, uint64_t arrived_ns, uint32_t address,
                        bint to_client) noexcept nogil:
    """Note, if that is wanted, that a message between a node and a process has arrived; its time_ns is when it was
    sent."""
    cdef Delivery d
    if not t.recording or m.time_ns == 0:     # 0: the host's own
        return
    d.sent_ns = m.time_ns
    d.arrived_ns = arrived_ns
    d.address = address
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
        out.append({"sent_ns": d.sent_ns, "arrived_ns": d.arrived_ns, "to_client": d.to_client, "address": d.address,
                    "kind": d.message.kind,
                    "client": d.message.client, "attempt": d.message.attempt, "request": d.message.request,
                    "object": object_bytes(d.message.object).hex()})
    return out


cdef list trace_rows(const Trace* t):
    """The recorded events: dicts. In a cluster `target` is the address of who handled it, and a packet also has
    `source`, `sequence` and `sent_ns`; without a cluster both are 0."""
    cdef size_t i
    cdef const Traced* e
    cdef const Message* m
    out = []
    for i in range(t.events.size()):
        e = &t.events[i]
        m = &e.message
        out.append({"time_ns": e.time_ns, "kind": m.kind, "flags": m.flags, "client": m.client, "attempt": m.attempt,
                    "request": m.request, "object": object_bytes(m.object).hex(), "aux": m.aux,
                    "target": e.target, "source": e.source, "sequence": e.sequence, "sent_ns": e.sent_ns})
    return out
