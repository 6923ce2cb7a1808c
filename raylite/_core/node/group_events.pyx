"""What clients ask of placement groups, and what follows for tasks.

A group that is removed takes its tasks with it, as in Ray: those that wait fail, those that run lose their worker, and
if they are tried again they fail as well. serve_groups() runs before ready tasks are placed.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint32_t
from libcpp.map cimport map as ordered_map
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.groups cimport find_named, group_made, group_removed, group_waits
from raylite._core.envelope cimport align8, blob_copy, system_error
from raylite._core.ids cimport same_task, TaskId
from raylite._core.message cimport BundleHeader, CLIENT_DRIVER, CMD_READY, CMD_STOP, GROUP_DETACHED, \
    GROUP_ID_TAKEN, GROUP_NAME_TAKEN, GroupHeader, STOP_KILL, take, take_padded
from raylite._core.node.actor_table cimport ActorRow, actors_find
from raylite._core.node.actors cimport actor_dies, died
from raylite._core.node.execution cimport fail_task, function_name
from raylite._core.node.local_scheduler cimport ready_remove, Worker
from raylite._core.node.placement_groups cimport GROUP_CREATED, group_possible, group_remove, \
    GROUP_STRICT_SPREAD, groups_add, groups_find, groups_named, groups_place, groups_release, needs_nodes
from raylite._core.node.resources cimport Amount, DemandEntry, DOOM_UNGROUPED, entries_valid, no_group, RESOURCE_GPU, \
    resources_forget_shape, resources_name
from raylite._core.node.state cimport call_back_queue, emit, ERROR_ACTOR_UNGROUPED, ERROR_ACTOR_UNSCHEDULABLE, \
    ERROR_UNGROUPED, ERROR_UNSCHEDULABLE, set_state, warn
from raylite._core.node.task_table cimport is_creation, TASK_FAILED, TASK_WAITING

cdef enum:
    BUNDLES_MOST = 1 << 16
    SWEEP_AT = 64                 # doomed shapes, before those that are in no use are looked for
    GROUP_RESCHEDULING = 4        # as told: it was created, and bundles of it wait for another node
    GROUP_IS_DETACHED = 1         # as told
    GROUP_IS_HERE = 2             # this node is its home, or the only one

cdef string NOWHERE


# ---- making ----------------------------------------------------------------------------------------------------

cdef bint bundles_valid(Cursor c, uint32_t count) noexcept nogil:
    """Whether so many bundles follow, and nothing else."""
    cdef const BundleHeader* head
    for _ in range(count):
        head = <const BundleHeader*> take(&c, sizeof(BundleHeader))
        if head == NULL or head.n_amounts == 0 or not entries_valid(&c, head.n_amounts, 1):
            return False
    return not c.failed and c.left == 0


cdef void take_bundle(NodeState* n, Cursor* c, Bundle* bundle) noexcept nogil:
    cdef const BundleHeader* head = <const BundleHeader*> take(c, sizeof(BundleHeader))
    cdef const DemandEntry* entry
    cdef const char* name
    cdef Amount amount
    bundle.amounts.clear()
    bundle.gpus = 0
    bundle.is_here = bundle.is_open = False
    for _ in range(head.n_amounts):
        entry = <const DemandEntry*> take(c, sizeof(DemandEntry))
        name = take_padded(c, entry.name_size)
        amount.resource = resources_name(&n.scheduler.resources, name, entry.name_size)
        amount.amount = entry.amount
        if n.scheduler.resources.kinds[amount.resource] == RESOURCE_GPU:
            bundle.gpus = entry.amount
        bundle.amounts.push_back(amount)


cdef bint same_bundles(const vector[Bundle]* a, const vector[Bundle]* b) noexcept nogil:
    cdef size_t i, j
    if a.size() != b.size():
        return False
    for i in range(a.size()):
        if a[0][i].amounts.size() != b[0][i].amounts.size():
            return False
        for j in range(a[0][i].amounts.size()):
            if a[0][i].amounts[j].resource != b[0][i].amounts[j].resource \
                    or a[0][i].amounts[j].amount != b[0][i].amounts[j].amount:
                return False
    return True


cdef bint on_group(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A new placement group; the answer says whether its id or name is taken. A repetition is the same group."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const GroupHeader* h = <const GroupHeader*> take(&c, sizeof(GroupHeader))
    cdef vector[Bundle] bundles
    cdef Bundle bundle
    cdef string name
    cdef const char* text
    cdef PlacementGroup* row
    cdef uint32_t refusal = 0
    cdef Message* answer
    if h == NULL or h.strategy > GROUP_STRICT_SPREAD or h.n_bundles == 0 or h.n_bundles > BUNDLES_MOST:
        return False
    text = take_padded(&c, h.name_size)
    if c.failed or not bundles_valid(c, h.n_bundles):
        return False
    name.assign(text, h.name_size)
    for _ in range(h.n_bundles):
        take_bundle(n, &c, &bundle)
        bundles.push_back(bundle)
    row = groups_find(&n.groups, m.object.task)
    if row != NULL:
        if row.state > GROUP_CREATED or row.home or row.name != name or row.strategy != h.strategy \
                or not same_bundles(&row.bundles, &bundles):
            refusal = GROUP_ID_TAKEN
    elif name.size() and groups_named(&n.groups, &name) != NULL:
        refusal = GROUP_NAME_TAKEN
    else:
        row = groups_add(&n.groups, &n.scheduler.resources, m.object.task, &bundles)
        row.client = m.client
        row.name = name
        row.strategy = <unsigned char> h.strategy
        row.detached = m.flags & GROUP_DETACHED != 0
        if n.cluster.joined:
            group_made(n, row, m)
            return True
        n.dispatch_wanted = True
        warn_if_impossible(n, row)
    answer = emit(n, CMD_READY, m.client, NULL)
    answer.request = m.request
    answer.aux = refusal
    return True


cdef void warn_if_impossible(NodeState* n, const PlacementGroup* row) noexcept nogil:
    cdef string text
    if group_possible(&n.scheduler.resources, row):
        return
    text.assign(b"A placement group cannot be placed: ")
    if needs_nodes(row):
        text.append(b"STRICT_SPREAD wants a node for each bundle, and there is one node.")
    else:
        text.append(b"its bundles ask for more than there is.")
    text.append(b" It waits until the cluster has enough.")
    warn(n, &text)


# ---- removing --------------------------------------------------------------------------------------------------

cdef void end_worker(NodeState* n, Worker* w) noexcept nogil:
    """Have a worker killed: it gets no more work, and what it has not begun goes elsewhere. Its actor dies."""
    cdef ActorRow* actor = actors_find(&n.actors, w.actor) if w.dedicated else NULL
    if actor != NULL:
        actor_dies(n, actor, died(n, actor, b"its placement group was removed"), STOP_KILL)
    if w.stopping:
        return
    call_back_queue(n, w)
    w.stopping = True
    emit(n, CMD_STOP, w.client, NULL).flags = STOP_KILL


cdef bint runs_in(NodeState* n, const Worker* w, TaskId group) noexcept nogil:
    cdef size_t i
    for i in range(w.running.size()):
        if same_task(n.scheduler.resources.shapes[w.running[i].shape].group, group):
            return True
    return w.settled and same_task(n.scheduler.resources.shapes[w.life.shape].group, group)


cdef void remove_group(NodeState* n, PlacementGroup* row) noexcept nogil:
    cdef ordered_map[uint32_t, Worker].iterator it = n.scheduler.workers.begin()
    cdef TaskId group = row.id
    cdef bint created = row.state == GROUP_CREATED
    group_remove(&n.groups, &n.scheduler.resources, row)
    n.dispatch_wanted = True
    while created and it != n.scheduler.workers.end():
        if runs_in(n, &deref(it).second, group):
            end_worker(n, &deref(it).second)
        preincrement(it)


cdef void on_ungroup(NodeState* n, const Message* m) noexcept nogil:
    cdef PlacementGroup* row = groups_find(&n.groups, m.object.task)
    if group_waits(n, m):
        return
    if row != NULL and n.cluster.joined and row.state <= GROUP_CREATED:
        group_removed(n, row)
    elif row != NULL:
        remove_group(n, row)


cdef void group_client_gone(NodeState* n, uint32_t client) noexcept nogil:
    """A driver ended: the groups that it made end with it, unless they are detached."""
    cdef vector[TaskId] mine
    cdef size_t i
    it = n.clients.find(client)
    if it == n.clients.end() or deref(it).second.flags & CLIENT_DRIVER == 0:
        return
    for entry in n.groups.rows:
        if entry.second.client == client and not entry.second.detached and entry.second.state <= GROUP_CREATED:
            mine.push_back(entry.first)
    for i in range(mine.size()):
        if n.cluster.joined:
            group_removed(n, groups_find(&n.groups, mine[i]))
        else:
            remove_group(n, groups_find(&n.groups, mine[i]))


# ---- what follows ----------------------------------------------------------------------------------------------

cdef Blob* doom_error(NodeState* n, const TaskRow* row, int doom) noexcept nogil:
    """The error of a task or (of one that creates an actor) of the actor's calls."""
    cdef uint32_t code = ERROR_UNGROUPED if doom == DOOM_UNGROUPED else ERROR_UNSCHEDULABLE
    cdef string room
    cdef const string* name = function_name(n, row, &room)
    if is_creation(row):
        code = ERROR_ACTOR_UNGROUPED if doom == DOOM_UNGROUPED else ERROR_ACTOR_UNSCHEDULABLE
    return system_error(code, name.data(), name.size())


cdef void fail_row(NodeState* n, TaskRow* row, Blob* error) noexcept nogil:
    """A ready task fails. One that creates an actor is the actor's death."""
    cdef ActorRow* actor = actors_find(&n.actors, row.id) if is_creation(row) else NULL
    if actor != NULL:
        actor_dies(n, actor, error, 0)
        return
    ready_remove(&n.scheduler, row)
    set_state(n, row, TASK_WAITING, 0)
    fail_task(n, row, error, TASK_FAILED)


cdef void fail_doomed(NodeState* n) noexcept nogil:
    """Ready tasks that cannot run, as their group is gone or no node is meant, fail."""
    cdef size_t shape
    cdef TaskRow* row
    for shape in range(n.scheduler.ready.size()):
        if n.scheduler.resources.shapes[shape].doom == 0:
            continue
        while n.scheduler.ready[shape].head != NULL:
            row = n.scheduler.ready[shape].head
            fail_row(n, row, doom_error(n, row, n.scheduler.resources.shapes[shape].doom))


cdef void sweep_shapes(NodeState* n) noexcept nogil:
    """Free the numbers of doomed shapes that no task is of."""
    cdef unordered_map[TaskId, TaskRow].iterator it = n.tasks.rows.begin()
    cdef ordered_map[uint32_t, Worker].iterator w = n.scheduler.workers.begin()
    cdef vector[int] used
    cdef size_t i
    used.resize(n.scheduler.resources.shapes.size())
    while it != n.tasks.rows.end():
        used[deref(it).second.shape] = True
        preincrement(it)
    while w != n.scheduler.workers.end():     # an actor's task may be gone, and its life be of the shape
        if deref(w).second.settled:
            used[deref(w).second.life.shape] = True
        for i in range(deref(w).second.running.size()):
            used[deref(w).second.running[i].shape] = True
        preincrement(w)
    for i in range(used.size()):
        if n.scheduler.resources.shapes[i].doom and not used[i]:
            resources_forget_shape(&n.scheduler.resources, <unsigned int> i)
            if i < n.scheduler.warned.size():
                n.scheduler.warned[i] = False
    n.groups.n_swept = n.scheduler.resources.n_doomed


cdef void serve_groups(NodeState* n) noexcept nogil:
    """Groups that fit are created, those that are empty and removed give back, and what can never run fails."""
    if not n.groups.leaving.empty():
        groups_release(&n.groups, &n.scheduler.resources)
    if not n.groups.pending.empty() and not n.cluster.joined:
        groups_place(&n.groups, &n.scheduler.resources)
    if n.scheduler.resources.n_doomed:
        fail_doomed(n)
        if n.scheduler.resources.n_doomed >= SWEEP_AT + 2 * n.groups.n_swept:
            sweep_shapes(n)


# ---- telling ---------------------------------------------------------------------------------------------------

cdef void write_text(string* out, const string* text) noexcept nogil:
    cdef unsigned long long size = text.size()
    out.append(<const char*> &size, 8)
    out.append(text[0])
    out.resize(align8(out.size()))


cdef void write_number(string* out, long long number) noexcept nogil:
    out.append(<const char*> &number, 8)


cdef bint lacks_nodes(const PlacementGroup* row) noexcept nogil:
    """Whether a group that was created has lost bundles."""
    cdef size_t i
    for i in range(row.nodes.size() if row.state == GROUP_CREATED else 0):
        if row.nodes[i] == 0:
            return True
    return False


cdef const string* node_of(NodeState* n, const PlacementGroup* row, size_t bundle) noexcept nogil:
    """The id of a bundle's node, as text; empty if it has none, or this is the only one."""
    if bundle < row.nodes.size() and row.nodes[bundle]:
        it = n.cluster.peers.find(row.nodes[bundle])
        if it != n.cluster.peers.end():
            return &deref(it).second.id
        return &n.cluster.id
    return &NOWHERE


cdef void write_group(NodeState* n, string* out, const PlacementGroup* row) noexcept nogil:
    """Id, number, state, strategy, GROUP_IS_*, name, bundles; of each bundle its node, and its amounts."""
    cdef size_t i, j
    out.append(<const char*> &row.id, sizeof(TaskId))
    write_number(out, <long long> row.number)
    write_number(out, GROUP_RESCHEDULING if lacks_nodes(row) else row.state)
    write_number(out, row.strategy)
    write_number(out, (GROUP_IS_DETACHED if row.detached else 0) | (GROUP_IS_HERE if row.home == 0 else 0))
    write_text(out, &row.name)
    write_number(out, <long long> row.bundles.size())
    for i in range(row.bundles.size()):
        write_text(out, node_of(n, row, i))
        write_number(out, <long long> row.bundles[i].amounts.size())
        for j in range(row.bundles[i].amounts.size()):
            write_number(out, row.bundles[i].amounts[j].amount)
            write_text(out, &n.scheduler.resources.names[row.bundles[i].amounts[j].resource])


cdef void write_groups(NodeState* n, string* out) noexcept nogil:
    """Every group of which something is known."""
    cdef ordered_map[TaskId, PlacementGroup].iterator it = n.groups.rows.begin()
    while it != n.groups.rows.end():
        if not n.cluster.joined or deref(it).second.is_known:
            write_group(n, out, &deref(it).second)
        preincrement(it)


cdef void on_groups(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """The group that is asked for, by id or by name, if it is known; every group, if none is."""
    cdef string out, name
    cdef PlacementGroup* row = groups_find(&n.groups, m.object.task)
    if group_waits(n, m):
        return
    if m.size:
        name.assign(payload, m.size)
        row = groups_named(&n.groups, &name)
        if row == NULL and n.cluster.joined:
            find_named(n, m, &name)
            return
    if row != NULL:
        write_group(n, &out, row)
    elif no_group(m.object.task) and m.size == 0:
        write_groups(n, &out)
    emit(n, CMD_READY, m.client, blob_copy(out.data(), out.size())).request = m.request
