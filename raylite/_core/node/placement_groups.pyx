"""Placement groups: bundles of a node's resources, set aside together.

    PENDING -> CREATED -> LEAVING -> GONE
        \\_____________________________/

A group is created when all its bundles fit at once, or not at all; those that wait are tried in order of creation, and
one that fits does not wait for those that do not. One that did not fit is tried again when there may be enough of what
it lacked, not before: any number may wait. What a bundle sets aside leaves the node's resources, and is there
again under names of the bundle and of the group (resources.bundle_resource), from which the group's tasks take. On one
node PACK, SPREAD and STRICT_PACK mean the same; STRICT_SPREAD is for one bundle only. A group that is removed gives all
of it back once nothing runs in it. In a cluster a node has rows of the groups that it made, has bundles of, or has
tasks of, and only some bundles are here; who places them is in cluster/groups.pyx.
"""
from cython.operator cimport dereference as deref, preincrement
from libcpp.map cimport map as ordered_map
from libcpp.pair cimport pair
from libcpp.set cimport set as ordered_set
from raylite._core.ids cimport same_task
from raylite._core.node.resources cimport amounts_acquire, amounts_fit, amounts_release, ANY_BUNDLE, \
    bundle_resource, DOOM_UNGROUPED, RESOURCE_GPU, resources_doom, resources_forget_name, resources_name, \
    resources_provide, resources_provide_gpu, UNIT

cdef enum:
    BUNDLE_AMOUNT = 1000 * UNIT   # of a bundle's own resource, of which each of its tasks takes a little
    GONE_MOST = 1000              # groups that are remembered


cdef PlacementGroup* groups_find(PlacementGroups* g, TaskId id) noexcept nogil:
    cdef ordered_map[TaskId, PlacementGroup].iterator it = g.rows.find(id)
    if it == g.rows.end():
        return NULL
    return &deref(it).second


cdef PlacementGroup* groups_named(PlacementGroups* g, const string* name) noexcept nogil:
    """The group of this name that has not been removed, or NULL."""
    cdef ordered_map[TaskId, PlacementGroup].iterator it = g.rows.begin()
    while it != g.rows.end():
        if deref(it).second.state <= GROUP_CREATED and deref(it).second.name == name[0]:
            return &deref(it).second
        preincrement(it)
    return NULL


# ---- names -----------------------------------------------------------------------------------------------------

cdef uint32_t name_of(Resources* r, const string* resource, TaskId group, int bundle) noexcept nogil:
    cdef string name = bundle_resource(resource, group, bundle)
    return resources_name(r, name.data(), name.size())


cdef void provide(Resources* r, const string* resource, TaskId group, int bundle, int64_t amount) noexcept nogil:
    """A bundle, and so its group, has so much of a resource; 0 makes the names known."""
    resources_provide(r, name_of(r, resource, group, bundle), amount)
    resources_provide(r, name_of(r, resource, group, ANY_BUNDLE), amount)


cdef void provide_bundle(Resources* r, const PlacementGroup* row, int bundle, bint placed) noexcept nogil:
    cdef const Bundle* b = &row.bundles[bundle]
    cdef string own = string(b"bundle"), name
    cdef int64_t each = UNIT if b.gpus >= UNIT else b.gpus
    cdef size_t i, j
    provide(r, &own, row.id, bundle, BUNDLE_AMOUNT if placed else 0)
    for i in range(b.amounts.size()):
        name = r.names[b.amounts[i].resource]
        provide(r, &name, row.id, bundle, b.amounts[i].amount if placed else 0)
        if r.kinds[b.amounts[i].resource] == RESOURCE_GPU and placed:
            for j in range(b.gpu_numbers.size()):
                resources_provide_gpu(r, name_of(r, &name, row.id, bundle), b.gpu_numbers[j], each)
                resources_provide_gpu(r, name_of(r, &name, row.id, ANY_BUNDLE), b.gpu_numbers[j], each)


cdef void forget_names(Resources* r, TaskId group) noexcept nogil:
    """Nothing takes from the group any more: its shapes ask for nothing, and its names are free."""
    cdef string suffix
    cdef size_t i
    suffix = bundle_resource(&suffix, group, ANY_BUNDLE).substr(6)    # without "_group"
    for i in range(r.shapes.size()):
        if same_task(r.shapes[i].group, group):
            resources_doom(r, <uint32_t> i, DOOM_UNGROUPED)
            r.shapes[i].amounts.clear()
            r.shapes[i].gpus = 0
    for i in range(r.names.size()):
        if r.names[i].size() > suffix.size() \
                and r.names[i].compare(r.names[i].size() - suffix.size(), suffix.size(), suffix) == 0:
            resources_forget_name(r, <uint32_t> i)


# ---- the life of a group ---------------------------------------------------------------------------------------

cdef PlacementGroup* groups_add(PlacementGroups* g, Resources* r, TaskId id, const vector[Bundle]* bundles) \
        noexcept nogil:
    """A new group, pending; tasks may ask for its resources from now on."""
    cdef PlacementGroup* row = &g.rows[id]
    g.last += 1
    row.id = id
    row.number = g.last
    row.state = GROUP_PENDING
    row.lacks_something = False
    row.request = row.home = row.n_claims = row.round = row.turn = 0
    row.is_known = row.is_warned = row.has_failed = row.detached = False
    g.pending[row.number] = id
    r.groups.insert(id)
    group_describe(r, row, bundles)
    return row


cdef void group_describe(Resources* r, PlacementGroup* row, const vector[Bundle]* bundles) noexcept nogil:
    """What the group's bundles are: their names are known from now on."""
    cdef size_t i
    row.bundles = bundles[0]
    for i in range(bundles.size()):
        provide_bundle(r, row, <int> i, False)


cdef void group_created(PlacementGroups* g, PlacementGroup* row) noexcept nogil:
    """Each bundle has its place, here or elsewhere."""
    if row.state == GROUP_PENDING:
        row.state = GROUP_CREATED
        g.pending.erase(row.number)


cdef void group_unmake(PlacementGroups* g, Resources* r, PlacementGroup* row) noexcept nogil:
    """The pending group was never to be: nothing of it is remembered."""
    cdef TaskId id = row.id
    group_remove(g, r, row)
    g.gone.pop_back()
    g.rows.erase(id)


cdef bint needs_nodes(const PlacementGroup* row) noexcept nogil:
    """Whether the group is for several nodes, of which there is one."""
    return row.strategy == GROUP_STRICT_SPREAD and row.bundles.size() > 1


cdef bint group_possible(const Resources* r, const PlacementGroup* row) noexcept nogil:
    """Whether the group would fit if nothing else was there."""
    cdef ordered_map[uint32_t, int64_t] sums
    cdef const Bundle* b
    cdef size_t i, j
    if needs_nodes(row):
        return False
    for i in range(row.bundles.size()):
        b = &row.bundles[i]
        for j in range(b.amounts.size()):
            sums[b.amounts[j].resource] += b.amounts[j].amount
    for entry in sums:
        if entry.second > r.total[entry.first]:
            return False
    return True


cdef bint place(Resources* r, PlacementGroup* row) noexcept nogil:
    """Set all bundles aside, or none."""
    cdef vector[uint32_t] all_bundles
    cdef size_t i
    for i in range(row.bundles.size()):
        all_bundles.push_back(<uint32_t> i)
    if not bundles_take(r, row, &all_bundles):
        return False
    bundles_open(r, row)
    return True


cdef bint bundles_take(Resources* r, PlacementGroup* row, const vector[uint32_t]* which) noexcept nogil:
    """Set these bundles aside, all or none; those that are here already stay."""
    cdef Bundle* b
    cdef size_t i, j
    for i in range(which.size()):
        b = &row.bundles[which[0][i]]
        if b.is_here:
            continue
        if not amounts_fit(r, &b.amounts, b.gpus):
            row.lacks = lacking_resource(r, b)
            for j in range(i):
                if not row.bundles[which[0][j]].is_open:
                    give_back(r, &row.bundles[which[0][j]])
            return False
        amounts_acquire(r, &b.amounts, b.gpus, &b.gpu_numbers)
        b.is_here = True
    return True


cdef void bundles_open(Resources* r, PlacementGroup* row) noexcept nogil:
    """From now on tasks may take from the bundles that are here."""
    cdef size_t i
    for i in range(row.bundles.size()):
        if row.bundles[i].is_here and not row.bundles[i].is_open:
            row.bundles[i].is_open = True
            provide_bundle(r, row, <int> i, True)


cdef void bundles_give_back(Resources* r, PlacementGroup* row, bint open_too) noexcept nogil:
    cdef size_t i
    for i in range(row.bundles.size()):
        if open_too or not row.bundles[i].is_open:
            give_back(r, &row.bundles[i])


cdef void give_back(Resources* r, Bundle* b) noexcept nogil:
    if b.is_here:
        amounts_release(r, &b.amounts, b.gpus, &b.gpu_numbers)
        b.gpu_numbers.clear()
        b.is_here = b.is_open = False


# ---- waiting ---------------------------------------------------------------------------------------------------

cdef uint32_t lacking_resource(const Resources* r, const Bundle* b) noexcept nogil:
    """The first resource of which there is not enough for a bundle that does not fit: at the last, whole GPUs."""
    cdef uint32_t of_gpus = 0
    cdef size_t i
    for i in range(b.amounts.size()):
        if b.amounts[i].amount > r.available[b.amounts[i].resource]:
            return b.amounts[i].resource
        if r.kinds[b.amounts[i].resource] == RESOURCE_GPU:
            of_gpus = b.amounts[i].resource
    return of_gpus


cdef int64_t amount_in_all(const PlacementGroup* row, uint32_t resource) noexcept nogil:
    cdef int64_t total = 0
    cdef size_t i, j
    for i in range(row.bundles.size()):
        for j in range(row.bundles[i].amounts.size()):
            if row.bundles[i].amounts[j].resource == resource:
                total += row.bundles[i].amounts[j].amount
    return total


cdef void await_resource(PlacementGroups* g, PlacementGroup* row) noexcept nogil:
    """The group did not fit: list it under what it lacks."""
    row.lacks_something = True
    row.lacks_amount = amount_in_all(row, row.lacks)
    g.lacking[pair[uint32_t, int64_t](row.lacks, row.lacks_amount)].insert(row.number)


cdef void await_nothing(PlacementGroups* g, PlacementGroup* row) noexcept nogil:
    """Take the group from where await_resource() listed it."""
    cdef ordered_map[pair[uint32_t, int64_t], ordered_set[uint64_t]].iterator it
    if not row.lacks_something:
        return
    row.lacks_something = False
    it = g.lacking.find(pair[uint32_t, int64_t](row.lacks, row.lacks_amount))
    deref(it).second.erase(row.number)
    if deref(it).second.empty():
        g.lacking.erase(it)


cdef uint64_t next_hopeful(PlacementGroups* g, const Resources* r, uint64_t number) noexcept nogil:
    """The first pending group after this number that may fit: as it has not been tried, or as of what it lacked more
    has become available, and enough is. 0: there is none."""
    cdef ordered_map[pair[uint32_t, int64_t], ordered_set[uint64_t]].iterator it
    cdef ordered_set[uint64_t].iterator found
    cdef ordered_map[uint64_t, TaskId].iterator untried
    cdef uint64_t first = 0
    cdef size_t i
    for i in range(r.freed.size()):
        it = g.lacking.lower_bound(pair[uint32_t, int64_t](r.freed[i], 0))
        while it != g.lacking.end() and deref(it).first.first == r.freed[i] \
                and deref(it).first.second <= r.available[r.freed[i]]:
            found = deref(it).second.upper_bound(number)
            if found != deref(it).second.end() and (first == 0 or deref(found) < first):
                first = deref(found)
            preincrement(it)
    if first:
        return first
    untried = g.pending.upper_bound(max(number, g.last_tried))
    return deref(untried).first if untried != g.pending.end() else 0


cdef void groups_place(PlacementGroups* g, Resources* r) noexcept nogil:
    """Create the pending groups that fit now."""
    cdef uint64_t number = next_hopeful(g, r, 0)
    cdef PlacementGroup* row
    cdef size_t i
    while number:
        row = groups_find(g, g.pending[number])
        await_nothing(g, row)
        g.last_tried = max(g.last_tried, number)
        g.n_tries += 1
        if not needs_nodes(row) and place(r, row):
            row.state = GROUP_CREATED
            g.pending.erase(number)
        elif not needs_nodes(row):
            await_resource(g, row)
        number = next_hopeful(g, r, number)
    for i in range(r.freed.size()):
        r.is_freed[r.freed[i]] = False
    r.freed.clear()


cdef void gone(PlacementGroups* g, Resources* r, PlacementGroup* row) noexcept nogil:
    forget_names(r, row.id)
    row.state = GROUP_GONE
    g.gone.push_back(row.id)
    while g.gone.size() > GONE_MOST:
        g.rows.erase(g.gone.front())
        g.gone.pop_front()


cdef void group_remove(PlacementGroups* g, Resources* r, PlacementGroup* row) noexcept nogil:
    """The group is to go; removed again, it is as it was. What runs in it is the caller's to end."""
    cdef size_t i
    r.groups.erase(row.id)
    if row.state == GROUP_PENDING:
        bundles_give_back(r, row, True)
        await_nothing(g, row)
        g.pending.erase(row.number)
        gone(g, r, row)
    elif row.state == GROUP_CREATED:
        row.state = GROUP_LEAVING
        g.leaving.push_back(row.id)
        for i in range(r.shapes.size()):
            if same_task(r.shapes[i].group, row.id):
                resources_doom(r, <uint32_t> i, DOOM_UNGROUPED)


cdef bint in_use(Resources* r, TaskId group) noexcept nogil:
    """Whether anything runs in the group: all that does takes of its bundles."""
    cdef string own = string(b"bundle")
    cdef uint32_t name = name_of(r, &own, group, ANY_BUNDLE)
    return r.available[name] != r.total[name]


cdef void groups_release(PlacementGroups* g, Resources* r) noexcept nogil:
    """Give back to the node what removed groups have in which nothing runs any more."""
    cdef PlacementGroup* row
    cdef size_t i, kept = 0
    for i in range(g.leaving.size()):
        row = groups_find(g, g.leaving[i])
        if in_use(r, row.id):
            g.leaving[kept] = row.id
            kept += 1
        else:
            bundles_give_back(r, row, True)
            gone(g, r, row)
    g.leaving.resize(kept)
