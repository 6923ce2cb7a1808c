"""Which values of the object store may get lost: bytes that nobody reads, and that can be made again.

Who has a view of a value keeps its bytes, as in any store; so none that is pinned is lost. What eviction takes can come
back: the task that made it is kept as lineage, and so is all that it takes, in turn. A command may take more.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint64_t
from libcpp.algorithm cimport sort
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.ids cimport object_from_bytes
from raylite._core.node.lineage cimport can_be_made_again
from raylite._core.node.node cimport Node
from raylite._core.node.objects cimport OBJECT_IN_ARENA, OBJECT_INLINE, OBJECT_PENDING, ObjectRow, objects_find


cdef bint find_evictable(NodeState* n, uint64_t number, ObjectId* out) noexcept nogil:
    """A value that may get lost, another one for another number. False if there is none."""
    cdef vector[ObjectId] ids
    cdef unordered_map[ObjectId, ObjectRow].iterator it = n.objects.rows.begin()
    cdef size_t i
    while it != n.objects.rows.end():
        if deref(it).second.state == OBJECT_IN_ARENA and deref(it).second.pins.empty():
            ids.push_back(deref(it).first)
        preincrement(it)
    sort(ids.begin(), ids.end())
    for i in range(ids.size()):
        out[0] = ids[(i + number) % ids.size()]
        if can_be_made_again(n, out[0]):
            return True
    return False


def why_kept(Node node not None, bytes object not None):
    """Why the bytes of an object (by its 20-byte id) cannot get lost; None if they can."""
    cdef ObjectRow* row = objects_find(&node.state.objects, object_from_bytes(object))
    if row == NULL or row.state == OBJECT_PENDING:
        return "there is no value yet"
    if row.state == OBJECT_INLINE:
        return "a value of up to 100 KiB travels inside messages, and lies in no store"
    if row.state != OBJECT_IN_ARENA:
        return "the value is not there"
    if not row.pins.empty():
        clients = sorted({pin.client for pin in row.pins})
        return f"client {', '.join(map(str, clients))} reads its bytes"
    return None
