from libc.stdint cimport uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.unordered_set cimport unordered_set
from libcpp.vector cimport vector
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.node.resources cimport Resources
from raylite._core.node.task_table cimport TaskRow

cdef enum:
    PREFETCH_NS = 1000000         # a worker's queue holds at most this much expected work
    PREFETCH_TASKS = 64
    STALL_NS = 5000000            # a queue that did not move for so long is taken back
    IDLE_NS = 2000000000          # surplus workers end after this long without work

cdef struct Run:                  # one task on a worker's stack
    TaskId task
    uint32_t shape
    uint32_t n_waits              # requests in which it blocks
    uint64_t request              # the latest of them
    uint64_t position             # of the message that brought it; 0: run in place
    bint lent                     # its CPU runs others meanwhile
    uint64_t expected_ns
    vector[uint32_t] gpus

cdef struct Queued:
    TaskId task
    uint64_t position             # of the message in the worker's queue
    uint64_t expected_ns

cdef struct Worker:
    uint32_t client
    uint32_t process
    bint attached
    bint stopping
    bint recalling                # CMD_RECALL is under way
    bint stalled                  # its queue was taken back as it did not move: nothing is queued until it does
    string short_of               # why it is killed, if it is killed to free memory
    uint64_t environment
    vector[uint32_t] gpus         # the set it was started for; never another
    vector[Run] running           # bottom first; above the bottom: tasks run in place by a blocked one
    deque[Queued] queue           # sent and not begun, all of the bottom task's shape
    uint64_t position             # messages sent
    uint64_t backlog_ns
    uint64_t progress_ns          # when it last began or ended something, or its queue last was empty
    unordered_set[ObjectId] functions
    bint dedicated                # to an actor: nothing else runs here
    bint settled                  # its creation has ended: `life` holds its resources, `running` is empty
    bint keeps_cpu                # while it lives
    TaskId actor
    Run life

cdef struct ReadyQueue:
    TaskRow* head
    TaskRow* tail

cdef struct LocalScheduler:
    Resources resources
    vector[ReadyQueue] ready      # by shape
    ordered_map[uint32_t, Worker] workers
    vector[uint32_t] idle         # most recently used last
    vector[bint] warned           # by shape
    uint64_t n_ready
    uint64_t sequence
    uint32_t worker_cap
    uint32_t n_kept_idle
    uint32_t n_queued             # tasks in workers' queues
    uint32_t n_dedicated          # workers of actors, which do not count towards the cap
    uint32_t n_failed_spawns      # workers that never came, since the last that did

cdef enum PlaceKind:
    PLACE_NONE = 0
    PLACE_IDLE = 1                # on worker `client`
    PLACE_SPAWN = 2               # on a worker to be started
    PLACE_QUEUE = 3               # behind what worker `client` runs

cdef struct Place:
    int kind
    uint32_t client
    uint32_t stop                 # an idle worker of another kind that has to make room; 0 if none
    bint starved                  # resources are there, but no worker may be added

cdef void ready_push(LocalScheduler* s, TaskRow* row, bint front) noexcept nogil
cdef void ready_remove(LocalScheduler* s, TaskRow* row) noexcept nogil
cdef void find_place(LocalScheduler* s, uint32_t shape, uint64_t expected_ns, bint dedicated,
                     Place* place) noexcept nogil
cdef Worker* worker_find(LocalScheduler* s, uint32_t client) noexcept nogil
cdef Worker* worker_add(LocalScheduler* s, uint32_t client, uint64_t environment) noexcept nogil
cdef void worker_begin(LocalScheduler* s, Worker* w, TaskRow* row, uint64_t position,
                       uint64_t expected_ns, const vector[uint32_t]* gpus) noexcept nogil
cdef uint64_t n_shared(const LocalScheduler* s) noexcept nogil
cdef void worker_dedicate(LocalScheduler* s, Worker* w, TaskId actor) noexcept nogil
cdef void worker_share(LocalScheduler* s, Worker* w) noexcept nogil
cdef void worker_remove(LocalScheduler* s, Worker* w) noexcept nogil
cdef Run* worker_run(Worker* w, TaskId task) noexcept nogil
cdef void worker_end(LocalScheduler* s, Worker* w, TaskId task) noexcept nogil
cdef bint run_block(LocalScheduler* s, Run* run, uint64_t request) noexcept nogil
cdef bint run_unblock(LocalScheduler* s, Run* run) noexcept nogil
cdef void idle_remove(LocalScheduler* s, uint32_t client) noexcept nogil
