from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from raylite._core.ids cimport ObjectId, TaskId

cdef enum:
    MESSAGE_VERSION = 1
    STREAMING = -1                # n_returns of a generator task: not known before it ends

cdef enum MessageKind:
    # events: what a host or a client tells the node
    EV_ATTACH = 1                 # client (flags: CLIENT_*) can be talked to; request: its process id
    EV_DETACH = 2                 # client is gone; request: positions it had started; payload: u32 code, text of why
    EV_SUBMIT = 3                 # object: the task's first return; aux: its call site, or 0; payload: SubmitHeader
    EV_FINISHED = 4               # object.task, attempt; payload: FinishedHeader, a ValueRecord for each return
    EV_YIELDED = 5                # object: the item; attempt; payload: ValueRecord
    EV_GET = 6                    # request; object.task: who asks; payload: ObjectId ...
    EV_WAIT = 7                   # as EV_GET; aux: how many are enough; flags: WAIT_ANYWHERE
    EV_NEXT = 8                   # request; object: the stream item wanted
    EV_FORGET = 9                 # request: no longer of interest
    EV_PUT = 10                   # object; aux: its call site's hash, or 0; payload: ValueRecord
    EV_HOLD = 11                  # object: the client now holds it
    EV_RELEASE = 12               # object: the client holds it no more
    EV_UNPIN = 13                 # object: one view of it fewer
    EV_LEASE = 14                 # request; payload: u64 bytes wanted in the arena
    EV_RETURN = 15                # payload: Location: a lease that was not used
    EV_FUNCTION = 16              # object: function id; payload: u32 name size, name, padding, envelope
    EV_CANCEL = 17                # object.task; flags: CANCEL_*; request: 0, or answer: aux 1 if it is a call under way
    EV_RECALLED = 18              # client; request: positions it had started when its queue was taken back
    EV_DECLINED = 19              # object.task, request: position: taken back, and so not begun
    EV_TICK = 20                  # time passed
    EV_SEGMENT = 21               # object.index: segment exists; request: 0, or errno
    EV_LOST = 22                  # object: its bytes are gone from this node
    EV_QUERY = 23                 # request; object.index: QUERY_*; aux: the node that is asked; 0: this one
    EV_KEEP = 24                  # object: held to the end of the job (it was pickled outside raylite)
    EV_EXPOSE = 25                # request; object: is to leave this node
    EV_COMMITTED = 26             # request: the rows of this commit are acknowledged
    EV_KILL = 27                  # object.task: the actor; flags: KILL_NO_RESTART
    EV_AWAIT_READ = 28            # request; object: an item: the generator goes on once its reader has taken it
    EV_ENVIRONMENT = 30           # request: hash; payload: what it stands for
    EV_FIND_ENVIRONMENT = 31      # request; aux: hash; the answer: what it stands for, empty if nobody said
    EV_GROUP = 32                 # request; object.task: new placement group; flags: GROUP_*; payload: GroupHeader ...
    EV_UNGROUP = 33               # object.task: the placement group is to go
    EV_GROUPS = 34                # request; object.task: a placement group, or zero for all; the answer tells of them
    EV_BYTES = 35                 # request: of a CMD_READ; payload: the bytes, or none if they cannot be read
    EV_CHECKPOINT = 36            # object.task: actor; request: position of the last call in it; payload: ValueRecord
    EV_SPILLED = 37               # request: of a CMD_SPILL; aux: 0, or errno: nothing of it is on the disk
    EV_RESTORED = 38              # request: of a CMD_RESTORE; aux: 0, or errno: the disk does not have it any more
    EV_CALL_SITE = 40             # request: hash; payload: the line of the program that it stands for
    EV_MEMORY_SHORT = 45          # payload: MemoryHeader, a MemoryUse for each worker that lives
    EV_DESCRIPTOR = 63            # to the host: send the descriptor of segment object.index
    # commands: what the node tells a client or its host
    CMD_RUN = 64                  # payload: RunHeader ...; request: position in the worker's queue
    CMD_VALUE = 65                # request, aux: slot; flags: VALUE_IN_ARENA; payload: envelope or Location
    CMD_READY = 66                # request; answer to EV_WAIT, EV_NEXT, EV_SUBMIT with CONFIRM; payload: u32 indices
    CMD_LEASED = 67               # request; payload: Location; size 0: the store is full, and text of who fills it
    CMD_SPAWN = 68                # host: start a worker; client: its id; payload: PoolKey, GPU ids
    CMD_STOP = 69                 # host: end worker `client`; flags: STOP_KILL
    CMD_RECALL = 70               # host: take back what `client` has not started
    CMD_SEGMENT = 71              # host: create segment object.index of request bytes for `client`; flags: SEGMENT_*
    CMD_UNSEGMENT = 72            # host: drop segment object.index
    CMD_WARN = 73                 # payload: text for the driver's user; flags: WARN_*
    CMD_REJECT = 74               # client sent something malformed; payload: text
    CMD_FORGET_FUNCTION = 75      # object: function that this worker need not cache any more
    CMD_COMMIT = 76               # request: commit number; payload: TaskId of each row
    CMD_EXPOSED = 77              # request: of the EV_EXPOSE; its lineage is committed
    CMD_INTERRUPT = 78            # host: raise in worker `client` what cancels object.task
    CMD_CANCEL = 79               # object.task, attempt, aux: position of a call of this worker's actor: not wanted
    CMD_READ = 80                 # host: request; bytes of segment object.index from aux on; payload: ReadHeader
    CMD_WRITE = 81                # host: payload into segment object.index from aux on
    CMD_SPILL = 82                # host: request: number; bytes of segment object.index from aux on to disk; u64 size
    CMD_RESTORE = 83              # host: request: number; from disk into segment object.index from aux on; u64 how many
    CMD_DROP_SPILLED = 84         # host: request: number; the disk need not keep it, or write it, any more

cdef enum:
    CLIENT_DRIVER = 1
    CLIENT_WORKER = 2
    SUBMIT_RETRY_EXCEPTIONS = 1
    SUBMIT_ARGS_OBJECT = 2        # the last reference is the argument block itself
    SUBMIT_CONFIRM = 4            # answer with CMD_READY; aux: SUBMIT_TAKEN ...
    SUBMIT_CALL = 8               # of an actor's method; a CallHeader follows the SubmitHeader
    SUBMIT_ACTOR = 16             # makes an actor; an ActorHeader follows the SubmitHeader
    SUBMIT_RESTORES = 32          # makes an actor from a checkpoint, its only argument
    SUBMIT_TAKEN = 1              # the id is another task's
    SUBMIT_TOO_MANY = 2           # the actor has as many calls pending as its options allow
    SUBMIT_NAME_TAKEN = 3         # by another actor
    GET_LENDS = 1                 # the asking task's thread blocks: its CPU may run others
    GET_IN_PLACE = 2              # and it can run the awaited task itself
    WAIT_ANYWHERE = 4             # what exists on another node is ready, and stays there
    RUN_IN_PLACE = 1
    RUN_HAS_FUNCTION = 2
    RUN_ARGS_OBJECT = 4
    RUN_RETRY_EXCEPTIONS = 8
    RUN_CREATES = 16              # the worker is the new actor's from now on
    RUN_CALL = 32                 # of the worker's actor; aux: concurrency group
    RUN_CAPTURES = 1024           # what the task submits goes into its placement group
    RUN_RESTORES = 2048           # the actor is made from a checkpoint, the only value
    VALUE_IN_ARENA = 1
    SEGMENT_ON_DISK = 1           # in a file: what is pinned fills the arena
    LEASE_NO_DISK = 1             # and so is the disk
    READY_END = 1                 # EV_NEXT: there is no such item; EV_AWAIT_READ: nor a reader
    STOP_KILL = 1
    CANCEL_FORCE = 1
    CANCEL_RECURSIVE = 2
    DECLINED_NO_FUNCTION = 1      # the worker lacks the function: the message that brought it was taken back
    FINISHED_USER_ERROR = 1
    FINISHED_RETRYABLE = 2
    FINISHED_CANCELLED = 4
    GROUP_DETACHED = 1            # outlives the client that made it
    GROUP_NAME_TAKEN = 1          # answers to EV_GROUP, in aux
    GROUP_ID_TAKEN = 2            # by another group, or one that was removed
    FINISHED_EXITS = 8            # a call of an actor that ends with it, by its own wish
    KILL_NO_RESTART = 1
    ACTOR_PLACED_ON_CPU = 1       # its demand's CPUs are needed to place it, not to run
    ACTOR_OUT_OF_ORDER = 2        # its calls need not wait for the same caller's earlier ones
    ACTOR_DETACHED = 4            # lives without handles
    ACTOR_REPLAYS = 8             # comes back to where it was: see replay.pyx
    READY_ABSENT = 1              # answer to EV_QUERY, in aux: the node is not there, or died before it answered
    QUERY_RESOURCES = 1
    QUERY_TASKS = 2
    QUERY_STORY = 3
    QUERY_ACTOR = 4               # payload: a full name; the answer: the TaskId of the actor, now held; or none
    QUERY_ACTOR_NAME = 6          # payload: TaskId of an actor; the answer: its full name
    QUERY_NAMES = 5               # the full names of actors, each ended by a line feed
    QUERY_ASSIGNED = 7            # payload: TaskId of who asks; the answer: what this worker's task or actor has
    QUERY_NODES = 8               # the answer: of each living node u32 address, u32 size, id padded to 8; this first
    QUERY_GROUPS = 9              # as EV_GROUPS, of all
    QUERY_TASK_ROWS = 10          # payload: ReportQuery (reports.pxd); so for those below
    QUERY_ACTOR_ROWS = 11
    QUERY_OBJECT_ROWS = 12
    QUERY_CLIENT_ROWS = 13        # workers and drivers
    QUERY_EXPLAIN = 14            # payload: ExplainQuery (waits.pxd)
    QUERY_ENVIRONMENT = 19        # payload: u64 hash; the answer: what it stands for, empty if it is not known
    # key-value; answers begin with a u64 of StoreStatus, but for the last
    QUERY_VALUE_PUT = 20          # payload: u32 key size, u32 VALUE_OVERWRITE, key padded to 8, value
    QUERY_VALUE_GET = 21          # payload: key; the answer: value
    QUERY_VALUE_DELETE = 22       # payload: key
    QUERY_VALUE_KEYS = 23         # payload: prefix; the answer: of each key u32 size, u32 unused, key padded to 8
    VALUE_OVERWRITE = 1

cdef struct Message:
    uint8_t version
    uint8_t kind
    uint16_t flags
    uint32_t size                 # payload bytes behind this header
    uint32_t client               # whom it comes from, or goes to
    uint32_t job
    uint32_t attempt
    uint32_t incarnation          # of the node
    uint64_t time_ns
    uint64_t request
    ObjectId object
    uint64_t aux

cdef struct SubmitHeader:
    ObjectId function
    TaskId parent
    uint64_t digest               # of function, arguments and options
    int32_t n_returns
    int32_t max_retries           # -1: without end
    uint32_t flags
    uint32_t n_refs               # ObjectId each, follow
    uint32_t demand_size          # resource demand (resources.pyx), follows, padded to 8
    uint32_t name_size            # task name if it is not the function's, follows, padded to 8
    uint64_t args_size            # argument envelope, follows, padded to 8
    uint32_t backpressure         # items that a generator may be ahead of its reader; 0: any number
    uint32_t retry_delay_ms       # from the end of an attempt to the next one
    uint32_t retry_jitter         # by how much that may grow at random, in 1/10000 of it
    uint32_t unused

cdef struct CallHeader:
    TaskId actor
    uint64_t sequence             # of the caller's calls of this actor, from 0
    uint32_t group                # concurrency group
    uint32_t unused

cdef struct ActorHeader:
    int32_t max_restarts          # -1: without end
    int32_t max_pending           # calls; -1: any number
    uint32_t flags                # ACTOR_*
    uint32_t n_groups             # u32 each: calls at once; follow, padded to 8
    uint32_t name_size            # full name (namespace, line feed, name), follows, padded to 8; 0: none
    uint32_t handle_size          # envelope that describes a handle, follows, padded to 8

cdef struct FinishedHeader:
    uint64_t start_ns
    uint64_t end_ns
    uint32_t n_values
    uint32_t n_yielded

cdef struct Location:
    uint32_t segment
    uint32_t unused
    uint64_t offset
    uint64_t size

cdef struct ReadHeader:
    uint64_t size
    uint64_t spilled              # number: the bytes are on the disk only, and `aux` counts from their beginning; 0: no

cdef struct ValueRecord:
    uint8_t in_arena
    uint8_t kind
    uint8_t flags
    uint8_t unused
    uint32_t n_refs               # only in_arena, ObjectId each, follow (an inline envelope lists its own)
    Location where                # where.size: bytes of the envelope; inline it follows, padded to 8

cdef struct RunHeader:
    ObjectId function
    TaskId parent
    TaskId group                  # the placement group that it runs in, or zero
    int32_t n_returns
    uint32_t n_values             # ValueRecord each, behind the function: top-level arguments in order
    uint32_t n_gpus               # u32 each, follow, padded to 8
    uint32_t name_size            # follows, padded to 8
    uint64_t function_size        # envelope, follows, padded to 8; 0 if this worker has it
    uint64_t args_size            # envelope, follows, padded to 8
    uint32_t backpressure         # as in SubmitHeader
    uint32_t is_forgotten         # set by the receiver: taken back, and the function is not to be cached any more

cdef struct GroupHeader:
    uint32_t strategy             # GroupStrategy
    uint32_t n_bundles            # BundleHeader, DemandEntry ... each, follow
    uint32_t name_size            # namespace, 0x1f, name; follows, padded to 8; 0: it has none
    uint32_t unused

cdef struct BundleHeader:
    uint32_t n_amounts            # DemandEntry each, with their names, follow
    uint32_t unused

cdef struct MemoryHeader:         # of the node, in bytes
    uint64_t used
    uint64_t total
    uint64_t limit                # of `used`; it is exceeded

cdef struct MemoryUse:
    uint32_t client               # a worker
    uint32_t unused
    uint64_t size                 # bytes that would be free without it

cdef struct Cursor:
    const char* data
    uint64_t left
    bint failed

cdef const char* take(Cursor* c, uint64_t size) noexcept nogil
cdef const char* take_padded(Cursor* c, uint64_t size) noexcept nogil
cdef const ValueRecord* take_value(Cursor* c, const char** body) noexcept nogil
cdef char* write_padded(char* at, const char* data, uint64_t size) noexcept nogil
