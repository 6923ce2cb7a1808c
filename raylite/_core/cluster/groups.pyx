"""Placement groups whose bundles are on several nodes.

The node on which a group was made is its home: it asks a scheduler where the bundles fit, has those nodes set them
aside, and opens them when all have, or has them given back. Other nodes learn of a group when they get a bundle of it,
or a task that names it: whose it is they ask the store, and what it is its home, which tells them of each change from
then on. So a task of a group goes straight to a bundle, or waits here until there is one. When a node dies its bundles
are placed again, the others stay; when the home does, the group is gone.
"""
from cython.operator cimport dereference as deref
from libc.string cimport memcpy, memset
from libcpp.map cimport map as ordered_map
from libcpp.set cimport set as ordered_set
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.cluster.departures cimport ask_store, tell
from raylite._core.cluster.message cimport GroupNotice, NODE_BUNDLES, NODE_BUNDLES_BACK, NODE_BUNDLES_TAKEN, \
    NODE_GROUP, NODE_GROUP_GONE, NODE_GROUP_WATCH
from raylite._core.cluster.spill cimport fail_unplaced, find_place_for, place, scheduler_for
from raylite._core.cluster.table cimport GroupRequest
from raylite._core.envelope cimport align8, blob_copy
from raylite._core.ids cimport hash_bytes, object_id, same_task
from raylite._core.links.packet cimport SCHEDULER_ASK_GROUP
from raylite._core.message cimport BundleHeader, CMD_READY, Cursor, EV_GROUPS, GROUP_ID_TAKEN, GROUP_NAME_TAKEN, take, \
    take_padded
from raylite._core.node.group_events cimport bundles_valid, on_groups, remove_group, take_bundle
from raylite._core.node.placement_groups cimport Bundle, bundles_give_back, bundles_open, bundles_take, GROUP_CREATED, \
    group_created, group_describe, GROUP_STRICT_SPREAD, group_unmake, groups_add, groups_find
from raylite._core.node.resources cimport ANY_BUNDLE, DemandEntry, DemandHeader, DOOM_UNGROUPED, no_group, Shape
from raylite._core.node.state cimport emit, warn
from raylite._core.node.task_table cimport TASK_SPILLED, tasks_find
from raylite._core.scheduler.message cimport GroupAnswer, GroupQuestion
from raylite._core.store.message cimport OP_NAME_CLAIM, OP_NAME_DROP, OP_NAME_FIND, party_key, STORE_OK, STORE_UNKNOWN

cdef enum:
    HOPEFUL_MOST = 16             # groups that had no place, asked about again in one tick


cdef inline bint is_home(const PlacementGroup* row) noexcept nogil:
    return row.home == 0 and row.is_known


# ---- in the store: whose it is ---------------------------------------------------------------------------------

cdef string key_of(const PlacementGroup* row) noexcept nogil:
    """The name under which the store knows the group's home."""
    cdef string key
    key.assign(b"\0group\0", 7)
    key.append(<const char*> &row.id, sizeof(TaskId))
    return key


cdef string key_of_name(const string* name) noexcept nogil:
    """What a group's own name is in the store."""
    cdef string key
    key.assign(b"\0name of group\0", 15)
    key.append(name[0])
    return key


cdef uint64_t ask_about(NodeState* n, uint16_t kind, const TaskId* owner, const string* key) noexcept nogil:
    cdef string body
    if owner != NULL:
        body.assign(<const char*> owner, sizeof(TaskId))
    body.append(key[0])
    return ask_store(n, kind, object_id(hash_bytes(key.data(), key.size(), 0), 0), blob_copy(body.data(), body.size()))


cdef TaskId home_as_owner(NodeState* n) noexcept nogil:
    cdef TaskId owner
    owner.hi = party_key(n.cluster.address, n.incarnation)
    owner.lo = 0
    return owner


cdef void claim(NodeState* n, PlacementGroup* row) noexcept nogil:
    """The group's name first, then its id."""
    cdef string key = key_of_name(&row.name) if row.n_claims == 2 else key_of(row)
    cdef TaskId owner = row.id if row.n_claims == 2 else home_as_owner(n)
    n.cluster.group_tokens[ask_about(n, OP_NAME_CLAIM, &owner, &key)] = row.id


cdef void unclaim(NodeState* n, const PlacementGroup* row, bint with_id) noexcept nogil:
    cdef TaskId owner = home_as_owner(n)
    cdef string key = key_of(row)
    if with_id:
        ask_about(n, OP_NAME_DROP, &owner, &key)
    if not row.name.empty():
        key = key_of_name(&row.name)
        ask_about(n, OP_NAME_DROP, &row.id, &key)


cdef void ask_home(NodeState* n, const PlacementGroup* row) noexcept nogil:
    """Ask whose the group is."""
    cdef string key = key_of(row)
    n.cluster.group_tokens[ask_about(n, OP_NAME_FIND, NULL, &key)] = row.id


cdef void find_named(NodeState* n, const Message* m, const string* name) noexcept nogil:
    """A client asks for the group of this name, which no group that is known here has."""
    cdef string key = key_of_name(name)
    cdef uint64_t token = ask_about(n, OP_NAME_FIND, NULL, &key)
    n.cluster.group_tokens[token] = TaskId(0, 0)
    n.cluster.expected[token].client = m.client
    n.cluster.expected[token].request = m.request


cdef void on_name_found(NodeState* n, const Expected* asked, uint16_t status, const char* body,
                        uint64_t size) noexcept nogil:
    """The store says which group has the name: the client is answered when that is known here."""
    cdef Message m
    if status != STORE_OK or size < sizeof(TaskId):
        emit(n, CMD_READY, asked.client, NULL).request = asked.request
        return
    memset(&m, 0, sizeof(Message))
    m.kind = EV_GROUPS
    m.client = asked.client
    m.request = asked.request
    memcpy(&m.object.task, body, sizeof(TaskId))
    on_groups(n, &m, NULL)


cdef bint group_answered(NodeState* n, const Expected* asked, uint64_t token, uint16_t status, const char* body,
                         uint64_t size) noexcept nogil:
    """The store has answered a question about a group. False if it was about something else."""
    cdef PlacementGroup* row
    cdef TaskId group
    it = n.cluster.group_tokens.find(token)
    if it == n.cluster.group_tokens.end():
        return False
    group = deref(it).second
    n.cluster.group_tokens.erase(token)
    if no_group(group):
        on_name_found(n, asked, status, body, size)
        return True
    row = groups_find(&n.groups, group)
    if row == NULL or row.state > GROUP_CREATED:
        return True
    if asked.kind == OP_NAME_CLAIM:
        on_claimed(n, row, status)
    elif row.home == 0 and not row.is_known:
        on_home_found(n, row, status, body, size)
    return True


cdef void on_claimed(NodeState* n, PlacementGroup* row, uint16_t status) noexcept nogil:
    """The store has given the group a name, or the name is taken: then there is no such group."""
    cdef uint32_t refusal = GROUP_NAME_TAKEN if row.n_claims == 2 else GROUP_ID_TAKEN
    cdef Message* answer
    if status == STORE_OK and row.n_claims == 2:
        row.n_claims = 1
        claim(n, row)
        return
    answer = emit(n, CMD_READY, row.client, NULL)
    answer.request = row.request
    row.n_claims = 0
    if status == STORE_OK:
        n.cluster.unplaced.push_back(row.id)
        return
    answer.aux = refusal
    if refusal == GROUP_ID_TAKEN:
        unclaim(n, row, False)
    group_unmake(&n.groups, &n.scheduler.resources, row)


cdef void on_home_found(NodeState* n, PlacementGroup* row, uint16_t status, const char* body,
                        uint64_t size) noexcept nogil:
    cdef TaskId owner
    cdef uint32_t address
    if status == STORE_UNKNOWN or size < sizeof(TaskId):
        group_gone(n, row)
        return
    memcpy(&owner, body, sizeof(TaskId))
    address = <uint32_t> (owner.hi >> 32)
    it = n.cluster.peers.find(address)
    if it != n.cluster.peers.end() and deref(it).second.incarnation == <uint32_t> owner.hi:
        row.home = address
        tell(n, address, NODE_GROUP_WATCH, NULL).object = object_id(row.id, 0)
    else:                         # it has just died, or is not known here yet
        n.cluster.strangers.push_back(row.id)


# ---- made, known, removed --------------------------------------------------------------------------------------

cdef void group_made(NodeState* n, PlacementGroup* row, const Message* m) noexcept nogil:
    """This node is the home of a new group. Who made it is answered when the store knows."""
    row.is_known = True
    row.request = m.request
    row.n_claims = 1 if row.name.empty() else 2
    row.nodes.assign(row.bundles.size(), 0)
    claim(n, row)


cdef void know_group(NodeState* n, const char* demand, uint64_t size) noexcept nogil:
    """A task is in a group: see to it that something is known of that."""
    if size >= sizeof(DemandHeader):
        meet_group(n, (<const DemandHeader*> demand).group)


cdef void meet_group(NodeState* n, TaskId group) noexcept nogil:
    cdef vector[Bundle] none
    if not no_group(group) and groups_find(&n.groups, group) == NULL:
        ask_home(n, groups_add(&n.groups, &n.scheduler.resources, group, &none))


cdef bint group_waits(NodeState* n, const Message* m) noexcept nogil:
    """Whether what a client wants of a group has to wait until that is known here."""
    cdef PlacementGroup* row
    cdef GroupRequest request
    if not n.cluster.joined or no_group(m.object.task):
        return False
    meet_group(n, m.object.task)
    row = groups_find(&n.groups, m.object.task)
    if row.state > GROUP_CREATED or row.is_known:
        return False
    request.group = row.id
    request.message = m[0]
    request.message.size = 0
    n.cluster.group_requests.push_back(request)
    return True


cdef void answer_requests(NodeState* n, TaskId group) noexcept nogil:
    """Something is known of the group by now."""
    cdef vector[GroupRequest] waiting
    cdef PlacementGroup* row
    cdef size_t i
    waiting.swap(n.cluster.group_requests)
    for i in range(waiting.size()):
        if not same_task(waiting[i].group, group):
            n.cluster.group_requests.push_back(waiting[i])
        elif waiting[i].message.kind == EV_GROUPS:
            on_groups(n, &waiting[i].message, NULL)
        else:
            row = groups_find(&n.groups, group)
            if row != NULL and row.state <= GROUP_CREATED:
                group_removed(n, row)


cdef void group_removed(NodeState* n, PlacementGroup* row) noexcept nogil:
    """Somebody here wants the group to go: that is for its home to do."""
    if row.home:
        tell(n, row.home, NODE_GROUP_GONE, NULL).object = object_id(row.id, 0)
        return
    for watcher in row.watchers:
        tell(n, watcher, NODE_GROUP_GONE, NULL).object = object_id(row.id, 0)
    unclaim(n, row, True)
    group_gone(n, row)


cdef void group_gone(NodeState* n, PlacementGroup* row) noexcept nogil:
    """The group is no more: what is of it here ends."""
    cdef TaskId group = row.id
    row.proposed.clear()
    row.awaited.clear()
    remove_group(n, row)
    release_tasks(n, group)
    answer_requests(n, group)


# ---- its tasks -------------------------------------------------------------------------------------------------

cdef bint fits_bundle(NodeState* n, const PlacementGroup* row, const Shape* shape, size_t bundle) noexcept nogil:
    """Whether a bundle could ever have what tasks of this shape ask for."""
    cdef Cursor c = Cursor(shape.key.data(), align8(shape.key.size()), False)
    cdef const DemandHeader* head = <const DemandHeader*> take(&c, sizeof(DemandHeader))
    cdef const DemandEntry* entry
    cdef const char* name
    cdef const string* own
    cdef bint found
    cdef size_t j
    for _ in range(head.n_amounts):
        entry = <const DemandEntry*> take(&c, sizeof(DemandEntry))
        name = take_padded(&c, entry.name_size)
        found = entry.amount == 0
        for j in range(row.bundles[bundle].amounts.size()):
            own = &n.scheduler.resources.names[row.bundles[bundle].amounts[j].resource]
            found |= row.bundles[bundle].amounts[j].amount >= entry.amount and own[0] == string(name, entry.name_size)
        if not found:
            return False
    return True


cdef uint32_t bundle_node(NodeState* n, PlacementGroup* row, const Shape* shape) noexcept nogil:
    """The node of the bundle that a task asks for; if it asks for any, of one after the other. 0: there is none now."""
    cdef size_t i, bundle
    if row.state != GROUP_CREATED:
        return 0
    if shape.bundle != ANY_BUNDLE:
        return row.nodes[shape.bundle] if <size_t> shape.bundle < row.nodes.size() else 0
    for i in range(row.nodes.size()):
        bundle = (row.turn + i) % row.nodes.size()
        if row.nodes[bundle] and fits_bundle(n, row, shape, bundle):
            row.turn = <uint32_t> (bundle + 1)
            return row.nodes[bundle]
    return 0


cdef void find_bundle(NodeState* n, TaskRow* row) noexcept nogil:
    """A task of a group goes where the bundle is, or waits for it."""
    cdef const Shape* shape = &n.scheduler.resources.shapes[row.shape]
    cdef PlacementGroup* group = groups_find(&n.groups, shape.group)
    cdef uint32_t address
    if group == NULL or group.state > GROUP_CREATED:
        fail_unplaced(n, row, DOOM_UNGROUPED)
        return
    address = bundle_node(n, group, shape)
    if address == 0:
        n.cluster.grouped[group.id].push_back(row.id)
    else:
        place(n, row, address)


cdef void release_tasks(NodeState* n, TaskId group) noexcept nogil:
    """Tasks that waited for a bundle look again."""
    cdef vector[TaskId] tasks
    cdef TaskRow* row
    cdef size_t i
    it = n.cluster.grouped.find(group)
    if it == n.cluster.grouped.end():
        return
    tasks.swap(deref(it).second)
    n.cluster.grouped.erase(group)
    for i in range(tasks.size()):
        row = tasks_find(&n.tasks, tasks[i])
        if row != NULL and row.state == TASK_SPILLED and row.runs_at == 0:
            find_place_for(n, row)


# ---- at home: where bundles go ---------------------------------------------------------------------------------

cdef void append_bundle(NodeState* n, const Bundle* b, string* out) noexcept nogil:
    cdef BundleHeader head = BundleHeader(<uint32_t> b.amounts.size(), 0)
    cdef const string* name
    cdef DemandEntry entry
    cdef size_t i
    memset(&entry, 0, sizeof(DemandEntry))
    out.append(<const char*> &head, sizeof(BundleHeader))
    for i in range(b.amounts.size()):
        name = &n.scheduler.resources.names[b.amounts[i].resource]
        entry.amount = b.amounts[i].amount
        entry.name_size = <uint32_t> name.size()
        out.append(<const char*> &entry, sizeof(DemandEntry))
        out.append(name[0])
        out.resize(align8(out.size()))


cdef uint32_t n_homeless(const PlacementGroup* row) noexcept nogil:
    cdef uint32_t count = 0
    cdef size_t i
    for i in range(row.nodes.size()):
        count += row.nodes[i] == 0
    return count


cdef bint is_placing(const PlacementGroup* row) noexcept nogil:
    return not row.proposed.empty()


cdef void ask_for_groups(NodeState* n) noexcept nogil:
    """Ask about groups that have bundles without a node; later, if there is no scheduler now."""
    cdef vector[TaskId] groups
    cdef PlacementGroup* row
    cdef size_t i
    groups.swap(n.cluster.unplaced)
    for i in range(groups.size()):
        row = groups_find(&n.groups, groups[i])
        if row == NULL or row.state > GROUP_CREATED or is_placing(row) or n_homeless(row) == 0:
            continue
        if n.cluster.schedulers.empty():
            n.cluster.hopeful.push_back(row.id)
        else:
            ask_for_group(n, row)


cdef void ask_for_group(NodeState* n, const PlacementGroup* row) noexcept nogil:
    cdef GroupQuestion question
    cdef string out
    cdef size_t i
    n.cluster.last_question += 1
    n.cluster.group_questions[n.cluster.last_question] = row.id
    memset(&question, 0, sizeof(GroupQuestion))
    question.token = n.cluster.last_question
    question.strategy = row.strategy
    question.n_bundles = n_homeless(row)
    question.n_kept = <uint32_t> row.nodes.size() - question.n_bundles
    out.append(<const char*> &question, sizeof(GroupQuestion))
    for i in range(row.nodes.size()):
        if row.nodes[i]:
            out.append(<const char*> &row.nodes[i], 4)
    out.resize(align8(out.size()))
    for i in range(row.nodes.size()):
        if row.nodes[i] == 0:
            append_bundle(n, &row.bundles[i], &out)
    tell(n, scheduler_for(n), SCHEDULER_ASK_GROUP, blob_copy(out.data(), out.size()))


cdef void ask_for_groups_later(NodeState* n) noexcept nogil:
    """Time has passed: there may be room, or a home be known, by now."""
    cdef vector[TaskId] strangers
    cdef PlacementGroup* row
    cdef size_t i
    for _ in range(min(n.cluster.hopeful.size(), <size_t> HOPEFUL_MOST)):
        n.cluster.unplaced.push_back(n.cluster.hopeful.front())
        n.cluster.hopeful.pop_front()
    strangers.swap(n.cluster.strangers)
    for i in range(strangers.size()):
        row = groups_find(&n.groups, strangers[i])
        if row != NULL and row.state <= GROUP_CREATED and not row.is_known:
            ask_home(n, row)


cdef void group_questions_lost(NodeState* n) noexcept nogil:
    """A scheduler is gone: what was asked is asked again."""
    for entry in n.cluster.group_questions:
        n.cluster.unplaced.push_back(entry.second)
    n.cluster.group_questions.clear()


cdef bint on_group_placement(NodeState* n, const Message* m, const char* payload) noexcept nogil:
    """A scheduler has answered. False if it is malformed."""
    cdef Cursor c = Cursor(payload, m.size, False)
    cdef const GroupAnswer* answer = <const GroupAnswer*> take(&c, sizeof(GroupAnswer))
    cdef const uint32_t* addresses
    cdef PlacementGroup* row
    if answer == NULL:
        return False
    addresses = <const uint32_t*> take(&c, 4 * <uint64_t> answer.n_bundles)
    it = n.cluster.group_questions.find(answer.token)
    if addresses == NULL or it == n.cluster.group_questions.end():
        return addresses != NULL
    row = groups_find(&n.groups, deref(it).second)
    n.cluster.group_questions.erase(answer.token)
    if row == NULL or row.state > GROUP_CREATED or is_placing(row):
        return True
    if answer.n_bundles == 0:
        if not answer.is_possible:
            warn_of(n, row)
        n.cluster.hopeful.push_back(row.id)
    elif answer.n_bundles != n_homeless(row):     # more have lost theirs since
        n.cluster.unplaced.push_back(row.id)
    else:
        propose(n, row, addresses)
    return True


cdef void warn_of(NodeState* n, PlacementGroup* row) noexcept nogil:
    """Say once that the cluster as it is has no place for the group."""
    cdef string text = string(b"A placement group cannot be placed: ")
    if row.is_warned:
        return
    row.is_warned = True
    if row.strategy == GROUP_STRICT_SPREAD:
        text.append(b"STRICT_SPREAD wants a node for each bundle, and there are not so many that could have them.")
    else:
        text.append(b"its bundles ask for more than there is.")
    text.append(b" It waits until the cluster has enough.")
    warn(n, &text)


cdef void propose(NodeState* n, PlacementGroup* row, const uint32_t* addresses) noexcept nogil:
    """Have nodes set the bundles aside."""
    cdef ordered_map[uint32_t, vector[uint32_t]] by_node
    cdef Message* m
    cdef size_t i, next_address = 0
    row.proposed.assign(row.nodes.size(), 0)
    row.round += 1
    row.has_failed = False
    for i in range(row.nodes.size()):
        if row.nodes[i] == 0:
            row.proposed[i] = addresses[next_address]
            by_node[addresses[next_address]].push_back(<uint32_t> i)
            next_address += 1
    for entry in by_node:
        if entry.first == n.cluster.address:
            row.has_failed |= not bundles_take(&n.scheduler.resources, row, &entry.second)
        elif n.cluster.peers.count(entry.first) == 0:
            row.has_failed = True
        else:
            row.awaited.insert(entry.first)
            if row.watchers.insert(entry.first).second:
                notify(n, row, entry.first)
            m = tell(n, entry.first, NODE_BUNDLES,
                     blob_copy(<const char*> entry.second.data(), 4 * entry.second.size()))
            m.object = object_id(row.id, 0)
            m.request = row.round
    if row.awaited.empty():
        round_over(n, row)


cdef void on_bundles_taken(NodeState* n, PlacementGroup* row, uint32_t source, const Message* m) noexcept nogil:
    if m.request != row.round or not row.awaited.erase(source):
        return
    row.has_failed |= m.flags != 0
    if row.awaited.empty():
        round_over(n, row)


cdef void round_over(NodeState* n, PlacementGroup* row) noexcept nogil:
    """All nodes have answered: either each bundle has a place, or none takes one."""
    cdef size_t i
    if row.has_failed:
        abandon(n, row)
        n.cluster.hopeful.push_back(row.id)
        return
    for i in range(row.nodes.size()):
        if row.proposed[i]:
            row.nodes[i] = row.proposed[i]
    row.proposed.clear()
    group_created(&n.groups, row)
    bundles_open(&n.scheduler.resources, row)
    notify_all(n, row)
    n.dispatch_wanted = True
    release_tasks(n, row.id)
    if n_homeless(row):           # others were lost meanwhile
        n.cluster.unplaced.push_back(row.id)


cdef void abandon(NodeState* n, PlacementGroup* row) noexcept nogil:
    """What was set aside in this round is not needed."""
    cdef ordered_set[uint32_t] told
    cdef size_t i
    bundles_give_back(&n.scheduler.resources, row, False)
    for i in range(row.proposed.size()):
        if row.proposed[i] and n.cluster.peers.count(row.proposed[i]) and told.insert(row.proposed[i]).second:
            tell(n, row.proposed[i], NODE_BUNDLES_BACK, NULL).object = object_id(row.id, 0)
    row.proposed.clear()
    row.awaited.clear()
    n.dispatch_wanted = True


cdef void notify(NodeState* n, const PlacementGroup* row, uint32_t target) noexcept nogil:
    """Tell a node what the group is, and where."""
    cdef GroupNotice notice
    cdef string out
    cdef size_t i
    memset(&notice, 0, sizeof(GroupNotice))
    notice.state = row.state
    notice.strategy = row.strategy
    notice.is_detached = row.detached
    notice.n_bundles = <uint32_t> row.bundles.size()
    notice.name_size = <uint32_t> row.name.size()
    out.append(<const char*> &notice, sizeof(GroupNotice))
    out.append(row.name)
    out.resize(align8(out.size()))
    out.append(<const char*> row.nodes.data(), 4 * row.nodes.size())
    out.resize(align8(out.size()))
    for i in range(row.bundles.size()):
        append_bundle(n, &row.bundles[i], &out)
    tell(n, target, NODE_GROUP, blob_copy(out.data(), out.size())).object = object_id(row.id, 0)


cdef void notify_all(NodeState* n, const PlacementGroup* row) noexcept nogil:
    for watcher in row.watchers:
        notify(n, row, watcher)


# ---- elsewhere -------------------------------------------------------------------------------------------------

cdef bint on_notice(NodeState* n, uint32_t source, TaskId id, const char* payload, uint64_t size) noexcept nogil:
    """A group's home says what it is. False if it is malformed."""
    cdef Cursor c = Cursor(payload, size, False)
    cdef const GroupNotice* notice = <const GroupNotice*> take(&c, sizeof(GroupNotice))
    cdef PlacementGroup* row = groups_find(&n.groups, id)
    cdef const uint32_t* nodes
    cdef const char* name
    cdef vector[Bundle] bundles
    cdef Bundle bundle
    if notice == NULL or notice.state > GROUP_CREATED or notice.strategy > GROUP_STRICT_SPREAD:
        return False
    name = take_padded(&c, notice.name_size)
    nodes = <const uint32_t*> take_padded(&c, 4 * <uint64_t> notice.n_bundles)
    if c.failed or not bundles_valid(c, notice.n_bundles):
        return False
    if row != NULL and (row.state > GROUP_CREATED or is_home(row)):
        return True
    if row == NULL:
        row = groups_add(&n.groups, &n.scheduler.resources, id, &bundles)
    if not row.is_known:
        for _ in range(notice.n_bundles):
            take_bundle(n, &c, &bundle)
            bundles.push_back(bundle)
        group_describe(&n.scheduler.resources, row, &bundles)
        row.name.assign(name, notice.name_size)
        row.strategy = <unsigned char> notice.strategy
        row.detached = notice.is_detached != 0
        row.is_known = True
    if notice.n_bundles != row.bundles.size():
        return False
    row.home = source
    row.nodes.assign(nodes, nodes + notice.n_bundles)
    if notice.state == GROUP_CREATED:
        group_created(&n.groups, row)
        bundles_open(&n.scheduler.resources, row)
    n.dispatch_wanted = True
    release_tasks(n, id)
    answer_requests(n, id)
    return True


cdef bint on_bundles(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """Set bundles aside for a group. False if the message is malformed."""
    cdef PlacementGroup* row = groups_find(&n.groups, m.object.task)
    cdef const uint32_t* which = <const uint32_t*> payload
    cdef vector[uint32_t] bundles
    cdef bint taken = False
    cdef Message* answer
    cdef size_t i
    if m.size % 4:
        return False
    bundles.assign(which, which + m.size // 4)
    if row != NULL and row.home == source and row.state <= GROUP_CREATED:
        for i in range(bundles.size()):
            if bundles[i] >= row.bundles.size():
                return False
        taken = bundles_take(&n.scheduler.resources, row, &bundles)
    answer = tell(n, source, NODE_BUNDLES_TAKEN, NULL)
    answer.object = m.object
    answer.request = m.request
    answer.flags = not taken
    return True


cdef bint hear_of_group(NodeState* n, uint32_t source, const Message* m, const char* payload) noexcept nogil:
    """What another node says of a group. False if it is malformed."""
    cdef PlacementGroup* row = groups_find(&n.groups, m.object.task)
    cdef bint is_there = row != NULL and row.state <= GROUP_CREATED
    if m.kind == NODE_GROUP:
        return on_notice(n, source, m.object.task, payload, m.size)
    if m.kind == NODE_BUNDLES:
        return on_bundles(n, source, m, payload)
    if m.kind == NODE_GROUP_WATCH:
        if is_there and is_home(row):
            row.watchers.insert(source)
            notify(n, row, source)
        else:
            tell(n, source, NODE_GROUP_GONE, NULL).object = m.object
    elif not is_there:
        pass
    elif m.kind == NODE_BUNDLES_TAKEN and is_home(row):
        on_bundles_taken(n, row, source, m)
    elif m.kind == NODE_BUNDLES_BACK and row.home == source:
        bundles_give_back(&n.scheduler.resources, row, False)
        n.dispatch_wanted = True
    elif m.kind == NODE_GROUP_GONE and is_home(row):
        group_removed(n, row)
    elif m.kind == NODE_GROUP_GONE and row.home == source:
        group_gone(n, row)
    return True


# ---- deaths ----------------------------------------------------------------------------------------------------

cdef void lose_bundles(NodeState* n, PlacementGroup* row, uint32_t address) noexcept nogil:
    """Of a group of this node's: the bundles on a dead node need another."""
    cdef bint lost = False
    cdef size_t i
    row.watchers.erase(address)
    for i in range(row.proposed.size()):
        row.has_failed |= row.proposed[i] == address
    if row.awaited.erase(address) and row.awaited.empty():
        round_over(n, row)
    for i in range(row.nodes.size()):
        if row.nodes[i] == address:
            row.nodes[i] = 0
            lost = True
    if lost:
        notify_all(n, row)
        n.cluster.unplaced.push_back(row.id)


cdef void groups_lost_node(NodeState* n, uint32_t address) noexcept nogil:
    """A node is dead: its groups are gone, its bundles of others are to be placed again."""
    cdef vector[TaskId] groups
    cdef PlacementGroup* row
    cdef size_t i, j
    for entry in n.groups.rows:
        if entry.second.state <= GROUP_CREATED:
            groups.push_back(entry.first)
    for i in range(groups.size()):
        row = groups_find(&n.groups, groups[i])
        if row == NULL:
            continue
        if row.home == address:
            group_gone(n, row)
        elif is_home(row):
            lose_bundles(n, row, address)
        else:
            for j in range(row.nodes.size()):
                row.nodes[j] = 0 if row.nodes[j] == address else row.nodes[j]
