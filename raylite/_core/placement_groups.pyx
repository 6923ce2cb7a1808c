"""Placement groups: bundles of a node's resources, set aside together.

    PENDING -> CREATED -> LEAVING -> GONE
        \\_____________________________/

A group is created when all its bundles fit at once, or not at all; those that wait are tried in order of creation, and
one that fits does not wait for those that do not. What a bundle sets aside leaves the node's resources, and is there
again under names of the bundle and of the group (resources.bundle_resource), from which the group's tasks take. On one
node PACK, SPREAD and STRICT_PACK mean the same; STRICT_SPREAD is for one bundle only. A group that is removed gives all
of it back once nothing runs in it.
"""
from cython.operator cimport dereference as deref, preincrement
from raylite._core.ids cimport same_task
from raylite._core.resources cimport amounts_acquire, amounts_fit, amounts_release, ANY_BUNDLE, \
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
    cdef size_t i
    g.last += 1
    row.id = id
    row.number = g.last
    row.state = GROUP_PENDING
    row.bundles = bundles[0]
    g.pending[row.number] = id
    r.groups.insert(id)
    for i in range(bundles.size()):
        provide_bundle(r, row, <int> i, False)
    return row


cdef bint group_possible(const Resources* r, const PlacementGroup* row) noexcept nogil:
    """Whether the group would fit if nothing else was there."""
    cdef ordered_map[uint32_t, int64_t] sums
    cdef const Bundle* b
    cdef size_t i, j
    if row.strategy == GROUP_STRICT_SPREAD and row.bundles.size() > 1:
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
    cdef Bundle* b
    cdef size_t i, taken = 0
    while taken < row.bundles.size() and amounts_fit(r, &row.bundles[taken].amounts, row.bundles[taken].gpus):
        b = &row.bundles[taken]
        amounts_acquire(r, &b.amounts, b.gpus, &b.gpu_numbers)
        taken += 1
    if taken < row.bundles.size():
        give_back(r, row, taken)
        return False
    for i in range(taken):
        provide_bundle(r, row, <int> i, True)
    return True


cdef void give_back(Resources* r, PlacementGroup* row, size_t n_bundles) noexcept nogil:
    cdef size_t i
    for i in range(n_bundles):
        amounts_release(r, &row.bundles[i].amounts, row.bundles[i].gpus, &row.bundles[i].gpu_numbers)
        row.bundles[i].gpu_numbers.clear()


cdef void groups_place(PlacementGroups* g, Resources* r) noexcept nogil:
    """Create the pending groups that fit now."""
    cdef ordered_map[uint64_t, TaskId].iterator it = g.pending.begin()
    cdef PlacementGroup* row
    while it != g.pending.end():
        row = groups_find(g, deref(it).second)
        preincrement(it)
        if not group_possible(r, row) or not place(r, row):
            continue
        row.state = GROUP_CREATED
        g.pending.erase(row.number)


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
            give_back(r, row, row.bundles.size())
            gone(g, r, row)
    g.leaving.resize(kept)
