from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Cursor

cdef enum:
    FUNCTIONS_KNOWN = 256         # of which a node keeps means
    FUNCTIONS_REPORTED = 32

cdef struct LoadHeader:
    uint32_t address              # of the node
    uint32_t incarnation
    uint64_t number               # of its reports, rising
    uint64_t n_queued             # tasks that it has accepted and not begun
    uint64_t n_running
    uint64_t task_ns              # running mean; 0: not known
    uint64_t bandwidth            # of what it pulls, in bytes a second, running mean; 0: not known
    uint64_t arena_free           # bytes
    uint32_t n_resources          # ResourceLoad each, with its name, follow
    uint32_t n_labels             # LabelHeader each, with key and value, follow
    uint32_t n_functions          # FunctionMean each, follow, the most used first
    uint32_t unused

cdef struct ResourceHeader:       # the name follows, padded to 8
    int64_t total
    int64_t available             # of CPUs it may be below zero
    uint32_t name_size
    uint32_t unused

cdef struct LabelHeader:          # key and value follow, each padded to 8
    uint32_t key_size
    uint32_t value_size

cdef struct FunctionMean:
    ObjectId function
    uint64_t mean_ns
    uint64_t n_runs               # of late

cdef struct ResourceLoad:
    string name
    int64_t total
    int64_t available

cdef struct NodeLoad:
    LoadHeader head
    vector[ResourceLoad] resources
    ordered_map[string, string] labels
    vector[FunctionMean] functions

cdef struct LoadTable:            # what is published: of each node its latest report
    ordered_map[uint32_t, NodeLoad] nodes     # by address
    ordered_map[uint32_t, uint32_t] dead      # address to its latest incarnation that is

cdef struct Means:                # what a node measures
    uint64_t task_ns
    uint64_t bandwidth
    ordered_map[ObjectId, FunctionMean] functions

cdef void mean_add(uint64_t* mean, uint64_t sample) noexcept nogil
cdef void means_task(Means* m, ObjectId function, uint64_t duration_ns) noexcept nogil
cdef void means_transfer(Means* m, uint64_t size, uint64_t duration_ns) noexcept nogil
cdef void means_report(Means* m, NodeLoad* load) noexcept nogil

cdef void load_write(NodeLoad* load, string* out) noexcept nogil
cdef bint load_read(Cursor* c, NodeLoad* load) noexcept nogil
cdef bint loads_merge(LoadTable* table, const NodeLoad* load) noexcept nogil
cdef void loads_remove(LoadTable* table, uint32_t address, uint32_t incarnation) noexcept nogil
cdef uint64_t scaled(uint64_t a, uint64_t b, uint64_t divisor) noexcept nogil
