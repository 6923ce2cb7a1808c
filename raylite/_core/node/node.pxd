from libc.stdint cimport uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.message cimport Message
from raylite._core.ids cimport ObjectId
from raylite._core.node.state cimport NodeState, WorkerReport
from raylite._core.node.story cimport Story

cdef void node_handle(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void node_hear(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef void finish_event(NodeState* n) noexcept nogil
cdef uint64_t node_deadline_ns(const NodeState* n) noexcept nogil
cdef void node_drop_commands(NodeState* n) noexcept nogil

cdef list story_rows(const Story* story, const ordered_map[ObjectId, string]* names)
cdef list worker_rows(const vector[WorkerReport]* workers)

cdef class Node:
    cdef NodeState* state
