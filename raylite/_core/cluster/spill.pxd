from libc.stdint cimport uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Cursor, Message
from raylite._core.node.state cimport NodeState
from raylite._core.store.message cimport StoreValue
from raylite._core.node.task_table cimport TaskRow

cdef enum:
    REFUSED_NS = 100000000        # until it is asked again about a task that no node could run
    MOVES_MOST = 8                # from queue to queue, of one task

cdef bint wants_elsewhere(NodeState* n, const TaskRow* row) noexcept nogil
cdef void ask_for_place(NodeState* n, TaskRow* row) noexcept nogil
cdef void find_place_for(NodeState* n, TaskRow* row) noexcept nogil
cdef void fail_unplaced(NodeState* n, TaskRow* row, int doom) noexcept nogil
cdef void place(NodeState* n, TaskRow* row, uint32_t address) noexcept nogil
cdef uint32_t scheduler_for(NodeState* n) noexcept nogil
cdef void append_question(NodeState* n, const TaskRow* row, uint64_t token, uint32_t queued_at,
                          string* out) noexcept nogil
cdef void ask_scheduler(NodeState* n) noexcept nogil
cdef bint on_placement(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef bint on_result(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil
cdef void on_task_back(NodeState* n, uint32_t source, const Message* m) noexcept nogil
cdef void ask_again_later(NodeState* n) noexcept nogil
cdef void questions_lost(NodeState* n) noexcept nogil
cdef void spilled_lost(NodeState* n, uint32_t address) noexcept nogil
cdef const StoreValue* take_stored(Cursor* c, const char** body) noexcept nogil
cdef void take_result(NodeState* n, ObjectId id, uint32_t source, const StoreValue* v, const char* body) noexcept nogil
cdef void function_gone(NodeState* n, ObjectId id) noexcept nogil
cdef void send_task(NodeState* n, TaskRow* row, uint32_t address) noexcept nogil
cdef void cancel_spilled(NodeState* n, TaskRow* row) noexcept nogil
