"""What brings an actor back to where it was, as far as a shard knows: the calls since its checkpoint, and that.

A call goes on the log when it has ended, before anybody beyond its node hears of it. The log holds what the call needs
to run again: its arguments, and what it has made. A checkpoint takes the place of the arguments of the task that makes
the actor, and of the calls that it covers, of which the store knows the ends by then. The calls are opaque here.
"""
from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, blob_copy, blob_data, blob_drop, blob_new
from raylite._core.ids cimport object_id, ObjectId, same_object, TaskId
from raylite._core.message cimport take, take_padded
from raylite._core.store.message cimport *
from raylite._core.store.objects cimport hold, release
from raylite._core.store.state cimport find_actor, find_task, HolderKey, LoggedCall, StoredTask, task_holder
from raylite._core.store.streams cimport answer, forward
from raylite._core.store.tasks cimport fail_unended

cdef enum:
    ALL_CALLS = 0xFFFFFFFFFFFFFFFF


cdef inline HolderKey log_holder(TaskId call) noexcept nogil:
    return task_holder(HOLDER_LOG, call)


cdef uint16_t standing(StoreState* s, const StoredActor* actor, const StoredTask* creation, uint32_t epoch) \
        noexcept nogil:
    """How the endpoint's word about an actor is taken that it runs under this epoch."""
    if actor == NULL or creation == NULL:
        return STORE_UNKNOWN
    return STORE_OK if actor.node == s.asking and creation.epoch == epoch else STORE_STALE


# ---- calls -----------------------------------------------------------------------------------------------------

cdef void add_call(StoreState* s, StoredActor* actor, const LogHeader* h, const ObjectId* held, Blob* body) \
        noexcept nogil:
    cdef LoggedCall call
    cdef uint32_t i
    call.call = h.call
    call.number = h.number
    call.body = body
    call.held.assign(held, held + h.n_held)
    actor.log.push_back(call)
    for i in range(h.n_held):
        hold(s, held[i], log_holder(h.call), True)


cdef bint on_actor_log(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef Cursor whole = body[0]
    cdef const LogHeader* h = <const LogHeader*> take(body, sizeof(LogHeader))
    cdef StoredActor* actor = find_actor(s, op.object.task)
    cdef const ObjectId* held
    cdef uint16_t status
    if h == NULL:
        return False
    held = <const ObjectId*> take(body, sizeof(ObjectId) * <uint64_t> h.n_held)
    if body.failed:
        return False
    status = standing(s, actor, find_task(s, op.object.task), h.epoch)
    if status == STORE_OK and not actor.log.empty() and h.number <= actor.log.back().number:
        status = STORE_STALE
    if status == STORE_OK:
        add_call(s, actor, h, held, blob_copy(whole.data, whole.left))
    answer(s, op, status, NULL, 0)
    return True


cdef void forget_calls(StoreState* s, StoredActor* actor, uint64_t number) noexcept nogil:
    """The calls up to this one need not run again."""
    cdef LoggedCall* call
    cdef size_t i
    while not actor.log.empty() and actor.log.front().number <= number:
        call = &actor.log.front()
        for i in range(call.held.size()):
            release(s, call.held[i], log_holder(call.call))
        blob_drop(call.body)
        actor.log.pop_front()


cdef void append_log(const StoredActor* actor, string* out) noexcept nogil:
    """All calls of the log: the size of each, and it, padded."""
    cdef uint64_t size
    cdef size_t i
    for i in range(actor.log.size()):
        size = actor.log[i].body.size
        out.append(<const char*> &size, 8)
        out.append(blob_data(actor.log[i].body), size)
        out.append(align8(size) - size, <char> 0)


cdef void fail_log(StoreState* s, StoredActor* actor, Blob* why) noexcept nogil:
    """The actor has died: calls of which nobody has said how they ended, as their node died before, end of that."""
    cdef Blob* body = blob_new(sizeof(AttemptHeader) + why.size)
    cdef AttemptHeader* head = <AttemptHeader*> blob_data(body)
    cdef TaskId call
    cdef size_t i
    head.epoch = EPOCH_OF_LOG
    head.attempt = 0
    memcpy(<char*> (head + 1), blob_data(why), why.size)
    for i in range(actor.log.size()):
        call = actor.log[i].call
        if shard_of(call, s.n_shards) == s.shard:
            fail_unended(s, call, blob_data(why), why.size)
        else:
            forward(s, call, OP_FAILED, object_id(call, 0), blob_data(body), body.size, False)
    blob_drop(body)
    forget_calls(s, actor, ALL_CALLS)


cdef void drop_log(StoredActor* actor) noexcept nogil:
    """Free the calls with the shard."""
    cdef size_t i
    for i in range(actor.log.size()):
        blob_drop(actor.log[i].body)
    actor.log.clear()


# ---- checkpoints -----------------------------------------------------------------------------------------------

cdef bint contains(const vector[ObjectId]* ids, ObjectId id) noexcept nogil:
    cdef size_t i
    for i in range(ids.size()):
        if same_object(ids[0][i], id):
            return True
    return False


cdef void take_instead(StoreState* s, StoredTask* t, const ObjectId* arguments, uint32_t count, const char* spec,
                       uint64_t spec_size) noexcept nogil:
    """The task that makes the actor is this one from now on. `arguments` are in order, each once."""
    cdef vector[ObjectId] before
    cdef size_t i
    before.swap(t.arguments)
    t.arguments.assign(arguments, arguments + count)
    for i in range(count):
        t.arguments[i].unused = 0
        if t.holds and not contains(&before, t.arguments[i]):
            hold(s, t.arguments[i], task_holder(t.holds, t.id), True)
    for i in range(before.size()):
        if t.holds and not contains(&t.arguments, before[i]):
            release(s, before[i], task_holder(t.holds, t.id))
    blob_drop(t.spec)
    t.spec = blob_copy(spec, spec_size)


cdef bint on_actor_saved(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef const SavedHeader* h = <const SavedHeader*> take(body, sizeof(SavedHeader))
    cdef StoredActor* actor = find_actor(s, op.object.task)
    cdef StoredTask* t = find_task(s, op.object.task)
    cdef const ObjectId* arguments
    cdef const char* spec
    cdef uint16_t status
    if h == NULL:
        return False
    arguments = <const ObjectId*> take(body, sizeof(ObjectId) * <uint64_t> h.n_arguments)
    spec = take_padded(body, h.spec_size)
    if body.failed:
        return False
    status = standing(s, actor, t, h.epoch)
    if status == STORE_OK:
        take_instead(s, t, arguments, h.n_arguments, spec, h.spec_size)
        forget_calls(s, actor, h.number)
    answer(s, op, status, NULL, 0)
    return True
