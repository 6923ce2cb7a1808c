from libc.stdint cimport uint32_t
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.node.actors cimport ActorRequest
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport CallHeader, Cursor, SubmitHeader
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef struct Submission:           # a task as it is submitted, pointing into the message
    const SubmitHeader* header
    const CallHeader* call        # NULL: it is no call
    ActorRequest actor
    const ObjectId* refs
    const char* demand
    const char* name
    const char* args

cdef bint take_submission(NodeState* n, Cursor* c, TaskId id, Submission* out) noexcept nogil
cdef TaskRow* add_task(NodeState* n, TaskId id, const Submission* s, uint32_t client, uint32_t job) noexcept nogil
cdef int retries_in_all(const TaskRow* row) noexcept nogil
cdef int retries_after(int in_all, uint32_t attempt) noexcept nogil
cdef Blob* write_spec_with_name(NodeState* n, const TaskRow* row) noexcept nogil
cdef Blob* write_spec(NodeState* n, const TaskRow* row) noexcept nogil
cdef void all_arguments(const TaskRow* row, vector[ObjectId]* out) noexcept nogil
