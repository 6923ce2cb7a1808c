"""Lines of the program that made objects and submitted tasks, where a program wants them recorded.

Who submits or puts says once what a hash stands for, before the first message that has it, on the same way. Rows have
numbers instead, so that a row of a program that records nothing is four bytes longer and no more.
"""
from cython.operator cimport dereference as deref
from libcpp.string cimport string
from raylite._core.ids cimport object_id
from raylite._core.node.objects cimport ObjectRow, objects_find


cdef bint on_call_site(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """Remember a line; said again, it is the same. False if nothing is said of it, or too much."""
    if m.size == 0 or m.size > CALL_SITE_BYTES_MOST or m.request == 0:
        return False
    if n.call_site_numbers.count(m.request) == 0 and n.call_sites.size() < CALL_SITES_MOST:
        n.call_sites.push_back(string(payload, m.size))
        n.call_site_numbers[m.request] = <uint32_t> n.call_sites.size()
    return True


cdef uint32_t call_site_number(NodeState* n, uint64_t hash) noexcept nogil:
    """The number of the line with this hash; 0 if it is not known."""
    if hash == 0:
        return 0
    it = n.call_site_numbers.find(hash)
    return deref(it).second if it != n.call_site_numbers.end() else 0


cdef void note_call_site(NodeState* n, TaskRow* row, uint32_t n_results, uint64_t hash) noexcept nogil:
    """A task and its results were made by that line."""
    cdef ObjectRow* result
    cdef uint32_t i
    row.call_site = call_site_number(n, hash)
    for i in range(n_results if row.call_site else 0):
        result = objects_find(&n.objects, object_id(row.id, i))
        if result != NULL:
            result.call_site = row.call_site
