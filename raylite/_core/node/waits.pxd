from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libcpp.string cimport string
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Message
from raylite._core.node.state cimport NodeState

cdef enum:
    WAIT_STEPS_MOST = 10000       # that are looked at
    WAIT_CHAIN_MOST = 1000        # that are told
    WAIT_BRANCHES_MOST = 1000     # of one step
    WAIT_HOLDERS_MOST = 16        # of a resource that are told
    WAIT_TOLD_MOST = 10000        # ends of chains that are remembered
    WAIT_TELL_ONCE = 1            # flags of a query: WAIT_TOLD answers whether somebody was told of this end before
    WAIT_STUCK = 1                # flags of an answer: it will not come unless something else changes
    WAIT_CUT = 2                  # not all was looked at, or told
    WAIT_TOLD = 4

cdef enum StepKind:
    STEP_REQUEST = 1              # what a client waits in
    STEP_OBJECT = 2               # state: ObjectState, or STEP_UNKNOWN
    STEP_TASK = 3                 # state: TaskState
    STEP_ACTOR = 4                # state: ActorState
    STEP_GROUP = 5                # state: GroupState

cdef enum StepReason:
    STEP_THERE = 1                # it is there: nothing to wait for
    STEP_GONE = 2                 # it was freed, or there never was such a thing
    STEP_MADE = 3                 # an object: its task makes it; an actor: the task that creates it
    STEP_FETCHED = 4              # it lies on other nodes, or is made there
    STEP_ARGUMENTS = 5            # it waits for all of these
    STEP_RESOURCES = 6            # for what one of the holders has
    STEP_TOO_MUCH = 7             # for more than there is
    STEP_IN_GROUP = 8             # for its placement group
    STEP_PROCESS = 9              # resources are there, but no worker may be added; asked: workers that there may be
    STEP_QUEUED = 10              # behind what its worker runs
    STEP_RUNS = 11
    STEP_STARTS = 12              # its worker is being started
    STEP_GETS = 13                # it runs, and waits in get
    STEP_WAITS = 14               # in wait, for `asked` of these
    STEP_NEXT = 15                # for the next item of a stream
    STEP_READER = 16              # a generator, for the reader of its stream; asked: the item
    STEP_ACTOR_AWAY = 17          # a call, for its actor to be made or restarted
    STEP_TURN = 18                # a call, for the same caller's call before it
    STEP_BUSY = 19                # a call, for one of those that the actor runs; asked: how many are before it
    STEP_PLACING = 20             # no node is found for it yet
    STEP_ELSEWHERE = 21           # another node has it
    STEP_REPLAYS = 22             # a call, for those that its actor runs again first
    STEP_LATER = 23               # not looked at any more

cdef enum:
    STEP_UNKNOWN = 0xFFFFFFFF

cdef struct WaitQuery:
    ObjectId object
    uint64_t request              # of the asking client's: what that waits for; 0: why the object is not there
    uint32_t flags
    uint32_t unused

cdef struct WaitHeader:           # what an answer begins with
    uint64_t now_ns
    uint64_t signature            # another one if anything in the way has gone on
    uint32_t n_steps              # StepReport each, follow
    int32_t back_to               # the step that the last one waits for again; -1: it ends there
    uint32_t n_looked_at
    uint32_t flags

cdef struct StepReport:           # name, function's name, resource, HolderReport each follow, padded to 8
    ObjectId object
    TaskId task
    TaskId actor
    uint64_t since_ns             # when it got where it is; 0: not known
    uint64_t size
    int64_t asked                 # amounts of resources in 1/10000
    int64_t available
    int64_t total
    uint32_t kind
    uint32_t reason
    uint32_t state
    uint32_t worker
    uint32_t process
    uint32_t attempt
    uint32_t node                 # another one, as an address; 0: this one
    uint32_t n_awaited            # what it waits for
    uint32_t call_site_size       # follows, padded to 8
    uint32_t name_size
    uint32_t function_size
    uint32_t resource_size
    uint32_t n_holders
    uint32_t unused

cdef struct HolderReport:         # name follows, padded to 8
    TaskId id
    int64_t amount
    uint32_t kind                 # STEP_TASK, STEP_ACTOR, STEP_GROUP
    uint32_t process
    uint32_t name_size
    uint32_t unused

cdef bint report_waits(NodeState* n, const Message* m, const char* payload, string* out) noexcept nogil
