"""A node's resources, and the shapes of demand that tasks have on them.

Amounts are fixed-point (UNIT a whole one). A shape is interned from the bytes a client sends: an environment hash and
(name, amount) pairs. GPUs are handed out one by one: whole ones, or a fraction of one. Only the CPU may go below zero,
when a task that lent its CPU while blocked takes it back.
"""
from libc.string cimport memcmp
from libcpp.set cimport set as ordered_set
from raylite._core.envelope cimport align8
from raylite._core.message cimport Cursor, take, take_padded

cdef enum:
    DEMAND_MOST = 65536           # bytes


cdef void resources_setup(Resources* r) noexcept nogil:
    resources_name(r, b"CPU", 3)
    resources_name(r, b"GPU", 3)
    resources_name(r, b"memory", 6)


cdef uint32_t resources_name(Resources* r, const char* name, uint64_t size) noexcept nogil:
    """The index of a resource name, new names included."""
    cdef uint32_t i
    for i in range(<uint32_t> r.names.size()):
        if r.names[i].size() == size and memcmp(r.names[i].data(), name, size) == 0:
            return i
    r.names.push_back(string(name, size))
    r.total.push_back(0)
    r.available.push_back(0)
    return <uint32_t> r.names.size() - 1


cdef void resources_provide(Resources* r, uint32_t resource, int64_t amount) noexcept nogil:
    """The node has `amount` more of a resource."""
    r.total[resource] += amount
    r.available[resource] += amount
    if resource == GPU:
        for _ in range(amount // UNIT):
            r.gpu_free.push_back(UNIT)


cdef bint demand_valid(const char* data, uint64_t size) noexcept nogil:
    """Whether a demand is whole: no resource named twice, no amount below zero, no GPUs between whole numbers."""
    cdef Cursor c = Cursor(data, align8(size), False)
    cdef const DemandHeader* head = <const DemandHeader*> take(&c, sizeof(DemandHeader))
    cdef const DemandEntry* entry
    cdef const char* name
    cdef ordered_set[string] seen
    if head == NULL or size > DEMAND_MOST:
        return False
    for _ in range(head.n_amounts):
        entry = <const DemandEntry*> take(&c, sizeof(DemandEntry))
        name = take_padded(&c, entry.name_size) if entry != NULL else NULL
        if name == NULL or entry.amount < 0 or entry.name_size == 0 \
                or not seen.insert(string(name, entry.name_size)).second:
            return False
        if entry.amount > UNIT and entry.amount % UNIT and entry.name_size == 3 and memcmp(name, b"GPU", 3) == 0:
            return False
    return c.left == 0


cdef int resources_intern(Resources* r, const char* data, uint64_t size) noexcept nogil:
    """The number of the shape that `data` describes, or -1 if it is malformed."""
    cdef size_t i
    cdef Shape shape
    cdef Amount amount
    cdef Cursor c
    cdef const DemandHeader* head
    cdef const DemandEntry* entry
    for i in range(r.shapes.size()):
        if r.shapes[i].key.size() == size and memcmp(r.shapes[i].key.data(), data, size) == 0:
            return <int> i
    if not demand_valid(data, size):
        return -1
    c = Cursor(data, align8(size), False)
    head = <const DemandHeader*> take(&c, sizeof(DemandHeader))
    shape.environment = head.environment
    shape.gpus = 0
    shape.key = string(data, size)
    for _ in range(head.n_amounts):
        entry = <const DemandEntry*> take(&c, sizeof(DemandEntry))
        amount.resource = resources_name(r, take_padded(&c, entry.name_size), entry.name_size)
        amount.amount = entry.amount
        if amount.amount > 0:
            shape.amounts.push_back(amount)
        if amount.resource == GPU:
            shape.gpus = amount.amount
    r.shapes.push_back(shape)
    return <int> r.shapes.size() - 1


cdef bint gpus_fit(const Resources* r, int64_t gpus) noexcept nogil:
    cdef int64_t whole = 0
    cdef size_t i
    if gpus < UNIT:
        for i in range(r.gpu_free.size()):
            if r.gpu_free[i] >= gpus:
                return True
        return False
    for i in range(r.gpu_free.size()):
        whole += r.gpu_free[i] == UNIT
    return whole * UNIT >= gpus


cdef bint resources_fit(const Resources* r, uint32_t shape) noexcept nogil:
    """Whether a task of this shape can start now."""
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    for i in range(s.amounts.size()):
        if s.amounts[i].amount > r.available[s.amounts[i].resource]:
            return False
    return s.gpus == 0 or gpus_fit(r, s.gpus)


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
    return (s.gpus == 0 or o.gpus or gpus_fit(r, s.gpus)) and resources_lacking(r, shape) < 0


cdef int resources_lacking(const Resources* r, uint32_t shape) noexcept nogil:
    """The first resource of which this node will never have enough for the shape, or -1."""
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    for i in range(s.amounts.size()):
        if s.amounts[i].amount > r.total[s.amounts[i].resource]:
            return <int> s.amounts[i].resource
    return -1


cdef void resources_acquire(Resources* r, uint32_t shape, vector[uint32_t]* gpus) noexcept nogil:
    """Take a shape's resources (they fit); `gpus` receives the numbers of the GPUs handed out."""
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    cdef int64_t left = s.gpus
    cdef int best = -1
    for i in range(s.amounts.size()):
        r.available[s.amounts[i].resource] -= s.amounts[i].amount
    if 0 < left < UNIT:           # a fraction: the fullest GPU that still has room
        for i in range(r.gpu_free.size()):
            if r.gpu_free[i] >= left and (best < 0 or r.gpu_free[i] < r.gpu_free[best]):
                best = <int> i
        if best >= 0:
            r.gpu_free[best] -= left
            gpus.push_back(<uint32_t> best)
        return
    for i in range(r.gpu_free.size()):
        if left >= UNIT and r.gpu_free[i] == UNIT:
            r.gpu_free[i] = 0
            gpus.push_back(<uint32_t> i)
            left -= UNIT


cdef void resources_release(Resources* r, uint32_t shape, const vector[uint32_t]* gpus) noexcept nogil:
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    for i in range(s.amounts.size()):
        r.available[s.amounts[i].resource] += s.amounts[i].amount
    for i in range(gpus.size()):
        r.gpu_free[gpus[0][i]] += UNIT if s.gpus >= UNIT else s.gpus


cdef void resources_lend(Resources* r, uint32_t shape) noexcept nogil:
    """A task of this shape blocks: its CPUs may run others."""
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    for i in range(s.amounts.size()):
        if s.amounts[i].resource == CPU:
            r.available[CPU] += s.amounts[i].amount


cdef void resources_take_back(Resources* r, uint32_t shape) noexcept nogil:
    """The task goes on: it takes its CPUs even if others have them now."""
    cdef const Shape* s = &r.shapes[shape]
    cdef size_t i
    for i in range(s.amounts.size()):
        if s.amounts[i].resource == CPU:
            r.available[CPU] -= s.amounts[i].amount
