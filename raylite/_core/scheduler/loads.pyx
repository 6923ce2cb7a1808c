"""Loads: what a node reports of itself with each heartbeat, and the table of the latest reports.

A report has resources, labels, the length of the queue, and running means: of the time of tasks, for all and for the
functions that ran most of late, and of the bandwidth at which it pulls. Means are exponential: a new sample counts an
eighth. In the table, by which global_scheduler and group_placement decide, a report is replaced by a later one of the
same or a newer incarnation only, and what is dead does not come back.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memset
from raylite._core.envelope cimport align8
from raylite._core.ids cimport object_from_bytes
from raylite._core.message cimport take, take_padded

cdef extern from *:
    """
    #ifndef RAYLITE_CORE_SCALED
    #define RAYLITE_CORE_SCALED
    static inline uint64_t raylite_scaled(uint64_t a, uint64_t b, uint64_t divisor) {
        unsigned __int128 n = (unsigned __int128)a * b / (divisor ? divisor : 1);
        return n > UINT64_MAX ? UINT64_MAX : (uint64_t)n; }
    #endif
    """
    uint64_t raylite_scaled(uint64_t a, uint64_t b, uint64_t divisor) nogil

cdef enum:
    SECOND_NS = 1000000000


cdef uint64_t scaled(uint64_t a, uint64_t b, uint64_t divisor) noexcept nogil:
    """a * b // divisor (1 if that is 0); the greatest number there is if it would be more."""
    return raylite_scaled(a, b, divisor)


# ---- means -----------------------------------------------------------------------------------------------------

cdef void mean_add(uint64_t* mean, uint64_t sample) noexcept nogil:
    """A mean is at least 1, so that 0 says that there is none; the first sample is the mean."""
    if mean[0] == 0:
        mean[0] = sample
    elif sample >= mean[0]:
        mean[0] += (sample - mean[0]) // 8
    else:
        mean[0] -= (mean[0] - sample) // 8
    mean[0] = max(mean[0], <uint64_t> 1)


cdef void forget_rare(Means* m) noexcept nogil:
    """Make room: runs count half from now on, and the function of which there are fewest goes."""
    cdef ordered_map[ObjectId, FunctionMean].iterator it = m.functions.begin()
    cdef FunctionMean* least = NULL
    cdef FunctionMean* f
    while it != m.functions.end():
        f = &deref(it).second
        f.n_runs //= 2
        if least == NULL or f.n_runs < least.n_runs:
            least = f
        preincrement(it)
    m.functions.erase(least.function)


cdef void means_task(Means* m, ObjectId function, uint64_t duration_ns) noexcept nogil:
    """A task of this function took so long."""
    cdef FunctionMean* f
    if m.functions.count(function) == 0 and m.functions.size() >= FUNCTIONS_KNOWN:
        forget_rare(m)
    f = &m.functions[function]
    f.function = function
    f.n_runs += 1
    mean_add(&f.mean_ns, duration_ns)
    mean_add(&m.task_ns, duration_ns)


cdef void means_transfer(Means* m, uint64_t size, uint64_t duration_ns) noexcept nogil:
    """So many bytes were pulled in such a time."""
    if size and duration_ns:
        mean_add(&m.bandwidth, scaled(size, SECOND_NS, duration_ns))


cdef bint more_used(const FunctionMean* a, const FunctionMean* b) noexcept nogil:
    return a.n_runs > b.n_runs or (a.n_runs == b.n_runs and a.function < b.function)


cdef void means_report(Means* m, NodeLoad* load) noexcept nogil:
    """Put the means into a report; of functions those that ran most, ties by id."""
    cdef size_t at
    load.head.task_ns = m.task_ns
    load.head.bandwidth = m.bandwidth
    load.functions.clear()
    for entry in m.functions:
        at = load.functions.size()
        while at and more_used(&entry.second, &load.functions[at - 1]):
            at -= 1
        if at < FUNCTIONS_REPORTED:
            load.functions.insert(load.functions.begin() + at, entry.second)
            if load.functions.size() > FUNCTIONS_REPORTED:
                load.functions.pop_back()


# ---- as bytes --------------------------------------------------------------------------------------------------

cdef void append_padded(string* out, const string* text) noexcept nogil:
    out.append(text[0])
    out.append(align8(text.size()) - text.size(), <char> 0)


cdef void load_write(NodeLoad* load, string* out) noexcept nogil:
    """Append a report as bytes."""
    cdef LoadHeader head = load.head
    cdef ResourceHeader resource
    cdef LabelHeader label
    cdef size_t i
    head.n_resources = <uint32_t> load.resources.size()
    head.n_labels = <uint32_t> load.labels.size()
    head.n_functions = <uint32_t> load.functions.size()
    head.unused = resource.unused = 0
    out.append(<const char*> &head, sizeof(LoadHeader))
    for i in range(load.resources.size()):
        resource.total = load.resources[i].total
        resource.available = load.resources[i].available
        resource.name_size = <uint32_t> load.resources[i].name.size()
        out.append(<const char*> &resource, sizeof(ResourceHeader))
        append_padded(out, &load.resources[i].name)
    for entry in load.labels:
        label.key_size = <uint32_t> entry.first.size()
        label.value_size = <uint32_t> entry.second.size()
        out.append(<const char*> &label, sizeof(LabelHeader))
        append_padded(out, &entry.first)
        append_padded(out, &entry.second)
    for i in range(load.functions.size()):
        out.append(<const char*> &load.functions[i], sizeof(FunctionMean))


cdef bint read_resources(Cursor* c, NodeLoad* load) noexcept nogil:
    """No name twice, nothing negative but what is available."""
    cdef const ResourceHeader* head
    cdef const char* name
    cdef ResourceLoad resource
    cdef ordered_map[string, bint] seen
    for _ in range(load.head.n_resources):
        head = <const ResourceHeader*> take(c, sizeof(ResourceHeader))
        name = take_padded(c, head.name_size) if head != NULL else NULL
        if name == NULL or head.name_size == 0 or head.total < 0 or head.available > head.total:
            return False
        resource.name = string(name, head.name_size)
        resource.total = head.total
        resource.available = head.available
        if seen.count(resource.name):
            return False
        seen[resource.name] = True
        load.resources.push_back(resource)
    return True


cdef bint read_labels(Cursor* c, NodeLoad* load) noexcept nogil:
    cdef const LabelHeader* head
    cdef const char* key
    cdef const char* value
    cdef string name
    for _ in range(load.head.n_labels):
        head = <const LabelHeader*> take(c, sizeof(LabelHeader))
        key = take_padded(c, head.key_size) if head != NULL else NULL
        value = take_padded(c, head.value_size) if key != NULL else NULL
        if value == NULL:
            return False
        name = string(key, head.key_size)
        if load.labels.count(name):
            return False
        load.labels[name] = string(value, head.value_size)
    return True


cdef bint load_read(Cursor* c, NodeLoad* load) noexcept nogil:
    """Read the next report; False if it is malformed."""
    cdef const LoadHeader* head = <const LoadHeader*> take(c, sizeof(LoadHeader))
    cdef const FunctionMean* f
    load.resources.clear()
    load.labels.clear()
    load.functions.clear()
    if head == NULL or head.address == 0 or head.incarnation == 0 or head.n_functions > FUNCTIONS_REPORTED:
        return False
    load.head = head[0]
    if not read_resources(c, load) or not read_labels(c, load):
        return False
    for _ in range(head.n_functions):
        f = <const FunctionMean*> take(c, sizeof(FunctionMean))
        if f == NULL:
            return False
        load.functions.push_back(f[0])
    return True


# ---- the table -------------------------------------------------------------------------------------------------

cdef bint loads_merge(LoadTable* table, const NodeLoad* load) noexcept nogil:
    """Take a report, unless there is a later one or the node is dead. Whether it was taken."""
    cdef ordered_map[uint32_t, NodeLoad].iterator it = table.nodes.find(load.head.address)
    cdef const LoadHeader* known
    if table.dead.count(load.head.address) and load.head.incarnation <= table.dead[load.head.address]:
        return False
    if it != table.nodes.end():
        known = &deref(it).second.head
        if load.head.incarnation < known.incarnation or (load.head.incarnation == known.incarnation
                                                         and load.head.number <= known.number):
            return False
    table.nodes[load.head.address] = load[0]
    return True


cdef void loads_remove(LoadTable* table, uint32_t address, uint32_t incarnation) noexcept nogil:
    """A node's incarnations up to this one are dead."""
    cdef ordered_map[uint32_t, NodeLoad].iterator it = table.nodes.find(address)
    table.dead[address] = max(table.dead[address], incarnation)
    if it != table.nodes.end() and deref(it).second.head.incarnation <= incarnation:
        table.nodes.erase(it)


cdef class Meter:
    """What a node measures of its tasks and transfers, as Python sees it."""
    cdef Means means

    def task(self, bytes function not None, uint64_t duration_ns):
        """A task of this function (20 bytes) took so long."""
        means_task(&self.means, object_from_bytes(function), duration_ns)

    def transfer(self, uint64_t size, uint64_t duration_ns):
        """So many bytes were pulled in such a time."""
        means_transfer(&self.means, size, duration_ns)

    def report(self, uint32_t address, uint32_t incarnation, uint64_t number):
        """A report of a node that has nothing but these means, as bytes."""
        cdef NodeLoad load
        cdef string out
        memset(&load.head, 0, sizeof(LoadHeader))
        load.head.address = address
        load.head.incarnation = incarnation
        load.head.number = number
        means_report(&self.means, &load)
        load_write(&load, &out)
        return bytes(out)


def rewritten(bytes reports not None):
    """Reports of nodes read and written again. Raises ValueError if they are malformed."""
    cdef Cursor c = Cursor(<const char*> reports, len(reports), False)
    cdef NodeLoad load
    cdef string out
    while c.left:
        if not load_read(&c, &load):
            raise ValueError("malformed reports of nodes")
        load_write(&load, &out)
    return bytes(out)
