from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp.unordered_map cimport unordered_map
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId, TaskId
from raylite._core.message cimport Location, Message, SubmitHeader
from raylite.runtime.inbox cimport Call, Inbox, Slot
from raylite.runtime.pump cimport Pump
from raylite.runtime.task_context cimport TaskContext
from raylite.serialization cimport Packed

cdef struct Mapping:              # an arena segment as this process sees it
    char* readable
    char* writable
    uint64_t size
    uint64_t n_users              # views of values in it, and writes under way
    int fd
    bint dropped                  # unmapped with its last user

cdef class Client:
    cdef Inbox* inbox
    cdef Pump* pump               # NULL: single-threaded host (the simulator)
    cdef int process              # that may talk; not a fork of it
    cdef unordered_map[ObjectId, uint32_t] counts    # references in this process; guarded by the GIL
    cdef unordered_map[uint32_t, Mapping] mappings   # guarded by the GIL
    cdef readonly TaskContext root
    cdef public bytes node        # the node's id, 16 bytes
    cdef public bint in_cluster   # whether that is one of several
    cdef public object environment            # environments.Environment; None: nothing but what the process had
    cdef public object run_task   # called with a Run that comes while a get waits for it
    cdef dict watched             # asynchronous calls: token -> (callback, references)
    cdef uint64_t last_token
    cdef public bint is_worker
    cdef public object worker     # the Worker whose client this is, or None
    cdef public bint keep_warned
    cdef public int64_t patience_ns           # after so long a wait without progress says why; 0: never
    cdef public set call_sites    # hashes of lines that the node knows; None: they are not recorded
    cdef void post(self, Message* m, const char* payload)
    cdef Call* open_call(self, Message* m, const char* payload, uint32_t n_slots, uint64_t token)
    cdef void detach_call(self, Call* call)
    cdef void free_call(self, Call* call)
    cdef Call* await_answer(self, Call* call, int64_t timeout_ns, int* arrived) except NULL
    cdef Mapping* mapping(self, uint32_t segment, bint writable) except NULL
    cdef void leave_mapping(self, uint32_t segment)
    cdef int fetch_segment(self, uint32_t segment, uint64_t* size) except -1
    cdef int await_call(self, Call* call, int64_t timeout_ns) except -1
    cdef object decode(self, Slot* slot)
    cdef object ref(self, ObjectId id, bint hold)
    cdef void count_up(self, ObjectId id, bint hold)
    cdef void count_down(self, ObjectId id)
    cdef bint alive(self)
    cdef str fault(self)
    cdef bytes place(self, Packed packed, bint may_inline)
    cdef TaskId function_id(self, Packed packed)
    cdef Call* ask(self, int kind, list refs, uint64_t aux, int flags, uint64_t token)
    cdef list decode_all(self, Call* call)
    cdef ObjectRef store(self, Packed packed, TaskContext context)
    cdef list submit_any(self, ObjectRef function, tuple args, dict kwargs, SubmitHeader* h, bytes more, bytes demand,
                         bytes name, bint confirm)
    cdef list submit_confirmed(self, Message* m, const char* payload, TaskContext context, uint64_t index)
    cdef bint begin(self, Message* m)
    cdef void ask_read(self, Message* m, Run run, uint32_t index)
    cdef void report(self, Run run, int kind, ObjectId object, bytes payload, int flags)

cdef class ObjectRef:
    cdef ObjectId id
    cdef Client client
    cdef object __weakref__

cdef class PinnedBuffer:
    cdef Client client
    cdef ObjectId id
    cdef const char* data
    cdef uint64_t size
    cdef uint32_t segment

cdef class Run:                   # a task to run: what CMD_RUN says
    cdef Client client
    cdef Blob* blob
    cdef readonly object context
    cdef readonly int n_returns
    cdef readonly str name
    cdef readonly tuple gpus
    cdef readonly uint64_t position
    cdef readonly bint retries_exceptions
    cdef readonly bint in_place
    cdef readonly bytes placement_group       # 16 bytes, or None
    cdef readonly bint captures   # what it submits goes into that group
    cdef readonly bint creates    # an actor
    cdef readonly bint restores   # it, from a checkpoint
    cdef readonly bint is_call    # of this worker's actor
    cdef readonly uint32_t backpressure     # items that a generator may be ahead of its reader; 0: any number
    cdef readonly uint32_t group  # concurrency group of the call
    cdef readonly bint declined   # taken back before it began
    cdef const char* function_data
    cdef uint64_t function_size
    cdef const char* args_data
    cdef uint64_t args_size
    cdef const char* values
    cdef uint64_t values_size
    cdef uint32_t n_values
    cdef Message* message(self)
    cdef bint brings_function(self)
    cdef int parse(self) except -1

cpdef Client current_client()
