from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.ids cimport ObjectId
from raylite._core.scheduler.group_placement cimport Need
from raylite._core.scheduler.loads cimport LoadTable, NodeLoad
from raylite._core.message cimport Cursor
from raylite._core.node.resources cimport Resources
from raylite._core.scheduler.message cimport PlaceAnswer, PlaceQuestion

cdef enum:
    TASK_NS_UNKNOWN = 10000000    # what is taken for the mean of a node that has none yet
    BANDWIDTH_UNKNOWN = 1000000000

cdef struct Candidate:            # a node: its latest report, and what was placed since
    uint32_t address
    vector[int64_t] total         # by number of Board.resources; it may end early
    vector[int64_t] available
    ordered_map[string, string] labels
    uint64_t n_waiting
    uint64_t n_running
    uint64_t task_ns
    uint64_t bandwidth
    uint64_t excluded_by          # number of the last question that excluded it
    uint64_t counted_for          # of the last argument that it has
    uint64_t local_for            # of the last question of which it has an argument,
    uint64_t local_bytes          # and the bytes of those

cdef struct Board:
    LoadTable loads
    Resources resources           # numbers of names, shapes of demands
    vector[Candidate] nodes       # by address
    unordered_map[ObjectId, vector[uint64_t]] times   # mean of each function on each node; 0: not known
    bint ignores_locality
    uint64_t n_questions
    uint64_t n_arguments

cdef struct Question:
    const PlaceQuestion* head
    const char* demand
    const uint32_t* excluded
    Cursor arguments
    Cursor labels

cdef void board_setup(Board* b, bint ignores_locality) noexcept nogil
cdef void board_report(Board* b, const NodeLoad* load) noexcept nogil
cdef void board_remove(Board* b, uint32_t address, uint32_t incarnation) noexcept nogil
cdef bint question_read(Cursor* c, Question* q) noexcept nogil
cdef void board_set_aside(Board* b, const vector[vector[Need]]* bundles,
                          const vector[uint32_t]* addresses) noexcept nogil
cdef bint board_choose(Board* b, Question* q, PlaceAnswer* answer) noexcept nogil
