"""Clients' questions about other nodes: carried there, answered there from what that node has, and brought back.

What a node tells of itself is in node/reports.pyx. A question to a node that is not there, or that dies before it has
answered, is answered with READY_ABSENT and nothing else.
"""
from cython.operator cimport dereference as deref
from libc.stdint cimport uint64_t
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport tell
from raylite._core.cluster.message cimport NODE_ANSWER, NODE_QUERY
from raylite._core.cluster.table cimport Asked
from raylite._core.envelope cimport align8, Blob, blob_copy
from raylite._core.message cimport CMD_READY, READY_ABSENT
from raylite._core.node.reports cimport report
from raylite._core.node.state cimport emit


cdef void answer_client(NodeState* n, const Asked* asked, Blob* answer, uint64_t status) noexcept nogil:
    """Takes over the answer's hold."""
    cdef Message* m = emit(n, CMD_READY, asked.client, answer)
    m.request = asked.request
    m.aux = status


cdef void ask_node(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A client asks what another node has."""
    cdef Asked asked
    cdef Message* said
    asked.node = <uint32_t> m.aux
    asked.client = m.client
    asked.request = m.request
    if n.cluster.peers.count(asked.node) == 0:
        answer_client(n, &asked, NULL, READY_ABSENT)
        return
    n.cluster.last_asked += 1
    n.cluster.asked[n.cluster.last_asked] = asked
    said = tell(n, asked.node, NODE_QUERY, blob_copy(payload, m.size))
    said.request = n.cluster.last_asked
    said.object = m.object


cdef bint on_node_query(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """Another node's client asks. False if the question is malformed."""
    cdef string out
    if not report(n, m.object.index, payload, m.size, &out):
        return False
    tell(n, source, NODE_ANSWER, blob_copy(out.data(), out.size())).request = m.request
    return True


cdef void on_node_answer(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    it = n.cluster.asked.find(m.request)
    if it == n.cluster.asked.end() or deref(it).second.node != source:
        return
    if n.clients.count(deref(it).second.client):
        answer_client(n, &deref(it).second, blob_copy(payload, m.size), 0)
    n.cluster.asked.erase(m.request)


cdef void questions_unanswered(NodeState* n, uint32_t node) noexcept nogil:
    """The node has died."""
    cdef vector[uint64_t] numbers
    cdef size_t i
    for entry in n.cluster.asked:
        if entry.second.node == node:
            numbers.push_back(entry.first)
            if n.clients.count(entry.second.client):
                answer_client(n, &n.cluster.asked[entry.first], NULL, READY_ABSENT)
    for i in range(numbers.size()):
        n.cluster.asked.erase(numbers[i])


cdef void write_node(string* out, uint32_t address, const string* id) noexcept nogil:
    cdef uint32_t head[2]
    head[0] = address
    head[1] = <uint32_t> id.size()
    out.append(<const char*> head, 8)
    out.append(id[0])
    out.resize(align8(out.size()))


cdef void report_nodes(NodeState* n, string* out) noexcept nogil:
    """The living nodes: this one, then the others by address."""
    write_node(out, n.cluster.address, &n.cluster.id)
    for entry in n.cluster.peers:
        write_node(out, entry.first, &entry.second.id)
