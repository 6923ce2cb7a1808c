from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.node.task_table cimport TaskRow

cdef enum ActorState:
    ACTOR_PENDING = 0             # its creation waits for something, or runs
    ACTOR_ALIVE = 1
    ACTOR_RESTARTING = 2          # as PENDING, after its process died
    ACTOR_DEAD = 3                # the row stays while there are handles: who calls hears why

cdef enum:
    CALLS_AHEAD = 64              # calls sent to the worker beyond those that it runs

cdef struct CallList:
    TaskRow* head
    TaskRow* tail
    uint64_t size

cdef struct CallGroup:            # a concurrency group
    uint32_t limit                # calls that run at once
    uint32_t n_running
    CallList ready                # their arguments are there; oldest first
    CallList sent                 # in the order of being sent
    TaskRow* next_to_run          # the first of `sent` that is PLACED

cdef struct ActorRow:
    TaskId id                     # of the task that creates it
    ObjectId function             # its class
    uint64_t made_ns
    uint32_t job
    uint32_t shape                # of the task that creates it
    uint64_t shape_serial
    Blob* handle                  # the value of its object
    string class_name
    uint8_t state
    uint8_t flags                 # ACTOR_*
    bint ending                   # no handle is left: it ends with its last call
    bint wanted                   # it is on `to_serve`
    bint watched                  # in a cluster: the store tells this node what becomes of it
    uint32_t node                 # in a cluster: the other node that runs it; 0: none, or this one
    bint draining                 # of calls sent to a life of it elsewhere that is over, some have not been heard of
    uint32_t epoch                # of its creation: which of its lives this is
    uint32_t attempt              # likewise
    uint32_t worker               # while it is alive
    uint32_t process              # the worker's process id, once known
    uint32_t n_restarts
    int32_t restarts_left
    int32_t max_pending
    uint64_t n_unfinished         # calls
    uint64_t n_calls              # that were ever sent
    TaskId last_call              # the latest that was sent
    string name                   # namespace, line feed, name; empty: none
    Blob* death                   # what its calls get once it is dead
    unordered_map[TaskId, CallList] callers   # calls that wait, or wait for one before them; by caller
    CallList waiting              # calls that wait for arguments and for nothing else
    vector[CallGroup] groups
    CallList log                  # of one that replays: what has run since its checkpoint, in that order
    CallList again                # likewise: what is to run again, in that order, before all others
    uint32_t n_checkpoints        # that were ever taken
    bint too_large                # it was said that a checkpoint is
    bint awaits_log               # in a cluster: the store has not said yet what is to run again
    uint64_t n_logged             # in a cluster: number of the last call on the store's log that has ended here
    unordered_map[TaskId, uint64_t] logged    # the numbers of the calls that the store has on its log

cdef struct ActorTable:
    unordered_map[TaskId, ActorRow] rows
    ordered_map[string, TaskId] names
    vector[TaskId] to_serve       # actors with calls to send, or to end

cdef ActorRow* actors_find(ActorTable* t, TaskId id) noexcept nogil
cdef ActorRow* actors_add(ActorTable* t, TaskId id) noexcept nogil
cdef void actors_erase(ActorTable* t, ActorRow* row) noexcept nogil
cdef void list_append(CallList* list, TaskRow* row) noexcept nogil
cdef void list_insert_in_order(CallList* list, TaskRow* row) noexcept nogil
cdef void list_remove(CallList* list, TaskRow* row) noexcept nogil
cdef void add_all(const CallList* list, vector[TaskId]* out) noexcept nogil
