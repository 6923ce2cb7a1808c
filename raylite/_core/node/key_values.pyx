"""The key-value table of a node that is alone; in a cluster it is the control store's, which is asked.

Whoever asks gets the same answers of both: a status of the store's, and what was found.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from raylite._core.cluster.directory cimport ask_for_value
from raylite._core.envelope cimport align8, blob_copy
from raylite._core.message cimport CMD_READY, Cursor, QUERY_VALUE_GET, QUERY_VALUE_KEYS, \
    QUERY_VALUE_PUT, take, take_padded, VALUE_OVERWRITE
from raylite._core.node.state cimport emit
from raylite._core.store.message cimport STORE_OK, STORE_TAKEN, STORE_UNKNOWN


cdef void write_status(uint64_t status, string* out) noexcept nogil:
    out.append(<const char*> &status, 8)


cdef bint put_value(NodeState* n, const Message* m, const char* payload, string* out) noexcept nogil:
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const uint32_t* head = <const uint32_t*> take(&c, 8)
    cdef const char* data = take_padded(&c, head[0]) if head != NULL else NULL
    cdef string key
    if data == NULL:
        return False
    key.assign(data, head[0])
    if n.values.count(key) and not head[1] & VALUE_OVERWRITE:
        write_status(STORE_TAKEN, out)
        return True
    n.values[key].assign(c.data, c.left)
    write_status(STORE_OK, out)
    return True


cdef void list_keys(NodeState* n, const string* prefix, string* out) noexcept nogil:
    cdef ordered_map[string, string].iterator it = n.values.lower_bound(prefix[0])
    cdef uint32_t size[2]
    while it != n.values.end() and deref(it).first.compare(0, prefix.size(), prefix[0]) == 0:
        size[0] = <uint32_t> deref(it).first.size()
        size[1] = 0
        out.append(<const char*> size, 8)
        out.append(deref(it).first)
        out.append(align8(size[0]) - size[0], <char> 0)
        preincrement(it)


cdef bint on_value_query(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """Answer. False if the question is malformed."""
    cdef ordered_map[string, string].iterator it
    cdef string out, key
    if n.cluster.joined:
        return ask_for_value(n, m, payload)
    if m.object.index == QUERY_VALUE_PUT:
        if not put_value(n, m, payload, &out):
            return False
    else:
        key.assign(payload, m.size)
        it = n.values.find(key)
        if m.object.index == QUERY_VALUE_KEYS:
            list_keys(n, &key, &out)
        elif it == n.values.end():
            write_status(STORE_UNKNOWN, &out)
        else:
            write_status(STORE_OK, &out)
            if m.object.index == QUERY_VALUE_GET:
                out.append(deref(it).second)
            else:
                n.values.erase(it)
    emit(n, CMD_READY, m.client, blob_copy(out.data(), out.size())).request = m.request
    return True
