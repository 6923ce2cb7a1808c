from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.node.actor_table cimport ActorRow
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.node.task_table cimport TaskRow

cdef enum:
    HISTORY_TASKS = 1 << 16       # as many as the story has transitions: 14 MB
    HISTORY_BYTES = 1 << 25       # of their references, names and errors: 512 for each of so many
    HISTORY_ERROR_MOST = 1 << 16  # bytes; a larger error is not kept
    HISTORY_NAME_MOST = 1 << 12   # bytes of a function's name
    HISTORY_ROWS = 10000          # actors, clients, names of functions

cdef struct PastTask:
    TaskId id
    TaskId parent
    TaskId actor
    TaskId before
    ObjectId function
    uint64_t submit_ns
    uint64_t ready_ns
    uint64_t start_ns             # of the last attempt; 0: it never began
    uint64_t end_ns
    uint64_t shape_serial
    vector[ObjectId] refs         # at the top level of the arguments, and inside them
    Blob* name
    Blob* error
    uint32_t error_code
    uint32_t client
    uint32_t job
    uint32_t attempt
    uint32_t shape
    uint32_t worker
    uint32_t home                 # the node that it belonged to; 0: this one
    uint32_t runs_at              # the node to which it was given away; 0: none
    int32_t n_returns
    uint8_t state

cdef struct PastActor:
    TaskId id
    ObjectId function
    string class_name
    string name
    uint64_t made_ns
    uint64_t shape_serial
    uint32_t shape
    uint32_t job
    uint32_t process
    uint32_t n_restarts
    uint8_t flags
    Blob* death

cdef struct PastClient:
    uint32_t id
    uint32_t flags
    uint32_t process
    uint64_t attach_ns
    uint64_t detach_ns
    string why                    # it ended

cdef struct History:
    vector[PastTask] tasks        # a ring
    uint64_t capacity             # of it
    uint64_t n_first              # number of the oldest that is remembered
    uint64_t n_tasks              # recorded ever
    uint64_t bytes                # of references, names and errors
    uint64_t bytes_most
    deque[PastActor] actors       # oldest first
    ordered_map[uint32_t, PastClient] clients
    ordered_map[ObjectId, Blob*] names        # of functions whose row is gone
    deque[ObjectId] name_order    # oldest first

cdef inline const PastTask* history_task(const History* h, uint64_t number) noexcept nogil:
    return &h.tasks[number % h.capacity]

cdef void history_add_task(History* h, TaskRow* row, const vector[ObjectId]* more_refs, uint64_t shape_serial,
                           uint32_t error_code) noexcept nogil
cdef void history_add_actor(History* h, const ActorRow* row) noexcept nogil
cdef void history_add_client(History* h, uint32_t id, uint32_t flags, uint32_t process, uint64_t attach_ns,
                             uint64_t detach_ns, const char* why, uint64_t why_size) noexcept nogil
cdef void history_add_name(History* h, ObjectId function, Blob* name) noexcept nogil
cdef void history_clear(History* h) noexcept nogil
