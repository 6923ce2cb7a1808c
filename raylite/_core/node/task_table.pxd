from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, same_task, TaskId

cdef enum TaskState:
    TASK_NONE = 0
    TASK_WAITING = 1              # for arguments
    TASK_READY = 2                # for a place
    TASK_PLACED = 3               # in a worker's queue
    TASK_RUNNING = 4
    TASK_BLOCKED = 5              # in a nested get
    TASK_SPILLED = 6              # given away: a global scheduler is asked, or another node runs it
    TASK_FINISHED = 7             # kept for lineage only
    TASK_FAILED = 8               # likewise; its results are errors
    TASK_CANCELLED = 9
    TASK_N_STATES = 10

cdef enum Cancelling:
    CANCEL_NOT = 0
    CANCEL_INTERRUPTS = 1         # if the task runs, it gets an exception
    CANCEL_KILLS = 2              # if it runs, its worker is killed

cdef struct TaskRow:
    TaskId id
    TaskId parent                 # the submitting task: the caller
    ObjectId function
    uint64_t digest
    uint64_t submit_ns
    uint64_t ready_ns             # when the attempt's arguments were there; 0: not yet
    uint64_t start_ns             # when the attempt began; 0: not yet
    uint64_t end_ns               # 0: not yet
    uint64_t ready_sequence       # order of becoming ready; ties cannot be
    Blob* arguments               # envelope, or NULL if the last reference is the argument block
    Blob* name                    # if it is not the function's
    Blob* error                   # what it failed of, while its row goes
    vector[ObjectId] refs         # top-level arguments (and the argument block, last)
    TaskRow* next                 # in its shape's ready queue, or the list of its actor's that it is in
    TaskRow* previous
    TaskId actor                  # of a call; its own id if it creates an actor
    TaskId before                 # the actor's call before this one: the stateful edge
    uint64_t sequence             # of the caller's calls of this actor
    uint64_t position             # of the message that brought a call to its actor's worker
    uint64_t committed            # number of the commit its row went out with; 0: not exposed
    uint32_t client               # who submitted it
    uint32_t job
    uint32_t attempt
    uint32_t shape
    uint32_t worker
    uint32_t n_unresolved         # arguments that it waits for
    uint64_t wait_number          # of this wait for arguments: what waiters with another number say is out of date
    uint32_t n_yielded            # the highest stream item made, by any attempt
    uint32_t n_consumed           # stream items the reader has taken
    uint32_t backpressure         # as in SubmitHeader; so the next two
    uint32_t retry_delay_ms
    uint32_t retry_jitter
    uint64_t retry_at_ns          # when the next attempt may begin; 0: it does not wait for that
    uint32_t read_index           # the item whose reading the generator waits for
    uint64_t read_request         # in which it waits; 0: it does not
    uint32_t n_kept               # results in the arena or freed from it, for which this row is lineage
    uint64_t lineage_number       # its place in the order of finishing, while it is lineage
    int32_t n_returns
    int32_t retries_left
    uint8_t state
    uint8_t flags                 # SUBMIT_*
    bint holds_arguments
    bint holds_lineage
    uint8_t cancelled             # Cancelling
    uint8_t listed                # of a call: Listed
    uint32_t group                # of a call: concurrency group
    bint acknowledged             # its commit
    bint placed                   # by a global scheduler: it stays
    uint32_t home                 # the node that it belongs to; 0: this one
    uint32_t runs_at              # the node that runs it, if it was given away; 0: that is being asked
    uint32_t epoch                # how often it got another home
    int32_t retries_at_home       # of a guest: those that its home has left
    bint orphan                   # a guest whose home has died; until this node or another is its home
    bint registering              # the store is being told of this attempt
    uint8_t replay                # of a call: Replay
    uint8_t n_short               # how often it was killed for want of memory
    uint8_t n_refused             # how often the node that it must run on was not there
    uint8_t n_moves               # how often it has left a queue for another node's

cdef enum Listed:                 # in which list of its actor's a call is
    LISTED_NOT = 0
    LISTED_CALLER = 1             # of its caller's calls, which keep their order
    LISTED_WAITING = 2            # for arguments, whatever comes before it
    LISTED_READY = 3              # for its turn
    LISTED_SENT = 4               # to the actor's worker
    LISTED_AGAIN = 5              # to run again, before all others
    LISTED_LOGGED = 6             # it has ended, and may have to run again

cdef enum Replay:                 # what a call of an actor that replays runs for
    REPLAY_NOT = 0                # for its result; it has not begun, or its process lives
    REPLAY_RESULT = 1             # likewise; its process died meanwhile, so it comes before those that had not begun
    REPLAY_STATE = 2              # it has ended: only for what it did to the actor

cdef struct TaskTable:
    unordered_map[TaskId, TaskRow] rows

cdef inline bint is_call(const TaskRow* row) noexcept nogil:
    """Whether the task is a call of an actor's method."""
    return (row.actor.hi or row.actor.lo) and not same_task(row.actor, row.id)

cdef inline bint is_creation(const TaskRow* row) noexcept nogil:
    """Whether the task creates an actor."""
    return same_task(row.actor, row.id)

cdef bint transition_allowed(uint8_t old, uint8_t new) noexcept nogil
cdef TaskRow* tasks_find(TaskTable* t, TaskId id) noexcept nogil
cdef TaskRow* tasks_add(TaskTable* t, TaskId id) noexcept nogil
cdef void tasks_erase(TaskTable* t, TaskRow* row) noexcept nogil
