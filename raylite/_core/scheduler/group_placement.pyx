"""On which nodes the bundles of a placement group go: all of them, or none.

STRICT_PACK: on one node. STRICT_SPREAD: each on a node of its own, found by augmenting paths, so always if there is a
way. PACK: on as few nodes as possible, SPREAD: on as many as possible, and evenly; both by a search that tries the
largest bundles first and gives up a number of nodes after SEARCH_STEPS: with many bundles that hardly fit it may use
more nodes (PACK) or fewer (SPREAD) than need be, and miss the only way there is. Ties go to the lower address.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdint cimport uint64_t
from libcpp.algorithm cimport sort
from libcpp.map cimport map as ordered_map
from raylite._core.scheduler.loads cimport load_read, loads_merge, NodeLoad
from raylite._core.message cimport BundleHeader, Cursor, take, take_padded
from raylite._core.node.placement_groups cimport GROUP_PACK, GROUP_STRICT_PACK, GROUP_STRICT_SPREAD
from raylite._core.node.resources cimport DemandEntry, entries_valid

cdef enum:
    SEARCH_STEPS = 200000

cdef struct Search:
    size_t n_nodes
    size_t n_bundles
    size_t n_columns              # resources that bundles ask for
    vector[uint32_t] addresses    # of the nodes
    vector[int64_t] left          # of each node, of each column
    vector[int64_t] needs         # of each bundle, of each column; the largest bundle first
    vector[uint32_t] order        # the bundles' own numbers
    vector[uint32_t] node_of      # each bundle
    vector[uint64_t] next_try     # of each bundle, counted through the passes over the nodes
    vector[uint32_t] n_on         # bundles on each node
    size_t n_used                 # nodes with any


# ---- the problem as a table ------------------------------------------------------------------------------------

cdef void number_columns(const vector[vector[Need]]* bundles, ordered_map[string, size_t]* columns) noexcept nogil:
    cdef size_t i, j, number
    for i in range(bundles.size()):
        for j in range(bundles[0][i].size()):
            number = columns.size()
            if columns.count(bundles[0][i][j].resource) == 0:
                columns[0][bundles[0][i][j].resource] = number


cdef bint includes(const vector[uint32_t]* addresses, uint32_t address) noexcept nogil:
    cdef size_t i
    for i in range(addresses.size()):
        if addresses[0][i] == address:
            return True
    return False


cdef void read_nodes(Search* s, LoadTable* loads, int amounts, const ordered_map[string, size_t]* columns,
                     const vector[uint32_t]* excluded) noexcept nogil:
    cdef ordered_map[uint32_t, NodeLoad].iterator it = loads.nodes.begin()
    cdef NodeLoad* load
    cdef size_t i, row = 0
    s.left.resize(loads.nodes.size() * s.n_columns)
    while it != loads.nodes.end():
        load = &deref(it).second
        preincrement(it)
        if includes(excluded, load.head.address):
            continue
        s.addresses.push_back(load.head.address)
        for i in range(load.resources.size()):
            if columns.count(load.resources[i].name):
                s.left[row + columns.at(load.resources[i].name)] = \
                    load.resources[i].total if amounts == AMOUNTS_TOTAL else load.resources[i].available
        row += s.n_columns
    s.n_nodes = s.addresses.size()
    s.n_on.resize(s.n_nodes)


cdef bint is_larger(const vector[int64_t]* a, const vector[int64_t]* b) noexcept nogil:
    """By the first column in which they differ."""
    cdef size_t i
    for i in range(a.size()):
        if a[0][i] != b[0][i]:
            return a[0][i] > b[0][i]
    return False


cdef void read_bundles(Search* s, const vector[vector[Need]]* bundles, ordered_map[string, size_t]* columns) \
        noexcept nogil:
    """The largest first, equal ones behind each other."""
    cdef vector[vector[int64_t]] rows
    cdef size_t i, j, at
    rows.resize(bundles.size())
    for i in range(bundles.size()):
        rows[i].resize(s.n_columns)
        for j in range(bundles[0][i].size()):
            rows[i][columns[0][bundles[0][i][j].resource]] += bundles[0][i][j].amount
        at = i
        s.order.push_back(<uint32_t> i)
        while at and is_larger(&rows[i], &rows[s.order[at - 1]]):
            s.order[at] = s.order[at - 1]
            at -= 1
        s.order[at] = <uint32_t> i
    for i in range(bundles.size()):
        s.needs.insert(s.needs.end(), rows[s.order[i]].begin(), rows[s.order[i]].end())


# ---- taking and giving back ------------------------------------------------------------------------------------

cdef inline bint fits(const Search* s, size_t bundle, size_t node) noexcept nogil:
    cdef const int64_t* need = s.needs.data() + bundle * s.n_columns
    cdef const int64_t* left = s.left.data() + node * s.n_columns
    cdef size_t i
    for i in range(s.n_columns):
        if need[i] > 0 and need[i] > left[i]:
            return False
    return True


cdef void put(Search* s, size_t bundle, size_t node) noexcept nogil:
    cdef size_t i
    for i in range(s.n_columns):
        s.left[node * s.n_columns + i] -= s.needs[bundle * s.n_columns + i]
    s.node_of[bundle] = <uint32_t> node
    s.n_used += s.n_on[node] == 0
    s.n_on[node] += 1


cdef void take_back(Search* s, size_t bundle) noexcept nogil:
    cdef size_t i, node = s.node_of[bundle]
    for i in range(s.n_columns):
        s.left[node * s.n_columns + i] += s.needs[bundle * s.n_columns + i]
    s.n_on[node] -= 1
    s.n_used -= s.n_on[node] == 0


cdef bint equal_rows(const vector[int64_t]* table, size_t a, size_t b, size_t n_columns) noexcept nogil:
    cdef size_t i
    for i in range(n_columns):
        if table[0][a * n_columns + i] != table[0][b * n_columns + i]:
            return False
    return True


# ---- each on a node of its own ---------------------------------------------------------------------------------

cdef bint augment(Search* s, size_t bundle, vector[int64_t]* bundle_on) noexcept nogil:
    """Give this bundle a node, and bundles that are in its way another: a breadth-first search for such a path."""
    cdef vector[int64_t] reached_from     # of each node, the bundle that wants it
    cdef vector[size_t] queue
    cdef size_t at = 0, node, wanting
    cdef int64_t previous
    reached_from.resize(s.n_nodes, -1)
    queue.push_back(bundle)
    while at < queue.size():
        wanting = queue[at]
        at += 1
        for node in range(s.n_nodes):
            if reached_from[node] >= 0 or not fits(s, wanting, node):
                continue
            reached_from[node] = <int64_t> wanting
            if bundle_on[0][node] >= 0:
                queue.push_back(<size_t> bundle_on[0][node])
                continue
            while True:           # back along the path: everyone moves on by one
                wanting = <size_t> reached_from[node]
                previous = -1 if wanting == bundle else <int64_t> s.node_of[wanting]
                bundle_on[0][node] = <int64_t> wanting
                s.node_of[wanting] = <uint32_t> node
                if previous < 0:
                    return True
                node = <size_t> previous
    return False


cdef bint place_apart(Search* s) noexcept nogil:
    cdef vector[int64_t] bundle_on
    cdef size_t i
    if s.n_bundles > s.n_nodes:
        return False
    bundle_on.resize(s.n_nodes, -1)
    for i in range(s.n_bundles):
        if not augment(s, i, &bundle_on):
            return False
    return True


# ---- the search ------------------------------------------------------------------------------------------------

cdef bint in_pass(const Search* s, size_t node, uint64_t number, bint spreads) noexcept nogil:
    """Spread: nodes with no bundle, then those with one ...; packed: those with any, then the others."""
    if spreads:
        return s.n_on[node] == number
    return (s.n_on[node] == 0) == (number == 1)


cdef bint is_repeated(const Search* s, size_t bundle) noexcept nogil:
    return bundle and equal_rows(&s.needs, bundle, bundle - 1, s.n_columns)


cdef bint is_allowed(const Search* s, size_t bundle, size_t node, size_t n_wanted, bint spreads) noexcept nogil:
    """Whether it may go there. What differs by the numbers of equal bundles or nodes only is not tried twice."""
    cdef size_t first = 0
    if not spreads and is_repeated(s, bundle):
        first = s.node_of[bundle - 1]
    if node < first or not fits(s, bundle, node):
        return False
    if s.n_on[node]:
        return not spreads or s.n_used + (s.n_bundles - bundle - 1) >= n_wanted
    if not spreads and s.n_used == n_wanted:
        return False
    return node == first or s.n_on[node - 1] or not equal_rows(&s.left, node, node - 1, s.n_columns)


cdef uint64_t n_passes(const Search* s, bint spreads) noexcept nogil:
    cdef uint64_t most = 1
    cdef size_t i
    for i in range(s.n_nodes if spreads else 0):
        most = max(most, <uint64_t> s.n_on[i])
    return most + 1


cdef void take_all_back(Search* s, size_t n_placed) noexcept nogil:
    while n_placed:
        n_placed -= 1
        take_back(s, n_placed)


cdef void begin_tries(Search* s, size_t bundle, bint spreads) noexcept nogil:
    """Equal bundles are spread from where the one before is: each way to share them out is tried once."""
    if bundle < s.n_bundles:
        s.next_try[bundle] = 0
        if spreads and is_repeated(s, bundle):
            s.next_try[bundle] = s.next_try[bundle - 1]


cdef bint search(Search* s, size_t n_wanted, bint spreads) noexcept nogil:
    """Place all on at most so many nodes, or spread them over at least so many."""
    cdef size_t bundle = 0, node = 0
    cdef uint64_t end, steps = SEARCH_STEPS + <uint64_t> s.n_bundles * (s.n_bundles + s.n_nodes)
    cdef bint found
    s.next_try.assign(s.n_bundles, 0)
    while bundle < s.n_bundles:
        end = n_passes(s, spreads) * s.n_nodes
        found = False
        while not found and s.next_try[bundle] < end and steps:
            node = s.next_try[bundle] % s.n_nodes
            found = in_pass(s, node, s.next_try[bundle] // s.n_nodes, spreads) \
                and is_allowed(s, bundle, node, n_wanted, spreads)
            s.next_try[bundle] += 1
            steps -= 1
        if found:
            put(s, bundle, node)
            bundle += 1
            begin_tries(s, bundle, spreads)
        elif bundle == 0 or steps == 0:
            take_all_back(s, bundle)
            return False
        else:
            bundle -= 1
            take_back(s, bundle)
    return True


cdef bint is_less(int64_t a, int64_t b) noexcept nogil:
    return a < b


cdef size_t fewest_nodes(const Search* s) noexcept nogil:
    """A number of nodes below which no packing can be: the largest amounts of any resource together are not enough."""
    cdef vector[int64_t] left
    cdef int64_t need
    cdef size_t column, i, n, most = 1
    for column in range(s.n_columns):
        left.clear()
        need = 0
        for i in range(s.n_nodes):
            left.push_back(s.left[i * s.n_columns + column])
        for i in range(s.n_bundles):
            need += s.needs[i * s.n_columns + column]
        sort(left.begin(), left.end(), &is_less)
        n = 0
        while need > 0 and n < s.n_nodes:
            n += 1
            need -= left[s.n_nodes - n]
        if need > 0:
            return s.n_nodes + 1
        most = max(most, n)
    return most


cdef size_t most_nodes(const Search* s) noexcept nogil:
    """A number of nodes above which nothing can be spread: those into which any bundle fits."""
    cdef size_t node, bundle, n = 0
    for node in range(s.n_nodes):
        bundle = 0
        while bundle < s.n_bundles and not fits(s, bundle, node):
            bundle += 1
        n += bundle < s.n_bundles
    return min(n, s.n_bundles)


cdef bint pack(Search* s) noexcept nogil:
    cdef size_t n = fewest_nodes(s), most = min(s.n_nodes, s.n_bundles)
    if n > most or not search(s, most, False):
        return False
    take_all_back(s, s.n_bundles)
    while n < most and not search(s, n, False):
        n += 1
    return n < most or search(s, most, False)


cdef bint spread(Search* s) noexcept nogil:
    cdef size_t n = most_nodes(s)
    if place_apart(s):
        return True
    if not search(s, 1, True):
        return False
    take_all_back(s, s.n_bundles)
    while n > 1 and not search(s, n, True):
        n -= 1
    return n > 1 or search(s, 1, True)


cdef bint place(Search* s, int strategy) noexcept nogil:
    if strategy == GROUP_STRICT_PACK:
        return search(s, 1, False)
    if strategy == GROUP_STRICT_SPREAD:
        return place_apart(s)
    return pack(s) if strategy == GROUP_PACK else spread(s)


cdef bint group_place(LoadTable* loads, int strategy, const vector[vector[Need]]* bundles, int amounts,
                      const vector[uint32_t]* excluded, vector[uint32_t]* addresses) noexcept nogil:
    """Find a node for each bundle; `addresses` receives them in the bundles' order. False if not all can be placed."""
    cdef Search s
    cdef ordered_map[string, size_t] columns
    cdef size_t i
    number_columns(bundles, &columns)
    s.n_columns = columns.size()
    s.n_bundles = bundles.size()
    s.n_used = 0
    read_nodes(&s, loads, amounts, &columns, excluded)
    read_bundles(&s, bundles, &columns)
    s.node_of.resize(s.n_bundles)
    if s.n_bundles == 0 or s.n_nodes == 0 or not place(&s, strategy):
        return False
    addresses.resize(s.n_bundles)
    for i in range(s.n_bundles):
        addresses[0][s.order[i]] = s.addresses[s.node_of[i]]
    return True


# ---- as it is asked --------------------------------------------------------------------------------------------

cdef bint group_question_read(const char* payload, uint64_t size, GroupQuestion* head, vector[uint32_t]* kept,
                              vector[vector[Need]]* bundles) noexcept nogil:
    """Read a question. False if it is malformed."""
    cdef Cursor c = Cursor(payload, size, False), start
    cdef const GroupQuestion* q = <const GroupQuestion*> take(&c, sizeof(GroupQuestion))
    cdef const uint32_t* addresses
    cdef const BundleHeader* bundle
    cdef const DemandEntry* entry
    cdef Need need
    if q == NULL or q.strategy > GROUP_STRICT_SPREAD or q.n_bundles == 0:
        return False
    addresses = <const uint32_t*> take_padded(&c, 4 * <uint64_t> q.n_kept)
    if addresses == NULL:
        return False
    head[0] = q[0]
    kept.assign(addresses, addresses + q.n_kept)
    for _ in range(q.n_bundles):
        bundle = <const BundleHeader*> take(&c, sizeof(BundleHeader))
        start = c
        if bundle == NULL or not entries_valid(&c, bundle.n_amounts, 1):
            return False
        bundles.push_back(vector[Need]())
        for _ in range(bundle.n_amounts):
            entry = <const DemandEntry*> take(&start, sizeof(DemandEntry))
            need.resource = string(take_padded(&start, entry.name_size), entry.name_size)
            need.amount = entry.amount
            bundles.back().push_back(need)
    return c.left == 0


def place_group(bytes loads not None, int strategy, list bundles not None, *, bint of_total=False):
    """The addresses of the nodes for a group's bundles, or None if they cannot all be placed.

    Args: loads: the reports of nodes, one after another, strategy: GroupStrategy, bundles: of each the amount of each
    resource in 1/10000, of_total: as if nothing else was there. Raises ValueError for malformed reports or an unknown
    strategy.
    """
    cdef Cursor c = Cursor(<const char*> loads, len(loads), False)
    cdef LoadTable table
    cdef NodeLoad load
    cdef vector[vector[Need]] asked
    cdef vector[uint32_t] addresses, excluded
    cdef Need need
    if not GROUP_PACK <= strategy <= GROUP_STRICT_SPREAD:
        raise ValueError(f"strategies are {GROUP_PACK} to {GROUP_STRICT_SPREAD}, got {strategy}")
    while c.left:
        if not load_read(&c, &load):
            raise ValueError("malformed reports of nodes")
        loads_merge(&table, &load)
    for bundle in bundles:
        asked.push_back(vector[Need]())
        for name, amount in sorted(bundle.items()):
            need.resource = name.encode()
            need.amount = amount
            asked.back().push_back(need)
    if not group_place(&table, strategy, &asked, AMOUNTS_TOTAL if of_total else AMOUNTS_AVAILABLE, &excluded,
                       &addresses):
        return None
    return list(addresses)
