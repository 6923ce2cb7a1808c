"""All that the master knows, as one struct; what it says to others, and what it writes down first.

A decision is a record in the journal before anybody hears of it: the host writes the records of a call before it
carries the packets of that call.
"""
from cython.operator cimport dereference as deref
from raylite._core.envelope cimport blob_copy, blob_drop
from raylite._core.links.packet cimport party_kind, PARTY_SCHEDULER
from raylite._core.store.message cimport store_letter_message


cdef Member* find_member(MasterState* m, uint32_t address) noexcept nogil:
    cdef ordered_map[uint32_t, Member].iterator it = m.members.find(address)
    return &deref(it).second if it != m.members.end() else NULL


cdef void say_blob(MasterState* m, uint32_t target, uint8_t kind, uint64_t aux, Blob* body) noexcept nogil:
    """Takes over the hold."""
    cdef Outgoing o
    o.target = target
    o.message = store_letter_message(kind, body.size if body != NULL else 0)
    o.message.incarnation = m.store.incarnation
    o.message.aux = aux
    o.payload = body
    m.out.push_back(o)


cdef void say(MasterState* m, uint32_t target, uint8_t kind, uint64_t aux, const char* body, uint64_t size) \
        noexcept nogil:
    say_blob(m, target, kind, aux, blob_copy(body, size) if size else NULL)


cdef void say_all(MasterState* m, uint8_t kind, const char* body, uint64_t size, bint schedulers) noexcept nogil:
    """To all members; the schedulers too?"""
    for entry in m.members:
        if schedulers or party_kind(entry.first) != PARTY_SCHEDULER:
            say(m, entry.first, kind, 0, body, size)


cdef void record(MasterState* m, uint32_t kind, const char* body, uint64_t size) noexcept nogil:
    """Write a decision down."""
    cdef MasterRecord r
    r.kind = kind
    r.data = blob_copy(body, size)
    m.journal.push_back(r)


cdef void drop_records(MasterState* m) noexcept nogil:
    cdef size_t i
    for i in range(m.journal.size()):
        blob_drop(m.journal[i].data)
    m.journal.clear()
