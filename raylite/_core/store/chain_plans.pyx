"""Which replicas make up each shard's chain, and who joins it: the master's decisions about them.

Each change is a new epoch, written down, then told to the chain's replicas and to all who send it requests. Who is
silent is taken out as long as another member is not: of those that are all silent nobody knows which one will come back
with what it had, and without it that would be lost. A replica that has started again with all that it ever passed on
from its place (RegisterHeader.journal_since) has it again; any other joins anew.
"""
from libc.string cimport memset
from libcpp.vector cimport vector
from raylite._core.envelope cimport Blob, blob_copy, blob_drop
from raylite._core.store.master_state cimport ChainPlan, find_member, Member, MASTER_RECORD_CHAIN, record, say
from raylite._core.links.packet cimport MASTER_CHAIN, party_kind, PARTY_REPLICA, PARTY_SCHEDULER
from raylite._core.store.client cimport store_on_chain
from raylite._core.store.message cimport ChainHeader, ChainView, read_chain


cdef void plan_bytes(MasterState* m, uint32_t shard, string* out) noexcept nogil:
    cdef ChainPlan* plan = &m.chains[shard]
    cdef ChainHeader h
    cdef size_t i
    memset(&h, 0, sizeof(ChainHeader))
    h.shard = shard
    h.n_shards = m.n_shards
    h.epoch = plan.epoch
    h.n_members = <uint32_t> plan.members.size()
    h.n_joining = plan.has_joiner
    h.is_first = plan.is_first
    out.assign(<const char*> &h, sizeof(ChainHeader))
    for i in range(plan.members.size()):
        out.append(<const char*> &plan.members[i], sizeof(NodeRecord))
    if plan.has_joiner:
        out.append(<const char*> &plan.joiner, sizeof(NodeRecord))


cdef bint plan_from_bytes(MasterState* m, const char* data, uint64_t size) noexcept nogil:
    """A plan that was written down; its replicas count as heard of just now. False if it is malformed."""
    cdef ChainView view
    cdef ChainPlan* plan
    cdef Member* member
    cdef uint32_t i
    if not read_chain(data, size, &view) or view.head.n_shards != m.n_shards:
        return False
    plan = &m.chains[view.head.shard]
    plan.epoch = view.head.epoch
    plan.is_first = view.head.is_first
    plan.members.assign(view.members, view.members + view.head.n_members)
    plan.has_joiner = view.head.n_joining != 0
    if plan.has_joiner:
        plan.joiner = view.members[view.head.n_members]
    for i in range(view.head.n_members + view.head.n_joining):
        member = &m.members[view.members[i].address]
        member.address = view.members[i].address
        member.incarnation = max(member.incarnation, view.members[i].incarnation)
    return True


cdef void tell_plan(MasterState* m, uint32_t shard, uint32_t target) noexcept nogil:
    cdef string body
    if m.chains[shard].epoch:
        plan_bytes(m, shard, &body)
        say(m, target, MASTER_CHAIN, 0, body.data(), body.size())


cdef void publish(MasterState* m, uint32_t shard) noexcept nogil:
    """The plan has changed: replicas hear of it first, then those who send them requests; the master itself is one."""
    cdef string body
    cdef Blob* payload
    cdef NodeRecord head
    m.chains[shard].epoch += 1
    plan_bytes(m, shard, &body)
    record(m, MASTER_RECORD_CHAIN, body.data(), body.size())
    for entry in m.members:
        if party_kind(entry.first) == PARTY_REPLICA:
            say(m, entry.first, MASTER_CHAIN, 0, body.data(), body.size())
    for entry in m.members:
        if party_kind(entry.first) != PARTY_REPLICA and party_kind(entry.first) != PARTY_SCHEDULER:
            say(m, entry.first, MASTER_CHAIN, 0, body.data(), body.size())
    payload = blob_copy(body.data(), body.size())
    store_on_chain(&m.store, payload, &head)
    blob_drop(payload)


cdef NodeRecord record_of(const Member* member) noexcept nogil:
    return NodeRecord(member.address, member.incarnation)


cdef bint is_available(const Member* member) noexcept nogil:
    return party_kind(member.address) == PARTY_REPLICA and member.has_registered and not member.is_suspect


cdef void form_chains(MasterState* m) noexcept nogil:
    """The first chains, as soon as there are as many replicas as a chain is to have; of fewer when who does not come
    would be dead by now."""
    cdef vector[NodeRecord] replicas
    cdef uint32_t shard, i
    if m.chains[0].epoch:
        return
    for entry in m.members:
        if is_available(&entry.second):
            replicas.push_back(record_of(&entry.second))
    if replicas.empty():
        return
    if m.form_by_ns == 0:
        m.form_by_ns = m.now_ns + m.dead_ns
    if replicas.size() < m.n_replicas and m.now_ns < m.form_by_ns:
        return
    for shard in range(m.n_shards):
        m.chains[shard].is_first = True
        for i in range(min(m.n_replicas, <uint32_t> replicas.size())):
            m.chains[shard].members.push_back(replicas[(shard + i) % replicas.size()])
        publish(m, shard)


cdef bint is_part_of(const ChainPlan* plan, uint32_t address) noexcept nogil:
    cdef size_t i
    for i in range(plan.members.size()):
        if plan.members[i].address == address:
            return True
    return plan.has_joiner and plan.joiner.address == address


cdef uint32_t n_parts(MasterState* m, uint32_t address) noexcept nogil:
    cdef uint32_t n = 0
    cdef size_t i
    for i in range(m.chains.size()):
        n += is_part_of(&m.chains[i], address)
    return n


cdef void fill_chain(MasterState* m, uint32_t shard) noexcept nogil:
    """Have the replica with the fewest parts join, if the chain is short of one."""
    cdef ChainPlan* plan = &m.chains[shard]
    cdef uint32_t best = 0, fewest = 0, parts
    if plan.epoch == 0 or plan.has_joiner or plan.members.size() >= m.n_replicas:
        return
    for entry in m.members:
        if not is_available(&entry.second) or is_part_of(plan, entry.first):
            continue
        parts = n_parts(m, entry.first)
        if best == 0 or parts < fewest:
            best = entry.first
            fewest = parts
    if best:
        plan.has_joiner = True
        plan.joiner = record_of(find_member(m, best))
        publish(m, shard)


cdef void fill_chains(MasterState* m) noexcept nogil:
    cdef uint32_t shard
    for shard in range(m.n_shards):
        fill_chain(m, shard)


cdef bint has_other(MasterState* m, const ChainPlan* plan, uint32_t address) noexcept nogil:
    """Whether a member of the chain is heard of, beside this one."""
    cdef const Member* member
    cdef size_t i
    for i in range(plan.members.size()):
        member = find_member(m, plan.members[i].address)
        if plan.members[i].address != address and member != NULL and is_available(member) \
                and member.incarnation == plan.members[i].incarnation:
            return True
    return False


cdef bint leave_chain(ChainPlan* plan, NodeRecord replica) noexcept nogil:
    """Whether the plan has changed."""
    cdef size_t i
    if plan.has_joiner and plan.joiner.address == replica.address and plan.joiner.incarnation <= replica.incarnation:
        plan.has_joiner = False
        return True
    for i in range(plan.members.size()):
        if plan.members[i].address == replica.address and plan.members[i].incarnation <= replica.incarnation:
            if plan.members.size() == 1:
                return False
            plan.members.erase(plan.members.begin() + i)
            return True
    return False


cdef bint leave_chains(MasterState* m, NodeRecord replica) noexcept nogil:
    """Take a silent replica out of all chains that have another; whether it is in none any more."""
    cdef uint32_t shard
    cdef bint joins
    for shard in range(m.n_shards):
        joins = m.chains[shard].has_joiner and m.chains[shard].joiner.address == replica.address
        if (joins or has_other(m, &m.chains[shard], replica.address)) and leave_chain(&m.chains[shard], replica):
            publish(m, shard)
    return n_parts(m, replica.address) == 0


cdef void return_to_chain(MasterState* m, uint32_t shard, NodeRecord replica, bint has_state,
                          uint32_t journal_since) noexcept nogil:
    """The replica has started anew. One whose journal is as old as its place, and has nothing of a new shard, has lost
    nothing."""
    cdef ChainPlan* plan = &m.chains[shard]
    cdef NodeRecord before = NodeRecord(replica.address, replica.incarnation - 1)
    cdef size_t i
    for i in range(plan.members.size()):
        if plan.members[i].address == replica.address and plan.members[i].incarnation < replica.incarnation \
                and 0 < journal_since <= plan.members[i].incarnation and (has_state or plan.is_first):
            plan.members[i] = replica
            publish(m, shard)
            return
    if leave_chain(plan, before):
        publish(m, shard)


cdef void return_to_chains(MasterState* m, NodeRecord replica, const ShardHeld* held, uint32_t n_held,
                           uint32_t journal_since) noexcept nogil:
    cdef uint32_t shard, i
    cdef bint has_state
    for shard in range(m.n_shards):
        has_state = False
        for i in range(n_held):
            has_state = has_state or held[i].shard == shard
        return_to_chain(m, shard, replica, has_state, journal_since)


cdef void on_joined(MasterState* m, uint32_t shard, uint64_t epoch) noexcept nogil:
    """The tail says that who joins has all that was ever exposed: it is the tail now."""
    cdef ChainPlan* plan
    if shard >= m.n_shards:
        return
    plan = &m.chains[shard]
    if plan.epoch != epoch or not plan.has_joiner:
        return
    plan.members.push_back(plan.joiner)
    plan.has_joiner = plan.is_first = False
    publish(m, shard)
    fill_chain(m, shard)
