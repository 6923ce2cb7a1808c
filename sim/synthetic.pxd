from libc.stdint cimport uint64_t
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Message
from raylite.runtime.inbox cimport Call
from raylite.sim.kernel cimport Script

cdef struct Branch:               # a task that submits others, row by row
    uint64_t number               # of which all draws follow
    uint64_t n_tasks
    uint64_t n_lanes              # tasks of a row
    uint64_t mean_ns              # of a task's duration

cdef struct Step:                 # one of those, as its arguments say it
    uint64_t mark                 # STEP_MARK
    uint64_t value                # it gives this and the sum of what it takes
    uint64_t duration_ns

cdef class Graph:
    cdef ObjectId function
    cdef bytes demand             # of a step

cdef class SyntheticScript(Script):
    cdef Graph graph
    cdef Blob* run                # the task that runs: Message, payload; NULL: none does
    cdef uint64_t started_ns
    cdef bint is_over             # its time has passed
    cdef uint64_t value           # what it gives
    cdef Branch branch
    cdef Call* call               # what the branch waits for; NULL: it is no branch
    cdef uint64_t n_submitted
    cdef vector[ObjectId] older   # results of the last row but one
    cdef vector[ObjectId] newer   # and of the last
    cdef const Message* message(self) noexcept
    cdef int begin(self, Blob* run) except -1
    cdef int begin_step(self, const Step* step, const char* values, uint64_t size, uint64_t count) except -1
    cdef int begin_branch(self, const char* arguments, uint64_t size) except -1
    cdef int go_on(self) except -1
    cdef int submit_row(self) except -1
    cdef int submit_step(self, uint64_t i) except -1
    cdef int ask(self, int kind, uint64_t aux) except -1
    cdef int take_answer(self) except -1
    cdef int release(self, ObjectId id) except -1
    cdef int finish(self) except -1
    cdef int send(self, int kind, ObjectId object, uint64_t request, uint64_t aux, const char* payload,
                  uint64_t size) except -1
