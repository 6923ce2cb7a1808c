"""Which node a task is to run on: the one with the lowest estimated wait (Ray paper, 4.2.2).

The wait is that for resources (none if they are free now, else the length of the queue and one more, times the mean
time of a task: of its function there, else of all tasks there) and that for arguments that are not there (their bytes
over the mean bandwidth). Of equal waits the node goes first where resources are free, then the lower address. Nodes
count that could ever run the task, have the labels that it must have and are not excluded. Labels that are preferred
go before the wait, but after whether resources are free, as in Ray. SPREAD takes a node with free resources before one
without, and then goes by how many tasks a node has; so does what asks for no resources, of which the first node would
get all.

What was placed counts until the node's next report. Nothing else is remembered, and no decision depends on the order of
a table of hashes, or on chance.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memcmp
from raylite._core.ids cimport TaskId
from raylite._core.scheduler.loads cimport loads_merge, loads_remove, scaled
from raylite._core.message cimport take, take_padded
from raylite._core.node.resources cimport Amount, bundle_resource, DemandEntry, DemandHeader, DOOM_NOT, \
    no_group, resources_intern, resources_name, resources_setup, Shape
from raylite._core.scheduler.message cimport LABEL_ABSENT, LABEL_EXISTS, LABEL_IN, PLACE_EXCLUDED, skip_label, \
    PLACE_INFEASIBLE, PLACE_NEAR_NODE, PLACE_NO_NODE, PLACE_ON_NODE, PLACE_SPREAD, PlaceArgument, PlaceLabel

cdef extern from *:
    """
    template <typename T> static void raylite_reset(T *p) { *p = T(); }
    """
    void raylite_reset(Resources*) nogil

cdef enum:
    SHAPES_MOST = 4096            # that are kept; all are forgotten when there are more
    SECOND_NS = 1000000000


# ---- what nodes report -----------------------------------------------------------------------------------------

cdef size_t position(const Board* b, uint32_t address) noexcept nogil:
    """Of the node of this address, or of the first behind it."""
    cdef size_t low = 0, high = b.nodes.size(), middle
    while low < high:
        middle = (low + high) // 2
        if b.nodes[middle].address < address:
            low = middle + 1
        else:
            high = middle
    return low


cdef Candidate* find(Board* b, uint32_t address) noexcept nogil:
    cdef size_t at = position(b, address)
    return &b.nodes[at] if at < b.nodes.size() and b.nodes[at].address == address else NULL


cdef void insert_node(Board* b, size_t at, uint32_t address) noexcept nogil:
    cdef Candidate fresh
    cdef unordered_map[ObjectId, vector[uint64_t]].iterator it = b.times.begin()
    fresh.address = address
    fresh.excluded_by = fresh.counted_for = fresh.local_for = fresh.local_bytes = 0
    b.nodes.insert(b.nodes.begin() + at, fresh)
    while it != b.times.end():
        deref(it).second.insert(deref(it).second.begin() + at, 0)
        preincrement(it)


cdef void forget_times(Board* b, size_t at) noexcept nogil:
    """Of a node, those of all functions; what no node has is not kept."""
    cdef unordered_map[ObjectId, vector[uint64_t]].iterator it = b.times.begin()
    cdef uint64_t any_known
    cdef size_t i
    while it != b.times.end():
        deref(it).second[at] = 0
        any_known = 0
        for i in range(deref(it).second.size()):
            any_known |= deref(it).second[i]
        if any_known:
            preincrement(it)
        else:
            it = b.times.erase(it)


cdef void set_amounts(Board* b, Candidate* c, const NodeLoad* load) noexcept nogil:
    cdef uint32_t number
    cdef size_t i
    c.total.clear()
    c.available.clear()
    for i in range(load.resources.size()):
        number = resources_name(&b.resources, load.resources[i].name.data(), load.resources[i].name.size())
        if number >= c.total.size():
            c.total.resize(number + 1)
            c.available.resize(number + 1)
        c.total[number] = load.resources[i].total
        c.available[number] = load.resources[i].available


cdef void board_setup(Board* b, bint ignores_locality) noexcept nogil:
    b.ignores_locality = ignores_locality
    resources_setup(&b.resources)


cdef void board_report(Board* b, const NodeLoad* load) noexcept nogil:
    """Take a node's report, unless it is old news. What was placed there before does not count any more."""
    cdef uint32_t address = load.head.address
    cdef size_t at = position(b, address), i
    cdef Candidate* c
    cdef vector[uint64_t]* times
    if not loads_merge(&b.loads, load):
        return
    if at < b.nodes.size() and b.nodes[at].address == address:
        forget_times(b, at)
    else:
        insert_node(b, at, address)
    c = &b.nodes[at]
    set_amounts(b, c, load)
    c.labels = load.labels
    c.n_waiting = load.head.n_queued
    c.n_running = load.head.n_running
    c.task_ns = load.head.task_ns if load.head.task_ns else TASK_NS_UNKNOWN
    c.bandwidth = load.head.bandwidth if load.head.bandwidth else BANDWIDTH_UNKNOWN
    for i in range(load.functions.size()):
        times = &b.times[load.functions[i].function]
        times.resize(b.nodes.size())
        times[0][at] = load.functions[i].mean_ns


cdef void board_remove(Board* b, uint32_t address, uint32_t incarnation) noexcept nogil:
    """A node's incarnations up to this one are dead."""
    cdef size_t at = position(b, address)
    cdef unordered_map[ObjectId, vector[uint64_t]].iterator it
    loads_remove(&b.loads, address, incarnation)
    if at == b.nodes.size() or b.nodes[at].address != address or b.loads.nodes.count(address):
        return
    forget_times(b, at)
    b.nodes.erase(b.nodes.begin() + at)
    it = b.times.begin()
    while it != b.times.end():
        deref(it).second.erase(deref(it).second.begin() + at)
        preincrement(it)


cdef void forget_shapes(Board* b) noexcept nogil:
    """Number names and shapes anew."""
    cdef size_t i
    raylite_reset(&b.resources)
    resources_setup(&b.resources)
    for i in range(b.nodes.size()):
        set_amounts(b, &b.nodes[i], &b.loads.nodes[b.nodes[i].address])


# ---- questions -------------------------------------------------------------------------------------------------

cdef bint question_read(Cursor* c, Question* q) noexcept nogil:
    """Read the next question, which lies in what the cursor reads; False if it is malformed."""
    cdef const PlaceArgument* argument
    cdef const char* start
    q.head = <const PlaceQuestion*> take(c, sizeof(PlaceQuestion))
    if q.head == NULL or q.head.strategy > PLACE_NEAR_NODE:
        return False
    q.demand = take_padded(c, q.head.demand_size)
    q.excluded = <const uint32_t*> take_padded(c, 4 * <uint64_t> q.head.n_excluded)
    start = c.data
    for _ in range(q.head.n_arguments):
        argument = <const PlaceArgument*> take(c, sizeof(PlaceArgument))
        if argument == NULL:
            return False
        take_padded(c, 4 * <uint64_t> argument.n_locations)
    q.arguments = Cursor(start, c.data - start, False)
    start = c.data
    for _ in range(q.head.n_labels):
        if not skip_label(c):
            return False
    q.labels = Cursor(start, c.data - start, False)
    return not c.failed


cdef bint is_value(Cursor* c, const PlaceLabel* label, const string* value) noexcept nogil:
    """Whether it is one of the label's values, which are skipped. NULL: no value is."""
    cdef bint found = False
    cdef uint64_t size
    cdef const char* text
    for _ in range(label.n_values):
        size = (<const uint64_t*> take(c, 8))[0]
        text = take_padded(c, size)
        found |= value != NULL and value.size() == size and memcmp(value.data(), text, size) == 0
    return found


cdef bint label_matches(Cursor* c, const Candidate* node, bint* is_soft) noexcept nogil:
    """Whether the node is as the next label wants it."""
    cdef const PlaceLabel* label = <const PlaceLabel*> take(c, sizeof(PlaceLabel))
    cdef const char* key = take_padded(c, label.key_size)
    cdef ordered_map[string, string].const_iterator it = node.labels.const_find(string(key, label.key_size))
    cdef bint there = it != node.labels.const_end()
    cdef bint found = is_value(c, label, &deref(it).second if there else NULL)
    is_soft[0] = label.is_soft
    if label.operator == LABEL_EXISTS:
        return there
    if label.operator == LABEL_ABSENT:
        return not there
    return found == (label.operator == LABEL_IN)


cdef bint labels_match(const Question* q, const Candidate* node, bint soft) noexcept nogil:
    """Whether the node is as all labels of one sort want it."""
    cdef Cursor c = q.labels
    cdef bint is_soft = False, matches
    for _ in range(q.head.n_labels):
        matches = label_matches(&c, node, &is_soft)
        if is_soft == soft and not matches:
            return False
    return True


# ---- the choice ------------------------------------------------------------------------------------------------

cdef struct Wait:                 # compared in this order; less is better
    uint64_t rank                 # where labels are preferred or tasks spread: 2 if not free, and 1 without the labels
    uint64_t wait_ns              # or tasks, where they are to be spread
    uint64_t not_free


cdef inline bint within(const vector[Amount]* amounts, const vector[int64_t]* have) noexcept nogil:
    cdef size_t i
    for i in range(amounts.size()):
        if amounts[0][i].resource >= have.size() or amounts[0][i].amount > have[0][amounts[0][i].resource]:
            return False
    return True


cdef inline bint less(const Wait* a, const Wait* b) noexcept nogil:
    if a.rank != b.rank:
        return a.rank < b.rank
    return a.wait_ns < b.wait_ns or (a.wait_ns == b.wait_ns and a.not_free < b.not_free)


cdef uint64_t count_local(Board* b, const Question* q) noexcept nogil:
    """Note of each node which bytes of the arguments it has; returns those of all arguments."""
    cdef Cursor c = q.arguments
    cdef const PlaceArgument* argument
    cdef const uint32_t* addresses
    cdef Candidate* node
    cdef uint64_t total = 0
    cdef uint32_t i
    for _ in range(q.head.n_arguments):
        argument = <const PlaceArgument*> take(&c, sizeof(PlaceArgument))
        addresses = <const uint32_t*> take_padded(&c, 4 * <uint64_t> argument.n_locations)
        b.n_arguments += 1
        total += argument.size
        for i in range(argument.n_locations):
            node = find(b, addresses[i])
            if node == NULL or node.counted_for == b.n_arguments:
                continue
            if node.local_for != b.n_questions:
                node.local_for = b.n_questions
                node.local_bytes = 0
            node.counted_for = b.n_arguments
            node.local_bytes += argument.size
    return total


cdef uint64_t sum_up(uint64_t a, uint64_t b) noexcept nogil:
    return a + b if a + b >= a else <uint64_t> -1


cdef Wait wait_at(const Board* b, const Question* q, const Candidate* c, const Shape* shape, uint64_t function_ns,
                  uint64_t arguments_bytes) noexcept nogil:
    cdef Wait w
    cdef uint64_t missing = arguments_bytes
    cdef bint spreads = q.head.strategy == PLACE_SPREAD or shape.amounts.empty()
    w.not_free = not within(&shape.amounts, &c.available)
    w.rank = 2 * w.not_free if spreads or q.head.n_labels else 0
    if q.head.n_labels and not labels_match(q, c, True):
        w.rank += 1
    if spreads:
        w.wait_ns = sum_up(c.n_waiting, c.n_running)
        return w
    w.wait_ns = scaled(sum_up(c.n_waiting, 1), function_ns if function_ns else c.task_ns, 1) if w.not_free else 0
    if missing:
        if c.local_for == b.n_questions:
            missing -= c.local_bytes
        w.wait_ns = sum_up(w.wait_ns, scaled(missing, SECOND_NS, c.bandwidth))
    return w


cdef inline bint is_other(const Question* q, const Candidate* c) noexcept nogil:
    """It must be one certain node, and this is not the one."""
    return q.head.strategy == PLACE_ON_NODE and c.address != q.head.node


cdef inline bint could_run(const Question* q, const Candidate* c, const Shape* shape) noexcept nogil:
    return within(&shape.amounts, &c.total) and (q.head.n_labels == 0 or labels_match(q, c, False))


cdef void place(Candidate* c, const Shape* shape) noexcept nogil:
    """A task was sent there: until the next report it counts."""
    cdef size_t i
    if not within(&shape.amounts, &c.available):
        c.n_waiting += 1
        return
    c.n_running += 1
    for i in range(shape.amounts.size()):
        c.available[shape.amounts[i].resource] -= shape.amounts[i].amount


cdef uint32_t fewest(Board* b, const Question* q) noexcept nogil:
    """Which amount, or behind them label, the fewest nodes have enough of; of equal ones the first."""
    cdef const DemandHeader* demand
    cdef const DemandEntry* entry
    cdef const char* text
    cdef Cursor c = Cursor(q.demand, (q.head.demand_size + 7) & ~<uint64_t> 7, False), labels = q.labels, at
    cdef string name
    cdef uint32_t number, i, best = 0
    cdef size_t n, j, least = b.nodes.size() + 1
    cdef bint is_soft = False
    demand = <const DemandHeader*> take(&c, sizeof(DemandHeader))
    for i in range(demand.n_amounts):
        entry = <const DemandEntry*> take(&c, sizeof(DemandEntry))
        text = take_padded(&c, entry.name_size)
        name = string(text, entry.name_size)
        if not no_group(demand.group):
            name = bundle_resource(&name, demand.group, demand.bundle)
        number = resources_name(&b.resources, name.data(), name.size())
        n = 0
        for j in range(b.nodes.size()):
            n += not is_other(q, &b.nodes[j]) and (
                entry.amount == 0 or (number < b.nodes[j].total.size() and b.nodes[j].total[number] >= entry.amount))
        if n < least:
            least = n
            best = i
    for i in range(q.head.n_labels):
        n = 0
        for j in range(b.nodes.size()):
            at = labels
            n += (label_matches(&at, &b.nodes[j], &is_soft) or is_soft) and not is_other(q, &b.nodes[j])
        labels = at
        if n < least:
            least = n
            best = demand.n_amounts + i
    return best


cdef void refuse(Board* b, const Question* q, bint is_possible, PlaceAnswer* answer) noexcept nogil:
    answer.refusal = PLACE_EXCLUDED
    if b.nodes.empty() or (q.head.strategy == PLACE_ON_NODE and find(b, q.head.node) == NULL):
        answer.refusal = PLACE_NO_NODE
    elif not is_possible:
        answer.refusal = PLACE_INFEASIBLE
        answer.lacking = fewest(b, q)


cdef int shape_of(Board* b, const Question* q) noexcept nogil:
    """The number of the demand's shape, or -1 if it is malformed. Of a group there are the names that nodes report."""
    cdef TaskId group
    cdef int shape
    if q.head.demand_size < sizeof(DemandHeader):
        return -1
    if b.resources.shapes.size() > SHAPES_MOST:
        forget_shapes(b)
    group = (<const DemandHeader*> q.demand).group
    b.resources.groups.insert(group)
    shape = resources_intern(&b.resources, q.demand, q.head.demand_size)
    b.resources.groups.erase(group)
    return shape


cdef Candidate* best_node(Board* b, const Question* q, const Shape* shape, uint64_t bytes,
                          bint* is_possible) noexcept nogil:
    """The best that could run it and is not excluded, or NULL; and whether any could. `bytes`: of all arguments."""
    cdef Candidate* best = NULL
    cdef Candidate* c
    cdef Wait lowest = Wait(0, 0, 0), wait
    cdef unordered_map[ObjectId, vector[uint64_t]].iterator times = b.times.find(q.head.function)
    cdef bint known = times != b.times.end()
    cdef uint64_t function_ns
    cdef size_t i
    is_possible[0] = False
    for i in range(b.nodes.size()):
        c = &b.nodes[i]
        if is_other(q, c) or not could_run(q, c, shape):
            continue
        is_possible[0] = True
        if c.excluded_by == b.n_questions:
            continue
        if q.head.strategy == PLACE_NEAR_NODE and c.address == q.head.node:
            return c
        function_ns = 0
        if known:
            function_ns = deref(times).second[i]
        wait = wait_at(b, q, c, shape, function_ns, bytes)
        if best == NULL or less(&wait, &lowest):
            best = c
            lowest = wait
        if (lowest.rank | lowest.wait_ns | lowest.not_free) == 0 and q.head.strategy != PLACE_NEAR_NODE:
            break                 # none is better
    return best


cdef Wait wait_of(const Board* b, const Question* q, const Candidate* c, const Shape* shape, uint64_t bytes) \
        noexcept nogil:
    cdef unordered_map[ObjectId, vector[uint64_t]].const_iterator times = b.times.const_find(q.head.function)
    cdef uint64_t function_ns = 0
    if times != b.times.const_end():
        function_ns = deref(times).second[c - b.nodes.data()]
    return wait_at(b, q, c, shape, function_ns, bytes)


cdef bint is_worth_moving(const Board* b, const Question* q, Candidate* own, const Candidate* other, const Shape* shape,
                          uint64_t bytes) noexcept nogil:
    """Whether a task in one node's queue, which it does not wait for itself, would wait less elsewhere."""
    cdef bint is_counted = own.n_waiting != 0
    cdef Wait here, there
    own.n_waiting -= is_counted
    here = wait_of(b, q, own, shape, bytes)
    own.n_waiting += is_counted
    there = wait_of(b, q, other, shape, bytes)
    return less(&there, &here)


cdef bint stays(Board* b, const Question* q, const Candidate* best, const Shape* shape, uint64_t bytes) noexcept nogil:
    """Whether a task that waits in the queue of who asks had better stay there."""
    cdef Candidate* own = find(b, q.head.node) if q.head.strategy <= PLACE_SPREAD and q.head.node else NULL
    if own == NULL or not could_run(q, own, shape):
        return False
    if own == best or not is_worth_moving(b, q, own, best, shape, bytes):
        return True
    own.n_waiting -= own.n_waiting != 0
    return False


cdef bint board_choose(Board* b, Question* q, PlaceAnswer* answer) noexcept nogil:
    """Answer a question, and count the task where it goes. False if the question's demand is malformed."""
    cdef int shape = shape_of(b, q)
    cdef bint is_possible = False
    cdef uint64_t bytes = 0
    cdef Candidate* c
    cdef uint32_t i
    if shape < 0:
        return False
    b.n_questions += 1
    for i in range(q.head.n_excluded):
        c = find(b, q.excluded[i])
        if c != NULL:
            c.excluded_by = b.n_questions
    answer.token = q.head.token
    answer.address = answer.refusal = answer.lacking = answer.unused = 0
    c = NULL
    if not b.ignores_locality and q.head.n_arguments:
        bytes = count_local(b, q)
    if b.resources.shapes[shape].doom == DOOM_NOT:
        c = best_node(b, q, &b.resources.shapes[shape], bytes, &is_possible)
    if c == NULL:
        refuse(b, q, is_possible, answer)
    elif stays(b, q, c, &b.resources.shapes[shape], bytes):
        answer.address = q.head.node
    else:
        answer.address = c.address
        place(c, &b.resources.shapes[shape])
    return True


cdef void board_set_aside(Board* b, const vector[vector[Need]]* bundles, const vector[uint32_t]* addresses) \
        noexcept nogil:
    """Bundles of a placement group go to these nodes: until their next reports it counts."""
    cdef const Need* need
    cdef NodeLoad* load
    cdef size_t i, j, k
    for i in range(bundles.size()):
        load = &b.loads.nodes[addresses[0][i]]
        for j in range(bundles[0][i].size()):
            need = &bundles[0][i][j]
            for k in range(load.resources.size()):
                if load.resources[k].name == need.resource:
                    load.resources[k].available -= need.amount
        set_amounts(b, find(b, addresses[0][i]), load)
