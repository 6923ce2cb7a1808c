from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.store.client cimport StoreClient
from raylite._core.store.message cimport NodeRecord, Outgoing

cdef enum MasterRecordKind:       # of the journal
    MASTER_RECORD_NODE = 1        # NodeNotice and what the node says of itself: it is there
    MASTER_RECORD_DEATH = 2       # NodeRecord: of a node
    MASTER_RECORD_DROPPED = 3     # NodeRecord: the store has forgotten it
    MASTER_RECORD_CHAIN = 4       # as MASTER_CHAIN
    MASTER_RECORD_FENCED = 5      # NodeRecord: of another party that is dead

cdef enum DeathStage:             # see deaths.pyx
    STAGE_NONE = 0
    STAGE_NODES = 1
    STAGE_SHARDS = 2
    STAGE_NODES_AGAIN = 3
    STAGE_DROP = 4

cdef struct Member:               # a party that has registered, or is in a chain
    uint32_t address
    uint32_t incarnation
    uint64_t heard_ns
    bint is_suspect
    bint has_registered           # with this start of the master
    bint load_changed
    string about                  # what a node says of itself
    string load                   # of a node, as it sent it last

cdef struct ChainPlan:            # the configuration of a shard's chain
    uint32_t epoch                # 0: not formed
    bint is_first
    bint has_joiner
    NodeRecord joiner
    vector[NodeRecord] members

cdef struct MasterRecord:
    uint32_t kind
    Blob* data

cdef struct MasterState:
    uint64_t now_ns
    uint32_t n_shards
    uint32_t n_replicas           # wanted in each chain
    uint64_t heartbeat_ns
    uint64_t suspect_ns
    uint64_t dead_ns
    ordered_map[uint32_t, Member] members
    vector[ChainPlan] chains
    ordered_map[uint32_t, uint32_t] dead      # address to the last incarnation that is dead
    vector[NodeRecord] dying      # nodes of them, what the store has not dropped yet
    uint32_t stage
    uint64_t settle_number
    ordered_set[uint32_t] unsettled           # nodes that have not answered
    uint64_t n_unsettled_shards
    StoreClient store
    ordered_set[uint32_t] came    # nodes that the others are to hear of
    ordered_set[uint32_t] asking  # nodes that are to hear of all others
    uint64_t news_ns              # when they do; 0: there is no news
    uint64_t form_by_ns           # the first chains, of those replicas that are there; 0: there is none yet
    vector[NodeRecord] fenced     # for the party: their links end
    vector[Outgoing] out
    vector[MasterRecord] journal

cdef Member* find_member(MasterState* m, uint32_t address) noexcept nogil
cdef void say(MasterState* m, uint32_t target, uint8_t kind, uint64_t aux, const char* body, uint64_t size) \
    noexcept nogil
cdef void say_blob(MasterState* m, uint32_t target, uint8_t kind, uint64_t aux, Blob* body) noexcept nogil
cdef void say_all(MasterState* m, uint8_t kind, const char* body, uint64_t size, bint schedulers) noexcept nogil
cdef void record(MasterState* m, uint32_t kind, const char* body, uint64_t size) noexcept nogil
cdef void drop_records(MasterState* m) noexcept nogil
