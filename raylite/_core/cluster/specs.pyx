"""A task as bytes: as it is submitted, handed to another node, or kept in the control store. One form for all three."""
from libc.string cimport memcpy, memset
from libcpp.algorithm cimport sort
from raylite._core.cluster.groups cimport know_group
from raylite._core.envelope cimport align8, blob_copy, blob_data, blob_new, envelope_refs, envelope_valid, \
    EnvelopeHeader, KIND_FUNCTION, KIND_SYSTEM_ERROR
from raylite._core.ids cimport same_task
from raylite._core.message cimport ActorHeader, STREAMING, SUBMIT_ACTOR, SUBMIT_ARGS_OBJECT, SUBMIT_CALL, take, \
    take_padded, write_padded
from raylite._core.node.actor_table cimport ActorRow, actors_find
from raylite._core.node.actors cimport take_actor
from raylite._core.node.objects cimport OBJECT_INLINE, OBJECT_PENDING, ObjectRow, objects_find
from raylite._core.node.resources cimport resources_intern, UNIT
from raylite._core.node.task_table cimport is_call, is_creation, tasks_add

cdef enum:
    RETURNS_MOST = 1 << 20        # of one task


cdef bint may_be_function(NodeState* n, ObjectId id) noexcept nogil:
    """Whether the id is a function's, or of nothing known: then the task will fail saying so."""
    cdef ObjectRow* row = objects_find(&n.objects, id)
    return row == NULL or row.state == OBJECT_PENDING and n.cluster.joined \
        or (row.state == OBJECT_INLINE and (row.kind == KIND_FUNCTION or row.kind == KIND_SYSTEM_ERROR))


cdef bint take_submission(NodeState* n, Cursor* c, TaskId id, Submission* out) noexcept nogil:
    """Read a task. False if it is malformed."""
    cdef const SubmitHeader* h = <const SubmitHeader*> take(c, sizeof(SubmitHeader))
    out.header = h
    out.call = NULL
    if h == NULL or h.n_returns < STREAMING or h.n_returns > RETURNS_MOST or h.max_retries < -1 \
            or h.retry_jitter > UNIT or not may_be_function(n, h.function) \
            or h.flags & SUBMIT_CALL and h.flags & SUBMIT_ACTOR:
        return False
    if h.flags & SUBMIT_CALL:
        out.call = <const CallHeader*> take(c, sizeof(CallHeader))
        if out.call == NULL or same_task(out.call.actor, id):
            return False
    elif h.flags & SUBMIT_ACTOR and (h.n_returns != 0 or not take_actor(c, &out.actor)):
        return False
    out.refs = <const ObjectId*> take(c, <unsigned long long> h.n_refs * sizeof(ObjectId))
    out.demand = take_padded(c, h.demand_size)
    out.name = take_padded(c, h.name_size)
    out.args = take_padded(c, h.args_size)
    return not (c.failed or (h.args_size and not envelope_valid(out.args, h.args_size))
                or (h.flags & SUBMIT_ARGS_OBJECT and h.n_refs == 0))


cdef TaskRow* add_task(NodeState* n, TaskId id, const Submission* s, uint32_t client, uint32_t job) noexcept nogil:
    """The row of a task that is new here. NULL if what it asks for is malformed."""
    cdef const SubmitHeader* h = s.header
    cdef int shape
    cdef TaskRow* row
    if n.cluster.joined:
        know_group(n, s.demand, h.demand_size)
    shape = resources_intern(&n.scheduler.resources, s.demand, h.demand_size)
    if shape < 0:
        return NULL
    row = tasks_add(&n.tasks, id)
    row.parent = h.parent
    row.function = h.function
    row.digest = h.digest
    row.submit_ns = n.now_ns
    row.client = client
    row.job = job
    row.shape = <uint32_t> shape
    row.n_returns = h.n_returns
    row.retries_left = h.max_retries
    row.flags = <unsigned char> h.flags
    row.backpressure = h.backpressure
    row.retry_delay_ms = h.retry_delay_ms
    row.retry_jitter = h.retry_jitter
    row.refs.assign(s.refs, s.refs + h.n_refs)
    row.name = blob_copy(s.name, h.name_size) if h.name_size else NULL
    row.arguments = blob_copy(s.args, h.args_size) if h.args_size else NULL
    return row


cdef int retries_in_all(const TaskRow* row) noexcept nogil:
    """Those that are left and those that were used; -1: no limit. Also the number of the last attempt."""
    return row.retries_left + <int> row.attempt if row.retries_left >= 0 else -1


cdef int retries_after(int in_all, uint32_t attempt) noexcept nogil:
    """How many of the retries are left in this attempt; -1: no limit."""
    return max(in_all - <int> attempt, 0) if in_all >= 0 else -1


# ---- writing ---------------------------------------------------------------------------------------------------

cdef size_t actor_size(const ActorRow* actor) noexcept nogil:
    return sizeof(ActorHeader) + align8(4 * actor.groups.size()) + align8(actor.name.size()) + align8(actor.handle.size)


cdef char* write_actor(char* at, ActorRow* actor) noexcept nogil:
    cdef ActorHeader* h = <ActorHeader*> at
    cdef uint32_t* limits = <uint32_t*> (h + 1)
    cdef size_t i
    h.max_restarts = actor.restarts_left
    h.max_pending = actor.max_pending
    h.flags = actor.flags
    h.n_groups = <uint32_t> actor.groups.size()
    h.name_size = <uint32_t> actor.name.size()
    h.handle_size = <uint32_t> actor.handle.size
    memset(limits, 0, align8(4 * actor.groups.size()))
    for i in range(actor.groups.size()):
        limits[i] = actor.groups[i].limit
    at = <char*> limits + align8(4 * actor.groups.size())
    at = write_padded(at, actor.name.data(), actor.name.size())
    return write_padded(at, blob_data(actor.handle), actor.handle.size)


cdef Blob* write_spec(NodeState* n, const TaskRow* row) noexcept nogil:
    """The task as it was submitted; its retries are counted from its first attempt."""
    cdef const string* demand = &n.scheduler.resources.shapes[row.shape].key
    cdef ActorRow* actor = actors_find(&n.actors, row.id) if is_creation(row) else NULL
    cdef size_t name_size = row.name.size if row.name != NULL else 0
    cdef size_t args_size = row.arguments.size if row.arguments != NULL else 0
    cdef size_t size = sizeof(SubmitHeader) + sizeof(ObjectId) * row.refs.size() + align8(demand.size()) \
        + align8(name_size) + align8(args_size)
    cdef Blob* out
    cdef SubmitHeader* h
    cdef CallHeader* call
    cdef char* at
    size += sizeof(CallHeader) if is_call(row) else 0
    size += actor_size(actor) if actor != NULL else 0
    out = blob_new(size)
    h = <SubmitHeader*> blob_data(out)
    memset(h, 0, sizeof(SubmitHeader))
    h.function = row.function
    h.parent = row.parent
    h.digest = row.digest
    h.n_returns = row.n_returns
    h.max_retries = retries_in_all(row)
    h.flags = row.flags
    h.n_refs = <uint32_t> row.refs.size()
    h.demand_size = <uint32_t> demand.size()
    h.name_size = <uint32_t> name_size
    h.args_size = args_size
    h.backpressure = row.backpressure
    h.retry_delay_ms = row.retry_delay_ms
    h.retry_jitter = row.retry_jitter
    at = <char*> (h + 1)
    if is_call(row):
        call = <CallHeader*> at
        memset(call, 0, sizeof(CallHeader))
        call.actor = row.actor
        call.sequence = row.sequence
        call.group = row.group
        at += sizeof(CallHeader)
    elif actor != NULL:
        at = write_actor(at, actor)
    if row.refs.size():
        memcpy(at, row.refs.data(), sizeof(ObjectId) * row.refs.size())
    at += sizeof(ObjectId) * row.refs.size()
    at = write_padded(at, demand.data(), demand.size())
    at = write_padded(at, blob_data(row.name) if name_size else NULL, name_size)
    write_padded(at, blob_data(row.arguments) if args_size else NULL, args_size)
    return out


cdef void all_arguments(const TaskRow* row, vector[ObjectId]* out) noexcept nogil:
    """What the task cannot run without: arguments, references inside them, its function. In order, each once."""
    cdef const EnvelopeHeader* head
    cdef const ObjectId* nested
    cdef size_t i, kept = 0
    out.assign(row.refs.begin(), row.refs.end())
    if row.arguments != NULL:
        head = <const EnvelopeHeader*> blob_data(row.arguments)
        nested = envelope_refs(blob_data(row.arguments))
        for i in range(head.n_refs):
            out.push_back(nested[i])
    out.push_back(row.function)
    sort(out.begin(), out.end())
    for i in range(out.size()):
        if i == 0 or not (out[0][i].index == out[0][kept - 1].index
                          and same_task(out[0][i].task, out[0][kept - 1].task)):
            out[0][kept] = out[0][i]
            kept += 1
    out.resize(kept)
