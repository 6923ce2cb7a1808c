from libc.stdint cimport uint64_t
from libcpp.string cimport string
from raylite._core.envelope cimport Blob
from raylite._core.node.local_scheduler cimport Worker
from raylite._core.message cimport CallHeader, Message
from raylite._core.node.state cimport NodeState
from raylite._core.node.task_table cimport TaskRow

cdef bint on_submit(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef bint on_finished(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef bint on_yielded(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void announce_arrivals(NodeState* n) noexcept nogil
cdef void resolve(NodeState* n, TaskRow* row) noexcept nogil
cdef void run_again(NodeState* n, TaskRow* row) noexcept nogil
cdef void call_ends(NodeState* n, TaskRow* row) noexcept nogil
cdef void fail_task(NodeState* n, TaskRow* row, Blob* error, unsigned char state) noexcept nogil
cdef void release_worker_slot(NodeState* n, Worker* w, TaskRow* row) noexcept nogil
cdef const string* function_name(NodeState* n, const TaskRow* row, string* out) noexcept nogil
cdef void stop_running(NodeState* n, const TaskRow* row) noexcept nogil
cdef bint arguments_usable(NodeState* n, const TaskRow* row) noexcept nogil
cdef void arguments_exist(NodeState* n, TaskRow* row) noexcept nogil
cdef void end_task(NodeState* n, TaskRow* row, unsigned char state, uint64_t duration_ns) noexcept nogil
cdef void warn_if_infeasible(NodeState* n, const TaskRow* row) noexcept nogil
cdef void on_submit_claimed(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef void confirm(NodeState* n, const Message* m, uint64_t taken) noexcept nogil
cdef void add_call(NodeState* n, TaskRow* row, const CallHeader* call) noexcept nogil
cdef bint await_copies(NodeState* n, TaskRow* row) noexcept nogil
cdef void make_ready(NodeState* n, TaskRow* row) noexcept nogil
