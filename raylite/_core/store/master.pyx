"""The master of the control store: who is there, who is alive, who makes up each chain.

It hears of every party by heartbeats, suspects who is silent for suspect_ns, and declares dead who is for dead_ns.
While it is down everything else goes on, but for changes of configuration; started again from its journal it goes on
where it was, and parties register anew.

Nodes hear of each other NEWS_DELAY_NS after the first of those who come: if many start at once, each gets one message.
"""
from cython.operator cimport dereference as deref
from libc.string cimport memset
from libcpp.string cimport string
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, blob_copy, blob_data, blob_drop, blob_keep
from raylite._core.ids cimport ObjectId
from raylite._core.links.packet cimport MASTER_HEARTBEAT, MASTER_JOINED, MASTER_LOADS, MASTER_NODE, MASTER_NODE_DEAD, \
    MASTER_REGISTER, MASTER_SETTLED, MASTER_WELCOME, party, party_kind, PARTY_MASTER, PARTY_NODE, PARTY_REPLICA, \
    PARTY_SCHEDULER, STORE_ENTRIES
from raylite._core.store.chain_plans cimport fill_chains, form_chains, leave_chains, on_joined, plan_bytes, \
    plan_from_bytes, return_to_chains, tell_plan
from raylite._core.store.client cimport store_clear, store_deadline_ns, store_flush, store_next_entry, store_on_chain, \
    store_on_entries, store_op_at, store_setup
from raylite._core.store.deaths cimport node_died, on_node_settled, on_shard_settled, resume_deaths
from raylite._core.store.master_message cimport LoadNotice, NodeNotice, RegisterHeader, ShardHeld, WelcomeHeader
from raylite._core.store.master_state cimport drop_records, find_member, MASTER_RECORD_CHAIN, MASTER_RECORD_DEATH, \
    MASTER_RECORD_DROPPED, MASTER_RECORD_FENCED, MASTER_RECORD_NODE, Member, record, say, say_all, say_blob
from raylite._core.store.message cimport ENTRY_ANSWER, ENTRY_SETTLED, NodeRecord, OP_NODE_ALIVE, StoreEntry

cdef extern from *:
    """
    template <typename T> static T *raylite_new(T *) { return new T(); }
    template <typename T> static void raylite_delete(T *p) { delete p; }
    """
    MasterState* raylite_new(MasterState*) nogil
    void raylite_delete(MasterState*) nogil


cdef enum:
    NEWS_DELAY_NS = 1000000


cdef void append_notice(const Member* member, string* out) noexcept nogil:
    cdef NodeNotice notice
    notice.address = member.address
    notice.incarnation = member.incarnation
    notice.is_suspect = member.is_suspect
    notice.size = <uint32_t> member.about.size()
    out.append(<const char*> &notice, sizeof(NodeNotice))
    out.append(member.about)


cdef void append_padded_notice(const Member* member, string* out) noexcept nogil:
    append_notice(member, out)
    out.append(align8(member.about.size()) - member.about.size(), <char> 0)


cdef void tell_shards_alive(MasterState* m, const Member* node) noexcept nogil:
    cdef NodeRecord r = NodeRecord(node.address, node.incarnation)
    cdef ObjectId nothing
    cdef uint32_t shard
    memset(&nothing, 0, sizeof(ObjectId))
    for shard in range(m.n_shards):
        store_op_at(&m.store, shard, nothing, OP_NODE_ALIVE, 0, 0, <const char*> &r, sizeof(NodeRecord))


# ---- who comes -------------------------------------------------------------------------------------------------

cdef void welcome(MasterState* m, uint32_t target) noexcept nogil:
    """Tell a party all that it has to know: the chains, the nodes that are alive and those that are dead."""
    cdef WelcomeHeader head
    cdef NodeRecord dead
    cdef uint32_t shard
    memset(&head, 0, sizeof(WelcomeHeader))
    head.n_shards = m.n_shards
    head.heartbeat_ns = m.heartbeat_ns
    say(m, target, MASTER_WELCOME, 0, <const char*> &head, sizeof(WelcomeHeader))
    if party_kind(target) != PARTY_SCHEDULER:
        for shard in range(m.n_shards):
            tell_plan(m, shard, target)
    for gone in m.dead:
        dead = NodeRecord(gone.first, gone.second)
        if gone.first != target:
            say(m, target, MASTER_NODE_DEAD, 0, <const char*> &dead, sizeof(NodeRecord))
    if party_kind(target) == PARTY_NODE:
        m.asking.insert(target)
        there_is_news(m)
    else:
        say_all_of(m, target)


cdef bint is_told(uint32_t target, uint32_t of) noexcept nogil:
    """Whether a party is to know that another is there: all of nodes, nodes of schedulers."""
    return party_kind(of) == PARTY_NODE or party_kind(of) == PARTY_SCHEDULER and party_kind(target) == PARTY_NODE


cdef void notices_of_all(MasterState* m, uint32_t target, string* out) noexcept nogil:
    """Of all that a party such as this one is to know."""
    for entry in m.members:
        if is_told(target, entry.first):
            append_padded_notice(&entry.second, out)


cdef void say_all_of(MasterState* m, uint32_t target) noexcept nogil:
    cdef string body
    notices_of_all(m, target, &body)
    if not body.empty():
        say(m, target, MASTER_NODE, 0, body.data(), body.size())


cdef void there_is_news(MasterState* m) noexcept nogil:
    if m.news_ns == 0:
        m.news_ns = m.now_ns + NEWS_DELAY_NS


cdef void tell_news(MasterState* m) noexcept nogil:
    """Nodes hear of those who have come since, and who has come of all: one message each, made once for all of them."""
    cdef string body
    cdef Blob* to_old
    cdef Blob* to_new
    cdef Member* member
    for address in m.came:
        member = find_member(m, address)
        if member != NULL:
            append_padded_notice(member, &body)
    to_old = blob_copy(body.data(), body.size())
    body.clear()
    notices_of_all(m, party(PARTY_NODE, 0), &body)
    to_new = blob_copy(body.data(), body.size())
    for entry in m.members:
        if m.asking.count(entry.first):
            say_blob(m, entry.first, MASTER_NODE, 0, blob_keep(to_new))
        elif party_kind(entry.first) == PARTY_NODE and to_old.size:
            say_blob(m, entry.first, MASTER_NODE, 0, blob_keep(to_old))
    blob_drop(to_old)
    blob_drop(to_new)
    m.came.clear()
    m.asking.clear()
    m.news_ns = 0


cdef void register_scheduler(MasterState* m, const Member* scheduler) noexcept nogil:
    cdef string body
    append_padded_notice(scheduler, &body)
    for entry in m.members:
        if is_told(entry.first, scheduler.address):
            say(m, entry.first, MASTER_NODE, 0, body.data(), body.size())


cdef void register_node(MasterState* m, Member* node, bint is_new) noexcept nogil:
    cdef string body
    if is_new:
        append_notice(node, &body)
        record(m, MASTER_RECORD_NODE, body.data(), body.size())
        m.came.insert(node.address)
        there_is_news(m)
        say_of_node(m, node, False)
        tell_shards_alive(m, node)


cdef void say_of_node(MasterState* m, const Member* node, bint schedulers_only) noexcept nogil:
    """To those who cannot wait for the news: schedulers, and who is no node."""
    cdef string body
    append_padded_notice(node, &body)
    for entry in m.members:
        if party_kind(entry.first) == PARTY_SCHEDULER \
                or party_kind(entry.first) != PARTY_NODE and not schedulers_only:
            say(m, entry.first, MASTER_NODE, 0, body.data(), body.size())


cdef bint register_party(MasterState* m, uint32_t source, uint32_t incarnation, const char* data, uint64_t size) \
        noexcept nogil:
    """A party has come, or come again. False if what it says is malformed."""
    cdef const RegisterHeader* head = <const RegisterHeader*> data
    cdef const ShardHeld* held = <const ShardHeld*> (data + sizeof(RegisterHeader))
    cdef Member* member = find_member(m, source)
    cdef uint32_t before = member.incarnation if member != NULL else 0
    if size < sizeof(RegisterHeader) or party_kind(source) == PARTY_REPLICA \
            and size != sizeof(RegisterHeader) + sizeof(ShardHeld) * <uint64_t> head.n_held:
        return False
    if incarnation < before or is_dead(m, source, incarnation):
        return True               # its links will tell it
    if party_kind(source) == PARTY_NODE and before and incarnation > before:
        node_died(m, NodeRecord(source, before))
        before = 0
    member = &m.members[source]
    member.address = source
    member.incarnation = incarnation
    member.heard_ns = m.now_ns
    member.has_registered = True
    member.is_suspect = False
    if party_kind(source) == PARTY_NODE:
        member.about.assign(data + sizeof(RegisterHeader), size - sizeof(RegisterHeader))
        register_node(m, member, before == 0)
    elif party_kind(source) == PARTY_SCHEDULER and incarnation > before:
        register_scheduler(m, member)
    elif party_kind(source) == PARTY_REPLICA and incarnation > before:
        return_to_chains(m, NodeRecord(source, incarnation), held, head.n_held, head.journal_since)
    welcome(m, source)
    form_chains(m)
    fill_chains(m)
    return True


cdef bint is_dead(MasterState* m, uint32_t address, uint32_t incarnation) noexcept nogil:
    it = m.dead.find(address)
    return it != m.dead.end() and incarnation <= deref(it).second


# ---- who goes --------------------------------------------------------------------------------------------------

cdef void party_died(MasterState* m, uint32_t address) noexcept nogil:
    """A member is dead. A replica whose chain has no other is not fenced: it may still come back with what it has."""
    cdef Member* member = find_member(m, address)
    cdef NodeRecord r = NodeRecord(address, member.incarnation)
    if party_kind(address) == PARTY_NODE:
        node_died(m, r)
        return
    member.is_suspect = True
    if party_kind(address) == PARTY_REPLICA and not leave_chains(m, r):
        fill_chains(m)
        return
    record(m, MASTER_RECORD_FENCED, <const char*> &r, sizeof(NodeRecord))
    m.members.erase(address)
    m.dead[address] = r.incarnation
    m.fenced.push_back(r)
    say_all(m, MASTER_NODE_DEAD, <const char*> &r, sizeof(NodeRecord), True)
    fill_chains(m)


cdef void suspect(MasterState* m, Member* member, bint is_suspect) noexcept nogil:
    """A member is silent, or is not any more: schedulers place nothing on nodes that are."""
    member.is_suspect = is_suspect
    if party_kind(member.address) != PARTY_NODE:
        if not is_suspect:
            fill_chains(m)
        return
    say_of_node(m, member, True)


cdef void check_members(MasterState* m) noexcept nogil:
    cdef vector[uint32_t] silent
    cdef Member* member
    cdef size_t i
    for entry in m.members:
        member = find_member(m, entry.first)
        if m.now_ns - member.heard_ns >= m.dead_ns:
            silent.push_back(entry.first)
        elif m.now_ns - member.heard_ns >= m.suspect_ns and not member.is_suspect:
            suspect(m, member, True)
    for i in range(silent.size()):
        party_died(m, silent[i])


# ---- loads -----------------------------------------------------------------------------------------------------

cdef void publish_loads(MasterState* m) noexcept nogil:
    """Schedulers get what nodes have said of their loads since the last time."""
    cdef LoadNotice notice
    cdef Member* member
    cdef string body
    for entry in m.members:
        if not entry.second.load_changed:
            continue
        member = find_member(m, entry.first)
        member.load_changed = False
        notice.address = member.address
        notice.size = <uint32_t> member.load.size()
        body.append(<const char*> &notice, sizeof(LoadNotice))
        body.append(member.load)
        body.append(align8(notice.size) - notice.size, <char> 0)
    if body.empty():
        return
    for entry in m.members:
        if party_kind(entry.first) == PARTY_SCHEDULER:
            say(m, entry.first, MASTER_LOADS, 0, body.data(), body.size())


cdef void heard(MasterState* m, uint32_t source, uint32_t incarnation, Blob* payload) noexcept nogil:
    """A heartbeat. Who is not registered is asked to."""
    cdef Member* member = find_member(m, source)
    if member == NULL or not member.has_registered or member.incarnation != incarnation:
        say(m, source, MASTER_REGISTER, 0, NULL, 0)
        return
    member.heard_ns = m.now_ns
    if member.is_suspect:
        suspect(m, member, False)
    if payload != NULL and party_kind(source) == PARTY_NODE:
        member.load.assign(blob_data(payload), payload.size)
        member.load_changed = True


# ---- the party -------------------------------------------------------------------------------------------------

cdef class Master(Party):
    """The master.

    Args: incarnation: of this start, n_shards: of the store, n_replicas: wanted in each chain (the first chains are
    made when there are so many, or dead_ns after the first came), heartbeat_ns: how often parties report, suspect_ns,
    dead_ns: how long they may be silent.
    Raises ValueError for times or numbers that make no sense.
    """

    def __cinit__(self):
        self.state = raylite_new(self.state)

    def __init__(self, uint32_t incarnation, *, uint32_t n_shards=1, uint32_t n_replicas=1,
                 uint64_t heartbeat_ns=100_000_000, uint64_t suspect_ns=300_000_000, uint64_t dead_ns=1_000_000_000):
        cdef MasterState* m = self.state
        if n_shards < 1 or n_replicas < 1 or not 0 < heartbeat_ns < suspect_ns <= dead_ns:
            raise ValueError(f"a store has shards and replicas, and heartbeats come more often than they are missed: "
                             f"{n_shards=}, {n_replicas=}, {heartbeat_ns=}, {suspect_ns=}, {dead_ns=}")
        self.join(party(PARTY_MASTER, 0), incarnation)
        m.n_shards = n_shards
        m.n_replicas = n_replicas
        m.heartbeat_ns = heartbeat_ns
        m.suspect_ns = suspect_ns
        m.dead_ns = dead_ns
        m.chains.resize(n_shards)
        store_setup(&m.store, self.address, incarnation, n_shards, heartbeat_ns)

    def __dealloc__(self):
        cdef size_t i
        if self.state == NULL:
            return
        store_clear(&self.state.store)
        for i in range(self.state.out.size()):
            blob_drop(self.state.out[i].payload)
        drop_records(self.state)
        raylite_delete(self.state)

    cdef int start(self, uint64_t now_ns) except -1:
        """Begin, or go on with what the journal says: ask all who were there to register."""
        cdef MasterState* m = self.state
        cdef Blob* payload
        cdef NodeRecord head
        cdef string body
        cdef uint32_t shard
        self.now_ns = m.now_ns = now_ns
        self.next_check_ns = now_ns + m.heartbeat_ns
        for shard in range(m.n_shards):
            if m.chains[shard].epoch:
                plan_bytes(m, shard, &body)
                payload = blob_copy(body.data(), body.size())
                store_on_chain(&m.store, payload, &head)
                self.know(head.address, head.incarnation)
                blob_drop(payload)
        for entry in m.members:
            find_member(m, entry.first).heard_ns = now_ns
            if party_kind(entry.first) == PARTY_NODE:
                tell_shards_alive(m, find_member(m, entry.first))
            say(m, entry.first, MASTER_REGISTER, 0, NULL, 0)
        for dead in m.dead:
            self.declare_dead(dead.first, dead.second)
        resume_deaths(m)
        return self.send_all()

    cdef int send_all(self) except -1:
        cdef MasterState* m = self.state
        cdef size_t i
        store_flush(&m.store, self.now_ns)
        for i in range(m.fenced.size()):
            self.declare_dead(m.fenced[i].address, m.fenced[i].incarnation)
        m.fenced.clear()
        for i in range(m.out.size()):
            self.send(m.out[i].target, &m.out[i].message, m.out[i].payload)
        m.out.clear()
        for i in range(m.store.out.size()):
            self.send(m.store.out[i].target, &m.store.out[i].message, m.store.out[i].payload)
        m.store.out.clear()
        return 0

    cdef int on_register(self, uint32_t source, uint32_t incarnation, Blob* payload) except -1:
        cdef int kind = party_kind(source)
        if payload != NULL and (kind == PARTY_NODE or kind == PARTY_REPLICA or kind == PARTY_SCHEDULER):
            register_party(self.state, source, incarnation, blob_data(payload), payload.size)
        return 0

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        cdef MasterState* m = self.state
        cdef StoreEntry entry
        cdef const char* body = NULL
        m.now_ns = now_ns
        if message.kind == MASTER_REGISTER:
            self.on_register(source, message.incarnation, payload)
        elif message.kind == MASTER_HEARTBEAT:
            heard(m, source, message.incarnation, payload)
        elif message.kind == MASTER_SETTLED:
            on_node_settled(m, source, message.aux)
        elif message.kind == MASTER_JOINED:
            on_joined(m, message.client, message.aux)
        elif message.kind == STORE_ENTRIES and payload != NULL:
            store_on_entries(&m.store, now_ns, payload)
            while store_next_entry(&m.store, &entry, &body):
                if entry.kind == ENTRY_SETTLED or entry.kind == ENTRY_ANSWER and entry.token:
                    on_shard_settled(m, entry.token)
        return self.send_all()

    cdef int on_time(self, uint64_t now_ns) except -1:
        self.state.now_ns = now_ns
        if now_ns >= self.next_check_ns:
            self.next_check_ns = now_ns + self.state.heartbeat_ns
            check_members(self.state)
            form_chains(self.state)
            publish_loads(self.state)
        if self.state.news_ns and now_ns >= self.state.news_ns:
            tell_news(self.state)
        return self.send_all()

    cdef uint64_t wants_time_ns(self) noexcept:
        cdef uint64_t wanted_ns = self.next_check_ns
        cdef uint64_t store_ns = store_deadline_ns(&self.state.store)
        if store_ns:
            wanted_ns = min(wanted_ns, store_ns)
        return min(wanted_ns, self.state.news_ns) if self.state.news_ns else wanted_ns

    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1:
        """A node that has started again is dead first; a replica will say what it still has."""
        cdef Member* member = find_member(self.state, source)
        if party_kind(source) == PARTY_NODE and member != NULL and member.incarnation <= incarnation:
            self.state.now_ns = now_ns
            party_died(self.state, source)
            self.send_all()
        return 0

    # ---- what Python sees ----

    def begin(self, uint64_t now_ns):
        """Begin, after the journal was replayed if there is one."""
        self.start(now_ns)

    def replay(self, records):
        """Become what a journal says. Args: records: (kind, bytes) each, as take_journal gave them."""
        cdef MasterState* m = self.state
        cdef const NodeNotice* notice
        cdef const NodeRecord* node
        cdef Member* member
        cdef size_t i
        for kind, data in records:
            node = <const NodeRecord*> <const char*> data
            if len(data) < sizeof(NodeRecord):
                raise ValueError(f"record {kind} of the master's journal is too short")
            if kind == MASTER_RECORD_NODE:
                notice = <const NodeNotice*> node
                member = &m.members[notice.address]
                member.address = notice.address
                member.incarnation = notice.incarnation
                member.about = (<bytes> data)[sizeof(NodeNotice):]
            elif kind == MASTER_RECORD_DEATH or kind == MASTER_RECORD_FENCED:
                m.members.erase(node.address)
                m.dead[node.address] = node.incarnation
                if kind == MASTER_RECORD_DEATH:
                    m.dying.push_back(node[0])
            elif kind == MASTER_RECORD_DROPPED:
                for i in range(m.dying.size()):
                    if m.dying[i].address == node.address and m.dying[i].incarnation == node.incarnation:
                        m.dying.erase(m.dying.begin() + i)
                        break
            elif kind != MASTER_RECORD_CHAIN or not plan_from_bytes(m, <const char*> node, len(data)):
                raise ValueError(f"record {kind} of the master's journal is malformed")

    cpdef rewrite_journal(self):
        """Put out records from which all that counts now can be had: the next ones that take_journal gives are to take
        the place of the whole journal."""
        cdef MasterState* m = self.state
        cdef NodeRecord dead
        cdef string body
        cdef uint32_t shard
        cdef size_t i
        drop_records(m)
        for i in range(m.dying.size()):
            record(m, MASTER_RECORD_DEATH, <const char*> &m.dying[i], sizeof(NodeRecord))
        for gone in m.dead:
            dead = NodeRecord(gone.first, gone.second)
            record(m, MASTER_RECORD_FENCED, <const char*> &dead, sizeof(NodeRecord))
        for entry in m.members:
            if party_kind(entry.first) == PARTY_NODE:
                body.clear()
                append_notice(&entry.second, &body)
                record(m, MASTER_RECORD_NODE, body.data(), body.size())
        for shard in range(m.n_shards):
            if m.chains[shard].epoch:
                plan_bytes(m, shard, &body)
                record(m, MASTER_RECORD_CHAIN, body.data(), body.size())

    def take_journal(self):
        """The decisions since the last call, as (kind, bytes); write them before carrying any packet."""
        cdef size_t i
        out = []
        for i in range(self.state.journal.size()):
            out.append((self.state.journal[i].kind,
                        blob_data(self.state.journal[i].data)[:self.state.journal[i].data.size]))
        drop_records(self.state)
        return out

    def chains(self):
        """Of each shard: epoch, members as (address, incarnation), who joins."""
        cdef size_t i, k
        out = []
        for i in range(self.state.chains.size()):
            plan = &self.state.chains[i]
            members = [(plan.members[k].address, plan.members[k].incarnation) for k in range(plan.members.size())]
            joiner = (plan.joiner.address, plan.joiner.incarnation) if plan.has_joiner else None
            out.append({"epoch": plan.epoch, "members": members, "joiner": joiner})
        return out

    def members(self):
        """Address to (incarnation, is suspect) of all who are there."""
        return {entry.first: (entry.second.incarnation, bool(entry.second.is_suspect))
                for entry in self.state.members}

    def dying(self):
        """(address, incarnation) of nodes that are dead and not yet dropped by the store."""
        return [(self.state.dying[i].address, self.state.dying[i].incarnation)
                for i in range(self.state.dying.size())]
