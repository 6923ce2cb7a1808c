from libc.stdint cimport uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.message cimport Message
from raylite._core.store.message cimport ChainView, NodeRecord, Outgoing
from raylite._core.store.state cimport StoreState

cdef enum:
    CHUNK_BYTES = 65536           # of a snapshot
    CHUNKS_AHEAD = 8              # sent and not taken
    UPDATE_BYTES = 65536          # of letters that are passed on together
    UNTOLD_MOST = 64              # updates that all have and the predecessor of the tail keeps: until a heartbeat

cdef enum ChainRole:
    ROLE_OUT = 0                  # not in the chain
    ROLE_JOINING = 1
    ROLE_MEMBER = 2

cdef enum JournalKind:
    JOURNAL_SNAPSHOT = 1          # all before it is superseded
    JOURNAL_UPDATE = 2
    JOURNAL_LOGGED = 3            # an update that the snapshot has already: successors may still lack it
    JOURNAL_BEGUN = 4             # of no shard: what the start of this number, or a later one, passed on is in it

cdef struct Update:
    uint64_t number
    Blob* letter

cdef struct Exposure:             # a letter that an update led to
    uint64_t update
    uint64_t endpoint
    uint64_t letter               # its number; 0: acknowledge only
    uint64_t applied              # then: up to which of the endpoint's own

cdef struct JournalRecord:
    uint32_t shard
    uint32_t kind
    uint64_t number
    Blob* data

cdef struct ShardHead:            # of any shard's chain
    uint32_t address
    uint32_t incarnation
    uint32_t epoch

cdef struct Chain:                # this replica's part of a shard's chain
    StoreState* state
    uint32_t shard
    uint32_t address              # of the replica
    uint32_t incarnation
    uint32_t epoch
    uint32_t role
    uint32_t place                # among the members
    bint has_state
    bint journals                 # updates are put out as records, and passed on when those are written
    vector[NodeRecord] members
    bint has_joiner
    NodeRecord joiner
    vector[ShardHead]* heads      # of all shards
    uint64_t applied              # number of the last update
    uint64_t journaled
    uint32_t n_unwritten          # snapshots for the journal that are not in it: what comes after counts with them
    uint64_t acknowledged         # all replicas have it
    deque[Update] log             # what some replica may lack, up to `applied`
    uint64_t passed               # to the successor
    bint successor_ready          # it has said what it has
    uint64_t told                 # to the predecessor: what was acknowledged
    uint64_t exposed              # as the tail: letters of updates up to here were sent
    deque[Exposure] exposures     # of updates that are not exposed
    deque[Outgoing] early         # requests and resyncs of an epoch to come; target: who sent it
    # the tail, while somebody joins
    string snapshot
    uint64_t snapshot_number
    uint64_t n_chunks_sent
    uint64_t n_chunks_taken
    bint follows                  # the joiner has the snapshot
    bint told_master
    uint64_t joiner_passed
    uint64_t joiner_has
    uint64_t joined_at            # it has to have this
    # who joins
    string incoming
    vector[Outgoing] out
    vector[JournalRecord] journal
    string fault

cdef Chain* chain_new(uint32_t shard, uint32_t n_shards, uint32_t address, uint32_t incarnation, bint flushes,
                      vector[ShardHead]* heads) noexcept nogil
cdef void chain_delete(Chain* c) noexcept nogil
cdef void chain_configure(Chain* c, const ChainView* view) noexcept nogil
cdef void chain_welcomed(Chain* c) noexcept nogil
cdef void chain_head_changed(Chain* c, uint32_t shard) noexcept nogil
cdef void chain_deliver(Chain* c, uint32_t source, const Message* m, Blob* payload) noexcept nogil
cdef void chain_pump(Chain* c) noexcept nogil
cdef void chain_tell(Chain* c) noexcept nogil
cdef void chain_journaled(Chain* c, uint32_t kind, uint64_t number) noexcept nogil
cdef void chain_unjournaled(Chain* c, uint32_t kind) noexcept nogil
cdef bint chain_replay(Chain* c, uint32_t kind, uint64_t number, const char* data, uint64_t size) noexcept nogil
cdef void chain_write_snapshot(Chain* c) noexcept nogil
cdef const char* chain_violation(Chain* c) noexcept nogil
