"""A replica of the control store: a party that has a part in the chains of any number of shards.

One process serves several shards, since shards are what divides the ids and processes are what can fail: a small
cluster has as many replicas as failures it survives, and still many shards to spread later. The master says which
chains a replica is in; all else is in `chain`.
"""
from libc.string cimport memset
from libcpp.string cimport string
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, blob_keep
from raylite._core.links.enlisted cimport REGISTER_AGAIN_NS
from raylite._core.links.packet cimport CHAIN_LAST, CHAIN_UPDATE, MASTER_CHAIN, MASTER_HEARTBEAT, MASTER_NODE, \
    MASTER_NODE_DEAD, MASTER_REGISTER, MASTER_WELCOME, party, PARTY_MASTER, STORE_ENTRIES, STORE_REQUEST
from raylite._core.store.chain cimport chain_configure, chain_delete, chain_deliver, chain_head_changed, \
    chain_journaled, chain_new, chain_pump, chain_replay, chain_unjournaled, chain_violation, chain_welcomed, \
    chain_tell, chain_write_snapshot, JOURNAL_BEGUN, JournalRecord, ROLE_MEMBER, ROLE_OUT
from raylite._core.store.master_message cimport RegisterHeader, ShardHeld, WelcomeHeader
from raylite._core.store.message cimport ChainView, NodeRecord, read_chain, store_letter_message, StreamHeader
from raylite._core.store.snapshot cimport write_snapshot
from raylite._core.store.state cimport read_store_sizes, StoreSizes

cdef extern from *:
    """
    #ifdef RAYLITE_DEBUG
    #define RAYLITE_IS_DEBUG 1
    #else
    #define RAYLITE_IS_DEBUG 0
    #endif
    """
    bint RAYLITE_IS_DEBUG


cdef class Replica(Party):
    """A replica of the control store.

    Args: address, incarnation: its own, flushes: whether tasks that no lineage needs go (the same in all replicas),
    journals: whether updates are put out as records, and passed on only when the host has written those, keeps_archive:
    whether rows that go are put out, as the tail of a chain, debug: check every table after every update.
    """

    def __init__(self, uint32_t address, uint32_t incarnation, *, bint flushes=True, bint journals=False,
                 bint keeps_archive=False, debug=None):
        self.join(address, incarnation)
        self.master = party(PARTY_MASTER, 0)
        self.flushes = flushes
        self.journals = journals
        self.keeps_archive = keeps_archive
        self.debug = RAYLITE_IS_DEBUG if debug is None else debug

    def __dealloc__(self):
        cdef size_t i
        for i in range(self.chains.size()):
            chain_delete(self.chains[i])
        for i in range(self.early.size()):
            blob_drop(self.early[i].payload)
        for i in range(self.journal.size()):
            blob_drop(self.journal[i].data)
        for i in range(self.archive.size()):
            blob_drop(self.archive[i])

    cdef int make_chains(self, uint32_t n_shards) except -1:
        cdef uint32_t i
        cdef Chain* c
        if self.chains.size():
            if n_shards != self.chains.size():
                raise RuntimeError(f"the store has {n_shards} shards, and had {self.chains.size()}")
            return 0
        self.heads.resize(n_shards)
        for i in range(n_shards):
            c = chain_new(i, n_shards, self.address, self.incarnation, self.flushes, &self.heads)
            c.journals = self.journals
            c.state.debug = self.debug
            self.chains.push_back(c)
        return 0

    # ---- the master ----

    cdef int start(self, uint64_t now_ns) except -1:
        """Register with the master, as soon as there is a journal if it is to keep one: who finds none when it starts
        again has lost it, and is not sure of anything."""
        self.now_ns = now_ns
        if self.journals and not self.journal_since:
            return self.begin_journal(self.incarnation)
        return self.register()

    cdef int begin_journal(self, uint32_t since) except -1:
        """Put out the first record of a journal."""
        cdef JournalRecord r
        memset(&r, 0, sizeof(JournalRecord))
        r.kind = JOURNAL_BEGUN
        r.number = since
        r.data = blob_copy(NULL, 0)
        self.journal.push_back(r)
        return 0

    cdef int register(self) except -1:
        cdef RegisterHeader head
        cdef ShardHeld held
        cdef Message m
        cdef string out
        cdef size_t i
        if self.journals and not self.journal_since:
            return 0
        if not self.registered:
            self.next_heartbeat_ns = self.now_ns + REGISTER_AGAIN_NS
        memset(&head, 0, sizeof(RegisterHeader))
        head.journal_since = self.journal_since
        for i in range(self.chains.size()):
            head.n_held += self.chains[i].has_state
        out.append(<const char*> &head, sizeof(RegisterHeader))
        for i in range(self.chains.size()):
            if self.chains[i].has_state:
                held.shard = <uint32_t> i
                held.unused = 0
                held.applied = self.chains[i].applied
                out.append(<const char*> &held, sizeof(ShardHeld))
        m = store_letter_message(MASTER_REGISTER, out.size())
        m.incarnation = self.incarnation
        return self.send(self.master, &m, blob_copy(out.data(), out.size()))

    cdef int on_time(self, uint64_t now_ns) except -1:
        cdef Message m = store_letter_message(MASTER_HEARTBEAT, 0)
        cdef size_t i
        if not self.registered:
            return self.register()
        m.incarnation = self.incarnation
        self.next_heartbeat_ns = now_ns + self.heartbeat_ns
        self.send(self.master, &m, NULL)
        for i in range(self.chains.size()):
            chain_tell(self.chains[i])
        return self.send_all()

    cdef uint64_t wants_time_ns(self) noexcept:
        return self.next_heartbeat_ns

    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1:
        if source == self.master:
            self.register()       # it has started again
        return 0

    cdef int on_welcome(self, const WelcomeHeader* head) except -1:
        cdef vector[Outgoing] early
        cdef size_t i
        self.make_chains(head.n_shards)
        self.heartbeat_ns = head.heartbeat_ns
        self.next_heartbeat_ns = self.now_ns + self.heartbeat_ns
        self.registered = True
        early.swap(self.early)
        for i in range(early.size()):
            self.take(early[i].target, &early[i].message, early[i].payload)
            blob_drop(early[i].payload)
        for i in range(self.chains.size()):
            chain_welcomed(self.chains[i])
        return 0

    cdef int on_chain(self, Blob* payload) except -1:
        cdef ChainView view
        cdef ShardHead* head
        cdef bint changed
        cdef size_t i
        if payload == NULL or not read_chain(blob_data(payload), payload.size, &view) \
                or view.head.n_shards != self.chains.size() or view.head.n_members == 0:
            return 0
        head = &self.heads[view.head.shard]
        if view.head.epoch <= head.epoch:
            return 0
        head.epoch = view.head.epoch
        changed = head.address != view.members[0].address or head.incarnation != view.members[0].incarnation
        head.address = view.members[0].address
        head.incarnation = view.members[0].incarnation
        for i in range(view.head.n_members + view.head.n_joining):
            if view.members[i].address != self.address:
                self.know(view.members[i].address, view.members[i].incarnation)
        chain_configure(self.chains[view.head.shard], &view)
        if changed:
            for i in range(self.chains.size()):
                chain_head_changed(self.chains[i], view.head.shard)
        return 0

    # ---- what comes ----

    cdef int take(self, uint32_t source, const Message* m, Blob* payload) except -1:
        cdef Outgoing waiting
        cdef uint32_t shard = m.client
        cdef const NodeRecord* node
        if m.kind == MASTER_WELCOME:
            if payload != NULL and payload.size >= sizeof(WelcomeHeader):
                self.on_welcome(<const WelcomeHeader*> blob_data(payload))
            return 0
        if m.kind == MASTER_REGISTER:
            return self.register()
        if not self.registered:
            if m.kind == MASTER_CHAIN:
                return 0          # the master did not yet know what this start has; the welcome is followed by all
            waiting.target = source
            waiting.message = m[0]
            waiting.payload = blob_keep(payload)
            self.early.push_back(waiting)
            return 0
        if m.kind == MASTER_CHAIN:
            return self.on_chain(payload)
        if m.kind == MASTER_NODE_DEAD or m.kind == MASTER_NODE:
            if payload != NULL and payload.size >= sizeof(NodeRecord):
                node = <const NodeRecord*> blob_data(payload)
                if m.kind == MASTER_NODE:
                    return self.know(node.address, node.incarnation)
                return self.declare_dead(node.address, node.incarnation)
            return 0
        if m.kind == STORE_REQUEST:
            if payload == NULL or payload.size < sizeof(StreamHeader):
                return 0
            shard = (<const StreamHeader*> blob_data(payload)).shard
        elif m.kind < CHAIN_UPDATE or m.kind > CHAIN_LAST:
            return 0
        if shard < self.chains.size():
            chain_deliver(self.chains[shard], source, m, payload)
        return 0

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        self.take(source, message, payload)
        return self.send_all()

    cdef int send_all(self) except -1:
        """What the chains have left goes out: messages to the links, records and rows to the host."""
        cdef Chain* c
        cdef size_t i, k
        for i in range(self.chains.size()):
            c = self.chains[i]
            for k in range(c.out.size()):
                if c.out[k].message.kind == STORE_ENTRIES:    # for that start of it: the link may know an older
                    self.know(c.out[k].target, (<const StreamHeader*> blob_data(c.out[k].payload)).incarnation)
                self.send(c.out[k].target, &c.out[k].message, c.out[k].payload)
            c.out.clear()
            for k in range(c.journal.size()):
                self.journal.push_back(c.journal[k])
            c.journal.clear()
            for k in range(c.state.archive.size()):
                if self.keeps_archive and c.role == ROLE_MEMBER and c.place + 1 == c.members.size():
                    self.archive.push_back(c.state.archive[k])
                else:
                    blob_drop(c.state.archive[k])
            c.state.archive.clear()
            if not c.fault.empty():
                raise RuntimeError(f"raylite store fault, shard {i}: {c.fault.decode()}")
        return 0

    cdef int journal_written(self, uint64_t now_ns, tuple records) except -1:
        """The host has written the next records, as take_journal gave them."""
        cdef uint32_t shard, kind
        cdef uint64_t number
        cdef size_t i
        self.now_ns = now_ns
        for shard, kind, number, _ in records:
            if kind != JOURNAL_BEGUN:
                chain_journaled(self.chains[shard], kind, number)
            elif not self.journal_since:
                self.journal_since = <uint32_t> number
                self.register()
        for i in range(self.chains.size()):
            chain_pump(self.chains[i])
        return self.send_all()

    # ---- what Python sees ----

    def begin(self, uint64_t now_ns):
        """Register with the master, after the journal was replayed if there is one."""
        self.start(now_ns)

    def replay(self, uint32_t n_shards, records):
        """Become what a journal says. Args: records: (shard, kind, number, bytes) each, as take_journal gave them.
        Raises ValueError if one does not fit."""
        self.make_chains(n_shards)
        for shard, kind, number, data in records:
            if kind == JOURNAL_BEGUN:
                self.journal_since = number
                continue
            if not shard < n_shards or not chain_replay(self.chains[shard], kind, number, data, len(data)):
                raise ValueError(f"record {kind}, {number} of shard {shard} does not follow in its journal")

    def take_journal(self):
        """The records since the last call: (shard, kind, number, bytes) each."""
        cdef size_t i
        out = []
        for i in range(self.journal.size()):
            out.append((self.journal[i].shard, self.journal[i].kind, self.journal[i].number,
                        blob_data(self.journal[i].data)[:self.journal[i].data.size]))
            blob_drop(self.journal[i].data)
        self.journal.clear()
        return out

    def journaled(self, uint64_t now_ns, records):
        """The next records are written. Args: records: as take_journal gave them."""
        self.journal_written(now_ns, tuple(records))

    def compact_journal(self, uint32_t shard):
        """Put out a snapshot that supersedes all earlier records of the shard."""
        if self.chains[shard].has_state:
            chain_write_snapshot(self.chains[shard])
        self.send_all()

    def rewrite_journal(self):
        """Put out records that supersede the whole journal, and those that were not taken yet."""
        cdef size_t i
        for shard, kind, _, _ in self.take_journal():
            if kind != JOURNAL_BEGUN:
                chain_unjournaled(self.chains[shard], kind)
        self.begin_journal(self.journal_since or self.incarnation)
        for i in range(self.chains.size()):
            if self.chains[i].has_state:
                chain_write_snapshot(self.chains[i])
        self.send_all()

    def take_archive(self):
        """The task rows that went since the last call, as bytes."""
        cdef size_t i
        out = []
        for i in range(self.archive.size()):
            out.append(blob_data(self.archive[i])[:self.archive[i].size])
            blob_drop(self.archive[i])
        self.archive.clear()
        return out

    def shards(self):
        """Of each shard that it is in or joins: role, epoch, members, updates applied, in the log, acknowledged."""
        cdef Chain* c
        cdef size_t i, k
        out = {}
        for i in range(self.chains.size()):
            c = self.chains[i]
            if c.role != ROLE_OUT:
                members = [(c.members[k].address, c.members[k].incarnation) for k in range(c.members.size())]
                out[i] = {"role": c.role, "epoch": c.epoch, "members": members, "applied": c.applied,
                          "logged": c.log.size(), "acknowledged": c.acknowledged, "has_state": bool(c.has_state)}
        return out

    def sizes(self, uint32_t shard):
        """How many rows each table of a shard has."""
        cdef StoreSizes sizes
        read_store_sizes(self.chains[shard].state, &sizes)
        return sizes

    def snapshot(self, uint32_t shard):
        """The whole state of a shard as bytes."""
        cdef string out
        write_snapshot(self.chains[shard].state, &out)
        return <bytes> out

    def check_invariants(self):
        """Check chains and links; raises RuntimeError naming the first violation."""
        cdef const char* wrong
        cdef size_t i
        Party.check_invariants(self)
        for i in range(self.chains.size()):
            wrong = chain_violation(self.chains[i])
            if wrong != NULL:
                raise RuntimeError(f"raylite chain invariant violated, shard {i}: {wrong.decode()}")
