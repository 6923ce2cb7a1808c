"""What must be true of a node's tables between two events (rule 8), each counted anew from the other side of its edge.

Holds: every count on an object equals the tasks and containers that list it. Resources: total equals available plus
what running tasks and placement groups have. Groups: those listed as waiting or leaving do, for what is not there, and
numbers of what is gone are free. Queues: a task is in the ready queue, in a worker's queue or on its stack exactly when
its state says so. Arena: used bytes are the blocks' sizes, and every value there lies in a block. Lineage: a finished
task is kept exactly while results of it could be lost, or as a call that an actor could have to repeat. Waiting: who
waits exists, and what is waited for will come.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.set cimport set as ordered_set
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.invariants cimport check_foreign, check_reach
from raylite._core.envelope cimport blob_data, envelope_refs, EnvelopeHeader
from raylite._core.ids cimport ACTOR_INDEX, object_id, ObjectId, same_object, same_task, TaskId
from raylite._core.message cimport STREAMING
from raylite._core.node.actor_table cimport ACTOR_ALIVE, ACTOR_DEAD, ActorRow, actors_find, CallGroup, CallList, \
    CALLS_AHEAD
from raylite._core.node.arena cimport arena_block, Block, block_size, Segment
from raylite._core.node.local_scheduler cimport Run, Worker, worker_find, worker_run
from raylite._core.node.objects cimport could_be_lost, DISK_NOT, DISK_WHOLE, DISK_WRITING, OBJECT_IN_ARENA, \
    OBJECT_INLINE, OBJECT_PENDING, object_ready, OBJECT_REMOTE, OBJECT_SPILLED, ObjectRow, objects_find, REACH_FOREIGN
from raylite._core.node.placement_groups cimport Bundle, GROUP_GONE, GROUP_LEAVING, GROUP_PENDING, needs_nodes, \
    PlacementGroup
from raylite._core.node.replay cimport replays
from raylite._core.node.resources cimport GPU, RESOURCE_CPU, RESOURCE_GPU, Resources, UNIT
from raylite._core.node.state cimport request_key
from raylite._core.node.task_table cimport is_call, is_creation, LISTED_AGAIN, LISTED_CALLER, LISTED_LOGGED, \
    LISTED_NOT, LISTED_READY, LISTED_SENT, LISTED_WAITING, REPLAY_STATE, TASK_BLOCKED, TASK_FINISHED, TASK_PLACED, \
    TASK_READY, TASK_RUNNING, TASK_SPILLED, TASK_WAITING, TaskRow, tasks_find

cdef struct Counts:
    int64_t as_task
    int64_t as_lineage
    int64_t as_container


cdef void count_refs(unordered_map[ObjectId, Counts]* counts, const ObjectId* refs, uint64_t n_refs, TaskRow* row) \
        noexcept nogil:
    cdef uint64_t i
    for i in range(n_refs):
        counts[0][refs[i]].as_task += row.holds_arguments
        counts[0][refs[i]].as_lineage += row.holds_lineage


cdef const char* check_holds(NodeState* n) noexcept nogil:
    cdef unordered_map[ObjectId, Counts] counts
    cdef unordered_map[TaskId, TaskRow].iterator t = n.tasks.rows.begin()
    cdef unordered_map[ObjectId, ObjectRow].iterator o = n.objects.rows.begin()
    cdef TaskRow* task
    cdef ObjectRow* row
    cdef Counts* c
    cdef size_t i
    while t != n.tasks.rows.end():
        task = &deref(t).second
        count_refs(&counts, task.refs.data(), task.refs.size(), task)
        count_refs(&counts, &task.function, 1, task)
        if task.arguments != NULL:
            count_refs(&counts, envelope_refs(blob_data(task.arguments)),
                       (<const EnvelopeHeader*> blob_data(task.arguments)).n_refs, task)
        preincrement(t)
    for siblings in n.made:
        for made in siblings.second:
            for i in range(made.second.n_results):
                counts[object_id(made.first, ACTOR_INDEX if made.second.is_actor else <uint32_t> i)].as_task += 1
    while o != n.objects.rows.end():
        row = &deref(o).second
        for i in range(row.contained.size()):
            counts[row.contained[i]].as_container += 1
        preincrement(o)
    o = n.objects.rows.begin()
    while o != n.objects.rows.end():
        row = &deref(o).second
        c = &counts[row.id]
        if c.as_task != row.n_task_holds:
            return b"an object's task holds differ from the tasks that list it"
        if c.as_lineage != row.n_lineage_holds:
            return b"an object's lineage holds differ from the finished tasks that list it"
        if c.as_container != row.n_container_holds:
            return b"an object's container holds differ from the values that contain it"
        counts.erase(row.id)
        preincrement(o)
    if counts.size():
        return b"a hold on an object that has no row"
    return NULL


cdef const char* check_arena(NodeState* n) noexcept nogil:
    cdef unordered_map[ObjectId, ObjectRow].iterator o = n.objects.rows.begin()
    cdef ordered_map[uint32_t, Segment].iterator s = n.arena.segments.begin()
    cdef ordered_map[uint64_t, Block].iterator b
    cdef ordered_map[uint64_t, uint64_t].iterator f
    cdef uint64_t used = 0, inline_bytes = 0, covered
    cdef Block* block
    while o != n.objects.rows.end():
        row = &deref(o).second
        if row.state == OBJECT_IN_ARENA:
            block = arena_block(&n.arena, row.segment, row.offset)
            if block == NULL or block.lessee or block.size < row.size:
                return b"a value lies outside the arena's blocks"
        elif row.state == OBJECT_INLINE:
            inline_bytes += row.size
        preincrement(o)
    if inline_bytes != n.objects.inline_bytes:
        return b"inline bytes are miscounted"
    while s != n.arena.segments.end():
        covered = 0
        b = deref(s).second.blocks.begin()
        while b != deref(s).second.blocks.end():
            used += 0 if deref(s).second.on_disk else deref(b).second.size
            covered += deref(b).second.size
            preincrement(b)
        f = deref(s).second.free.begin()
        while f != deref(s).second.free.end():
            covered += deref(f).second
            preincrement(f)
        if covered != deref(s).second.size:
            return b"blocks and free space do not cover a segment"
        preincrement(s)
    if used != n.arena.used:
        return b"the arena's used bytes are not the sum of its blocks"
    return NULL


cdef void count_bundles(NodeState* n, vector[int64_t]* taken, vector[vector[int64_t]]* gpus) noexcept nogil:
    """What placement groups have set aside is taken from the node, and so much there is of their own resources."""
    cdef ordered_map[TaskId, PlacementGroup].iterator g = n.groups.rows.begin()
    cdef Bundle* b
    cdef size_t i, j
    while g != n.groups.rows.end():
        for i in range(deref(g).second.bundles.size()):
            b = &deref(g).second.bundles[i]
            for j in range(b.amounts.size() if b.is_here else 0):
                taken[0][b.amounts[j].resource] += b.amounts[j].amount
            for j in range(b.gpu_numbers.size()):
                gpus[0][GPU][b.gpu_numbers[j]] += UNIT if b.gpus >= UNIT else b.gpus
        preincrement(g)


cdef void count_run(NodeState* n, const Run* run, vector[int64_t]* taken, vector[vector[int64_t]]* gpus) noexcept nogil:
    shape = &n.scheduler.resources.shapes[run.shape]
    cdef size_t i, j
    for i in range(shape.amounts.size()):
        kind = n.scheduler.resources.kinds[shape.amounts[i].resource]
        if not (run.lent and kind == RESOURCE_CPU):
            taken[0][shape.amounts[i].resource] += shape.amounts[i].amount
        for j in range(run.gpus.size() if kind == RESOURCE_GPU else 0):
            gpus[0][shape.amounts[i].resource][run.gpus[j]] += UNIT if shape.gpus >= UNIT else shape.gpus


cdef const char* check_resources(NodeState* n) noexcept nogil:
    cdef ordered_map[uint32_t, Worker].iterator w = n.scheduler.workers.begin()
    cdef Resources* r = &n.scheduler.resources
    cdef vector[int64_t] taken
    cdef vector[vector[int64_t]] gpus
    cdef int64_t of_gpus
    cdef size_t i, j
    taken.resize(r.names.size())
    gpus.resize(r.names.size())
    for i in range(gpus.size()):
        gpus[i].resize(r.gpu_free[GPU].size())
    count_bundles(n, &taken, &gpus)
    while w != n.scheduler.workers.end():
        for i in range(deref(w).second.running.size()):
            count_run(n, &deref(w).second.running[i], &taken, &gpus)
        if deref(w).second.settled:
            count_run(n, &deref(w).second.life, &taken, &gpus)
        preincrement(w)
    for i in range(taken.size()):
        if r.available[i] + taken[i] != r.total[i]:
            return b"a resource is neither available nor taken by a running task or a placement group"
        if r.kinds[i] != RESOURCE_CPU and r.available[i] < 0:
            return b"a resource other than the CPU is below zero"
        of_gpus = 0
        for j in range(r.gpu_free[i].size()):
            if r.gpu_free[i][j] < 0 or r.gpu_free[i][j] + gpus[i][j] > UNIT:
                return b"a GPU is more than used up, or more than free"
            of_gpus += r.gpu_free[i][j] + gpus[i][j]
        if r.gpu_free[i].size() and of_gpus != r.total[i]:
            return b"a GPU is neither free nor in use"
    return NULL


cdef const char* check_pending_groups(NodeState* n) noexcept nogil:
    """Each pending group that has been tried is listed under what it lacks, and lacks it."""
    cdef ordered_map[TaskId, PlacementGroup].iterator g = n.groups.rows.begin()
    cdef ordered_map[pair[uint32_t, int64_t], ordered_set[uint64_t]].iterator lacking = n.groups.lacking.begin()
    cdef Resources* r = &n.scheduler.resources
    cdef PlacementGroup* row
    cdef size_t n_listed = 0, n_waiting = 0
    while lacking != n.groups.lacking.end():
        n_listed += deref(lacking).second.size()
        preincrement(lacking)
    while g != n.groups.rows.end():
        row = &deref(g).second
        preincrement(g)
        if row.lacks_something:
            n_waiting += 1
            lacking = n.groups.lacking.find(pair[uint32_t, int64_t](row.lacks, row.lacks_amount))
            if row.state != GROUP_PENDING or lacking == n.groups.lacking.end() \
                    or deref(lacking).second.count(row.number) == 0:
                return b"a placement group is not listed under what it lacks"
            if r.kinds[row.lacks] != RESOURCE_GPU and not r.is_freed[row.lacks] \
                    and r.available[row.lacks] >= row.lacks_amount:
                return b"a placement group waits for what there is"
        elif row.state == GROUP_PENDING and row.number <= n.groups.last_tried and not needs_nodes(row):
            return b"a placement group waits for nothing"
    if n_listed != n_waiting:
        return b"a placement group is listed under what it does not lack"
    return NULL


cdef const char* check_groups(NodeState* n) noexcept nogil:
    """Groups that wait or leave are listed, and nothing else is; a free number has nothing; no task's shape is free."""
    cdef ordered_map[TaskId, PlacementGroup].iterator g = n.groups.rows.begin()
    cdef unordered_map[TaskId, TaskRow].iterator t = n.tasks.rows.begin()
    cdef Resources* r = &n.scheduler.resources
    cdef uint32_t n_doomed = 0
    cdef uint64_t counts[4]
    cdef size_t i
    counts[0] = counts[1] = counts[2] = counts[3] = 0
    while g != n.groups.rows.end():
        counts[deref(g).second.state] += 1
        if deref(g).second.state == GROUP_PENDING and n.groups.pending.count(deref(g).second.number) == 0:
            return b"a placement group that waits is not among those that wait"
        preincrement(g)
    if counts[<int> GROUP_PENDING] != n.groups.pending.size() \
            or counts[<int> GROUP_LEAVING] != n.groups.leaving.size() \
            or counts[<int> GROUP_GONE] != n.groups.gone.size():
        return b"a placement group is listed for what it is not"
    for i in range(r.free_names.size()):
        if r.names[r.free_names[i]].size() or r.total[r.free_names[i]]:
            return b"a resource that is gone has a name or an amount"
    for i in range(r.shapes.size()):
        n_doomed += r.shapes[i].doom != 0
    if n_doomed != r.n_doomed or r.shape_numbers.size() + r.free_shapes.size() != r.shapes.size() \
            or r.name_numbers.size() + r.free_names.size() != r.names.size():
        return b"shapes or names of resources are miscounted"
    while t != n.tasks.rows.end():
        if r.shapes[deref(t).second.shape].key.empty():
            return b"a task is of a shape that is gone"
        preincrement(t)
    return check_pending_groups(n)


cdef const char* check_queues(NodeState* n) noexcept nogil:
    cdef unordered_map[TaskId, TaskRow].iterator t = n.tasks.rows.begin()
    cdef ordered_map[uint32_t, Worker].iterator w = n.scheduler.workers.begin()
    cdef uint64_t ready = 0, queued = 0, running = 0, in_queue = 0, on_stack = 0, listed = 0, idle = 0, \
        dedicated = 0
    cdef Worker* worker
    cdef Run* run
    cdef TaskRow* row
    cdef size_t i
    while t != n.tasks.rows.end():
        row = &deref(t).second
        if is_call(row):
            preincrement(t)
            continue
        ready += row.state == TASK_READY
        queued += row.state == TASK_PLACED
        if row.state == TASK_RUNNING or row.state == TASK_BLOCKED:
            running += 1
            worker = worker_find(&n.scheduler, row.worker)
            run = worker_run(worker, row.id) if worker != NULL else NULL
            if run == NULL:
                return b"a running task is on no worker's stack"
            if run.lent != (row.state == TASK_BLOCKED) or run.lent != (run.n_waits != 0):
                return b"a task that waits has not lent its CPU, or one that goes on has"
        preincrement(t)
    while w != n.scheduler.workers.end():
        in_queue += deref(w).second.queue.size()
        on_stack += deref(w).second.running.size()
        if deref(w).second.running.empty() and not deref(w).second.queue.empty():
            return b"a worker has a queue and runs nothing"
        if deref(w).second.dedicated and not deref(w).second.queue.empty():
            return b"an actor's worker has tasks of others"
        dedicated += deref(w).second.dedicated
        idle += deref(w).second.running.empty() and not deref(w).second.stopping and not deref(w).second.dedicated
        preincrement(w)
    for i in range(n.scheduler.idle.size()):
        worker = worker_find(&n.scheduler, n.scheduler.idle[i])
        if worker == NULL or not worker.running.empty() or worker.stopping or worker.dedicated:
            return b"a worker that is busy, on its way out or gone is listed as idle"
    if idle != n.scheduler.idle.size():
        return b"idle workers are not those listed"
    if dedicated != n.scheduler.n_dedicated:
        return b"actors' workers are miscounted"
    for i in range(n.scheduler.ready.size()):
        row = n.scheduler.ready[i].head
        while row != NULL:
            listed += 1
            if row.state != TASK_READY or row.shape != i:
                return b"a task in a ready queue is not ready, or in the wrong one"
            row = row.next
    if ready != n.scheduler.n_ready or listed != ready:
        return b"ready tasks are not those in the ready queues"
    if queued != in_queue or queued != n.scheduler.n_queued:
        return b"placed tasks are not those in the workers' queues"
    if running != on_stack:
        return b"running tasks are not those on the workers' stacks"
    return NULL


cdef bint list_holds(const CallList* list, uint8_t listed, const ActorRow* actor, uint64_t* n_calls) noexcept nogil:
    """Whether the calls in a list are the actor's, think that they are in it, and are in a state for it."""
    cdef const TaskRow* row = list.head
    cdef uint64_t n_listed = 0, n_over = 0
    while row != NULL:
        if row.listed != listed or not same_task(row.actor, actor.id) or (row.next == NULL and list.tail != row):
            return False
        if row.state == TASK_WAITING and (listed == LISTED_READY or listed == LISTED_SENT) \
                or row.state == TASK_READY and (listed == LISTED_WAITING or listed == LISTED_SENT) \
                or (row.state >= TASK_FINISHED) != (listed == LISTED_LOGGED):
            return False
        n_listed += 1
        n_over += row.replay == REPLAY_STATE
        row = row.next
    n_calls[0] += n_listed - n_over
    return n_listed == list.size


cdef const char* check_group(const CallGroup* group) noexcept nogil:
    cdef const TaskRow* row = group.sent.head
    cdef const TaskRow* first_placed = NULL
    cdef uint32_t n_running = 0, n_away = 0
    while row != NULL:
        n_running += row.state == TASK_RUNNING
        n_away += row.state == TASK_SPILLED
        if row.state == TASK_PLACED and first_placed == NULL:
            first_placed = row
        elif row.state != TASK_RUNNING and row.state != TASK_PLACED and row.state != TASK_SPILLED:
            return b"a call that was sent neither runs nor waits for its turn"
        row = row.next
    if n_running + n_away != group.n_running or n_running > group.limit or first_placed != group.next_to_run:
        return b"a concurrency group miscounts the calls that run"
    return NULL


cdef bint sends_all(const ActorRow* actor, const Worker* w) noexcept nogil:
    """Whether no call waits that could be sent."""
    cdef size_t i
    if actor.awaits_log:
        return True
    if actor.again.head != NULL:
        return actor.again.head.state != TASK_READY or w.stopping \
            or actor.groups[0].sent.size >= <uint64_t> actor.groups[0].limit + CALLS_AHEAD
    for i in range(actor.groups.size()):
        if actor.groups[i].ready.head != NULL and not w.stopping \
                and actor.groups[i].sent.size < <uint64_t> actor.groups[i].limit + CALLS_AHEAD:
            return False
    return True


cdef const char* check_dedicated(NodeState* n, const Worker* w) noexcept nogil:
    """A worker taken by an actor serves it, makes it, or is on its way out."""
    cdef ActorRow* actor = actors_find(&n.actors, w.actor)
    cdef TaskRow* creation = tasks_find(&n.tasks, w.actor)
    if not w.dedicated or w.stopping or actor != NULL and actor.worker == w.client:
        return NULL
    if w.settled or creation == NULL or creation.worker != w.client \
            or creation.state != TASK_RUNNING and creation.state != TASK_BLOCKED:
        return b"an actor's worker is left over"
    return NULL


cdef const char* check_actor(NodeState* n, ActorRow* actor) noexcept nogil:
    cdef Worker* w = worker_find(&n.scheduler, actor.worker) if actor.worker else NULL
    cdef TaskRow* creation = tasks_find(&n.tasks, actor.id)
    cdef uint64_t n_calls = 0
    cdef const char* found
    cdef size_t i
    if (actor.state == ACTOR_ALIVE) != (actor.worker != 0 or actor.node != 0):
        return b"an actor is alive without a worker, or has one and is not"
    if actor.worker and (w == NULL or not w.settled or not same_task(w.actor, actor.id)):
        return b"an actor's worker is gone, or another's"
    if actor.state != ACTOR_DEAD and actor.state != ACTOR_ALIVE and not actor.watched \
            and (creation == NULL or creation.state == TASK_FINISHED):
        return b"an actor waits for a creation that is over"
    if (actor.state == ACTOR_DEAD) != (actor.death != NULL) or (actor.state == ACTOR_DEAD and actor.n_unfinished):
        return b"an actor is dead and has calls left, or cannot say of what it died"
    if not actor.name.empty() and not n.cluster.joined \
            and (n.actors.names.count(actor.name) != 0) < (actor.state != ACTOR_DEAD):
        return b"an actor's name is not known"
    for caller in actor.callers:
        if caller.second.head == NULL or caller.second.head.state != TASK_WAITING \
                or not list_holds(&caller.second, LISTED_CALLER, actor, &n_calls):
            return b"the calls of a caller are not those that wait in turn"
    if not list_holds(&actor.waiting, LISTED_WAITING, actor, &n_calls):
        return b"the calls that wait for arguments are not those listed"
    for i in range(actor.groups.size()):
        if not list_holds(&actor.groups[i].ready, LISTED_READY, actor, &n_calls) \
                or not list_holds(&actor.groups[i].sent, LISTED_SENT, actor, &n_calls):
            return b"the calls of a concurrency group are not those listed"
        found = check_group(&actor.groups[i])
        if found != NULL:
            return found
    if not list_holds(&actor.again, LISTED_AGAIN, actor, &n_calls) \
            or not list_holds(&actor.log, LISTED_LOGGED, actor, &n_calls):
        return b"the calls that run again, or may have to, are not those listed"
    if actor.state == ACTOR_DEAD and actor.log.size or actor.log.size and not replays(actor):
        return b"an actor keeps calls that it cannot repeat"
    if n_calls != actor.n_unfinished:
        return b"an actor miscounts its calls"
    if w != NULL and not sends_all(actor, w):
        return b"a call that could be sent to its actor is not"
    if actor.ending and n_calls == 0 and (creation == NULL or creation.worker == 0) and not actor.watched:
        return b"an actor that nobody can call is not ended"
    return NULL


cdef const char* check_actors(NodeState* n) noexcept nogil:
    cdef unordered_map[TaskId, TaskRow].iterator t = n.tasks.rows.begin()
    cdef const char* found
    cdef ActorRow* actor
    for worker in n.scheduler.workers:
        found = check_dedicated(n, &worker.second)
        if found != NULL:
            return found
    for entry in n.actors.rows:
        found = check_actor(n, actors_find(&n.actors, entry.first))
        if found != NULL:
            return found
        if objects_find(&n.objects, object_id(entry.first, ACTOR_INDEX)) == NULL and not entry.second.ending \
                and not n.cluster.joined:
            return b"an actor without an object is not about to end"
    while t != n.tasks.rows.end():
        if is_call(&deref(t).second):
            actor = actors_find(&n.actors, deref(t).second.actor)
            if actor == NULL or deref(t).second.listed == LISTED_NOT:
                return b"a call is in no list of an actor"
        preincrement(t)
    return NULL


cdef const char* check_lineage(NodeState* n) noexcept nogil:
    cdef unordered_map[TaskId, TaskRow].iterator t = n.tasks.rows.begin()
    cdef uint64_t n_lineage = 0
    cdef uint32_t i, n_kept
    cdef TaskRow* row
    cdef ObjectRow* result
    while t != n.tasks.rows.end():
        row = &deref(t).second
        preincrement(t)
        if is_creation(row) and row.state == TASK_FINISHED and row.holds_arguments and not row.holds_lineage:
            continue
        if row.listed == LISTED_LOGGED and row.holds_arguments and not row.holds_lineage:
            continue
        if row.holds_lineage != (row.state == TASK_FINISHED) or row.state > TASK_FINISHED:
            return b"a task that has ended is kept, and not as lineage"
        if not row.holds_lineage:
            continue
        n_lineage += 1
        if n.lineage.count(row.lineage_number) == 0 or not same_task(n.lineage[row.lineage_number], row.id):
            return b"a task that is lineage is not where it should be in the order of finishing"
        n_kept = 0
        for i in range(1 if row.n_returns == STREAMING else <uint32_t> row.n_returns):
            result = objects_find(&n.objects, object_id(row.id, i))
            n_kept += result != NULL and could_be_lost(result)
        if n_kept != row.n_kept or n_kept == 0:
            return b"a task that is lineage miscounts the results that it is kept for"
    if n_lineage != n.lineage.size():
        return b"the order of finishing has tasks that are no lineage"
    return NULL


cdef const char* check_room(NodeState* n) noexcept nogil:
    cdef unordered_map[ObjectId, ObjectRow].iterator o = n.objects.rows.begin()
    cdef unordered_map[ObjectId, uint32_t] gatherers
    cdef uint64_t n_used = 0, n_on_disk = 0, leaving = 0, gathered_bytes = 0
    cdef TaskRow* task
    cdef ObjectRow* row
    cdef size_t i
    for entry in n.room.gathered:
        task = tasks_find(&n.tasks, entry.first)
        if task == NULL or task.state != TASK_WAITING and task.state != TASK_READY:
            return b"the arguments of a task that is not about to run are kept in the arena"
        gathered_bytes += entry.second.bytes
        for i in range(entry.second.ids.size()):
            gatherers[entry.second.ids[i]] += 1
    while o != n.objects.rows.end():
        row = &deref(o).second
        preincrement(o)
        if row.n_gatherers != gatherers[row.id]:
            return b"an object miscounts the tasks that are about to run on it"
        if row.used != 0 and (n.room.by_use.count(row.used) == 0 or not same_object(n.room.by_use[row.used], row.id)):
            return b"a value is not where it should be in the order of use"
        if (row.used != 0) != (row.state == OBJECT_IN_ARENA and not n.arena.segments[row.segment].on_disk):
            return b"a value in memory is not in the order of use, or one that is not is"
        if (row.on_disk == DISK_NOT) != (row.disk == 0) or row.state == OBJECT_SPILLED and row.on_disk != DISK_WHOLE \
                or row.on_disk == DISK_WRITING and (row.pins.empty() or row.state != OBJECT_IN_ARENA):
            return b"where the bytes of an object are contradicts itself"
        if row.disk and (n.room.on_disk.count(row.disk) == 0 or not same_object(n.room.on_disk[row.disk], row.id)):
            return b"the disk has an object under another number"
        n_used += row.used != 0
        n_on_disk += row.disk != 0
        leaving += block_size(row.size) if row.on_disk == DISK_WRITING else 0
    if n_used != n.room.by_use.size() or n_on_disk != n.room.on_disk.size():
        return b"objects that are gone are in the order of use, or on the disk"
    if leaving != n.room.leaving or gathered_bytes != n.room.gathered_bytes:
        return b"the bytes that leave the arena, or are kept there for tasks, are miscounted"
    return NULL


cdef const char* check_waiters(NodeState* n, const ObjectRow* row, unordered_map[TaskId, uint32_t]* n_awaited) \
        noexcept nogil:
    cdef TaskRow* task
    cdef size_t i
    for i in range(row.waiters.size()):
        if row.waiters[i].client:
            if n.requests.count(request_key(row.waiters[i].client, row.waiters[i].request)) == 0:
                return b"a request that is over waits for an object"
            continue
        task = tasks_find(&n.tasks, row.waiters[i].task)
        if task != NULL and task.wait_number == row.waiters[i].request:
            n_awaited[0][task.id] += 1
    return NULL


cdef bint awaited_as_end(NodeState* n, const ObjectRow* row) noexcept nogil:
    """Whether only waits that count the end of the object's stream as well list it: that has told them already."""
    cdef size_t i
    for i in range(row.waiters.size()):
        request = n.requests.find(request_key(row.waiters[i].client, row.waiters[i].request))
        if row.waiters[i].client == 0 or request == n.requests.end() or not deref(request).second.has_streams:
            return False
    return not row.waiters.empty()


cdef const char* check_waiting(NodeState* n) noexcept nogil:
    cdef unordered_map[ObjectId, ObjectRow].iterator o = n.objects.rows.begin()
    cdef ObjectRow* row
    cdef unordered_map[TaskId, TaskRow].iterator t = n.tasks.rows.begin()
    cdef unordered_map[TaskId, uint32_t] n_awaited
    cdef TaskRow* creator
    cdef const char* found
    cdef size_t i
    while o != n.objects.rows.end():
        row = &deref(o).second
        preincrement(o)
        if object_ready(row):
            if not row.waiters.empty():
                return b"an object is there and is waited for"
            continue
        if row.state == OBJECT_REMOTE or row.reach & REACH_FOREIGN:
            found = check_foreign(n, row)
            if found == NULL:
                found = check_waiters(n, row, &n_awaited)
            if found != NULL:
                return found
            continue
        creator = tasks_find(&n.tasks, row.id.task)
        if row.state == OBJECT_PENDING and (creator == NULL or creator.state == TASK_FINISHED) \
                and not awaited_as_end(n, row):
            return b"an object is waited for that nothing makes"
        found = check_waiters(n, row, &n_awaited)
        if found != NULL:
            return found
    for i in range(n.room.gathering.size()):
        creator = tasks_find(&n.tasks, n.room.gathering[i].task)
        if creator != NULL and creator.wait_number == n.room.gathering[i].wait_number:
            n_awaited[creator.id] += 1
    while t != n.tasks.rows.end():
        creator = &deref(t).second
        if n_awaited[creator.id] != (creator.n_unresolved if creator.state == TASK_WAITING else 0):
            return b"a task does not wait for as many objects as will tell it that they are there"
        preincrement(t)
    return NULL


cdef void invariant_violation(NodeState* n, string* wrong) noexcept nogil:
    """Write the first violation found into `wrong`; it stays empty if there is none."""
    cdef const char* found = check_holds(n)
    if found == NULL:
        found = check_arena(n)
    if found == NULL:
        found = check_resources(n)
    if found == NULL:
        found = check_groups(n)
    if found == NULL:
        found = check_queues(n)
    if found == NULL:
        found = check_actors(n)
    if found == NULL:
        found = check_lineage(n)
    if found == NULL:
        found = check_waiting(n)
    if found == NULL:
        found = check_room(n)
    if found == NULL:
        found = check_reach(n)
    if found != NULL:
        wrong.assign(found)
