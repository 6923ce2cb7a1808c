from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.store.message cimport Holder, StoreOp, StreamHeader

cdef extern from *:
    """
    #ifndef RAYLITE_CORE_HOLDER
    #define RAYLITE_CORE_HOLDER
    #include <cstdint>
    /* Who holds an object. A node: its party_key in lo. Those that keep the value come before those that do not. */
    struct HolderKey { uint32_t kind; uint32_t index; uint64_t hi; uint64_t lo; };
    static inline bool operator<(const HolderKey &a, const HolderKey &b) {
        if (a.kind != b.kind) return a.kind < b.kind;
        if (a.hi != b.hi) return a.hi < b.hi;
        if (a.lo != b.lo) return a.lo < b.lo;
        return a.index < b.index; }
    #endif
    """
    cdef struct HolderKey:
        uint32_t kind
        uint32_t index
        uint64_t hi
        uint64_t lo

cdef enum StoredTaskState:
    STORED_TASK_PENDING = 0       # its home sees to it
    STORED_TASK_ORPHAN = 1        # its home is dead, and nobody has adopted it
    STORED_TASK_FORSAKEN = 2      # nor will anybody: it is made again when it is needed
    STORED_TASK_ENDED = 3         # kept as lineage, or because it makes an actor
    STORED_TASK_RETIRED = 4       # no lineage; kept because flushing is off

cdef struct StoredObject:
    ObjectId id
    uint64_t size
    Blob* value                   # inline, or an error
    uint8_t state                 # StoreObjectState
    uint8_t kind
    uint8_t flags
    bint is_inline
    bint known                    # a COMMIT, PUT or ACTOR was here; else only others have spoken of it
    bint described                # it was ready once: size, kind and flags are right
    uint32_t n_keeping            # holders other than for lineage
    ordered_set[HolderKey] holders
    vector[uint64_t] locations    # party_key each, sorted
    vector[uint64_t] watchers     # party_key each, in the order of asking
    vector[ObjectId] contained    # sorted

cdef struct StoredTask:
    TaskId id
    TaskId parent
    TaskId before
    uint64_t digest
    uint64_t home                 # party_key
    Blob* spec
    vector[ObjectId] arguments    # sorted, each once
    vector[ObjectId] made         # what tasks that it has submitted make, if it holds that
    int32_t n_returns
    int32_t max_retries
    uint32_t flags                # SUBMIT_*
    uint32_t epoch
    uint32_t attempt
    uint32_t n_settled            # results, from the first on, that will not need it any more
    uint8_t state                 # StoredTaskState
    uint8_t holds                 # its arguments: HOLDER_TASK, HOLDER_LINEAGE, or 0

cdef struct LoggedCall:           # of an actor that replays, since its checkpoint
    TaskId call
    uint64_t number
    Blob* body                    # as in OP_ACTOR_LOG
    vector[ObjectId] held

cdef struct StoredActor:
    TaskId id
    uint64_t node                 # party_key of who runs it; 0: nobody
    string name
    Blob* handle
    Blob* death
    vector[uint64_t] watchers
    deque[LoggedCall] log
    int32_t max_restarts
    uint32_t n_restarts
    uint32_t flags                # ACTOR_*
    uint8_t state                 # StoredActorState
    bint known                    # an OP_ACTOR was here; else only others have spoken of it
    bint ending                   # no handle is left
    bint killed                   # before it was known
    bint waits                    # to be made again as soon as there is a node for it

cdef struct StoredName:
    TaskId owner
    uint64_t claimant             # party_key
    uint32_t flags

cdef struct AnswerWait:           # an answer that waits until other shards have what its operation led to
    uint64_t endpoint
    uint64_t token
    uint16_t entry                # ENTRY_ANSWER or ENTRY_SETTLED
    ObjectId object
    string body
    uint32_t n_missing            # shards

cdef struct LetterWait:
    uint64_t number               # of the letter
    uint64_t answer               # that waits for its acknowledgement

cdef struct Endpoint:             # the two streams of an endpoint
    uint64_t key                  # party_key
    uint64_t applied              # number of the last letter from it
    uint64_t sent                 # of the last one to it
    uint64_t acknowledged         # by it
    deque[Blob*] letters          # (acknowledged, sent]
    deque[LetterWait] waits       # in the order of numbers; of shards only
    string draft                  # within an operation: of the next letter
    uint32_t n_drafted

cdef struct StoreState:
    uint32_t shard
    uint32_t n_shards
    bint flushes                  # tasks that no lineage needs go; else they are kept
    uint64_t last_answer
    unordered_map[ObjectId, StoredObject] objects
    unordered_map[TaskId, StoredTask] tasks
    ordered_map[TaskId, StoredActor] actors
    ordered_map[string, StoredName] names
    ordered_map[string, Blob*] values
    ordered_map[uint64_t, Endpoint] endpoints
    ordered_map[uint64_t, AnswerWait] answers
    ordered_map[ObjectId, bint] unknown       # objects that are not known; whether an OP_SETTLE has found them so
    ordered_map[uint32_t, uint32_t] alive     # nodes: address to incarnation
    ordered_map[uint32_t, uint32_t] dead      # address to the last incarnation that was declared dead
    bint debug                    # check the tables after each letter
    uint64_t n_letters            # applied
    # within a letter
    uint64_t asking               # the endpoint
    vector[uint64_t] written      # endpoints that the last letter applied led to a letter for
    vector[uint64_t] drafted      # endpoints with a draft
    vector[uint64_t] awaited      # shards that must acknowledge before the operation is answered
    vector[ObjectId] unsettled    # objects that lost something
    vector[TaskId] ended          # tasks that may be forgotten
    vector[Blob*] archive         # tasks that went, for the host to write down, as the snapshot has them
    string fault                  # what poisoned the shard; empty while it is sound

cdef struct StoreSizes:
    uint64_t objects
    uint64_t tasks
    uint64_t actors
    uint64_t names
    uint64_t values
    uint64_t endpoints
    uint64_t letters              # that endpoints have not acknowledged
    uint64_t answers
    uint64_t inline_bytes

cdef StoreState* store_state_new(uint32_t shard, uint32_t n_shards, bint flushes) noexcept nogil
cdef void store_state_clear(StoreState* s) noexcept nogil
cdef void store_state_delete(StoreState* s) noexcept nogil
cdef void read_store_sizes(StoreState* s, StoreSizes* out) noexcept nogil
cdef void store_poison(StoreState* s, const char* what) noexcept nogil

cdef StoredObject* find_object(StoreState* s, ObjectId id) noexcept nogil
cdef StoredTask* find_task(StoreState* s, TaskId id) noexcept nogil
cdef StoredActor* find_actor(StoreState* s, TaskId id) noexcept nogil
cdef bint is_fenced(StoreState* s, uint64_t key) noexcept nogil
cdef bint is_alive(StoreState* s, uint64_t key) noexcept nogil
cdef bint includes(const vector[uint64_t]* keys, uint64_t key) noexcept nogil
cdef bint discard(vector[uint64_t]* keys, uint64_t key) noexcept nogil

cdef inline bint is_node(uint64_t endpoint) noexcept nogil:
    return endpoint >> 56 == 1    # PARTY_NODE

cdef inline bint is_shard(uint64_t endpoint) noexcept nogil:
    return endpoint >> 56 == 5    # PARTY_SHARD

cdef inline HolderKey node_holder(uint64_t key) noexcept nogil:
    return HolderKey(1, 0, 0, key)            # HOLDER_NODE

cdef inline HolderKey task_holder(uint32_t kind, TaskId task) noexcept nogil:
    return HolderKey(kind, 0, task.hi, task.lo)

cdef inline HolderKey container_holder(ObjectId container) noexcept nogil:
    return HolderKey(3, container.index, container.task.hi, container.task.lo)    # HOLDER_CONTAINER
