"""Bottom-up scheduling, the way up: tasks of this node that run elsewhere (Ray paper, 4.2.2).

A task goes up if this node can never run it, or if it would wait here for longer than SPILL_NS. A global scheduler
says where to; the task is then sent there over the link between the two nodes, so that it runs once. This node stays
its home: it keeps the row, hears the result, decides on another attempt. What the task needs is sent along if it is
small; of the rest, where copies are.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset, strlen
from libcpp.algorithm cimport sort
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.unordered_set cimport unordered_set
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport depart, tell
from raylite._core.cluster.exposure cimport expose_task, task_committed
from raylite._core.cluster.groups cimport find_bundle, group_questions_lost
from raylite._core.cluster.homes cimport register_attempt, see_elsewhere
from raylite._core.cluster.message cimport ArgumentHint, NODE_CANCEL, NODE_FUNCTION_GONE, NODE_TASK, RESULT_REFUSED, \
    TaskHeader
from raylite._core.cluster.offers cimport on_offer_answered
from raylite._core.cluster.remote_actors cimport call_came_back
from raylite._core.cluster.remote_objects cimport is_at
from raylite._core.cluster.remote_streams cimport tell_reader_so_far
from raylite._core.cluster.specs cimport write_spec
from raylite._core.cluster.table cimport Peer, RemoteObject
from raylite._core.envelope cimport align8, Blob, blob_copy, blob_data, blob_drop, envelope_pickle, \
    ENVELOPE_RETRYABLE, envelope_valid, EnvelopeHeader, KIND_CHECKPOINT, KIND_SYSTEM_ERROR, KIND_USER_ERROR, \
    system_error
from raylite._core.ids cimport object_id, ObjectId, TaskId
from raylite._core.links.packet cimport SCHEDULER_ASK
from raylite._core.message cimport Cursor, STREAMING, take, take_padded
from raylite._core.node.actor_table cimport ActorRow, actors_find
from raylite._core.node.actors cimport actor_dies
from raylite._core.node.execution cimport arguments_exist, end_task, fail_task, function_name, \
    warn_if_infeasible
from raylite._core.node.group_events cimport doom_error
from raylite._core.node.objects cimport OBJECT_INLINE, OBJECT_PENDING, OBJECT_REMOTE, ObjectRow, objects_find
from raylite._core.node.recovery cimport task_lost
from raylite._core.node.references cimport store_blob
from raylite._core.node.resources cimport CPU, DOOM_NOT, DOOM_UNSCHEDULABLE, no_group, resources_lacking, Shape, UNIT
from raylite._core.node.retries cimport retry
from raylite._core.node.state cimport ERROR_ACTOR_UNAVAILABLE, ERROR_OUT_OF_MEMORY, ERROR_TASK_CANCELLED, \
    ERROR_WORKER_CRASHED, set_state, warn
from raylite._core.node.task_table cimport is_call, is_creation, TASK_CANCELLED, TASK_FAILED, TASK_FINISHED, \
    TASK_SPILLED, TASK_WAITING, tasks_find
from raylite._core.planted cimport LOST_WITH_NODE, planted
from raylite._core.scheduler.message cimport PLACE_INFEASIBLE, PLACE_NEAR_NODE, PLACE_NO_NODE, PLACE_ON_NODE, \
    PLACE_SPREAD, PlaceAnswer, PlaceArgument, PlaceQuestion
from raylite._core.store.message cimport DoneHeader, StoreValue

cdef enum:
    SPILL_NS = 10000000           # a longer wait here than this is worth the way to another node
    UNKNOWN_TASK_NS = 1000000     # what a task is taken to last when nothing has run yet
    ALONG_BYTES = 1 << 20         # of values that travel with a task
    REFUSALS_MOST = 3             # of a task whose node is not there, until it is taken for dead


# ---- whether, and where ----------------------------------------------------------------------------------------

cdef double expected_wait_ns(NodeState* n) noexcept nogil:
    """How long a task that becomes ready now would wait here."""
    cdef double mean = n.cluster.means.task_ns if n.cluster.means.task_ns else UNKNOWN_TASK_NS
    cdef double slots = n.scheduler.resources.total[CPU] / <double> UNIT
    return (n.scheduler.n_ready + n.scheduler.n_queued) * mean / (slots if slots > 1 else 1.0)


cdef bint wants_elsewhere(NodeState* n, const TaskRow* row) noexcept nogil:
    """Whether a task whose arguments exist should go up."""
    cdef const Shape* shape
    if not n.cluster.joined or row.placed or row.home or is_call(row):
        return False
    shape = &n.scheduler.resources.shapes[row.shape]
    if shape.doom != DOOM_NOT:
        return False
    if not no_group(shape.group) or shape.n_labels or resources_lacking(&n.scheduler.resources, row.shape) >= 0:
        return True
    if shape.strategy == PLACE_ON_NODE or shape.strategy == PLACE_NEAR_NODE:
        return shape.node != n.cluster.id
    return shape.strategy == PLACE_SPREAD or expected_wait_ns(n) > SPILL_NS


cdef void ask_for_place(NodeState* n, TaskRow* row) noexcept nogil:
    """The task goes up."""
    set_state(n, row, TASK_SPILLED, 0)
    row.runs_at = 0
    find_place_for(n, row)


cdef void find_place_for(NodeState* n, TaskRow* row) noexcept nogil:
    """Whether a node can be meant is known here; else a scheduler is asked at the end of this event."""
    cdef const Shape* shape = &n.scheduler.resources.shapes[row.shape]
    if shape.doom != DOOM_NOT:
        fail_unplaced(n, row, shape.doom)
    elif not no_group(shape.group):
        find_bundle(n, row)
    elif shape.strategy == PLACE_ON_NODE and address_of(n, &shape.node) == 0:
        node_missing(n, row)
    else:
        n.cluster.homeless.push_back(row.id)


cdef uint32_t address_of(NodeState* n, const string* id) noexcept nogil:
    """Of the node of this id; 0: it is not there."""
    it = n.cluster.addresses.find(id[0])
    if it != n.cluster.addresses.end():
        return deref(it).second
    return n.cluster.address if id[0] == n.cluster.id else 0


cdef void node_missing(NodeState* n, TaskRow* row) noexcept nogil:
    """The node on which the task must run is not there: it has failed, but if nobody has heard of that node yet."""
    row.n_refused += 1
    if row.n_refused < REFUSALS_MOST:
        n.cluster.refused.push_back(row.id)
    else:
        fail_unplaced(n, row, DOOM_UNSCHEDULABLE)


cdef void fail_unplaced(NodeState* n, TaskRow* row, int doom) noexcept nogil:
    """There is no node for the task, nor will there be."""
    cdef Blob* error = doom_error(n, row, doom)
    cdef ActorRow* actor = actors_find(&n.actors, row.id) if is_creation(row) else NULL
    if actor != NULL:
        actor.epoch = row.epoch
        actor.attempt = row.attempt
        actor_dies(n, actor, error, 0)
        return
    set_state(n, row, TASK_WAITING, 0)
    fail_task(n, row, error, TASK_FAILED)


cdef uint32_t append_arguments(NodeState* n, const TaskRow* row, string* out) noexcept nogil:
    """Of each large argument, once, its size, and where copies are. How many those are."""
    cdef PlaceArgument argument
    cdef const ObjectRow* object
    cdef vector[uint32_t] locations
    cdef unordered_set[ObjectId] seen
    cdef uint32_t count = 0
    cdef size_t i
    for i in range(row.refs.size()):
        object = objects_find(&n.objects, row.refs[i])
        if object.state == OBJECT_INLINE or not seen.insert(row.refs[i]).second:
            continue
        count += 1
        memset(&argument, 0, sizeof(PlaceArgument))
        argument.object = row.refs[i]
        argument.size = object.size
        locations.clear()
        if n.cluster.remote.count(object.id):     # also if it is here by now: who made it has it too
            locations = n.cluster.remote[object.id].locations
        if object.state != OBJECT_REMOTE:
            locations.push_back(n.cluster.address)
        argument.n_locations = <uint32_t> locations.size()
        out.append(<const char*> &argument, sizeof(PlaceArgument))
        out.append(<const char*> locations.data(), 4 * locations.size())
        out.resize(align8(out.size()))
    return count


cdef void append_question(NodeState* n, const TaskRow* row, uint64_t token, uint32_t queued_at,
                          string* out) noexcept nogil:
    """Where the task is to run; it waits in this node's queue, if that is given."""
    cdef const Shape* shape = &n.scheduler.resources.shapes[row.shape]
    cdef const string* demand = &shape.key
    cdef PlaceQuestion question
    cdef size_t at = out.size()
    memset(&question, 0, sizeof(PlaceQuestion))
    question.token = token
    question.function = row.function
    question.demand_size = <uint32_t> demand.size()
    question.strategy = shape.strategy
    question.n_labels = shape.n_labels
    question.node = queued_at
    if shape.strategy == PLACE_ON_NODE or shape.strategy == PLACE_NEAR_NODE:
        question.node = address_of(n, &shape.node)
    out.append(<const char*> &question, sizeof(PlaceQuestion))
    out.append(demand[0])
    out.resize(align8(out.size()))
    question.n_arguments = append_arguments(n, row, out)
    out.append(shape.labels)
    memcpy(&out[0][at], &question, sizeof(PlaceQuestion))


cdef void ask_scheduler(NodeState* n) noexcept nogil:
    """Ask about all tasks that wait for a place, in one message; later, if there is no scheduler now."""
    cdef vector[TaskId] tasks
    cdef string out
    cdef TaskRow* row
    cdef size_t i
    if n.cluster.schedulers.empty() or n.cluster.homeless.empty():
        return
    tasks.swap(n.cluster.homeless)
    for i in range(tasks.size()):
        row = tasks_find(&n.tasks, tasks[i])
        if row == NULL or row.state != TASK_SPILLED or row.runs_at:
            continue
        n.cluster.last_question += 1
        row.wait_number = n.cluster.last_question
        n.cluster.questions[row.wait_number] = row.id
        append_question(n, row, row.wait_number, 0, &out)
    if out.size():
        tell(n, scheduler_for(n), SCHEDULER_ASK, blob_copy(out.data(), out.size()))


cdef void ask_again_later(NodeState* n) noexcept nogil:
    """Time has passed: nodes may have come, or be free."""
    cdef vector[TaskId] refused
    cdef TaskRow* row
    cdef size_t i
    refused.swap(n.cluster.refused)
    for i in range(refused.size()):
        row = tasks_find(&n.tasks, refused[i])
        if row != NULL and row.state == TASK_SPILLED and row.runs_at == 0:
            find_place_for(n, row)


cdef uint32_t scheduler_for(NodeState* n) noexcept nogil:
    """Nodes spread over the schedulers."""
    cdef size_t skip = (n.cluster.address + n.cluster.last_question) % n.cluster.schedulers.size()
    it = n.cluster.schedulers.begin()
    for _ in range(skip):
        preincrement(it)
    return deref(it)


cdef void questions_lost(NodeState* n) noexcept nogil:
    """A scheduler is gone: what was asked and not answered is asked again. An answer that comes yet is ignored."""
    for entry in n.cluster.questions:
        n.cluster.homeless.push_back(entry.second)
    n.cluster.questions.clear()
    n.cluster.offers.clear()
    group_questions_lost(n)


cdef bint on_placement(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A scheduler has answered. False if it is malformed."""
    cdef const PlaceAnswer* answers = <const PlaceAnswer*> payload
    cdef TaskRow* row
    cdef size_t i
    if m.size % sizeof(PlaceAnswer):
        return False
    for i in range(m.size // sizeof(PlaceAnswer)):
        if n.cluster.offers.count(answers[i].token):
            on_offer_answered(n, &answers[i])
            continue
        it = n.cluster.questions.find(answers[i].token)
        if it == n.cluster.questions.end():
            continue
        row = tasks_find(&n.tasks, deref(it).second)
        n.cluster.questions.erase(answers[i].token)
        if row != NULL and row.state == TASK_SPILLED and row.runs_at == 0:
            if answers[i].address == 0:
                on_refusal(n, row, &answers[i])
            else:
                place(n, row, answers[i].address)
    return True


cdef void on_refusal(NodeState* n, TaskRow* row, const PlaceAnswer* answer) noexcept nogil:
    """No node can run the task now. Unless it must be a certain one, there may be one later."""
    cdef bint is_certain = n.scheduler.resources.shapes[row.shape].strategy == PLACE_ON_NODE
    if is_certain and answer.refusal == PLACE_NO_NODE:
        node_missing(n, row)
    elif is_certain and answer.refusal == PLACE_INFEASIBLE:
        fail_unplaced(n, row, DOOM_UNSCHEDULABLE)
    else:
        if answer.refusal == PLACE_INFEASIBLE and n.scheduler.resources.shapes[row.shape].n_labels:
            warn_of_labels(n, row)
        warn_if_infeasible(n, row)
        n.cluster.refused.push_back(row.id)


cdef void warn_of_labels(NodeState* n, const TaskRow* row) noexcept nogil:
    """Say once for each shape that no node has the labels and the resources that it asks for."""
    cdef string text, name
    while n.scheduler.warned.size() <= row.shape:
        n.scheduler.warned.push_back(False)
    if n.scheduler.warned[row.shape]:
        return
    n.scheduler.warned[row.shape] = True
    text.assign(b"No node can run ")
    text.append(deref(function_name(n, row, &name)))
    text.append(b": none with the labels that it asks for has the resources. The task waits until there is one.")
    warn(n, &text)


cdef void place(NodeState* n, TaskRow* row, uint32_t address) noexcept nogil:
    row.n_refused = 0
    if address == n.cluster.address:
        row.placed = True
        set_state(n, row, TASK_WAITING, 0)
        arguments_exist(n, row)
    elif n.cluster.peers.count(address):
        send_task(n, row, address)
    else:                         # it has just gone: asked again with the next tick
        n.cluster.refused.push_back(row.id)


# ---- there -----------------------------------------------------------------------------------------------------

cdef void append_hint(NodeState* n, const ObjectId* id, string* out, uint64_t* along) noexcept nogil:
    """What is known of an argument: the value, if it is small, or where copies are."""
    cdef ObjectRow* object = objects_find(&n.objects, id[0])
    cdef ArgumentHint hint
    cdef const RemoteObject* remote
    memset(&hint, 0, sizeof(ArgumentHint))
    hint.kind = object.kind
    hint.flags = object.flags
    hint.size = object.size
    if object.state == OBJECT_INLINE and along[0] + object.size <= ALONG_BYTES:
        along[0] += object.size
        hint.is_inline = 1
        out.append(<const char*> &hint, sizeof(ArgumentHint))
        out.append(blob_data(object.blob), object.size)
    elif object.state == OBJECT_REMOTE:
        remote = &n.cluster.remote[object.id]
        hint.n_locations = <uint32_t> remote.locations.size()
        out.append(<const char*> &hint, sizeof(ArgumentHint))
        out.append(<const char*> remote.locations.data(), 4 * remote.locations.size())
    else:
        hint.n_locations = 1
        out.append(<const char*> &hint, sizeof(ArgumentHint))
        out.append(<const char*> &n.cluster.address, 4)
    out.resize(align8(out.size()))


cdef void append_function(NodeState* n, Peer* peer, ObjectId id, TaskHeader* head, string* out) noexcept nogil:
    """The function, to a node that has not had it from here."""
    cdef ObjectRow* row = objects_find(&n.objects, id)
    cdef Blob* name
    if row == NULL or row.state != OBJECT_INLINE or not peer.functions.insert(id).second:
        return
    head.function_size = <uint32_t> row.size
    out.append(blob_data(row.blob), row.size)
    out.resize(align8(out.size()))
    if n.functions.count(id):
        name = n.functions[id].name
        head.name_size = <uint32_t> name.size
        out.append(blob_data(name), name.size)
        out.resize(align8(out.size()))


cdef void function_gone(NodeState* n, ObjectId id) noexcept nogil:
    """No task here needs the function any more: nodes that were sent it need not keep it for this one."""
    for entry in n.cluster.peers:
        if n.cluster.peers[entry.first].functions.erase(id):
            depart(n, entry.first, NODE_FUNCTION_GONE, NULL, NULL).object = id


cdef void append_environment(NodeState* n, Peer* peer, uint64_t environment, TaskHeader* head,
                             string* out) noexcept nogil:
    cdef const string* text
    if environment == 0 or n.scheduler.resources.environments.count(environment) == 0 \
            or not peer.environments.insert(environment).second:
        return
    text = &n.scheduler.resources.environments[environment]
    head.environment = environment
    head.environment_size = <uint32_t> text.size()
    out.append(text[0])
    out.resize(align8(out.size()))


cdef Blob* write_task(NodeState* n, TaskRow* row, Peer* peer) noexcept nogil:
    cdef TaskHeader head
    cdef string out
    cdef Blob* spec = write_spec(n, row)
    cdef uint64_t along = 0
    cdef size_t i
    memset(&head, 0, sizeof(TaskHeader))
    head.epoch = row.epoch
    head.actor_epoch = actors_find(&n.actors, row.actor).epoch if is_call(row) else 0
    head.n_moves = row.n_moves
    head.n_hints = <uint32_t> row.refs.size()
    head.spec_size = <uint32_t> spec.size
    out.append(<const char*> &head, sizeof(TaskHeader))
    out.append(blob_data(spec), spec.size)
    out.resize(align8(out.size()))
    blob_drop(spec)
    append_function(n, peer, row.function, &head, &out)
    append_environment(n, peer, n.scheduler.resources.shapes[row.shape].environment, &head, &out)
    for i in range(row.refs.size()):
        append_hint(n, &row.refs[i], &out, &along)
    memcpy(&out[0], &head, sizeof(TaskHeader))
    return blob_copy(out.data(), out.size())


cdef bint has_references(const TaskRow* row) noexcept nogil:
    """Whether the task is given references, which it may pass on, hold, and ask the store about."""
    return row.arguments != NULL and (<const EnvelopeHeader*> blob_data(row.arguments)).n_refs != 0


cdef void send_task(NodeState* n, TaskRow* row, uint32_t address) noexcept nogil:
    """Give the task away. It may travel before it is committed; references in it may not before they are known."""
    cdef Message* m
    cdef Blob* payload
    expose_task(n, row.id)
    payload = write_task(n, row, &n.cluster.peers[address])
    row.runs_at = address
    if has_references(row):
        m = depart(n, address, NODE_TASK, payload, NULL)
    else:
        m = tell(n, address, NODE_TASK, payload)
    m.object = object_id(row.id, 0)
    m.attempt = row.attempt
    m.job = row.job
    if row.acknowledged:
        task_committed(n, row.id)
    if row.n_returns == STREAMING:
        tell_reader_so_far(n, row)


cdef void on_task_back(NodeState* n, uint32_t source, const Message* m) noexcept nogil:
    """The node cannot run it: another is looked for."""
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    if row != NULL and row.state == TASK_SPILLED and row.runs_at == source and row.attempt == m.attempt:
        if is_call(row):
            call_came_back(n, row)
            return
        row.runs_at = 0
        row.n_moves += row.n_moves < MOVES_MOST
        if no_group(n.scheduler.resources.shapes[row.shape].group):
            find_place_for(n, row)
        else:                     # there is no other node to ask
            n.cluster.refused.push_back(row.id)


cdef void cancel_spilled(NodeState* n, TaskRow* row) noexcept nogil:
    """A task that was given away is not wanted any more: it ends here, or where it runs."""
    cdef Message* m
    if row.runs_at == 0:
        fail_task(n, row, system_error(ERROR_TASK_CANCELLED, b"cancelled", 9), TASK_CANCELLED)
        return
    m = depart(n, row.runs_at, NODE_CANCEL, NULL, NULL)
    m.object = object_id(row.id, 0)
    m.attempt = row.attempt
    m.flags = row.cancelled


# ---- and back --------------------------------------------------------------------------------------------------

cdef const StoreValue* take_stored(Cursor* c, const char** body) noexcept nogil:
    """A StoreValue with its references; `body` is the inline value, or NULL."""
    cdef const StoreValue* v = <const StoreValue*> take(c, sizeof(StoreValue))
    body[0] = NULL
    if v == NULL or v.kind > KIND_CHECKPOINT or take(c, sizeof(ObjectId) * <unsigned long long> v.n_refs) == NULL:
        return NULL
    if v.is_inline:
        body[0] = take_padded(c, v.size)
        if body[0] == NULL or not envelope_valid(body[0], v.size):
            return NULL
    return v


cdef bint values_valid(Cursor c, uint32_t count) noexcept nogil:
    cdef const char* body = NULL
    for _ in range(count):
        if take_stored(&c, &body) == NULL:
            return False
    return True


cdef bint worth_another_try(const StoreValue* v, const char* body) noexcept nogil:
    """Whether a retry may help: an error that the task's options name, or a process that died."""
    cdef uint32_t code = 0
    if v.kind == KIND_USER_ERROR:
        return v.flags & ENVELOPE_RETRYABLE != 0
    if v.kind == KIND_SYSTEM_ERROR and body != NULL:
        memcpy(&code, envelope_pickle(body), 4)
        return code == ERROR_WORKER_CRASHED or code == ERROR_OUT_OF_MEMORY or code == ERROR_ACTOR_UNAVAILABLE
    return False


cdef bint on_result(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """A task that was given away has ended. False if the message is malformed."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const DoneHeader* head = <const DoneHeader*> take(&c, sizeof(DoneHeader))
    cdef TaskRow* row = tasks_find(&n.tasks, m.object.task)
    cdef Cursor again = c
    cdef const StoreValue* v
    cdef const char* body = NULL
    cdef bint failed = False
    cdef bint counts = row != NULL and row.state == TASK_SPILLED and row.runs_at == source and row.attempt == m.attempt
    if m.flags & RESULT_REFUSED:
        if counts:
            see_elsewhere(n, row)
        return True
    if head == NULL or not values_valid(c, head.n_values):
        return False
    if not counts:
        return True
    if head.n_values:
        v = take_stored(&again, &body)
        failed = v.kind == KIND_USER_ERROR or v.kind == KIND_SYSTEM_ERROR
        if row.retries_left and not row.cancelled and worth_another_try(v, body):
            retry(n, row)
            return True
    for _ in range(head.n_values):
        v = take_stored(&c, &body)
        take_result(n, object_id(row.id, v.index), source, v, body)
    row.n_yielded = max(row.n_yielded, head.n_yielded)
    end_task(n, row, TASK_CANCELLED if failed and row.cancelled else TASK_FAILED if failed else TASK_FINISHED, 0)
    return True


cdef void take_result(NodeState* n, ObjectId id, uint32_t source, const StoreValue* v, const char* body) noexcept nogil:
    cdef ObjectRow* result = objects_find(&n.objects, id)
    if result == NULL or result.state != OBJECT_PENDING:
        return
    if body != NULL:
        store_blob(n, result, blob_copy(body, v.size))
    else:
        is_at(n, result, v.size, &source, 1)


cdef void creation_lost(NodeState* n, TaskRow* row) noexcept nogil:
    """The node that was to make an actor is gone: another does."""
    row.runs_at = 0
    row.attempt += 1
    set_state(n, row, TASK_WAITING, 0)
    register_attempt(n, row)


cdef void spilled_lost(NodeState* n, uint32_t address) noexcept nogil:
    """A node is gone: what it ran for this one has lost an attempt."""
    cdef const char* why = b"its node died"
    cdef vector[TaskId] ids
    cdef TaskRow* row
    cdef size_t i
    cdef unordered_map[TaskId, TaskRow].iterator it = n.tasks.rows.begin()
    while it != n.tasks.rows.end():   # not a for loop, which would copy the rows
        if deref(it).second.state == TASK_SPILLED and deref(it).second.runs_at == address:
            ids.push_back(deref(it).first)
        preincrement(it)
    sort(ids.begin(), ids.end())
    for i in range(ids.size()):
        row = tasks_find(&n.tasks, ids[i])
        if planted(LOST_WITH_NODE):
            continue
        if is_creation(row):
            creation_lost(n, row)
        else:
            task_lost(n, row, 0, ERROR_WORKER_CRASHED, why, strlen(why))
