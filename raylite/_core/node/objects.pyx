"""What the node knows of each object: its value or where it lies, who holds it, who waits for it.

Client holds are a set (idempotent under repetition); task and container holds count edges whose other end is a row of
this same node, so the tables can be checked against each other (node.check_invariants). Pins count views of a value's
bytes per client: the bytes stay until the last view is gone, even if the object is out of scope.
"""
from cython.operator cimport dereference as deref


cdef ObjectRow* objects_find(Objects* o, ObjectId id) noexcept nogil:
    cdef unordered_map[ObjectId, ObjectRow].iterator it = o.rows.find(id)
    if it == o.rows.end():
        return NULL
    return &deref(it).second


cdef ObjectRow* objects_add(Objects* o, ObjectId id) noexcept nogil:
    """The row of this object, made (pending, held by nobody) if it is new."""
    cdef ObjectRow* row = &o.rows[id]
    row.id = id
    return row


cdef bint object_hold(ObjectRow* row, uint32_t client) noexcept nogil:
    """Add a client to the holders. False if it was one already."""
    cdef size_t i
    for i in range(row.holders.size()):
        if row.holders[i] == client:
            return False
    row.holders.push_back(client)
    return True


cdef bint object_unhold(ObjectRow* row, uint32_t client) noexcept nogil:
    """Remove a client from the holders. False if it was none."""
    cdef size_t i
    for i in range(row.holders.size()):
        if row.holders[i] == client:
            row.holders.erase(row.holders.begin() + i)
            return True
    return False


cdef void object_pin(ObjectRow* row, uint32_t client) noexcept nogil:
    cdef size_t i
    cdef Pin pin
    for i in range(row.pins.size()):
        if row.pins[i].client == client:
            row.pins[i].count += 1
            return
    pin.client = client
    pin.count = 1
    row.pins.push_back(pin)


cdef bint object_unpin(ObjectRow* row, uint32_t client, bint entirely) noexcept nogil:
    """One view fewer, or none left if the client is gone. False if the client had none."""
    cdef size_t i
    for i in range(row.pins.size()):
        if row.pins[i].client == client:
            row.pins[i].count -= 1
            if entirely or row.pins[i].count == 0:
                row.pins.erase(row.pins.begin() + i)
            return True
    return False
