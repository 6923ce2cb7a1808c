"""What the node tells of itself: resources, names, and rows of its tables and of the history.

Rows come newest first and in pages: an answer is bounded however many rows there are, and the next query says where
the last one ended. Each answer looks at the whole table, so that nothing is kept between two of them.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memset
from libcpp.map cimport map as ordered_map
from libcpp.queue cimport priority_queue
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from raylite._core.cluster.directory cimport list_names
from raylite._core.cluster.queries cimport ask_node, report_nodes
from raylite._core.cluster.remote_actors cimport find_name
from raylite._core.envelope cimport align8, Blob, blob_copy, blob_data, envelope_refs, EnvelopeHeader
from raylite._core.ids cimport FUNCTION_INDEX, object_id, same_object, same_task
from raylite._core.message cimport ACTOR_PLACED_ON_CPU, CMD_READY, QUERY_ACTOR, QUERY_ACTOR_NAME, QUERY_ACTOR_ROWS, \
    QUERY_ASSIGNED, QUERY_CLIENT_ROWS, QUERY_ENVIRONMENT, QUERY_EXPLAIN, QUERY_GROUPS, QUERY_NAMES, QUERY_NODES, \
    QUERY_OBJECT_ROWS, QUERY_TASK_ROWS, QUERY_VALUE_KEYS, QUERY_VALUE_PUT, SUBMIT_ARGS_OBJECT
from raylite._core.node.actor_table cimport ACTOR_DEAD, ActorRow, actors_find
from raylite._core.node.actors cimport actor_by_name
from raylite._core.node.group_events cimport write_groups
from raylite._core.node.history cimport history_task, PastActor, PastClient, PastTask
from raylite._core.node.key_values cimport on_value_query
from raylite._core.node.local_scheduler cimport Run, Worker, worker_find, worker_run
from raylite._core.node.objects cimport ObjectRow, objects_find
from raylite._core.node.resources cimport Amount, resource_asked_for, RESOURCE_CPU, Resources
from raylite._core.node.state cimport Client, emit
from raylite._core.node.task_table cimport TASK_BLOCKED, TASK_RUNNING, TaskRow, tasks_find
from raylite._core.node.waits cimport report_waits

cdef extern from *:
    """
    /* A row that a query asks for. In a priority_queue of these the oldest is on top, to be replaced by a newer one. */
    struct Found {
        uint64_t ns; ObjectId id; const void *row; const void *past;
        bool operator<(const Found &other) const { return ns != other.ns ? ns > other.ns : other.id < id; } };
    """
    cdef struct Found:
        uint64_t ns
        ObjectId id
        const void* row
        const void* past
    bint operator<(const Found& a, const Found& b) nogil

cdef struct Search:               # for the newest rows that a query asks for
    const ReportQuery* query
    uint64_t limit
    uint64_t n_found
    priority_queue[Found] newest

ctypedef void (*write_row)(NodeState* n, string* out, const Found* row, uint32_t flags) noexcept nogil


# ---- finding ---------------------------------------------------------------------------------------------------

cdef void search_begin(Search* s, const ReportQuery* query) noexcept nogil:
    s.query = query
    s.n_found = 0
    s.limit = query.limit if query.limit < REPORT_ROWS_MOST else REPORT_ROWS_MOST


cdef void search_add(Search* s, uint64_t ns, ObjectId id, uint32_t state, const void* row, const void* past) \
        noexcept nogil:
    """Take a row into account."""
    cdef Found found, last
    if (s.query.states >> state) & 1 == 0:
        return
    found.ns = ns
    found.id = id
    found.row = row
    found.past = past
    if s.query.is_next:
        last.ns = s.query.after_ns
        last.id = s.query.after
        if not last < found:
            return
    s.n_found += 1
    if s.newest.size() < s.limit:
        s.newest.push(found)
    elif s.limit and found < s.newest.top():
        s.newest.pop()
        s.newest.push(found)


cdef bint is_nil(ObjectId id) noexcept nogil:
    return id.task.hi == 0 and id.task.lo == 0 and id.index == 0


cdef void search_write(NodeState* n, Search* s, string* out, write_row write) noexcept nogil:
    """The answer: header and rows, newest first; it ends early when it is long."""
    cdef ReportHeader head
    cdef vector[Found] found
    cdef size_t i = s.newest.size()
    found.resize(i)
    while i:
        i -= 1
        found[i] = s.newest.top()
        s.newest.pop()
    memset(&head, 0, sizeof(head))
    head.n_found = s.n_found
    append(out, &head, sizeof(head))
    while i < found.size() and out.size() < REPORT_BYTES_MOST:
        write(n, out, &found[i], s.query.flags)
        i += 1
    (<ReportHeader*> out.data()).n_rows = <uint32_t> i


# ---- writing ---------------------------------------------------------------------------------------------------

cdef void append(string* out, const void* data, uint64_t size) noexcept nogil:
    """Bytes, padded to 8."""
    out.append(<const char*> data, size)
    out.resize(align8(out.size()))


cdef void append_blob(string* out, Blob* blob) noexcept nogil:
    if blob != NULL:
        append(out, blob_data(blob), blob.size)


cdef uint64_t blob_size(const Blob* blob) noexcept nogil:
    return blob.size if blob != NULL else 0


cdef Blob* name_of(NodeState* n, ObjectId function) noexcept nogil:
    """The name of a function, also of one that is forgotten; NULL if that is too long ago."""
    it = n.functions.find(function)
    if it != n.functions.end():
        return deref(it).second.name
    past = n.history.names.find(function)
    return deref(past).second if past != n.history.names.end() else NULL


cdef const string* demand_of(NodeState* n, uint32_t shape, uint64_t serial, const string* none) noexcept nogil:
    """What tasks of a shape ask for, unless the number is another's by now."""
    row = &n.scheduler.resources.shapes[shape]
    if row.serial == serial:
        return &row.key
    return none


cdef const string* site_of(NodeState* n, uint32_t number, const string* none) noexcept nogil:
    if number == 0:
        return none
    return &n.call_sites[number - 1]


cdef uint32_t flags_of(NodeState* n, uint32_t client) noexcept nogil:
    it = n.clients.find(client)
    if it != n.clients.end():
        return deref(it).second.flags
    past = n.history.clients.find(client)
    return deref(past).second.flags if past != n.history.clients.end() else 0


cdef uint32_t process_of(NodeState* n, uint32_t client) noexcept nogil:
    it = n.clients.find(client)
    if it != n.clients.end():
        return deref(it).second.process
    past = n.history.clients.find(client)
    return deref(past).second.process if past != n.history.clients.end() else 0


# ---- tasks -----------------------------------------------------------------------------------------------------

cdef void fill_task(TaskReport* out, const TaskRow* row, const PastTask* past) noexcept nogil:
    """What rows of the table and of the history have in common."""
    if past != NULL:
        out.id, out.parent, out.actor, out.before = past.id, past.parent, past.actor, past.before
        out.submit_ns, out.ready_ns = past.submit_ns, past.ready_ns
        out.start_ns, out.end_ns = past.start_ns, past.end_ns
        out.client, out.job, out.attempt, out.worker = past.client, past.job, past.attempt, past.worker
        out.n_returns, out.state, out.error_code = past.n_returns, past.state, past.error_code
        out.home, out.runs_at = past.home, past.runs_at
    else:
        out.id, out.parent, out.actor, out.before = row.id, row.parent, row.actor, row.before
        out.submit_ns, out.ready_ns = row.submit_ns, row.ready_ns
        out.start_ns, out.end_ns = row.start_ns, row.end_ns
        out.client, out.job, out.attempt, out.worker = row.client, row.job, row.attempt, row.worker
        out.n_returns, out.state = row.n_returns, row.state
        out.home, out.runs_at = row.home, row.runs_at


cdef uint32_t waits_in(NodeState* n, TaskId task) noexcept nogil:
    """In what a task waits; the calls of an actor have no state of their own for it."""
    cdef uint32_t found = 0
    for request in n.requests:
        if request.second.blocks and same_task(request.second.task, task):
            found = max(found, <uint32_t> request.second.kind)
    return found


cdef void gather_refs(NodeState* n, const TaskRow* row, vector[ObjectId]* out) noexcept nogil:
    """References at the top level of the arguments, and inside them."""
    cdef const ObjectId* inside
    cdef ObjectRow* block
    out[0] = row.refs
    if row.arguments != NULL:
        inside = envelope_refs(blob_data(row.arguments))
        out.insert(out.end(), inside, inside + (<const EnvelopeHeader*> blob_data(row.arguments)).n_refs)
    elif out.size():
        block = objects_find(&n.objects, out.back())
        if block != NULL and row.flags & SUBMIT_ARGS_OBJECT:
            out.insert(out.end(), block.contained.begin(), block.contained.end())


cdef void write_task(NodeState* n, string* out, const Found* found, uint32_t flags) noexcept nogil:
    cdef const TaskRow* row = <const TaskRow*> found.row
    cdef const PastTask* past = <const PastTask*> found.past
    cdef const string* demand
    cdef const string* site
    cdef string none
    cdef Blob* name = past.name if past != NULL else row.name
    cdef Blob* function = name_of(n, past.function if past != NULL else row.function)
    cdef Blob* error = past.error if past != NULL and flags & REPORT_ERRORS else NULL
    cdef vector[ObjectId] refs
    cdef TaskReport report
    memset(&report, 0, sizeof(report))
    fill_task(&report, row, past)
    report.client_flags = flags_of(n, report.client)
    report.process = process_of(n, report.worker)
    if report.state == TASK_RUNNING or report.state == TASK_BLOCKED:
        report.waits_in = waits_in(n, report.id)
    if past != NULL:
        demand = demand_of(n, past.shape, past.shape_serial, &none)
    else:
        demand = &n.scheduler.resources.shapes[row.shape].key
    if flags & REPORT_REFERENCES and past != NULL:
        refs = past.refs
    elif flags & REPORT_REFERENCES:
        gather_refs(n, row, &refs)
    report.demand_size = <uint32_t> demand.size()
    report.name_size = <uint32_t> blob_size(name)
    report.function_size = <uint32_t> blob_size(function)
    report.n_refs = <uint32_t> refs.size()
    report.error_size = blob_size(error)
    site = site_of(n, row.call_site if row != NULL else 0, &none)
    report.call_site_size = <uint32_t> site.size()
    append(out, &report, sizeof(report))
    append(out, demand.data(), demand.size())
    append_blob(out, name)
    append_blob(out, function)
    append(out, refs.data(), refs.size() * sizeof(ObjectId))
    append_blob(out, error)
    append(out, site.data(), site.size())


cdef bint is_asked_for(const ReportQuery* query, TaskId id, TaskId actor) noexcept nogil:
    if query.id.task.hi or query.id.task.lo:
        return same_task(query.id.task, id)
    return (query.actor.hi == 0 and query.actor.lo == 0) or same_task(query.actor, actor)


cdef void report_tasks(NodeState* n, const ReportQuery* query, string* out) noexcept nogil:
    cdef unordered_map[TaskId, TaskRow].iterator it = n.tasks.rows.begin()
    cdef const PastTask* past
    cdef uint64_t number = n.history.n_first
    cdef const TaskRow* row
    cdef Search s
    search_begin(&s, query)
    while it != n.tasks.rows.end():
        row = &deref(it).second
        if is_asked_for(query, row.id, row.actor):
            search_add(&s, row.submit_ns, object_id(row.id, 0), row.state, row, NULL)
        preincrement(it)
    while number < n.history.n_tasks:
        past = history_task(&n.history, number)
        if is_asked_for(query, past.id, past.actor):
            search_add(&s, past.submit_ns, object_id(past.id, 0), past.state, NULL, past)
        number += 1
    search_write(n, &s, out, write_task)


# ---- actors ----------------------------------------------------------------------------------------------------

cdef void write_actor(NodeState* n, string* out, const Found* found, uint32_t flags) noexcept nogil:
    cdef const ActorRow* row = <const ActorRow*> found.row
    cdef const PastActor* past = <const PastActor*> found.past
    cdef TaskRow* creation = tasks_find(&n.tasks, found.id.task)
    cdef const string* class_name = &past.class_name if past != NULL else &row.class_name
    cdef const string* name = &past.name if past != NULL else &row.name
    cdef Blob* death = (past.death if past != NULL else row.death) if flags & REPORT_ERRORS else NULL
    cdef const string* demand
    cdef string none
    cdef ActorReport report
    memset(&report, 0, sizeof(report))
    report.id = found.id.task
    if past != NULL:
        demand = demand_of(n, past.shape, past.shape_serial, &none)
        report.made_ns, report.job, report.process = past.made_ns, past.job, past.process
        report.n_restarts, report.flags, report.state = past.n_restarts, past.flags, ACTOR_DEAD
    else:
        demand = demand_of(n, row.shape, row.shape_serial, &none)
        report.made_ns, report.job, report.process = row.made_ns, row.job, row.process
        report.n_restarts, report.flags, report.state = row.n_restarts, row.flags, row.state
        report.worker = row.worker
        report.creation_state = creation.state if creation != NULL else 0
    report.demand_size = <uint32_t> demand.size()
    report.class_size = <uint32_t> class_name.size()
    report.name_size = <uint32_t> name.size()
    report.death_size = blob_size(death)
    append(out, &report, sizeof(report))
    append(out, demand.data(), demand.size())
    append(out, class_name.data(), class_name.size())
    append(out, name.data(), name.size())
    append_blob(out, death)


cdef void report_actors(NodeState* n, const ReportQuery* query, string* out) noexcept nogil:
    cdef unordered_map[TaskId, ActorRow].iterator it = n.actors.rows.begin()
    cdef const PastActor* past
    cdef const ActorRow* row
    cdef size_t i
    cdef Search s
    search_begin(&s, query)
    while it != n.actors.rows.end():
        row = &deref(it).second
        if is_asked_for(query, row.id, query.actor):
            search_add(&s, row.made_ns, object_id(row.id, 0), row.state, row, NULL)
        preincrement(it)
    for i in range(n.history.actors.size()):
        past = &n.history.actors[i]
        if is_asked_for(query, past.id, query.actor):
            search_add(&s, past.made_ns, object_id(past.id, 0), ACTOR_DEAD, NULL, past)
    search_write(n, &s, out, write_actor)


# ---- objects ---------------------------------------------------------------------------------------------------

cdef void write_object(NodeState* n, string* out, const Found* found, uint32_t flags) noexcept nogil:
    cdef const ObjectRow* row = <const ObjectRow*> found.row
    cdef TaskRow* creator = tasks_find(&n.tasks, row.id.task)
    cdef vector[uint32_t] clients = row.holders
    cdef ObjectReport report
    cdef string none
    cdef const string* site = site_of(n, row.call_site, &none)
    cdef size_t i
    memset(&report, 0, sizeof(report))
    report.id = row.id
    report.call_site_size = <uint32_t> site.size()
    report.size = row.size
    report.state, report.kind, report.kept = row.state, row.kind, row.kept
    report.creator_state = creator.state if creator != NULL else 0
    report.attempt = creator.attempt if creator != NULL else 0
    report.n_task_holds, report.n_container_holds = row.n_task_holds, row.n_container_holds
    report.n_lineage_holds = row.n_lineage_holds
    report.n_holders, report.n_pins = <uint32_t> row.holders.size(), <uint32_t> row.pins.size()
    append(out, &report, sizeof(report))
    for i in range(row.pins.size()):
        clients.push_back(row.pins[i].client)
    append(out, clients.data(), 4 * clients.size())
    append(out, site.data(), site.size())


cdef void report_objects(NodeState* n, const ReportQuery* query, string* out) noexcept nogil:
    """All but functions."""
    cdef unordered_map[ObjectId, ObjectRow].iterator it = n.objects.rows.begin()
    cdef const ObjectRow* row
    cdef Search s
    search_begin(&s, query)
    while it != n.objects.rows.end():
        row = &deref(it).second
        if row.id.index != FUNCTION_INDEX and (is_nil(query.id) or same_object(row.id, query.id)):
            search_add(&s, 0, row.id, row.state, row, NULL)
        preincrement(it)
    search_write(n, &s, out, write_object)


# ---- clients ---------------------------------------------------------------------------------------------------

cdef void write_client(NodeState* n, string* out, const Found* found, uint32_t flags) noexcept nogil:
    cdef const Client* row = <const Client*> found.row
    cdef const PastClient* past = <const PastClient*> found.past
    cdef ClientReport report
    memset(&report, 0, sizeof(report))
    report.id = found.id.index
    if past != NULL:
        report.flags, report.process, report.is_past = past.flags, past.process, True
        report.attach_ns, report.detach_ns = past.attach_ns, past.detach_ns
        report.why_size = <uint32_t> past.why.size()
    else:
        report.flags, report.process, report.attach_ns = row.flags, row.process, row.attach_ns
    append(out, &report, sizeof(report))
    if past != NULL:
        append(out, past.why.data(), past.why.size())


cdef void report_clients(NodeState* n, const ReportQuery* query, string* out) noexcept nogil:
    """Workers and drivers. The number of the client is the index of query.id."""
    cdef ordered_map[uint32_t, Client].iterator it = n.clients.begin()
    cdef ordered_map[uint32_t, PastClient].iterator past = n.history.clients.begin()
    cdef Search s
    search_begin(&s, query)
    while it != n.clients.end():
        if query.id.index == 0 or query.id.index == deref(it).first:
            search_add(&s, 0, object_id(TaskId(0, 0), deref(it).first), 0, &deref(it).second, NULL)
        preincrement(it)
    while past != n.history.clients.end():
        if query.id.index == 0 or query.id.index == deref(past).first:
            search_add(&s, 0, object_id(TaskId(0, 0), deref(past).first), 1, NULL, &deref(past).second)
        preincrement(past)
    search_write(n, &s, out, write_client)


# ---- names, resources ------------------------------------------------------------------------------------------

cdef void report_names(NodeState* n, string* out) noexcept nogil:
    """The full names of actors, each ended by a line feed."""
    for entry in n.actors.names:
        out.append(entry.first)
        out.append(b"\n")


cdef void report_amounts(string* out, const string* name, int64_t first, int64_t second) noexcept nogil:
    """Two amounts of a resource (64-bit), name size and name, padded to 8."""
    cdef int64_t numbers[3]
    numbers[0] = first
    numbers[1] = second
    numbers[2] = <int64_t> name.size()
    append(out, numbers, 24)
    append(out, name.data(), name.size())


cdef void report_resources(NodeState* n, string* out) noexcept nogil:
    """Of each the total and the available amount."""
    cdef Resources* r = &n.scheduler.resources
    cdef size_t i
    for i in range(r.names.size()):
        if not r.names[i].empty():
            report_amounts(out, &r.names[i], r.total[i], r.available[i])


cdef void report_assigned(NodeState* n, string* out, uint32_t client, TaskId task) noexcept nogil:
    """Of each resource how much of it a worker's task has, twice; an actor has it for life, whatever it runs."""
    cdef Worker* w = worker_find(&n.scheduler, client)
    cdef const ActorRow* actor = actors_find(&n.actors, w.actor) if w != NULL and w.dedicated else NULL
    cdef const Run* run = NULL
    cdef const Amount* amount
    cdef string name
    cdef size_t i
    if w != NULL:
        run = &w.life if w.settled else worker_run(w, task)
    if run == NULL:
        return
    for i in range(n.scheduler.resources.shapes[run.shape].amounts.size()):
        amount = &n.scheduler.resources.shapes[run.shape].amounts[i]
        if actor != NULL and actor.flags & ACTOR_PLACED_ON_CPU \
                and n.scheduler.resources.kinds[amount.resource] == RESOURCE_CPU:
            continue              # needed to place it only
        if resource_asked_for(&n.scheduler.resources, run.shape, amount.resource, &name):
            report_amounts(out, &name, amount.amount, amount.amount)


cdef bint report_rows(NodeState* n, uint32_t what, const ReportQuery* query, string* out) noexcept nogil:
    if what == QUERY_TASK_ROWS:
        report_tasks(n, query, out)
    elif what == QUERY_ACTOR_ROWS:
        report_actors(n, query, out)
    elif what == QUERY_OBJECT_ROWS:
        report_objects(n, query, out)
    elif what == QUERY_CLIENT_ROWS:
        report_clients(n, query, out)
    else:
        return False
    return True


cdef void report_environment(NodeState* n, uint64_t environment, string* out) noexcept nogil:
    it = n.scheduler.resources.environments.find(environment)
    if it != n.scheduler.resources.environments.end():
        out.append(deref(it).second)


cdef bint report(NodeState* n, uint32_t what, const char* payload, uint64_t size, string* out) noexcept nogil:
    """What this node tells of itself to whoever asks, here or on another node. False if the question is malformed."""
    if what == QUERY_NODES:
        report_nodes(n, out)
    elif what == QUERY_GROUPS:
        write_groups(n, out)
    elif what == QUERY_ENVIRONMENT and size == sizeof(uint64_t):
        report_environment(n, (<const uint64_t*> payload)[0], out)
    else:
        return size == sizeof(ReportQuery) and report_rows(n, what, <const ReportQuery*> payload, out)
    return True


cdef bint on_query(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """Answer. False if the question is malformed."""
    cdef string out
    cdef ObjectId actor
    if QUERY_VALUE_PUT <= m.object.index <= QUERY_VALUE_KEYS:
        return on_value_query(n, m, payload)
    if m.aux and m.aux != n.cluster.address:
        ask_node(n, m, payload)
        return True
    if m.object.index == QUERY_EXPLAIN:
        if not report_waits(n, m, payload, &out):
            return False
    elif m.object.index >= QUERY_NODES:
        if not report(n, m.object.index, payload, m.size, &out):
            return False
    elif m.object.index == QUERY_ACTOR and n.cluster.joined:
        find_name(n, m, payload, m.size)
        return True
    elif m.object.index == QUERY_ACTOR:
        actor = actor_by_name(n, m.client, payload, m.size)
        if actor.index:
            out.append(<const char*> &actor.task, sizeof(TaskId))
    elif m.object.index == QUERY_ACTOR_NAME and m.size == sizeof(TaskId):
        if actors_find(&n.actors, (<const TaskId*> payload)[0]) != NULL:
            out = actors_find(&n.actors, (<const TaskId*> payload)[0]).name
    elif m.object.index == QUERY_NAMES and n.cluster.joined:
        list_names(n, m)
        return True
    elif m.object.index == QUERY_NAMES:
        report_names(n, &out)
    elif m.object.index == QUERY_ASSIGNED and m.size == sizeof(TaskId):
        report_assigned(n, &out, m.client, (<const TaskId*> payload)[0])
    else:
        report_resources(n, &out)
    emit(n, CMD_READY, m.client, blob_copy(out.data(), out.size())).request = m.request
    return True
