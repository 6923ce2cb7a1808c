"""Who waits for what: why an object is not there, down to what runs, what lacks, or a circle.

From a reference, or from what a client waits in, the steps that it waits for are looked at, breadth first, and those
after them. Then is found which of them will go on: what runs does; what waits for all of several things does if they
all do, what waits for any of them if one does. The rest is stuck. What is told is one chain: of a stuck step, through
stuck ones, to something that cannot be had, or back to a step before it, which is a circle; of another, to something
that goes on. A step whose waiting is not understood in full counts as one that goes on, so that no circle is claimed
where there is none. Nothing is kept for this while the node works: all is found in its tables when somebody asks.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memset
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob, blob_data
from raylite._core.ids cimport ACTOR_INDEX, object_id, ObjectId, PUT_INDEX, same_task, TaskId
from raylite._core.message cimport EV_NEXT, EV_WAIT, STREAMING
from raylite._core.node.actor_table cimport ACTOR_ALIVE, ActorRow, actors_find, CallGroup
from raylite._core.node.local_scheduler cimport n_shared, Run, Worker, worker_find
from raylite._core.node.objects cimport object_exists, OBJECT_PENDING, object_ready, OBJECT_REMOTE, ObjectRow, \
    objects_find, REACH_FOREIGN
from raylite._core.node.placement_groups cimport GROUP_PENDING, group_possible, groups_find, needs_nodes, \
    PlacementGroup
from raylite._core.node.reports cimport append, name_of, process_of
from raylite._core.node.resources cimport no_group, resource_asked_for, RESOURCE_CPU, RESOURCE_GPU, Resources, \
    resources_fit
from raylite._core.node.state cimport Request, request_key
from raylite._core.node.task_table cimport is_call, LISTED_CALLER, LISTED_READY, TASK_BLOCKED, TASK_PLACED, \
    TASK_READY, TASK_RUNNING, TASK_SPILLED, TASK_WAITING, TaskRow, tasks_find

cdef struct Step:
    uint8_t kind                  # StepKind
    uint8_t reason                # StepReason
    bint goes_on
    bint is_cut                   # it waits for more than `next` has
    uint32_t rank                 # the order in which steps were found to go on
    uint32_t n_needed             # of `next` have to go on, so that it does
    uint32_t n_awaited            # what it waits for, be it in `next` or not
    ObjectId object               # what it is; of a task, actor or group the task half
    uint64_t request
    int64_t resource              # that it lacks; -1: none
    vector[uint32_t] next

cdef struct Holder:
    TaskId id
    uint32_t kind
    uint32_t process
    int64_t amount

cdef struct Search:
    NodeState* n
    vector[Step] steps            # those before `n_done` have been looked at
    uint32_t n_done
    ordered_map[pair[uint32_t, ObjectId], uint32_t] known
    ordered_map[pair[TaskId, uint64_t], uint64_t] requests    # keys of n.requests, by who asks
    bint is_cut


# ---- the steps -------------------------------------------------------------------------------------------------

cdef uint32_t step_at(Search* s, uint32_t kind, ObjectId id) noexcept nogil:
    """The number of a step; a new one is looked at later."""
    cdef pair[uint32_t, ObjectId] key = pair[uint32_t, ObjectId](kind, id)
    cdef Step step
    it = s.known.find(key)
    if it != s.known.end():
        return deref(it).second
    step.kind = <uint8_t> kind
    step.reason = STEP_LATER
    step.goes_on = step.is_cut = False
    step.rank = step.n_needed = step.n_awaited = 0
    step.object = id
    step.request = 0
    step.resource = -1
    s.known[key] = <uint32_t> s.steps.size()
    s.steps.push_back(step)
    return <uint32_t> s.steps.size() - 1


cdef void wait_for(Search* s, uint32_t number, uint32_t kind, ObjectId id) noexcept nogil:
    """One thing more that the step waits for."""
    cdef uint32_t awaited
    s.steps[number].n_awaited += 1
    if s.steps[number].next.size() >= WAIT_BRANCHES_MOST or s.steps.size() >= WAIT_STEPS_MOST:
        s.steps[number].is_cut = True
        return
    awaited = step_at(s, kind, id)
    s.steps[number].next.push_back(awaited)


cdef void wait_for_task(Search* s, uint32_t number, TaskId task) noexcept nogil:
    wait_for(s, number, STEP_TASK, object_id(task, 0))


cdef void needs_all(Search* s, uint32_t number, uint32_t reason) noexcept nogil:
    s.steps[number].reason = <uint8_t> reason
    s.steps[number].n_needed = <uint32_t> s.steps[number].next.size()


cdef void needs_any(Search* s, uint32_t number, uint32_t reason) noexcept nogil:
    """Of what was not looked at, some may go on."""
    s.steps[number].reason = <uint8_t> reason
    s.steps[number].n_needed = 0 if s.steps[number].is_cut or s.steps[number].next.empty() else 1


cdef void ends_with(Search* s, uint32_t number, uint32_t reason) noexcept nogil:
    s.steps[number].reason = <uint8_t> reason


cdef void is_stuck(Search* s, uint32_t number, uint32_t reason) noexcept nogil:
    """The step will not go on by itself."""
    s.steps[number].reason = <uint8_t> reason
    s.steps[number].n_needed = 1


# ---- requests --------------------------------------------------------------------------------------------------

cdef void gather_requests(Search* s) noexcept nogil:
    cdef unordered_map[uint64_t, Request].iterator it = s.n.requests.begin()
    while it != s.n.requests.end():
        s.requests[pair[TaskId, uint64_t](deref(it).second.task, deref(it).first)] = deref(it).first
        preincrement(it)


cdef void await_request(Search* s, uint32_t number, const Request* r) noexcept nogil:
    """What a request waits for, in turn."""
    cdef ObjectRow* row
    cdef size_t i
    for i in range(r.ids.size()):
        row = objects_find(&s.n.objects, r.ids[i])
        if row == NULL or not object_ready(row):
            wait_for(s, number, STEP_OBJECT, r.ids[i])


cdef void look_at_request(Search* s, uint32_t number, const Request* r) noexcept nogil:
    cdef uint32_t there
    await_request(s, number, r)
    if r.kind == EV_WAIT:
        needs_any(s, number, STEP_WAITS)
        there = <uint32_t> r.ids.size() - s.steps[number].n_awaited
        if s.steps[number].n_needed and r.n_wanted > there:
            s.steps[number].n_needed = <uint32_t> min(r.n_wanted - there, <uint64_t> s.steps[number].next.size())
    else:
        needs_all(s, number, STEP_NEXT if r.kind == EV_NEXT else STEP_GETS)


cdef void look_at_running(Search* s, uint32_t number, const TaskRow* row) noexcept nogil:
    """A task that runs, perhaps in a get or its like; in several at once, any of them may let it go on."""
    cdef ordered_map[pair[TaskId, uint64_t], uint64_t].iterator it
    cdef const Worker* w = worker_find(&s.n.scheduler, row.worker)
    cdef const Request* r = NULL
    cdef uint32_t n_requests = 0
    if row.read_request:
        ends_with(s, number, STEP_READER)
        return
    it = s.requests.lower_bound(pair[TaskId, uint64_t](row.id, 0))
    while it != s.requests.end() and same_task(deref(it).first.first, row.id):
        r = &s.n.requests[deref(it).second]
        n_requests += 1
        preincrement(it)
        if n_requests == 1:
            s.steps[number].request = r.id
            look_at_request(s, number, r)
        else:
            await_request(s, number, r)
            needs_any(s, number, s.steps[number].reason)
    if r == NULL:
        ends_with(s, number, STEP_STARTS if w != NULL and not w.attached else STEP_RUNS)


# ---- resources -------------------------------------------------------------------------------------------------

cdef int64_t amount_of(const Resources* r, uint32_t shape, int64_t resource) noexcept nogil:
    cdef size_t i
    for i in range(r.shapes[shape].amounts.size()):
        if r.shapes[shape].amounts[i].resource == <uint32_t> resource:
            return r.shapes[shape].amounts[i].amount
    return 0


cdef int64_t lacking_now(const Resources* r, uint32_t shape) noexcept nogil:
    """The first resource of which too little is available; GPUs also when they are there in pieces. -1: none."""
    cdef size_t i
    cdef int64_t of_gpus = -1
    for i in range(r.shapes[shape].amounts.size()):
        if r.shapes[shape].amounts[i].amount > r.available[r.shapes[shape].amounts[i].resource]:
            return r.shapes[shape].amounts[i].resource
        if r.kinds[r.shapes[shape].amounts[i].resource] == RESOURCE_GPU:
            of_gpus = r.shapes[shape].amounts[i].resource
    return -1 if resources_fit(r, shape) else of_gpus


cdef void add_holder(NodeState* n, const Worker* w, const Run* run, int64_t resource, vector[Holder]* out) \
        noexcept nogil:
    cdef const Resources* r = &n.scheduler.resources
    cdef Holder h
    h.amount = amount_of(r, run.shape, resource)
    if h.amount == 0 or (run.lent and r.kinds[resource] == RESOURCE_CPU):
        return
    if w.settled and r.kinds[resource] == RESOURCE_CPU and not w.keeps_cpu:
        return
    h.kind = STEP_ACTOR if w.settled else STEP_TASK
    h.id = w.actor if w.settled else run.task
    h.process = w.process
    out.push_back(h)


cdef void find_holders(NodeState* n, int64_t resource, vector[Holder]* out) noexcept nogil:
    """Who has some of a resource, by number: workers' tasks, actors, then placement groups."""
    cdef ordered_map[uint32_t, Worker].iterator it = n.scheduler.workers.begin()
    cdef ordered_map[TaskId, PlacementGroup].iterator group = n.groups.rows.begin()
    cdef const Worker* w
    cdef Holder h
    cdef size_t i, j
    while it != n.scheduler.workers.end():
        w = &deref(it).second
        preincrement(it)
        if w.settled:
            add_holder(n, w, &w.life, resource, out)
        for i in range(w.running.size()):
            add_holder(n, w, &w.running[i], resource, out)
    while group != n.groups.rows.end():
        h.id, h.kind, h.process, h.amount = deref(group).first, STEP_GROUP, 0, 0
        for i in range(deref(group).second.bundles.size()):
            bundle = &deref(group).second.bundles[i]
            for j in range(bundle.amounts.size() if bundle.is_here else 0):
                if bundle.amounts[j].resource == <uint32_t> resource:
                    h.amount += bundle.amounts[j].amount
        if h.amount:
            out.push_back(h)
        preincrement(group)


cdef void lack(Search* s, uint32_t number, int64_t resource) noexcept nogil:
    """The step waits until one who has this resource gives it back: a task does once it ends, others may at any time.
    """
    cdef vector[Holder] holders
    cdef bint any_may = False
    cdef size_t i
    s.steps[number].resource = resource
    find_holders(s.n, resource, &holders)
    for i in range(holders.size()):
        if holders[i].kind == STEP_TASK:
            wait_for_task(s, number, holders[i].id)
        else:
            any_may = True
    needs_any(s, number, STEP_RESOURCES)
    if any_may:
        s.steps[number].n_needed = 0


# ---- tasks -----------------------------------------------------------------------------------------------------

cdef void look_at_arguments(Search* s, uint32_t number, const TaskRow* row) noexcept nogil:
    cdef const ObjectRow* argument
    cdef size_t i
    for i in range(row.refs.size() + 1):      # the function is the last
        argument = objects_find(&s.n.objects, row.refs[i] if i < row.refs.size() else row.function)
        if argument != NULL and not object_ready(argument):
            wait_for(s, number, STEP_OBJECT, argument.id)
    needs_all(s, number, STEP_ARGUMENTS)


cdef void look_at_ready(Search* s, uint32_t number, const TaskRow* row) noexcept nogil:
    """A task that has all but a place."""
    cdef Resources* r = &s.n.scheduler.resources
    cdef const PlacementGroup* group = groups_find(&s.n.groups, r.shapes[row.shape].group)
    cdef int64_t lacking = lacking_now(r, row.shape)
    if group != NULL and group.state == GROUP_PENDING:
        wait_for(s, number, STEP_GROUP, object_id(group.id, 0))
        needs_all(s, number, STEP_IN_GROUP)
    elif lacking < 0:
        ends_with(s, number, STEP_PROCESS)
    elif amount_of(r, row.shape, lacking) > r.total[lacking] and not s.n.cluster.joined:
        s.steps[number].resource = lacking
        is_stuck(s, number, STEP_TOO_MUCH)
    else:
        lack(s, number, lacking)


cdef void look_at_turn(Search* s, uint32_t number, const TaskRow* row, ActorRow* actor) noexcept nogil:
    """A call that has its arguments, of an actor that is there."""
    cdef CallGroup* group = &actor.groups[row.group]
    cdef const TaskRow* other
    cdef uint32_t n_before = 0
    if row.listed == LISTED_CALLER and actor.callers.count(row.parent) and actor.callers[row.parent].head != row:
        wait_for_task(s, number, actor.callers[row.parent].head.id)
        needs_all(s, number, STEP_TURN)
        return
    if actor.again.head != NULL and row.listed == LISTED_READY:
        wait_for_task(s, number, actor.again.head.id)
        needs_all(s, number, STEP_REPLAYS)
        return
    other = group.sent.head
    while other != NULL:
        if other.state == TASK_RUNNING or other.state == TASK_BLOCKED:
            wait_for_task(s, number, other.id)
        other = other.next
    other = group.sent.head if row.state == TASK_PLACED else group.ready.head
    while other != NULL and other != row:
        n_before += other.state == row.state
        other = other.next
    needs_any(s, number, STEP_BUSY)
    s.steps[number].request = n_before + (group.sent.size - group.n_running if row.state != TASK_PLACED else 0)


cdef void look_at_call(Search* s, uint32_t number, const TaskRow* row) noexcept nogil:
    cdef ActorRow* actor = actors_find(&s.n.actors, row.actor)
    if actor == NULL:
        ends_with(s, number, STEP_GONE)
    elif actor.node:
        ends_with(s, number, STEP_ELSEWHERE)
    elif actor.state != ACTOR_ALIVE:
        wait_for(s, number, STEP_ACTOR, object_id(row.actor, 0))
        needs_all(s, number, STEP_ACTOR_AWAY)
    else:
        look_at_turn(s, number, row, actor)


cdef void look_at_queued(Search* s, uint32_t number, const TaskRow* row) noexcept nogil:
    """A task behind what its worker runs."""
    cdef const Worker* w = worker_find(&s.n.scheduler, row.worker)
    if w != NULL and not w.running.empty():
        wait_for_task(s, number, w.running.back().task)
    needs_any(s, number, STEP_QUEUED)


cdef void look_at_task(Search* s, uint32_t number) noexcept nogil:
    cdef const TaskRow* row = tasks_find(&s.n.tasks, s.steps[number].object.task)
    if row == NULL:
        ends_with(s, number, STEP_GONE)
    elif row.state == TASK_RUNNING or row.state == TASK_BLOCKED:
        look_at_running(s, number, row)
    elif row.state == TASK_SPILLED:
        ends_with(s, number, STEP_ELSEWHERE if row.runs_at else STEP_PLACING)
    elif row.state == TASK_WAITING and row.n_unresolved:
        look_at_arguments(s, number, row)
    elif is_call(row):
        look_at_call(s, number, row)
    elif row.state == TASK_PLACED:
        look_at_queued(s, number, row)
    elif row.state == TASK_READY:
        look_at_ready(s, number, row)
    else:
        ends_with(s, number, STEP_THERE if row.state > TASK_SPILLED else STEP_LATER)


# ---- what else there is ----------------------------------------------------------------------------------------

cdef void look_at_object(Search* s, uint32_t number) noexcept nogil:
    cdef ObjectId id = s.steps[number].object
    cdef const ObjectRow* row = objects_find(&s.n.objects, id)
    cdef const TaskRow* creator = tasks_find(&s.n.tasks, id.task)
    cdef const ObjectRow* stream = objects_find(&s.n.objects, object_id(id.task, 0))
    cdef bint is_item = creator != NULL and creator.n_returns == STREAMING and id.index and not id.index & PUT_INDEX
    if id.index == ACTOR_INDEX and actors_find(&s.n.actors, id.task) != NULL:
        wait_for(s, number, STEP_ACTOR, object_id(id.task, 0))
        needs_all(s, number, STEP_MADE)
    elif row != NULL and object_ready(row):
        ends_with(s, number, STEP_THERE)
    elif row == NULL and not is_item:
        ends_with(s, number, STEP_GONE)
    elif is_item and stream != NULL and object_exists(stream):
        ends_with(s, number, STEP_THERE)      # the stream has ended
    elif row != NULL and (row.state == OBJECT_REMOTE or creator == NULL and row.reach & REACH_FOREIGN):
        ends_with(s, number, STEP_FETCHED)
    elif row != NULL and row.state != OBJECT_PENDING or creator == NULL:
        ends_with(s, number, STEP_GONE)
    else:
        wait_for_task(s, number, id.task)
        needs_all(s, number, STEP_MADE)


cdef void look_at_actor(Search* s, uint32_t number) noexcept nogil:
    cdef const ActorRow* actor = actors_find(&s.n.actors, s.steps[number].object.task)
    if actor == NULL:
        ends_with(s, number, STEP_GONE)
    elif actor.node:
        ends_with(s, number, STEP_ELSEWHERE)
    elif actor.state == ACTOR_ALIVE or tasks_find(&s.n.tasks, actor.id) == NULL:
        ends_with(s, number, STEP_THERE)
    else:
        wait_for_task(s, number, actor.id)
        needs_all(s, number, STEP_MADE)


cdef void look_at_group(Search* s, uint32_t number) noexcept nogil:
    cdef const PlacementGroup* group = groups_find(&s.n.groups, s.steps[number].object.task)
    if group == NULL:
        ends_with(s, number, STEP_GONE)
    elif group.state != GROUP_PENDING:
        ends_with(s, number, STEP_THERE)
    elif s.n.cluster.joined:
        ends_with(s, number, STEP_PLACING)
    elif needs_nodes(group) or not group_possible(&s.n.scheduler.resources, group):
        s.steps[number].resource = group.lacks if group.lacks_something else -1
        is_stuck(s, number, STEP_TOO_MUCH)
    else:
        lack(s, number, group.lacks)


cdef void look_at(Search* s, uint32_t number) noexcept nogil:
    cdef uint32_t kind = s.steps[number].kind
    if kind == STEP_OBJECT:
        look_at_object(s, number)
    elif kind == STEP_TASK:
        look_at_task(s, number)
    elif kind == STEP_ACTOR:
        look_at_actor(s, number)
    elif kind == STEP_GROUP:
        look_at_group(s, number)


cdef void look_at_all(Search* s) noexcept nogil:
    while s.n_done < s.steps.size():
        look_at(s, s.n_done)
        s.is_cut |= s.steps[s.n_done].is_cut
        s.n_done += 1


# ---- who goes on -----------------------------------------------------------------------------------------------

cdef void find_who_goes_on(Search* s) noexcept nogil:
    """Steps that need nothing do; then those for whom enough do."""
    cdef vector[vector[uint32_t]] awaiting
    cdef vector[uint32_t] left, todo
    cdef uint32_t number, i
    cdef size_t j
    awaiting.resize(s.steps.size())
    for number in range(<uint32_t> s.steps.size()):
        left.push_back(s.steps[number].n_needed)
        for j in range(s.steps[number].next.size()):
            awaiting[s.steps[number].next[j]].push_back(number)
        if left[number] == 0:
            s.steps[number].goes_on = True
            todo.push_back(number)
    i = 0
    while i < todo.size():
        number = todo[i]
        i += 1
        s.steps[number].rank = i
        for j in range(awaiting[number].size()):
            if s.steps[awaiting[number][j]].goes_on:
                continue
            left[awaiting[number][j]] -= 1
            if left[awaiting[number][j]] == 0:
                s.steps[awaiting[number][j]].goes_on = True
                todo.push_back(awaiting[number][j])


cdef int64_t following(Search* s, uint32_t number) noexcept nogil:
    """The step to tell of after this one; -1: none. Of those that go on each is of a lower rank: they do not repeat."""
    cdef const Step* step = &s.steps[number]
    cdef size_t i
    for i in range(step.next.size()):
        other = &s.steps[step.next[i]]
        if other.goes_on == step.goes_on and (not step.goes_on or other.rank < step.rank):
            return step.next[i]
    return -1


cdef int32_t find_chain(Search* s, vector[uint32_t]* chain) noexcept nogil:
    """The chain from step 0. Returns the place in it to which its last step leads back, or -1."""
    cdef unordered_map[uint32_t, int32_t] places
    cdef int64_t number = 0
    while number >= 0 and chain.size() < WAIT_CHAIN_MOST:
        if places.count(<uint32_t> number):
            return places[<uint32_t> number]
        places[<uint32_t> number] = <int32_t> chain.size()
        chain.push_back(<uint32_t> number)
        number = following(s, <uint32_t> number)
    s.is_cut |= number >= 0
    return -1


# ---- the answer ------------------------------------------------------------------------------------------------

cdef uint64_t mixed(uint64_t hash, uint64_t more) noexcept nogil:
    return (hash ^ more) * <uint64_t> 0x100000001B3


cdef uint64_t signature(Search* s) noexcept nogil:
    """A number that changes when any of the steps has gone on."""
    cdef uint64_t hash = <uint64_t> 0xCBF29CE484222325
    cdef const TaskRow* row
    cdef size_t i
    for i in range(s.steps.size()):
        step = &s.steps[i]
        hash = mixed(hash, step.kind | <uint64_t> step.reason << 8 | <uint64_t> step.n_awaited << 16)
        hash = mixed(hash, step.object.task.hi ^ step.object.task.lo)
        hash = mixed(hash, step.object.index)
        hash = mixed(hash, step.request)
        row = tasks_find(&s.n.tasks, step.object.task) if step.kind == STEP_TASK else NULL
        if row != NULL:
            hash = mixed(hash, row.start_ns ^ row.ready_ns)
            hash = mixed(hash, row.attempt | <uint64_t> row.n_yielded << 32)
    return hash


cdef void put_amounts(Search* s, const Step* step, StepReport* out, string* resource, vector[Holder]* holders) \
        noexcept nogil:
    cdef const Resources* r = &s.n.scheduler.resources
    cdef const TaskRow* row = tasks_find(&s.n.tasks, step.object.task) if step.kind == STEP_TASK else NULL
    cdef const PlacementGroup* group = groups_find(&s.n.groups, step.object.task) if step.kind == STEP_GROUP else NULL
    out.available, out.total = r.available[step.resource], r.total[step.resource]
    resource[0] = r.names[step.resource]
    if row != NULL:
        out.asked = amount_of(r, row.shape, step.resource)
        if not no_group(r.shapes[row.shape].group):
            resource_asked_for(r, row.shape, <uint32_t> step.resource, resource)
    elif group != NULL:
        out.asked = group.lacks_amount
    find_holders(s.n, step.resource, holders)


cdef void fill_task(Search* s, const TaskRow* row, StepReport* out) noexcept nogil:
    cdef bint has_begun = row.state == TASK_RUNNING or row.state == TASK_BLOCKED
    cdef const ActorRow* actor = actors_find(&s.n.actors, row.actor) if row.actor.hi or row.actor.lo else NULL
    out.actor = row.actor
    out.state = row.state
    out.attempt = row.attempt
    out.since_ns = row.start_ns if has_begun and row.start_ns else (
        row.ready_ns if row.state != TASK_WAITING and row.ready_ns else row.submit_ns)
    if has_begun or row.state == TASK_PLACED:
        out.worker = row.worker
        out.process = process_of(s.n, row.worker)
    if row.state == TASK_SPILLED:
        out.node = row.runs_at
    elif actor != NULL:
        out.node = actor.node
    if out.reason == STEP_READER:
        out.asked = row.read_index
    elif out.reason == STEP_PROCESS:
        out.asked, out.available = s.n.scheduler.worker_cap, <int64_t> n_shared(&s.n.scheduler)


cdef const string* class_of(NodeState* n, TaskId actor) noexcept nogil:
    cdef const ActorRow* row = actors_find(&n.actors, actor)
    return &row.class_name if row != NULL else NULL


cdef void set_text(Blob* blob, string* out) noexcept nogil:
    if blob != NULL:
        out.assign(blob_data(blob), blob.size)


cdef void task_names(NodeState* n, const TaskRow* row, string* name, string* function) noexcept nogil:
    set_text(name_of(n, row.function), function)
    set_text(row.name, name)


cdef void write_holder(NodeState* n, const Holder* h, string* out) noexcept nogil:
    cdef HolderReport report
    cdef string name, function
    cdef const TaskRow* row = tasks_find(&n.tasks, h.id) if h.kind == STEP_TASK else NULL
    cdef const string* class_name = class_of(n, h.id) if h.kind == STEP_ACTOR else NULL
    cdef const PlacementGroup* group = groups_find(&n.groups, h.id) if h.kind == STEP_GROUP else NULL
    if row != NULL:
        task_names(n, row, &name, &function)
        if name.empty():
            name = function
    elif class_name != NULL:
        name = class_name[0]
    elif group != NULL:
        name = group.name
    memset(&report, 0, sizeof(report))
    report.id, report.amount, report.kind, report.process = h.id, h.amount, h.kind, h.process
    report.name_size = <uint32_t> name.size()
    append(out, &report, sizeof(report))
    append(out, name.data(), name.size())


cdef void fill_object(NodeState* n, const Step* step, StepReport* report, string* site) noexcept nogil:
    cdef const ObjectRow* row = objects_find(&n.objects, step.object)
    report.state = row.state if row != NULL else STEP_UNKNOWN
    report.size = row.size if row != NULL else 0
    if row != NULL and row.call_site:
        site[0] = n.call_sites[row.call_site - 1]


cdef void write_step(Search* s, const Step* step, string* out) noexcept nogil:
    cdef NodeState* n = s.n
    cdef const TaskRow* row = tasks_find(&n.tasks, step.object.task) if step.kind == STEP_TASK else NULL
    cdef const ActorRow* actor = actors_find(&n.actors, step.object.task) if step.kind == STEP_ACTOR else NULL
    cdef const PlacementGroup* group = groups_find(&n.groups, step.object.task) if step.kind == STEP_GROUP else NULL
    cdef string site, name, function, resource
    cdef vector[Holder] holders
    cdef StepReport report
    cdef size_t i
    memset(&report, 0, sizeof(report))
    report.kind, report.reason, report.n_awaited = step.kind, step.reason, step.n_awaited
    report.object, report.task = step.object, step.object.task
    if step.reason == STEP_BUSY:
        report.asked = <int64_t> step.request
    if step.kind == STEP_OBJECT:
        fill_object(n, step, &report, &site)
    elif row != NULL:
        fill_task(s, row, &report)
        task_names(n, row, &name, &function)
        if row.call_site:
            site = n.call_sites[row.call_site - 1]
    elif actor != NULL:
        report.state, report.worker, report.process = actor.state, actor.worker, actor.process
        report.since_ns, report.node, report.actor = actor.made_ns, actor.node, actor.id
        report.attempt = actor.n_restarts
        name, function = actor.name, actor.class_name
    elif group != NULL:
        report.state = group.state
        name = group.name
    if step.resource >= 0:
        put_amounts(s, step, &report, &resource, &holders)
    if holders.size() > WAIT_HOLDERS_MOST:
        holders.resize(WAIT_HOLDERS_MOST)
    report.call_site_size = <uint32_t> site.size()
    report.name_size = <uint32_t> name.size()
    report.function_size = <uint32_t> function.size()
    report.resource_size = <uint32_t> resource.size()
    report.n_holders = <uint32_t> holders.size()
    append(out, &report, sizeof(report))
    append(out, site.data(), site.size())
    append(out, name.data(), name.size())
    append(out, function.data(), function.size())
    append(out, resource.data(), resource.size())
    for i in range(holders.size()):
        write_holder(n, &holders[i], out)


cdef bint tell(NodeState* n, Search* s, const vector[uint32_t]* chain, int32_t back_to) noexcept nogil:
    """Remember that somebody is told of this end of a chain. Whether somebody was before."""
    cdef TaskId end = s.steps[chain.back()].object.task
    cdef size_t i
    if back_to >= 0:
        for i in range(<size_t> back_to, chain.size()):
            if s.steps[chain[0][i]].kind == STEP_TASK:
                end = min(end, s.steps[chain[0][i]].object.task)
    if n.told.size() >= WAIT_TOLD_MOST:
        n.told.clear()
    return not n.told.insert(end).second


cdef bint begin(Search* s, const Message* m, const WaitQuery* query) noexcept nogil:
    """The first step. False if the request that is asked about is not open."""
    cdef uint32_t first
    if query.request == 0:
        step_at(s, STEP_OBJECT, query.object)
        return True
    it = s.n.requests.find(request_key(m.client, query.request))
    if query.request >> 40 or it == s.n.requests.end():
        return False
    first = step_at(s, STEP_REQUEST, object_id(deref(it).second.task, 0))
    s.steps[first].request = query.request
    look_at_request(s, first, &deref(it).second)
    return True


cdef bint report_waits(NodeState* n, const Message* m, const char* payload, string* out) noexcept nogil:
    """Answer a WaitQuery. False if it is malformed."""
    cdef const WaitQuery* query = <const WaitQuery*> payload
    cdef vector[uint32_t] chain
    cdef WaitHeader head
    cdef Search s
    cdef size_t i
    if m.size != sizeof(WaitQuery):
        return False
    memset(&head, 0, sizeof(head))
    head.now_ns, head.back_to = n.now_ns, -1
    s.n = n
    s.n_done = 0
    s.is_cut = False
    if begin(&s, m, query):
        gather_requests(&s)
        look_at_all(&s)
        find_who_goes_on(&s)
        head.back_to = find_chain(&s, &chain)
        head.signature = signature(&s)
        head.n_steps, head.n_looked_at = <uint32_t> chain.size(), <uint32_t> s.steps.size()
        head.flags = (0 if s.steps[0].goes_on else WAIT_STUCK) | (WAIT_CUT if s.is_cut else 0)
        if query.flags & WAIT_TELL_ONCE and tell(n, &s, &chain, head.back_to):
            head.flags |= WAIT_TOLD
    append(out, &head, sizeof(head))
    for i in range(chain.size()):
        write_step(&s, &s.steps[chain[i]], out)
    return True
