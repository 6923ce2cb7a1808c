from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libcpp.deque cimport deque
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.unordered_set cimport unordered_set
from libcpp.vector cimport vector
from raylite._core.node.actor_table cimport ActorTable
from raylite._core.node.arena cimport Arena
from raylite._core.cluster.table cimport Cluster
from raylite._core.envelope cimport Blob
from raylite._core.node.history cimport History
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.node.local_scheduler cimport LocalScheduler, Worker
from raylite._core.message cimport Message
from raylite._core.node.objects cimport ObjectRow, Objects
from raylite._core.node.placement_groups cimport PlacementGroups
from raylite._core.node.story cimport Story
from raylite._core.node.task_table cimport TaskRow, TaskTable

cdef enum ErrorCode:              # of system errors
    ERROR_WORKER_CRASHED = 1
    ERROR_OBJECT_LOST = 2
    ERROR_TASK_CANCELLED = 3
    ERROR_STORE_FULL = 4
    ERROR_SPAWN_FAILED = 5
    ERROR_ACTOR_DIED = 6
    ERROR_ACTOR_UNAVAILABLE = 7
    ERROR_ACTOR_INIT = 8          # as ERROR_ACTOR_DIED, by what its __init__ raised
    ERROR_RAISED = 19             # not of a value: the task itself raised
    ERROR_UNGROUPED = 20          # the placement group is gone
    ERROR_UNSCHEDULABLE = 21
    ERROR_ACTOR_UNGROUPED = 22
    ERROR_ACTOR_UNSCHEDULABLE = 23
    ERROR_OUT_OF_MEMORY = 24      # as ERROR_WORKER_CRASHED, killed by the node to free memory
    ERROR_NOT_REMADE = 25         # lost, and what made it cannot run again
    ERROR_OUT_OF_DISK = 26

cdef struct Command:
    Message message
    Blob* payload

cdef struct Client:
    uint32_t id
    uint32_t flags
    uint32_t process
    uint64_t attach_ns

cdef struct Request:              # a client waits for objects
    uint64_t id
    uint32_t client
    uint8_t kind                  # EV_GET, EV_WAIT, EV_NEXT
    bint blocks                   # the asking task has lent its CPU
    bint in_place
    bint anywhere                 # EV_WAIT: what exists on another node counts, and stays there
    bint has_streams              # some of the objects are stream items
    uint32_t n_missing            # EV_GET: not delivered; EV_WAIT: how many more are needed, at least
    uint64_t n_wanted             # EV_WAIT: how many are enough
    TaskId task                   # who asks
    vector[ObjectId] ids

cdef struct Function:
    double mean_ns                # exponential mean of its run time; 0 if it never ran
    Blob* name

cdef struct PendingLease:
    uint64_t request
    uint64_t size
    uint32_t client
    uint32_t segment              # that it waits for

cdef struct RoomRequest:          # for a block of the arena, which is full
    uint64_t request
    uint64_t size
    uint32_t client

cdef struct Gathering:            # a task waits until the bytes of its arguments may be brought together
    TaskId task
    uint64_t wait_number
    uint64_t bytes

cdef struct Gathered:             # a task's arguments are kept in the arena, or on their way there, until it runs
    uint64_t bytes
    vector[ObjectId] ids

cdef struct Room:                 # what leaves the arena, and who waits for it: see room.pyx
    bint spills                   # the host has a disk for what does not fit
    bint changed                  # there may be more room, or somebody new who wants it
    uint64_t last_use
    uint64_t last_spill
    uint64_t leaving              # bytes of blocks that are being written to disk
    uint64_t disk_full_ns         # when the disk took no more; 0: it does
    uint64_t stuck_ns             # since when there has been nothing that could make way; 0: there was
    uint64_t stuck_used           # bytes of the arena then
    uint64_t kept_out_ns          # since when the first of `gathering` has not been let in; 0: it was not there
    uint64_t gathered_bytes
    uint64_t spilled_bytes        # in all, ever; so are those below
    uint64_t restored_bytes
    uint64_t n_spilled
    uint64_t n_restored
    deque[RoomRequest] waiting
    deque[Gathering] gathering
    ordered_map[TaskId, Gathered] gathered
    ordered_map[uint64_t, ObjectId] by_use    # values in the arena, the one that was asked for longest ago first
    ordered_map[uint64_t, ObjectId] on_disk   # by number: on the disk, or on their way

cdef struct Commit:
    uint64_t number
    uint64_t request
    uint32_t client
    ObjectId object
    vector[TaskId] tasks

cdef struct Made:                 # what a task has submitted, and would submit again if it ran again
    uint64_t digest
    uint32_t n_results
    bint is_actor
    bint is_repeated              # a call of an actor that replays, which knows it if it comes again

cdef struct NodeState:
    uint64_t now_ns
    uint64_t n_events
    uint32_t incarnation
    uint8_t cause                 # kind of the event being handled
    uint32_t last_client
    uint32_t driver               # whom warnings go to
    bint dispatch_wanted
    bint debug
    uint64_t lineage_cap          # most task rows kept for lineage
    uint64_t last_lineage
    uint64_t last_wait
    uint64_t last_commit
    bint lost_any                 # bytes were lost: a ready task's argument may be gone
    string fault                  # what poisoned the node; empty while it is sound
    TaskTable tasks
    Objects objects
    ActorTable actors
    Arena arena
    Room room
    LocalScheduler scheduler
    PlacementGroups groups
    ordered_map[string, string] values        # key-value, while the node is alone
    Story story
    History history
    vector[string] call_sites     # lines of the program, by number less 1
    ordered_map[uint64_t, uint32_t] call_site_numbers     # by hash
    unordered_set[TaskId] told    # ends of chains of waiting that somebody was told of: see waits.pyx
    Cluster cluster
    unordered_map[uint64_t, Request] requests
    ordered_map[uint32_t, Client] clients
    unordered_map[ObjectId, Function] functions
    unordered_map[TaskId, ordered_map[TaskId, Made]] made   # by who submitted it: see replay.pyx
    bint any_replays              # whether there ever was an actor that replays
    ordered_map[uint64_t, Commit] commits
    ordered_map[uint64_t, TaskId] lineage   # finished tasks that are kept, oldest first
    ordered_set[pair[uint64_t, TaskId]] delayed   # tasks that are tried again, and when
    uint64_t memory_told_ns       # when somebody was last told that memory is short and nothing can be done
    vector[PendingLease] leases
    vector[ObjectId] arrived      # objects that became ready, and whose waiters do not know yet
    vector[ObjectId] wanted       # objects asked for whose value was freed or lost
    vector[ObjectId] unsettled    # objects that may have gone out of scope
    vector[Command] commands

cdef struct Sizes:                # of the tables; all zero when everything has been released
    uint64_t tasks
    uint64_t objects
    uint64_t requests
    uint64_t functions
    uint64_t ready
    uint64_t queued
    uint64_t inline_bytes
    uint64_t arena_bytes
    uint64_t lineage
    uint64_t commits
    uint64_t leases
    uint64_t room                 # leases that wait for it, and tasks with their arguments kept or to come
    uint64_t spilled              # objects on the disk, or on their way
    uint64_t actors
    uint64_t beyond               # what is on its way between this node and others

cdef struct WorkerReport:
    uint32_t client
    uint32_t process
    uint64_t n_running
    uint64_t n_queued
    bint attached

cdef void read_sizes(NodeState* n, Sizes* out) noexcept nogil
cdef void read_workers(NodeState* n, vector[WorkerReport]* out) noexcept nogil
cdef void read_names(NodeState* n, ordered_map[ObjectId, string]* out) noexcept nogil

cdef inline uint64_t request_key(uint32_t client, uint64_t request) noexcept nogil:
    return (<uint64_t> client << 40) ^ request

cdef void poison(NodeState* n, const char* what) noexcept nogil
cdef Message* emit(NodeState* n, uint8_t kind, uint32_t client, Blob* payload) noexcept nogil
cdef void reject(NodeState* n, const Message* m) noexcept nogil
cdef void warn(NodeState* n, const string* text) noexcept nogil
cdef void call_back_queue(NodeState* n, Worker* w) noexcept nogil
cdef void set_state(NodeState* n, TaskRow* row, uint8_t state, uint64_t duration_ns) noexcept nogil
