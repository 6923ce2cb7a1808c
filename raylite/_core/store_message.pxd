"""What endpoints and shards of the control store say to each other (docs/cluster.md): requests and entries.

A payload of STORE_REQUEST or STORE_ENTRIES is a StreamHeader and the operations, or entries, one after another: header,
body, padding to 8. An operation's token comes back in the entry that answers it; token 0 wants no answer but in case of
failure.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from raylite._core.ids cimport ObjectId, TaskId

cdef enum StoreOpKind:
    OP_NOTHING = 0                # acknowledges only
    OP_COMMIT = 1                 # object.task; body: CommitHeader, ObjectId of each argument, spec
    OP_DONE = 2                   # object.task; body: DoneHeader, StoreValue ... each
    OP_PUT = 3                    # object; body: StoreValue ...
    OP_HOLD = 4                   # object; body: Holder
    OP_RELEASE = 5                # object; body: Holder
    OP_LOCATE = 6                 # object: the endpoint, a node, has a copy
    OP_UNLOCATE = 7               # object: it has none (any more)
    OP_WATCH = 8                  # object: ENTRY_OBJECT now and when it changes; if it is lost, it is made again
    OP_UNWATCH = 9
    OP_ATTEMPT = 10               # object.task; body: AttemptHeader
    OP_ADOPT = 11                 # object.task; body: AttemptHeader; the answer: STORE_OK, STORE_STALE, STORE_UNKNOWN
    OP_FAILED = 12                # object.task; body: AttemptHeader, error envelope: all its pending results are this
    # actors: their id is that of the task that creates them
    OP_ACTOR = 20                 # object.task; body: ActorRecord, name, handle: with the COMMIT of the creation
    OP_ACTOR_ALIVE = 21           # object.task; body: AttemptHeader: the endpoint runs it
    OP_ACTOR_ENDED = 22           # object.task; body: AttemptHeader, error envelope: for good
    OP_ACTOR_CRASHED = 23         # object.task; body: AttemptHeader: restarted if restarts are left
    OP_ACTOR_WATCH = 24           # object.task: ENTRY_ACTOR now and when it changes
    OP_ACTOR_UNWATCH = 25
    OP_ACTOR_KILL = 26            # object.task; flags: KILL_NO_RESTART
    # names of actors and placement groups, sharded by the hash of the name: object.task = hash
    OP_NAME_CLAIM = 30            # body: TaskId, name; the answer: STORE_OK or STORE_TAKEN, with the TaskId of who has it
    OP_NAME_FIND = 31             # body: name; the answer: STORE_OK with TaskId, or STORE_UNKNOWN
    OP_NAME_DROP = 32             # body: TaskId, name
    OP_NAME_LIST = 33             # body: prefix; the answer: names, each ended by a line feed
    # key-value, sharded by the hash of the key: object.task = hash
    OP_KV_PUT = 40                # flags: KV_*; body: u32 key size, u32 unused, key padded to 8, value
    OP_KV_GET = 41
    OP_KV_DELETE = 42
    OP_KV_LIST = 43               # body: prefix
    # from the master
    OP_NODE_ALIVE = 50            # body: NodeRecord
    OP_NODE_DEAD = 51             # body: NodeRecord; answered by ENTRY_SETTLED
    OP_NODE_DROP = 52             # body: NodeRecord: its holds go

cdef enum StoreEntryKind:
    ENTRY_ANSWER = 1              # to the op of this token; flags: StoreStatus; body: as the op says
    ENTRY_OBJECT = 2              # object; body: ObjectNotice, u32 address of each location padded to 8, inline value
    ENTRY_FREE = 3                # object: let go of the copy, then OP_UNLOCATE
    ENTRY_RERUN = 4               # object.task; body: AttemptHeader, spec: the endpoint is its home now
    ENTRY_ACTOR = 5               # object.task; body: ActorNotice, what it died of
    ENTRY_ACTOR_END = 6           # object.task: to the node that runs it: no handle is left, or (flags) it is to be killed
    ENTRY_SETTLED = 7             # to the master; body: NodeRecord
    ENTRY_FIRST_FORWARD = 128     # to another shard: OP kind + 128, as that op

cdef enum StoreStatus:
    STORE_OK = 0
    STORE_UNKNOWN = 1             # there is no such row
    STORE_STALE = 2               # another epoch
    STORE_TAKEN = 3               # the name, or the id with another digest
    STORE_FENCED = 4              # the endpoint was declared dead
    STORE_MALFORMED = 5

cdef enum StoreObjectState:
    STORED_PENDING = 0
    STORED_READY = 1              # inline, or with a location at least
    STORED_LOST = 2               # and cannot be made again: the value is an error that says why
    STORED_REBUILT = 3            # lost, and being made again
    STORED_FREEING = 4

cdef enum HolderKind:
    HOLDER_NODE = 1               # address, incarnation
    HOLDER_TASK = 2               # that takes it and has not ended
    HOLDER_CONTAINER = 3          # an object whose value contains it
    HOLDER_LINEAGE = 4            # a task that would need it to run again
    HOLDER_CHECKPOINT = 5

cdef enum:
    KV_OVERWRITE = 1

cdef struct StreamHeader:
    uint32_t endpoint             # a node's or the master's address, or PARTY_SHARD and number
    uint32_t incarnation          # of the endpoint; 0 for shards, which live for ever
    uint32_t shard
    uint32_t n_items
    uint64_t sequence             # of this payload in its stream, from 1; 0: it only acknowledges
    uint64_t acknowledged         # of the other stream

cdef struct StoreOp:
    uint16_t kind
    uint16_t flags
    uint32_t size                 # of the body, without padding
    uint64_t token
    ObjectId object

cdef struct StoreEntry:           # the same shape
    uint16_t kind
    uint16_t flags
    uint32_t size
    uint64_t token
    ObjectId object

cdef struct Holder:
    uint32_t kind
    uint32_t address              # of a node
    uint32_t incarnation
    uint32_t unused
    ObjectId object               # of a task: object.task

cdef struct CommitHeader:
    TaskId parent
    TaskId before                 # the actor's call before this one, or zero
    uint64_t digest
    int32_t n_returns
    uint32_t n_args
    int32_t max_retries
    uint32_t flags                # SUBMIT_*
    uint32_t spec_size
    uint32_t unused

cdef struct DoneHeader:
    uint32_t epoch
    uint32_t attempt
    uint32_t n_values
    uint32_t unused

cdef struct StoreValue:           # then ObjectId of each reference inside; then the inline value padded to 8
    uint32_t index                # of the object
    uint8_t kind
    uint8_t flags
    uint8_t is_inline
    uint8_t unused
    uint64_t size
    uint32_t n_refs
    uint32_t unused2

cdef struct AttemptHeader:
    uint32_t epoch
    uint32_t attempt

cdef struct ObjectNotice:
    uint8_t state                 # StoreObjectState
    uint8_t kind
    uint8_t flags
    uint8_t is_inline
    uint32_t n_locations
    uint64_t size

cdef struct ActorRecord:
    int32_t max_restarts
    uint32_t flags                # ACTOR_*
    uint32_t name_size
    uint32_t handle_size

cdef struct ActorNotice:
    uint32_t state                # ActorState
    uint32_t address              # of the node that runs it, if it is alive
    uint32_t incarnation          # of that node
    uint32_t epoch
    uint32_t n_restarts
    uint32_t death_size

cdef struct NodeRecord:
    uint32_t address
    uint32_t incarnation
