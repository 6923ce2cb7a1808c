"""A node's resources, and the shapes of demand that tasks have on them.

Amounts are fixed-point (UNIT a whole one). A shape is interned from the bytes a client sends: an environment hash, a
placement group if any, (name, amount) pairs, and for a cluster what its node is to be like. GPUs are handed out one by
one: whole ones, or a fraction of one. Only CPUs may go below zero, when a task that lent its CPU while blocked takes it
back.

What a placement group has set aside are resources too, as in Ray: of each name that a bundle has there is one for the
bundle, one for the group as a whole, and a task in a bundle takes from both (see placement_groups.pyx). A shape of a
group that is gone is doomed: its tasks fail. Names and shapes of gone groups are used again.
"""
from libc.stdio cimport snprintf
from libc.string cimport memcmp
from libcpp.set cimport set as ordered_set
from raylite._core.envelope cimport align8
from raylite._core.message cimport take, take_padded
from raylite._core.planted cimport OFF_BY_ONE, planted, RESOURCE_LEAK
from raylite._core.scheduler.message cimport PLACE_DEFAULT, PLACE_NEAR_NODE, PLACE_ON_NODE, PLACE_SPREAD, PlaceLabel, \
    skip_label

cdef enum:
    DEMAND_MOST = 65536           # bytes
    SCANNED_SHAPES = 16           # the first shapes are found faster by looking at each
    SHARE = 10                    # of a bundle's own resource that each of its tasks takes, be it nothing else


cdef void resources_setup(Resources* r) noexcept nogil:
    resources_name(r, b"CPU", 3)
    resources_name(r, b"GPU", 3)
    resources_name(r, b"memory", 6)


cdef uint8_t kind_of(const char* name, uint64_t size) noexcept nogil:
    if size == 3 or (size > 10 and memcmp(name + 3, b"_group_", 7) == 0):
        if memcmp(name, b"CPU", 3) == 0:
            return RESOURCE_CPU
        if memcmp(name, b"GPU", 3) == 0:
            return RESOURCE_GPU
    return RESOURCE_PLAIN


cdef uint32_t resources_name(Resources* r, const char* name, uint64_t size) noexcept nogil:
    """The index of a resource name, new names included."""
    cdef string text = string(name, size)
    cdef uint32_t number
    it = r.name_numbers.find(text)
    if it != r.name_numbers.end():
        return r.name_numbers[text]
    if r.free_names.empty():
        number = <uint32_t> r.names.size()
        r.names.push_back(text)
        r.kinds.push_back(kind_of(name, size))
        r.total.push_back(0)
        r.available.push_back(0)
        r.is_freed.push_back(False)
        r.gpu_free.resize(number + 1)
    else:
        number = r.free_names.back()
        r.free_names.pop_back()
        r.names[number] = text
        r.kinds[number] = kind_of(name, size)
    r.name_numbers[text] = number
    return number


cdef void resources_forget_name(Resources* r, uint32_t resource) noexcept nogil:
    """Nothing asks for this resource any more, and the node has none of it: its number is free."""
    r.name_numbers.erase(r.names[resource])
    r.names[resource].clear()
    r.gpu_free[resource].clear()
    r.total[resource] = r.available[resource] = 0
    r.free_names.push_back(resource)


cdef string bundle_resource(const string* name, TaskId group, int32_t bundle) noexcept nogil:
    """What a bundle has of a resource, as a name; ANY_BUNDLE: what all bundles of the group have."""
    cdef const uint8_t* id = <const uint8_t*> &group
    cdef char buffer[16]
    cdef string text = name[0]
    cdef size_t i
    text.append(b"_group_")
    if bundle != ANY_BUNDLE:
        snprintf(buffer, 16, "%d_", <int> bundle)
        text.append(<const char*> buffer)
    for i in range(sizeof(TaskId)):
        snprintf(buffer, 16, "%02x", <unsigned int> id[i])
        text.append(<const char*> buffer)
    return text


cdef bint resource_asked_for(const Resources* r, uint32_t shape, uint32_t resource, string* name) noexcept nogil:
    """By what name a shape's tasks asked for a resource of theirs. False if they did not, and it comes with a bundle,
    or with the group's as a whole."""
    cdef TaskId group = r.shapes[shape].group
    cdef string suffix
    name[0] = r.names[resource]
    if no_group(group):
        return True
    suffix = bundle_resource(&suffix, group, ANY_BUNDLE)
    if name.size() <= suffix.size() or name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0:
        return False
    name.resize(name.size() - suffix.size())
    return name.compare(b"bundle") != 0


cdef void add_available(Resources* r, uint32_t resource, int64_t amount) noexcept nogil:
    r.available[resource] += amount
    if not r.is_freed[resource]:
        r.is_freed[resource] = True
        r.freed.push_back(resource)


cdef void resources_provide(Resources* r, uint32_t resource, int64_t amount) noexcept nogil:
    """The node has `amount` more of a resource."""
    r.total[resource] += amount
    add_available(r, resource, amount)
    if resource == GPU:
        for _ in range(amount // UNIT):
            r.gpu_free[GPU].push_back(UNIT)


cdef void resources_provide_gpu(Resources* r, uint32_t resource, uint32_t gpu, int64_t amount) noexcept nogil:
    """A bundle's GPUs have so much of this one."""
    r.gpu_free[resource].resize(r.gpu_free[GPU].size())
    r.gpu_free[resource][gpu] += amount


cdef bint entries_valid(Cursor* c, uint32_t count, int64_t least) noexcept nogil:
    """Whether so many amounts follow: no resource named twice, none below `least`, no GPUs between whole numbers."""
    cdef const DemandEntry* entry
    cdef const char* name
    cdef ordered_set[string] seen
    for _ in range(count):
        entry = <const DemandEntry*> take(c, sizeof(DemandEntry))
        name = take_padded(c, entry.name_size) if entry != NULL else NULL
        if name == NULL or entry.amount < least or entry.name_size == 0 \
                or not seen.insert(string(name, entry.name_size)).second:
            return False
        if entry.amount > UNIT and entry.amount % UNIT and entry.name_size == 3 and memcmp(name, b"GPU", 3) == 0:
            return False
    return True


cdef bint demand_valid(const char* data, uint64_t size) noexcept nogil:
    cdef Cursor c = Cursor(data, align8(size), False)
    cdef const DemandHeader* head = <const DemandHeader*> take(&c, sizeof(DemandHeader))
    if head == NULL or size > DEMAND_MOST or head.bundle < ANY_BUNDLE or head.flags >= 2 * DEMAND_NEAR_NODE:
        return False
    if head.flags & (DEMAND_ON_NODE | DEMAND_NEAR_NODE) and head.n_labels == 0 \
            or not entries_valid(&c, head.n_amounts, 0):
        return False
    for _ in range(head.n_labels):
        if not skip_label(&c):
            return False
    return c.left == 0


cdef void take_labels(Shape* shape, Cursor c, const DemandHeader* head) noexcept nogil:
    """What a demand says of the node besides amounts; the cursor is behind those."""
    cdef const PlaceLabel* label
    cdef uint64_t size
    shape.strategy = PLACE_SPREAD if head.flags & DEMAND_SPREAD else PLACE_DEFAULT
    shape.n_labels = head.n_labels
    if head.flags & (DEMAND_ON_NODE | DEMAND_NEAR_NODE):
        shape.strategy = PLACE_ON_NODE if head.flags & DEMAND_ON_NODE else PLACE_NEAR_NODE
        shape.n_labels -= 1
        label = <const PlaceLabel*> take(&c, sizeof(PlaceLabel))
        take_padded(&c, label.key_size)
        for _ in range(label.n_values):
            size = (<const uint64_t*> take(&c, 8))[0]
            shape.node = string(take_padded(&c, size), size)
    shape.labels = string(c.data, c.left)


cdef int known_shape(const Resources* r, const char* data, uint64_t size) noexcept nogil:
    cdef size_t i
    for i in range(min(r.shapes.size(), <size_t> SCANNED_SHAPES)):
        if r.shapes[i].key.size() == size and memcmp(r.shapes[i].key.data(), data, size) == 0:
            return <int> i
    if r.shapes.size() > SCANNED_SHAPES and r.shape_numbers.count(string(data, size)):
        return <int> r.shape_numbers.at(string(data, size))
    return -1


cdef void ask_for(Resources* r, Shape* shape, const char* name, uint64_t size, int64_t amount) noexcept nogil:
    cdef Amount asked
    if amount > 0:
        asked.resource = resources_name(r, name, size)
        asked.amount = amount
        shape.amounts.push_back(asked)


cdef void ask_bundle(Resources* r, Shape* shape, const string* name, int32_t bundle, int64_t amount) noexcept nogil:
    """Ask for a part of a bundle, which is a part of the group as well."""
    cdef string text = bundle_resource(name, shape.group, ANY_BUNDLE)
    ask_for(r, shape, text.data(), text.size(), amount)
    if bundle != ANY_BUNDLE:
        text = bundle_resource(name, shape.group, bundle)
        ask_for(r, shape, text.data(), text.size(), amount)


cdef int resources_intern(Resources* r, const char* data, uint64_t size) noexcept nogil:
    """The number of the shape that `data` describes, or -1 if it is malformed."""
    cdef int number = known_shape(r, data, size)
    cdef Shape shape
    cdef Cursor c
    cdef const DemandHeader* head
    cdef const DemandEntry* entry
    cdef string name
    if number >= 0:
        return number
    shape.strategy = PLACE_DEFAULT
    shape.n_labels = 0
    if not demand_valid(data, size):
        return -1
    c = Cursor(data, align8(size), False)
    head = <const DemandHeader*> take(&c, sizeof(DemandHeader))
    shape.environment = head.environment
    shape.gpus = 0
    shape.group = head.group
    shape.bundle = head.bundle
    shape.captures = head.flags & DEMAND_CAPTURES != 0
    shape.doom = DOOM_UNSCHEDULABLE if head.flags & DEMAND_UNSCHEDULABLE else DOOM_NOT
    shape.key = string(data, size)
    if shape.doom == DOOM_NOT and not no_group(head.group) and r.groups.count(head.group) == 0:
        shape.doom = DOOM_UNGROUPED
    for _ in range(head.n_amounts if shape.doom == DOOM_NOT else 0):
        entry = <const DemandEntry*> take(&c, sizeof(DemandEntry))
        name = string(take_padded(&c, entry.name_size), entry.name_size)
        if no_group(head.group):
            ask_for(r, &shape, name.data(), name.size(), entry.amount)
        else:
            ask_bundle(r, &shape, &name, head.bundle, entry.amount)
        if kind_of(name.data(), name.size()) == RESOURCE_GPU:
            shape.gpus = entry.amount
    if shape.doom == DOOM_NOT:
        take_labels(&shape, c, head)
        if not no_group(head.group):
            name = string(b"bundle")
            ask_bundle(r, &shape, &name, head.bundle, SHARE)
    r.n_doomed += shape.doom != DOOM_NOT
    r.last_serial += 1
    shape.serial = r.last_serial
    if r.free_shapes.empty():
        number = <int> r.shapes.size()
        r.shapes.push_back(shape)
    else:
        number = <int> r.free_shapes.back()
        r.free_shapes.pop_back()
        r.shapes[number] = shape
    r.shape_numbers[shape.key] = <uint32_t> number
    return number


cdef void resources_doom(Resources* r, uint32_t shape, uint8_t doom) noexcept nogil:
    """The tasks of this shape, those to come too, cannot run and are to fail."""
    r.n_doomed += r.shapes[shape].doom == DOOM_NOT
    r.shapes[shape].doom = doom


cdef void resources_forget_shape(Resources* r, uint32_t shape) noexcept nogil:
    """No task is of this shape any more: its number is free."""
    cdef Shape* s = &r.shapes[shape]
    r.n_doomed -= s.doom != DOOM_NOT
    r.shape_numbers.erase(s.key)
    s.key.clear()
    s.amounts.clear()
    s.gpus = 0
    s.group = TaskId(0, 0)
    s.strategy = PLACE_DEFAULT
    s.node.clear()
    s.labels.clear()
    s.n_labels = 0
    s.doom = DOOM_NOT
    r.free_shapes.push_back(shape)


# ---- GPUs ------------------------------------------------------------------------------------------------------

cdef int64_t gpu_left(const Resources* r, const vector[Amount]* amounts, size_t gpu) noexcept nogil:
    """What can be had of a GPU: what all the resources that are asked for have of it."""
    cdef int64_t least = UNIT
    cdef const vector[int64_t]* free
    cdef size_t i
    for i in range(amounts.size()):
        if r.kinds[amounts[0][i].resource] == RESOURCE_GPU:
            free = &r.gpu_free[amounts[0][i].resource]
            least = min(least, free[0][gpu] if gpu < free.size() else 0)
    return least


cdef void gpu_change(Resources* r, const vector[Amount]* amounts, size_t gpu, int64_t by) noexcept nogil:
    cdef size_t i
    for i in range(amounts.size()):
        if r.kinds[amounts[0][i].resource] == RESOURCE_GPU:
            r.gpu_free[amounts[0][i].resource][gpu] += by


cdef bint gpus_fit(const Resources* r, const vector[Amount]* amounts, int64_t gpus) noexcept nogil:
    cdef int64_t whole = 0
    cdef size_t i
    for i in range(r.gpu_free[GPU].size()):
        if gpus < UNIT and gpu_left(r, amounts, i) >= gpus:
            return True
        whole += gpu_left(r, amounts, i) == UNIT
    return gpus >= UNIT and whole * UNIT >= gpus


# ---- taking and giving back ------------------------------------------------------------------------------------

cdef bint amounts_fit(const Resources* r, const vector[Amount]* amounts, int64_t gpus) noexcept nogil:
    """Whether these amounts, `gpus` of them GPUs, are available."""
    cdef size_t i
    for i in range(amounts.size()):
        if amounts[0][i].amount > r.available[amounts[0][i].resource] + (UNIT if planted(OFF_BY_ONE) else 0):
            return False
    return gpus == 0 or gpus_fit(r, amounts, gpus)


cdef void amounts_acquire(Resources* r, const vector[Amount]* amounts, int64_t gpus,
                          vector[uint32_t]* numbers) noexcept nogil:
    """Take amounts that fit; `numbers` receives those of the GPUs handed out."""
    cdef size_t i
    cdef int64_t left
    cdef int best = -1
    for i in range(amounts.size()):
        r.available[amounts[0][i].resource] -= amounts[0][i].amount
    if 0 < gpus < UNIT:           # a fraction: the fullest GPU that still has room
        for i in range(r.gpu_free[GPU].size()):
            left = gpu_left(r, amounts, i)
            if left >= gpus and (best < 0 or left < gpu_left(r, amounts, best)):
                best = <int> i
        if best >= 0:
            gpu_change(r, amounts, best, -gpus)
            numbers.push_back(<uint32_t> best)
        return
    for i in range(r.gpu_free[GPU].size()):
        if gpus >= UNIT and gpu_left(r, amounts, i) == UNIT:
            gpu_change(r, amounts, i, -UNIT)
            numbers.push_back(<uint32_t> i)
            gpus -= UNIT


cdef void amounts_release(Resources* r, const vector[Amount]* amounts, int64_t gpus,
                          const vector[uint32_t]* numbers) noexcept nogil:
    cdef size_t i
    for i in range(amounts.size()):
        add_available(r, amounts[0][i].resource, amounts[0][i].amount - (1 if planted(RESOURCE_LEAK) else 0))
    for i in range(numbers.size()):
        gpu_change(r, amounts, numbers[0][i], UNIT if gpus >= UNIT else gpus)


cdef bint resources_fit(const Resources* r, uint32_t shape) noexcept nogil:
    """Whether a task of this shape can start now."""
    cdef const Shape* s = &r.shapes[shape]
    return s.doom == DOOM_NOT and amounts_fit(r, &s.amounts, s.gpus)


cdef bint resources_await(const Resources* r, uint32_t shape, uint32_t other) noexcept nogil:
    """Whether a task of this shape could start once tasks of the `other` shape end: it lacks only what they take."""
    cdef const Shape* s = &r.shapes[shape]
    cdef const Shape* o = &r.shapes[other]
    cdef size_t i, j
    cdef bint taken
    for i in range(s.amounts.size()):
        if s.amounts[i].amount <= r.available[s.amounts[i].resource]:
            continue
        taken = False
        for j in range(o.amounts.size()):
            taken |= o.amounts[j].resource == s.amounts[i].resource
        if not taken:
            return False
    return (s.gpus == 0 or o.gpus or gpus_fit(r, &s.amounts, s.gpus)) and resources_lacking(r, shape) < 0


cdef int resources_lacking(const Resources* r, uint32_t shape) noexcept nogil:
    """The first resource of which this node will never have enough for the shape, or -1. Of a group it may yet have."""
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    if not no_group(s.group):
        return -1
    for i in range(s.amounts.size()):
        if s.amounts[i].amount > r.total[s.amounts[i].resource]:
            return <int> s.amounts[i].resource
    return -1


cdef void resources_acquire(Resources* r, uint32_t shape, vector[uint32_t]* gpus) noexcept nogil:
    """Take a shape's resources (they fit); `gpus` receives the numbers of the GPUs handed out."""
    amounts_acquire(r, &r.shapes[shape].amounts, r.shapes[shape].gpus, gpus)


cdef void resources_release(Resources* r, uint32_t shape, const vector[uint32_t]* gpus) noexcept nogil:
    amounts_release(r, &r.shapes[shape].amounts, r.shapes[shape].gpus, gpus)


cdef void resources_lend(Resources* r, uint32_t shape) noexcept nogil:
    """A task of this shape blocks: its CPUs may run others."""
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    for i in range(s.amounts.size()):
        if r.kinds[s.amounts[i].resource] == RESOURCE_CPU:
            add_available(r, s.amounts[i].resource, s.amounts[i].amount)


cdef void resources_take_back(Resources* r, uint32_t shape) noexcept nogil:
    """The task goes on: it takes its CPUs even if others have them now."""
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    for i in range(s.amounts.size()):
        if r.kinds[s.amounts[i].resource] == RESOURCE_CPU:
            r.available[s.amounts[i].resource] -= s.amounts[i].amount
