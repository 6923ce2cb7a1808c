"""Tasks in a shard: submitted, ended, adopted, made again for what they make, forgotten.

A task holds its arguments: while it has not ended as one who takes them (HOLDER_TASK), then, as long as one of its
results could have to be made again, as lineage. Each time it is given to a new home its epoch grows; who works under an
older one is refused. A task and what it makes are in one shard, so that all of this is local but for the holds.
"""
from libc.stdint cimport uint16_t, uint32_t
from libcpp.algorithm cimport sort
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, envelope_valid
from raylite._core.ids cimport ACTOR_INDEX, object_id, ObjectId, PUT_INDEX
from raylite._core.message cimport STREAMING, SUBMIT_ACTOR, SUBMIT_CALL, take, take_padded
from raylite._core.planted cimport OLD_EPOCH, planted
from raylite._core.store.actors cimport actor_needs_creation, creation_forsaken
from raylite._core.store.message cimport *
from raylite._core.store.objects cimport give, give_error, give_up, GivenValue, hold, hold_here, known_object, \
    lacks_nothing, notify, release, take_given
from raylite._core.store.snapshot cimport task_record
from raylite._core.store.state cimport find_object, find_task, node_holder, STORED_TASK_ENDED, STORED_TASK_FORSAKEN, \
    STORED_TASK_ORPHAN, STORED_TASK_PENDING, STORED_TASK_RETIRED, task_holder
from raylite._core.store.streams cimport answer, begin_out, forward

cdef enum:
    RETURNS_MOST = 1 << 20        # of one task


cdef uint64_t n_results(const StoredTask* t) noexcept nogil:
    return 1 if t.n_returns == STREAMING else <uint64_t> t.n_returns


cdef void hold_arguments(StoreState* s, StoredTask* t, uint8_t kind) noexcept nogil:
    """Hold the arguments as this kind of holder (0: no more), instead of what the task is now."""
    cdef uint8_t before = t.holds
    cdef size_t i
    if before == kind:
        return
    for i in range(t.arguments.size()):
        if kind:
            hold(s, t.arguments[i], task_holder(kind, t.id), kind == HOLDER_TASK)
        if before:
            release(s, t.arguments[i], task_holder(before, t.id))
    t.holds = kind


# ---- submitted -------------------------------------------------------------------------------------------------

cdef void hold_results(StoreState* s, StoredTask* t) noexcept nogil:
    """Who commits the task holds what it makes; also what had been let go by everybody since it ended."""
    cdef uint32_t i
    cdef StoredObject* row
    for i in range(<uint32_t> n_results(t)):
        row = known_object(s, object_id(t.id, i),
                           STORED_MISSING if t.state == STORED_TASK_ENDED else STORED_PENDING)
        hold_here(s, row.id, node_holder(s.asking))
    t.n_settled = 0


cdef uint16_t commit_again(StoreState* s, StoredTask* t, uint64_t digest, int max_retries) noexcept nogil:
    """The task is there: it was derived a second time, by another run of its parent."""
    if t.digest != digest:
        return STORE_TAKEN
    hold_results(s, t)
    if t.state == STORED_TASK_ORPHAN or t.state == STORED_TASK_FORSAKEN:
        t.home = s.asking
        t.epoch += 1
        t.attempt = 0             # as it is counted there
        t.max_retries = max_retries
        t.state = STORED_TASK_PENDING
    return STORE_OK if t.state == STORED_TASK_PENDING and t.home == s.asking else STORE_EXISTS


cdef void add_task(StoreState* s, TaskId id, const CommitHeader* h, const ObjectId* arguments,
                   const char* spec) noexcept nogil:
    cdef StoredTask* t = &s.tasks[id]
    cdef size_t i, n = 0
    t.id = id
    t.parent = h.parent
    t.before = h.before
    t.digest = h.digest
    t.home = s.asking
    t.spec = blob_copy(spec, h.spec_size)
    t.n_returns = h.n_returns
    t.max_retries = h.max_retries
    t.flags = h.flags
    t.state = STORED_TASK_PENDING
    for i in range(h.n_args):
        t.arguments.push_back(arguments[i])
        t.arguments.back().unused = 0
    sort(t.arguments.begin(), t.arguments.end())
    for i in range(t.arguments.size()):
        if i == 0 or not t.arguments[i] == t.arguments[n - 1]:
            t.arguments[n] = t.arguments[i]
            n += 1
    t.arguments.resize(n)
    hold_results(s, t)
    hold_arguments(s, t, HOLDER_TASK)


cdef bint is_made(StoreState* s, TaskId id, const CommitHeader* h) noexcept nogil:
    """Whether all that the task makes is there, though its row is not any more. Who commits it holds that."""
    cdef StoredObject* row
    cdef uint32_t i, count = 1 if h.n_returns == STREAMING else <uint32_t> h.n_returns
    for i in range(count):
        row = find_object(s, object_id(id, i))
        if row == NULL or row.state != STORED_READY and row.state != STORED_LOST:
            return False
    for i in range(count):
        hold_here(s, object_id(id, i), node_holder(s.asking))
    return count > 0


cdef bint on_commit(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef const CommitHeader* h = <const CommitHeader*> take(body, sizeof(CommitHeader))
    cdef const ObjectId* arguments
    cdef const char* spec
    cdef StoredTask* t
    cdef AttemptHeader now
    cdef uint16_t status = STORE_OK
    if h == NULL or h.n_returns < STREAMING or h.n_returns > RETURNS_MOST:
        return False
    arguments = <const ObjectId*> take(body, sizeof(ObjectId) * <uint64_t> h.n_args)
    spec = take_padded(body, h.spec_size)
    if body.failed:
        return False
    t = find_task(s, op.object.task)
    if t != NULL and t.state == STORED_TASK_RETIRED:
        erase_task(s, t)
        t = NULL
    if t == NULL and h.flags & COMMIT_KEPT and is_made(s, op.object.task, h):
        answer(s, op, STORE_EXISTS, NULL, 0)
        return True
    if t == NULL:
        add_task(s, op.object.task, h, arguments, spec)
        t = find_task(s, op.object.task)
    else:
        status = commit_again(s, t, h.digest, h.max_retries)
    if h.flags & COMMIT_KEPT and status != STORE_TAKEN:
        keep_for_parent(s, t, h.parent)
    now.epoch = t.epoch
    now.attempt = t.attempt
    answer(s, op, status, <const char*> &now, sizeof(AttemptHeader))
    return True


cdef void keep_for_parent(StoreState* s, const StoredTask* t, TaskId parent) noexcept nogil:
    """The parent holds what the task makes: if it runs again, it finds that it has made it before."""
    cdef vector[ObjectId] made
    cdef uint32_t i
    for i in range(<uint32_t> n_results(t)):
        made.push_back(object_id(t.id, i))
        hold_here(s, made.back(), task_holder(HOLDER_PARENT, parent))
    if made.empty():
        return
    if shard_of(parent, s.n_shards) == s.shard:
        add_made(s, parent, made.data(), made.size())
    else:
        forward(s, parent, OP_MADE, object_id(parent, 0), <const char*> made.data(), made.size() * sizeof(ObjectId),
                True)


cdef bint has_made(const StoredTask* t, ObjectId id) noexcept nogil:
    cdef size_t i
    for i in range(t.made.size()):
        if t.made[i] == id:
            return True
    return False


cdef void add_made(StoreState* s, TaskId parent, const ObjectId* made, size_t count) noexcept nogil:
    """The task holds what it has made as long as it may run again: no more if that is over."""
    cdef StoredTask* t = find_task(s, parent)
    cdef size_t i
    for i in range(count):
        if t == NULL or t.state == STORED_TASK_RETIRED:
            release(s, made[i], task_holder(HOLDER_PARENT, parent))
        elif not has_made(t, made[i]):
            t.made.push_back(made[i])
            t.made.back().unused = 0


cdef bint on_made(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    if body.left % sizeof(ObjectId):
        return False
    add_made(s, op.object.task, <const ObjectId*> body.data, body.left // sizeof(ObjectId))
    return True


cdef void release_made(StoreState* s, StoredTask* t) noexcept nogil:
    cdef size_t i
    for i in range(t.made.size()):
        release(s, t.made[i], task_holder(HOLDER_PARENT, t.id))
    t.made.clear()


# ---- attempts and ends -----------------------------------------------------------------------------------------

cdef uint16_t standing(StoreState* s, const StoredTask* t, uint32_t epoch) noexcept nogil:
    """How an endpoint's word about a task is taken that it works on under this epoch."""
    if t == NULL or t.state == STORED_TASK_RETIRED:
        return STORE_UNKNOWN
    return STORE_OK if t.epoch == epoch or planted(OLD_EPOCH) else STORE_STALE


cdef uint16_t standing_of_end(StoreState* s, const StoredTask* t, uint32_t epoch, uint32_t attempt) noexcept nogil:
    """Likewise of its end: an attempt after which the home has begun another does not count any more. What a log says
    of how a call ended counts if nobody else has said it."""
    cdef uint16_t status
    if epoch == EPOCH_OF_LOG:
        return STORE_UNKNOWN if t == NULL else STORE_OK if t.state < STORED_TASK_ENDED else STORE_STALE
    status = standing(s, t, epoch)
    return STORE_STALE if status == STORE_OK and attempt < t.attempt and not planted(OLD_EPOCH) else status


cdef bint on_attempt(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    """ATTEMPT, of the task's home; ADOPT, of who runs it for one that is dead."""
    cdef const AttemptHeader* h = <const AttemptHeader*> take(body, sizeof(AttemptHeader))
    cdef StoredTask* t = find_task(s, op.object.task)
    cdef uint16_t status
    if h == NULL:
        return False
    status = standing(s, t, h.epoch)
    if status == STORE_OK and op.kind == OP_ADOPT \
            and (t.state == STORED_TASK_ORPHAN or t.state == STORED_TASK_FORSAKEN):
        t.home = s.asking
        t.state = STORED_TASK_PENDING
    if status == STORE_OK and op.kind == OP_ATTEMPT and t.home == s.asking and t.state == STORED_TASK_ENDED \
            and t.n_returns == STREAMING and h.attempt > t.attempt:
        t.state = STORED_TASK_PENDING     # its end is here, but items of it were lost on their way to its home
        hold_arguments(s, t, HOLDER_TASK)
    if status == STORE_OK and (t.state != STORED_TASK_PENDING or t.home != s.asking):
        status = STORE_STALE
    if status == STORE_OK and op.kind == OP_ATTEMPT:
        t.attempt = h.attempt
    answer(s, op, status, NULL, 0)
    return True


cdef void end_task(StoreState* s, StoredTask* t) noexcept nogil:
    t.state = STORED_TASK_ENDED
    s.ended.push_back(t.id)


cdef void miss_results(StoreState* s, StoredTask* t) noexcept nogil:
    """What the task has made and its end does not bring was freed where it was made, before anybody else knew."""
    cdef StoredObject* row
    cdef uint32_t i
    for i in range(<uint32_t> n_results(t)):
        row = find_object(s, object_id(t.id, i))
        if row != NULL and (row.state == STORED_PENDING or row.state == STORED_REBUILT):
            row.state = STORED_MISSING
            s.unsettled.push_back(row.id)


cdef bint on_done(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    cdef const DoneHeader* h = <const DoneHeader*> take(body, sizeof(DoneHeader))
    cdef StoredTask* t = find_task(s, op.object.task)
    cdef Cursor checked
    cdef GivenValue value
    cdef uint16_t status
    cdef uint32_t _i
    if h == NULL:
        return False
    checked = body[0]
    for _i in range(h.n_values):
        if not take_given(&checked, &value):
            return False
    if checked.left:
        return False
    status = standing_of_end(s, t, h.epoch, h.attempt)
    if status == STORE_OK:
        for _i in range(h.n_values):
            take_given(body, &value)
            if value.head.index < n_results(t):
                give(s, object_id(t.id, value.head.index), &value)
        t.attempt = max(t.attempt, h.attempt)
        if not t.flags & SUBMIT_ACTOR:
            miss_results(s, t)
            end_task(s, t)
    answer(s, op, status, NULL, 0)
    return True


cdef bint on_failed(StoreState* s, const StoreOp* op, Cursor* body) noexcept nogil:
    """What the task has not made yet is this error."""
    cdef const AttemptHeader* h = <const AttemptHeader*> take(body, sizeof(AttemptHeader))
    cdef StoredTask* t = find_task(s, op.object.task)
    cdef uint16_t status
    if h == NULL or not envelope_valid(body.data, body.left):
        return False
    status = standing_of_end(s, t, h.epoch, h.attempt)
    if status == STORE_OK:
        t.attempt = max(t.attempt, h.attempt)
        fail(s, t, body.data, body.left)
    answer(s, op, status, NULL, 0)
    return True


cdef void fail(StoreState* s, StoredTask* t, const char* error, uint64_t size) noexcept nogil:
    cdef StoredObject* row
    cdef uint32_t i
    for i in range(<uint32_t> n_results(t)):
        row = find_object(s, object_id(t.id, i))
        if row != NULL and (row.state == STORED_PENDING or row.state == STORED_REBUILT):
            give_error(s, row, error, size)
    if not t.flags & SUBMIT_ACTOR:
        end_task(s, t)


cdef void fail_unended(StoreState* s, TaskId id, const char* error, uint64_t size) noexcept nogil:
    """If nobody has said how the task ended, it failed of this."""
    cdef StoredTask* t = find_task(s, id)
    if standing_of_end(s, t, EPOCH_OF_LOG, 0) == STORE_OK:
        fail(s, t, error, size)


# ---- made again ------------------------------------------------------------------------------------------------

cdef void run_again(StoreState* s, StoredTask* t, uint64_t home) noexcept nogil:
    """Give the task to a node that is from now on its home. What it had made and is still there stays."""
    cdef StoredObject* row
    cdef AttemptHeader now
    cdef uint64_t at = 0
    cdef uint32_t i
    cdef string* out
    t.home = home
    t.epoch += 1
    t.attempt += 1
    t.n_settled = 0
    t.state = STORED_TASK_PENDING
    hold_arguments(s, t, HOLDER_TASK)
    for i in range(<uint32_t> n_results(t)):
        row = find_object(s, object_id(t.id, i))
        if row != NULL and row.state == STORED_MISSING:
            row.state = STORED_REBUILT
            notify(s, row)
    out = begin_out(s, home, ENTRY_RERUN, 0, object_id(t.id, 0), &at)
    if out != NULL:
        now.epoch = t.epoch
        now.attempt = t.attempt
        out.append(<const char*> &now, sizeof(AttemptHeader))
        out.append(blob_data(t.spec), t.spec.size)
        end_item(out, at)


cdef const char* why_not(const StoredTask* t, uint32_t index) noexcept nogil:
    """Why an object cannot be made again; NULL if it can."""
    if index & PUT_INDEX:
        return b"its bytes are lost, and it was made by put, which cannot be repeated"
    if t == NULL or t.state == STORED_TASK_RETIRED:
        return b"its bytes are lost, and the task that made it is no longer in the lineage"
    if index >= n_results(t):
        return b"its bytes are lost, and it was an item of a stream, which cannot be repeated"
    if t.flags & SUBMIT_CALL:
        return b"its bytes are lost, and it was made by a method of an actor, which cannot be repeated"
    if (t.state == STORED_TASK_ENDED or t.state == STORED_TASK_FORSAKEN) and t.max_retries >= 0 \
            and t.attempt >= <uint32_t> t.max_retries:
        return b"its bytes are lost, and the task that made it has no retries left"
    return NULL


cdef bint rebuild(StoreState* s, StoredObject* row) noexcept nogil:
    """See to it that an object with a watcher is made, if nobody does. Whether the watchers were told."""
    cdef StoredTask* t = find_task(s, row.id.task)
    cdef bint missing = row.state == STORED_MISSING
    cdef bint forsaken = t != NULL and t.state == STORED_TASK_FORSAKEN and row.id.index < n_results(t) \
        and (row.state == STORED_PENDING or row.state == STORED_REBUILT)
    cdef const char* why
    if row.id.index == ACTOR_INDEX or row.watchers.empty() or not (missing or forsaken):
        return False
    why = why_not(t, row.id.index)
    if why != NULL:
        give_up(s, row, why)
        return True
    if t.state == STORED_TASK_ENDED or t.state == STORED_TASK_FORSAKEN:
        run_again(s, t, row.watchers[0])
    else:
        row.state = STORED_REBUILT
        notify(s, row)
    return missing


cdef void forsake(StoreState* s, StoredTask* t) noexcept nogil:
    """The task's home is dead, and who could have adopted it would have: who waits for it makes it, or nobody."""
    cdef StoredObject* row
    cdef uint32_t i
    t.state = STORED_TASK_FORSAKEN
    if t.flags & SUBMIT_ACTOR:
        creation_forsaken(s, t.id)
        return
    for i in range(<uint32_t> n_results(t)):
        row = find_object(s, object_id(t.id, i))
        if row != NULL:
            rebuild(s, row)
    s.ended.push_back(t.id)


# ---- forgotten -------------------------------------------------------------------------------------------------

cdef bint may_be_missed(const StoredTask* t, const StoredObject* row) noexcept nogil:
    """Whether the task may have to run again for this result. Of a stream its home may miss items yet."""
    return row.state != STORED_LOST if t.n_returns == STREAMING else not lacks_nothing(row)


cdef bint is_needed(StoreState* s, StoredTask* t) noexcept nogil:
    """Whether the task may have to run again."""
    cdef StoredObject* row
    if t.flags & SUBMIT_ACTOR:
        return actor_needs_creation(s, t.id)
    while t.n_settled < n_results(t):
        row = find_object(s, object_id(t.id, t.n_settled))
        if row != NULL and may_be_missed(t, row):
            return True
        t.n_settled += 1
    return False


cdef void erase_task(StoreState* s, StoredTask* t) noexcept nogil:
    blob_drop(t.spec)
    s.tasks.erase(t.id)


cdef void settle_task(StoreState* s, TaskId id) noexcept nogil:
    """The task has ended, or something that it made is there for good or gone for good."""
    cdef StoredTask* t = find_task(s, id)
    if t == NULL or t.state != STORED_TASK_ENDED and t.state != STORED_TASK_FORSAKEN:
        return
    if is_needed(s, t):
        if t.state == STORED_TASK_ENDED and not t.flags & SUBMIT_ACTOR:
            hold_arguments(s, t, HOLDER_LINEAGE)
        return
    hold_arguments(s, t, 0)
    release_made(s, t)
    if s.flushes:
        s.archive.push_back(task_record(t))
        erase_task(s, t)
    else:
        t.state = STORED_TASK_RETIRED
