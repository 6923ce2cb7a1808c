from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef enum:
    REPORT_ROWS_MOST = 1 << 14    # of one answer
    REPORT_BYTES_MOST = 1 << 22   # after which an answer ends with the row that it is at
    REPORT_REFERENCES = 1         # of tasks
    REPORT_ERRORS = 2

cdef struct ReportQuery:          # the payload of QUERY_TASK_ROWS and its like
    ObjectId id                   # of the only thing that is wanted; all zero: of any
    TaskId actor                  # whose calls and creation are wanted; zero: of any
    uint64_t after_ns             # the last row of the answer before: what follows is wanted
    ObjectId after
    uint32_t is_next              # whether there was an answer before
    uint32_t limit                # rows; at most REPORT_ROWS_MOST
    uint32_t states               # a bit for each state that is wanted
    uint32_t flags                # REPORT_*

cdef struct ReportHeader:         # what an answer begins with
    uint32_t n_rows               # each follows, newest first
    uint32_t unused
    uint64_t n_found              # that the query asks for, these included

cdef struct TaskReport:           # demand, name, function's name, refs, error follow, each padded to 8
    TaskId id
    TaskId parent
    TaskId actor
    TaskId before
    uint64_t submit_ns
    uint64_t ready_ns
    uint64_t start_ns
    uint64_t end_ns
    uint32_t client
    uint32_t client_flags
    uint32_t job
    uint32_t attempt
    uint32_t worker
    uint32_t process              # of the worker; 0: not known any more
    int32_t n_returns
    uint32_t error_code
    uint32_t state
    uint32_t home                 # the node that it belongs to; 0: this one
    uint32_t runs_at              # the node that runs or ran it; 0: this one, or none
    uint32_t waits_in             # of a running task: EV_GET, EV_WAIT or EV_NEXT; 0: it does not wait
    uint32_t demand_size
    uint32_t name_size
    uint32_t function_size
    uint32_t n_refs
    uint32_t call_site_size       # follows the error
    uint32_t unused
    uint64_t error_size

cdef struct ActorReport:          # demand, class name, full name, death follow, each padded to 8
    TaskId id
    uint64_t made_ns
    uint32_t state
    uint32_t creation_state       # of the task that creates it; 0: it has ended
    uint32_t job
    uint32_t process
    uint32_t worker
    uint32_t n_restarts
    uint32_t flags                # ACTOR_*
    uint32_t demand_size
    uint32_t class_size
    uint32_t name_size
    uint64_t death_size

cdef struct ObjectReport:         # ids of holders, of those who view it, u32 each, follow, padded to 8
    ObjectId id
    uint64_t size
    uint32_t state
    uint32_t kind
    uint32_t creator_state        # of the task that makes it; 0: its row is gone
    uint32_t attempt
    uint32_t n_task_holds
    uint32_t n_container_holds
    uint32_t n_lineage_holds
    uint32_t kept
    uint32_t n_holders
    uint32_t n_pins
    uint32_t call_site_size       # follows
    uint32_t unused

cdef struct ClientReport:         # why it ended follows, padded to 8
    uint32_t id
    uint32_t flags
    uint32_t process
    uint32_t is_past
    uint64_t attach_ns
    uint64_t detach_ns
    uint32_t why_size
    uint32_t unused

cdef void append(string* out, const void* data, uint64_t size) noexcept nogil
cdef Blob* name_of(NodeState* n, ObjectId function) noexcept nogil
cdef uint32_t process_of(NodeState* n, uint32_t client) noexcept nogil
cdef bint on_query(NodeState* n, const Message* m, const char* payload) noexcept nogil
cdef bint report(NodeState* n, uint32_t what, const char* payload, uint64_t size, string* out) noexcept nogil
cdef bint report_rows(NodeState* n, uint32_t what, const ReportQuery* query, string* out) noexcept nogil
