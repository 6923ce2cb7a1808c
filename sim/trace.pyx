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
