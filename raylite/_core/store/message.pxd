"""What endpoints and shards of the control store say to each other (docs/cluster.md): requests and entries.

A payload of STORE_REQUEST or STORE_ENTRIES, a *letter*, is a StreamHeader and the operations, or entries, one after
another: header, body, padding to 8. An operation's token comes back in the entry that answers it; token 0 wants no
answer but in case of failure. A letter of number 0 is none of the stream: it acknowledges only, or says STORE_FENCED. A
STORE_REQUEST has in its message's aux the epoch of the shard's chain, as who sends it knows it.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Cursor, Message

cdef enum StoreOpKind:
    OP_NOTHING = 0                # acknowledges only
    OP_COMMIT = 1                 # object.task; body: CommitHeader, ObjectId of each argument, spec; the answer:
    #                               AttemptHeader
    OP_DONE = 2                   # object.task; body: DoneHeader, StoreValue ... each; who sends it has what is not
    #                               inline
    OP_PUT = 3                    # object; body: StoreValue ...; also an item of a stream
    OP_HOLD = 4                   # object; body: Holder
    OP_RELEASE = 5                # object; body: Holder
    OP_LOCATE = 6                 # object: the endpoint, a node, has a copy
    OP_UNLOCATE = 7               # object: it has none (any more)
    OP_WATCH = 8                  # object, which the endpoint holds: ENTRY_OBJECT now and when its state changes; if it
    #                               is lost, it is made again
    OP_UNWATCH = 9
    OP_ATTEMPT = 10               # object.task; body: AttemptHeader
    OP_ADOPT = 11                 # object.task; body: AttemptHeader; the answer: STORE_OK, STORE_STALE, STORE_UNKNOWN
    OP_FAILED = 12                # object.task; body: AttemptHeader, error envelope: all its pending results are this
    OP_MADE = 13                  # between shards: object.task; body: ObjectId each: what the task has made, and holds
    # actors: their id is that of the task that creates them
    OP_ACTOR = 20                 # object.task; body: ActorRecord, name, handle, each padded: after the COMMIT of the
    #                               creation, in the same letter. The endpoint holds a handle: (task, ACTOR_INDEX)
    OP_ACTOR_ALIVE = 21           # object.task; body: AttemptHeader: the endpoint runs it
    OP_ACTOR_ENDED = 22           # object.task; body: AttemptHeader, error envelope: for good
    OP_ACTOR_CRASHED = 23         # object.task; body: AttemptHeader, error envelope: restarted if restarts are left
    OP_ACTOR_WATCH = 24           # object.task: ENTRY_ACTOR now (with its handle) and when it changes
    OP_ACTOR_UNWATCH = 25
    OP_ACTOR_KILL = 26            # object.task; flags: KILL_NO_RESTART
    OP_ACTOR_NAMED = 27           # between shards: object.task; body: name: dropped again if there is no such actor
    OP_ACTOR_LOG = 28             # object.task; body: LogHeader ...: of who runs it: this call of one that replays has
    #                               ended. The next OP_ACTOR_ALIVE is answered with all of them: u64 size, body padded
    OP_ACTOR_SAVED = 29           # object.task; body: SavedHeader ...: a checkpoint: another task makes it by now
    # names of actors and placement groups, sharded by the hash of the name: object.task = hash
    OP_NAME_CLAIM = 30            # flags: NAME_OF_ACTOR; body: TaskId, name; the answer: STORE_OK or STORE_TAKEN, with
    #                               the TaskId of who has it. An actor's goes with the actor
    OP_NAME_FIND = 31             # body: name; the answer: STORE_OK with TaskId, or STORE_UNKNOWN
    OP_NAME_DROP = 32             # body: TaskId, name
    OP_NAME_LIST = 33             # body: prefix; flags: NAME_OF_ACTOR for those alone; the answer: this shard's names,
    #                               each ended by a line feed
    # key-value, sharded by the hash of the key: object.task = hash
    OP_KV_PUT = 40                # flags: KV_*; body: u32 key size, u32 unused, key padded to 8, value
    OP_KV_GET = 41                # body: key; the answer: value
    OP_KV_DELETE = 42             # body: key
    OP_KV_LIST = 43               # body: prefix; the answer: this shard's keys: u32 size, u32 unused, key padded to 8
    # from the master
    OP_NODE_ALIVE = 50            # body: NodeRecord
    OP_NODE_DEAD = 51             # body: NodeRecord: fenced; its copies are gone, its actors crashed, its tasks orphans
    OP_NODE_DROP = 52             # body: NodeRecord: its holds go, and the orphans that nobody has adopted
    OP_SETTLE = 53                # ENTRY_SETTLED, when all that the shard has put out to others by now is acknowledged

cdef enum StoreEntryKind:
    ENTRY_ANSWER = 1              # to the op of this token; flags: StoreStatus; body: as the op says
    ENTRY_OBJECT = 2              # object; body: ObjectNotice, u32 address of each location padded to 8, inline value
    ENTRY_FREE = 3                # object: let go of the copy, then OP_UNLOCATE
    ENTRY_RERUN = 4               # object.task; body: AttemptHeader, spec: the endpoint is its home now
    ENTRY_ACTOR = 5               # object.task; body: ActorNotice, what it died of padded to 8, handle
    ENTRY_ACTOR_END = 6           # object.task: to the node that runs it; flags: ActorEnd
    ENTRY_SETTLED = 7             # to the master, token: of the OP_SETTLE
    ENTRY_FIRST_FORWARD = 128     # to another shard: OP kind + 128, as that op

cdef enum StoreStatus:
    STORE_OK = 0
    STORE_UNKNOWN = 1             # there is no such row
    STORE_STALE = 2               # another epoch
    STORE_TAKEN = 3               # the name, or the id with another digest
    STORE_FENCED = 4              # the endpoint was declared dead
    STORE_MALFORMED = 5
    STORE_EXISTS = 6              # the task is there already, another's or done: watch its results

cdef enum StoreObjectState:
    STORED_PENDING = 0
    STORED_READY = 1              # inline, or with a location at least
    STORED_LOST = 2               # and cannot be made again: the value is an error that says why
    STORED_REBUILT = 3            # lost, and being made again
    STORED_FREEING = 4            # not needed, and not yet let go by all who have it
    STORED_MISSING = 5            # freed or lost, and nobody has asked for it since

cdef enum ActorEnd:
    END_UNREFERENCED = 0          # no handle is left: when its calls are done
    END_KILLED = 1                # for good
    END_RESTART = 2               # killed, and may be restarted

cdef enum StoredActorState:
    STORED_ACTOR_PENDING = 0      # being made
    STORED_ACTOR_ALIVE = 1
    STORED_ACTOR_RESTARTING = 2
    STORED_ACTOR_DEAD = 3

cdef enum HolderKind:
    HOLDER_NODE = 1               # address, incarnation
    HOLDER_TASK = 2               # that takes it and has not ended
    HOLDER_CONTAINER = 3          # an object whose value contains it
    HOLDER_LINEAGE = 4            # a task that would need it to run again
    HOLDER_LOG = 5                # a call that may have to run again for what it did to its actor
    HOLDER_PARENT = 6             # a task that has made it, and would again if it ran again

cdef enum:
    KV_OVERWRITE = 1
    NAME_OF_ACTOR = 1

cdef struct StreamHeader:
    uint32_t endpoint             # a node's or the master's address, or PARTY_SHARD and number
    uint32_t incarnation          # of the endpoint; 0 for shards, which live for ever
    uint32_t shard
    uint32_t n_items
    uint64_t sequence             # number of this letter in its stream, from 1; 0: it is none of the stream
    uint64_t acknowledged         # of the other stream: all up to here has come

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

cdef enum:
    COMMIT_KEPT = 65536           # flag of a CommitHeader: its parent holds what it makes

cdef struct DoneHeader:
    uint32_t epoch
    uint32_t attempt
    uint32_t n_values
    uint32_t n_yielded            # of a stream: items

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

cdef enum:
    EPOCH_OF_LOG = 0xFFFFFFFF     # of a DONE or FAILED: of a call that is in the log, if nobody has said how it ended

cdef struct LogHeader:            # then ObjectId each held; the rest is for who has it run again
    TaskId call
    uint64_t number               # grows from call to call
    uint32_t epoch                # of the actor's creation
    uint32_t n_held

cdef struct SavedHeader:          # then ObjectId of each argument, spec
    uint64_t number               # of the last call that it covers
    uint32_t epoch                # of the actor's creation
    uint32_t n_arguments
    uint32_t spec_size
    uint32_t unused

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
    uint32_t state                # StoredActorState
    uint32_t address              # of the node that runs it, if it is alive
    uint32_t incarnation          # of that node
    uint32_t epoch
    uint32_t n_restarts
    uint32_t flags                # ACTOR_*
    uint32_t death_size
    uint32_t handle_size          # 0 but in the answer to OP_ACTOR_WATCH

cdef struct NodeRecord:
    uint32_t address
    uint32_t incarnation

# The configuration of a shard's chain (MASTER_CHAIN): ChainHeader, then a NodeRecord of each member, head first, and of
# who is joining.
cdef struct ChainHeader:
    uint32_t shard
    uint32_t n_shards
    uint32_t epoch
    uint32_t n_members
    uint32_t n_joining            # 0 or 1
    uint32_t is_first             # the shard's first configuration: there is nothing in it yet

cdef struct ChainView:            # of such a payload that was found whole
    ChainHeader head
    const NodeRecord* members

cdef struct Outgoing:             # a message to another party, for the party that it is in to send; owns the payload
    uint32_t target
    Message message
    Blob* payload

cdef bint read_chain(const char* data, uint64_t size, ChainView* out) noexcept nogil
cdef void append_item(string* letter, uint16_t kind, uint16_t flags, uint64_t token, ObjectId object, const char* body,
                      uint64_t size) noexcept nogil
cdef uint64_t begin_item(string* letter, uint16_t kind, uint16_t flags, uint64_t token, ObjectId object) noexcept nogil
cdef void end_item(string* letter, uint64_t at) noexcept nogil
cdef const StoreOp* take_item(Cursor* c, const char** body) noexcept nogil
cdef uint64_t take_letter(Cursor* c) noexcept nogil
cdef Blob* seal_letter(const StreamHeader* head, const string* items) noexcept nogil
cdef Message store_letter_message(uint8_t kind, uint64_t size) noexcept nogil

cdef inline uint64_t party_key(uint32_t address, uint32_t incarnation) noexcept nogil:
    """One start of a party, as a number; in the order of addresses."""
    return (<uint64_t> address << 32) | incarnation

cdef inline uint32_t shard_of(TaskId task, uint32_t n_shards) noexcept nogil:
    """Where the row of a task, and those of all its objects, are."""
    return <uint32_t> (((task.hi >> 32) * n_shards) >> 32)
