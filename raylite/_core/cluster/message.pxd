"""What nodes say to each other (docs/cluster.md). Payloads are checked as any from outside: bounds first."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from raylite._core.ids cimport TaskId
from raylite._core.links.packet cimport NODE_FIRST

cdef enum NodeMessage:
    NODE_TASK = NODE_FIRST        # object.task, attempt: run this; payload: TaskHeader ...
    NODE_RETURN = NODE_FIRST + 1  # object.task, attempt: it has not begun and cannot be run here
    NODE_RESULT = NODE_FIRST + 2  # object.task, attempt: it has ended; payload: DoneHeader, StoreValue ...
    NODE_COMMITTED = NODE_FIRST + 3   # object.task: its home has committed it
    NODE_CANCEL = NODE_FIRST + 4  # object.task, attempt; flags: CANCEL_*
    NODE_FUNCTION_GONE = NODE_FIRST + 5   # object: a function that came with a task and is needed no more
    NODE_PULL = NODE_FIRST + 6    # object; request: transfer; aux: offset; payload: u64 bytes; 0: tell what it is first
    NODE_VALUE = NODE_FIRST + 7   # object; request: transfer; aux: size; flags: kind, flags << 8; payload: references
    NODE_CHUNK = NODE_FIRST + 8   # request: transfer; aux: offset; payload: bytes
    NODE_NOT_HERE = NODE_FIRST + 9    # object; request: transfer: it is not to be had here
    NODE_ITEM = NODE_FIRST + 10   # object, attempt: an item of a stream; payload: StoreValue ...
    NODE_ITEM_HELD = NODE_FIRST + 11  # object: the stream's home holds the item: its maker need not any more
    NODE_READ = NODE_FIRST + 12   # object: the reader has taken this item; flags: READY_END: there is no reader
    # placement groups: object.task
    NODE_GROUP = 200              # what it is, from its home; payload: GroupNotice ...
    NODE_GROUP_WATCH = 201        # to its home: tell of it
    NODE_GROUP_GONE = 202         # from its home: it was removed; to it: remove it, or it is not known
    NODE_BUNDLES = 203            # request: round; payload: u32 each: set these bundles aside, all or none
    NODE_BUNDLES_TAKEN = 204      # request: round; flags: 1 if there is no room
    NODE_BUNDLES_BACK = 205       # those that are not open are not needed
    # what a node tells of itself
    NODE_QUERY = 206              # request; object.index: QUERY_*; payload as of EV_QUERY
    NODE_ANSWER = 207             # request; payload as of the CMD_READY

cdef struct GroupNotice:
    uint32_t state                # GroupState
    uint32_t strategy             # GroupStrategy
    uint32_t is_detached
    uint32_t n_bundles            # u32 node of each, padded to 8, follow; then BundleHeader, DemandEntry ... each
    uint32_t name_size            # padded to 8, follows
    uint32_t unused

cdef enum:
    RESULT_REFUSED = 1            # flag of NODE_RESULT, which then says no more: the store knows another end

cdef struct CallRecord:           # of a logged call, after what the store reads; MadeRecord each, then the spec
    uint32_t n_made
    uint32_t spec_size

cdef struct MadeRecord:           # state.Made
    TaskId task
    uint64_t digest
    uint32_t n_results
    uint8_t is_actor
    uint8_t is_repeated
    uint8_t unused[2]

cdef struct TaskHeader:
    uint32_t epoch
    uint32_t actor_epoch          # of a call: which of the actor's lives it was sent to
    uint32_t n_hints              # ArgumentHint ... for each top-level argument, after the rest
    uint32_t spec_size            # a submission, follows
    uint32_t function_size        # envelope, follows, padded to 8; 0: it was sent before
    uint32_t name_size            # of the function, follows, padded to 8
    uint64_t environment          # 0: none, or said before
    uint32_t environment_size     # what it stands for, follows, padded to 8
    uint32_t n_moves              # TaskRow.n_moves
    uint64_t submit_ns            # at its home

cdef struct ArgumentHint:         # then u32 address of each location padded to 8, or the value padded to 8
    uint8_t is_inline
    uint8_t kind
    uint8_t flags
    uint8_t unused
    uint32_t n_locations
    uint64_t size
