"""What must be true between two events of what a node knows of its cluster (rule 8). The rest is in invariants.pyx."""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.unordered_map cimport unordered_map
from raylite._core.cluster.table cimport RemoteObject, Transfer
from raylite._core.ids cimport ObjectId
from raylite._core.node.objects cimport OBJECT_PENDING, OBJECT_REMOTE, objects_find, REACH_EXPOSED, REACH_WATCHED, \
    WAIT_HERE
from raylite._core.node.task_table cimport tasks_find


cdef const char* check_foreign(NodeState* n, const ObjectRow* row) noexcept nogil:
    """An object that comes from elsewhere: if somebody waits for it here, it is on its way, or asked for, or made."""
    cdef size_t i
    cdef bint wanted = False
    if not row.reach & REACH_EXPOSED:
        return b"an object from elsewhere that the store does not know"
    for i in range(row.waiters.size()):
        wanted |= row.waiters[i].client != 0 or row.waiters[i].slot == WAIT_HERE or row.state == OBJECT_PENDING
    if not wanted:
        return NULL
    if row.state == OBJECT_REMOTE:
        if n.cluster.remote.count(row.id) and n.cluster.transfers.count(n.cluster.remote[row.id].transfer):
            return NULL
        return b"an object that is waited for is elsewhere, and not on its way"
    if row.reach & REACH_WATCHED or tasks_find(&n.tasks, row.id.task) != NULL:
        return NULL
    return b"an object from elsewhere is waited for, and nobody was asked for it"


cdef const char* check_reach(NodeState* n) noexcept nogil:
    """What is held in the store, and what is known of copies, is of objects that there are."""
    cdef unordered_map[ObjectId, RemoteObject].iterator r = n.cluster.remote.begin()
    cdef ordered_map[uint64_t, Transfer].iterator t = n.cluster.transfers.begin()
    cdef ObjectRow* row
    while r != n.cluster.remote.end():
        row = objects_find(&n.objects, deref(r).first)
        if row == NULL:
            return b"copies are known of an object that has no row"
        if deref(r).second.n_guest_holds > row.n_task_holds:
            return b"guests hold an object more often than tasks do"
        preincrement(r)
    while t != n.cluster.transfers.end():
        if n.cluster.remote.count(deref(t).second.object) == 0 \
                or n.cluster.remote[deref(t).second.object].transfer != deref(t).first:
            return b"something is on its way here that nothing is known of"
        preincrement(t)
    return NULL
