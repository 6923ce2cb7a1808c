"""A node as a party of a cluster: it hears others through links and shards through streams, and what it has to say goes
out at the end of each event.
"""
from libc.string cimport memset
from raylite._core.cluster.departures cimport depart
from raylite._core.cluster.events cimport hear_store, peer_came, peer_died, scheduler_came, scheduler_died
from raylite._core.cluster.message cimport NODE_CHUNK
from raylite._core.cluster.offers cimport offer_queued
from raylite._core.cluster.spill cimport questions_lost
from raylite._core.cluster.table cimport Departure, PartyMessage, StoreRequest
from raylite._core.envelope cimport Blob, blob_data, blob_drop
from raylite._core.ids cimport object_bytes, object_from_bytes, task_bytes
from raylite._core.links.packet cimport MASTER_CHAIN, MASTER_LAST, MASTER_NODE, MASTER_NODE_DEAD, MASTER_REGISTER, \
    MASTER_SETTLE, MASTER_SETTLED, party_kind, PARTY_NODE, PARTY_SCHEDULER, STORE_ENTRIES
from raylite._core.message cimport Cursor, MESSAGE_VERSION
from raylite._core.node.node cimport finish_event, node_handle, node_hear
from raylite._core.node.resources cimport Resources
from raylite._core.node.state cimport NodeState
from raylite._core.scheduler.loads cimport load_read, load_write, LoadHeader, means_report, NodeLoad, ResourceLoad
from raylite._core.store.client cimport store_clear, store_deadline_ns, store_flush, store_next_entry, store_on_chain, \
    store_on_entries, store_op, store_setup
from raylite._core.store.master_message cimport take_notice
from raylite._core.store.message cimport NodeRecord, Outgoing, StoreEntry

cdef enum:
    TELL_NS = 5000000             # a shard waits no longer for the acknowledgement of its entries

NODE_ID = "ray.io/node-id"        # the label that says which node it is


cdef uint64_t count_running(NodeState* n) noexcept nogil:
    cdef uint64_t count = 0
    for entry in n.scheduler.workers:
        count += entry.second.running.size()
    return count


cdef describe(queue, const Departure* d):
    return queue, d.operation.kind, d.message.message.kind, object_bytes(
        d.operation.object if d.operation.kind else d.message.message.object)


cdef class Member(Enlisted):
    """Args: node: whose incarnation is this party's; address: of the party; master: the master's address; n_shards: of
    the control store; labels: of the node, NODE_ID among them.
    """

    def __init__(self, Node node not None, uint32_t address, uint32_t master=0, uint32_t n_shards=1, *,
                 dict labels=None):
        self.join(address, node.state.incarnation)
        store_setup(&self.store, address, node.state.incarnation, n_shards, TELL_NS)
        node.state.cluster.n_shards = n_shards
        self.node = node
        self.master = master
        node.state.cluster.joined = True
        node.state.cluster.address = address
        for key, value in (labels or {}).items():
            self.labels[key.encode()] = value.encode()
        node.state.cluster.id = (labels or {}).get(NODE_ID, "").encode()

    cdef int handle(self, const Message* m, const char* payload) except -1:
        """An event of a client, or of the host."""
        self.now_ns = m.time_ns
        node_handle(self.node.state, m, payload)
        return self.say()

    def __dealloc__(self):
        store_clear(&self.store)

    cdef int deliver(self, uint64_t now_ns, uint32_t source, const Message* message, Blob* payload) except -1:
        cdef Message m = message[0]
        m.time_ns = now_ns
        if m.kind == STORE_ENTRIES:
            return self.take_entries(payload)
        if MASTER_REGISTER <= m.kind <= MASTER_LAST:
            if source == self.master:
                self.hear_master(message, payload)
        else:
            node_hear(self.node.state, source, &m, blob_data(payload) if payload != NULL else NULL)
        return self.say()

    # ---- the master --------------------------------------------------------------------------------------------

    cdef int write_report(self, string* out) except -1:
        """What the node has, and what it has to do."""
        cdef NodeState* n = self.node.state
        cdef Resources* r = &n.scheduler.resources
        cdef NodeLoad load
        cdef ResourceLoad resource
        cdef size_t i
        memset(&load.head, 0, sizeof(LoadHeader))
        self.n_reports += 1
        load.head.address = self.address
        load.head.incarnation = self.incarnation
        load.head.number = self.n_reports
        load.head.n_queued = n.scheduler.n_ready + n.scheduler.n_queued
        load.head.n_running = count_running(n)
        load.head.arena_free = n.arena.capacity - n.arena.used if n.arena.capacity > n.arena.used else 0
        for i in range(r.names.size()):
            if r.names[i].empty() or r.total[i] == 0:
                continue
            resource.name = r.names[i]
            resource.total = r.total[i]
            resource.available = r.available[i]
            load.resources.push_back(resource)
        load.labels = self.labels
        means_report(&n.cluster.means, &load)
        load_write(&load, out)
        return 0

    cdef int hear_master(self, const Message* message, Blob* payload) except -1:
        cdef NodeState* n = self.node.state
        cdef const char* data = blob_data(payload) if payload != NULL else NULL
        cdef uint64_t size = payload.size if payload != NULL else 0
        cdef NodeRecord head
        n.now_ns = self.now_ns
        n.cause = message.kind
        if self.hear_enlisting(message, payload):
            return 0
        if message.kind == MASTER_CHAIN:
            if payload != NULL and store_on_chain(&self.store, payload, &head):
                self.know(head.address, head.incarnation)
        elif message.kind == MASTER_SETTLE:
            depart(n, self.master, MASTER_SETTLED, NULL, NULL).aux = message.aux
        elif message.kind == MASTER_NODE:
            self.meet_all(data, size)
        elif message.kind == MASTER_NODE_DEAD and size >= sizeof(NodeRecord):
            self.part((<const NodeRecord*> data).address, (<const NodeRecord*> data).incarnation)
        finish_event(n)
        return 0

    cdef int meet_all(self, const char* data, uint64_t size) except -1:
        """Parties are there."""
        cdef Cursor c = Cursor(data, size, False)
        cdef const NodeNotice* notice
        cdef const char* about = NULL
        while c.left:
            notice = take_notice(&c, &about)
            if notice == NULL:
                break
            self.meet(notice, about)
        return 0

    cdef int meet(self, const NodeNotice* notice, const char* about) except -1:
        """A party is there. A node says of itself what it is."""
        cdef Cursor c = Cursor(about, notice.size, False)
        cdef NodeLoad load
        cdef string id
        if notice.address == self.address:
            return 0
        self.know(notice.address, notice.incarnation)
        if party_kind(notice.address) == PARTY_NODE:
            if load_read(&c, &load):
                id = load.labels[string(b"ray.io/node-id")]
            peer_came(self.node.state, notice.address, notice.incarnation, &id)
        elif party_kind(notice.address) == PARTY_SCHEDULER:
            scheduler_came(self.node.state, notice.address)
        return 0

    cdef int part(self, uint32_t address, uint32_t incarnation) except -1:
        """A party was declared dead."""
        self.declare_dead(address, incarnation)
        if party_kind(address) == PARTY_NODE:
            peer_died(self.node.state, address, incarnation)
        elif party_kind(address) == PARTY_SCHEDULER:
            scheduler_died(self.node.state, address)
        return 0

    cdef int on_peer_gone(self, uint64_t now_ns, uint32_t source, uint32_t incarnation) except -1:
        """A party has started again. Of nodes the master says what follows; others have forgotten what was asked."""
        if source == self.master:
            self.register()
        elif party_kind(source) == PARTY_SCHEDULER:
            questions_lost(self.node.state)
            finish_event(self.node.state)
            self.say()
        return 0

    cdef int take_entries(self, Blob* payload) except -1:
        """A letter of a shard's: its entries are one event."""
        cdef StoreEntry entry
        cdef const char* body = NULL
        cdef NodeState* n = self.node.state
        if not store_on_entries(&self.store, self.now_ns, payload):
            return 0
        n.now_ns = self.now_ns
        n.cause = STORE_ENTRIES
        while store_next_entry(&self.store, &entry, &body):
            hear_store(n, entry.kind, entry.flags, entry.token, entry.object, body, entry.size)
        finish_event(n)
        return self.say()

    # ---- time --------------------------------------------------------------------------------------------------

    cdef int on_time(self, uint64_t now_ns) except -1:
        if self.is_heartbeat_due(now_ns):
            self.node.state.now_ns = now_ns
            offer_queued(self.node.state)
        return self.say()

    cdef uint64_t wants_time_ns(self) noexcept:
        """Heartbeats, before it is welcome another try to register; acknowledgements to shards."""
        cdef uint64_t store_ns = store_deadline_ns(&self.store)
        if self.next_heartbeat_ns == 0:
            return store_ns
        return min(store_ns, self.next_heartbeat_ns) if store_ns else self.next_heartbeat_ns

    # ---- speaking ----------------------------------------------------------------------------------------------

    cdef int ask_store(self) except -1:
        """Have the store do what the node wants of it: a letter to each shard concerned."""
        cdef StoreRequest* r
        cdef Outgoing* o
        cdef size_t i
        for i in range(self.node.state.cluster.operations.size()):
            r = &self.node.state.cluster.operations[i]
            store_op(&self.store, r.object, r.kind, r.flags, r.token, blob_data(r.body) if r.body != NULL else NULL,
                     r.body.size if r.body != NULL else 0)
            blob_drop(r.body)
        self.node.state.cluster.operations.clear()
        store_flush(&self.store, self.now_ns)
        for i in range(self.store.out.size()):
            o = &self.store.out[i]
            self.send(o.target, &o.message, o.payload)
        self.store.out.clear()
        return 0

    cdef int say(self) except -1:
        """Hand on what the node has to say."""
        cdef PartyMessage* p
        cdef size_t i
        if self.master == 0:
            return 0
        self.ask_store()
        for i in range(self.node.state.cluster.outgoing.size()):
            p = &self.node.state.cluster.outgoing[i]
            if p.message.kind == NODE_CHUNK:
                self.send_bulk(p.target, &p.message, p.payload)
            else:
                self.send(p.target, &p.message, p.payload)
        self.node.state.cluster.outgoing.clear()
        return 0

    # ---- literal events, for tests -----------------------------------------------------------------------------

    def peer(self, uint32_t address, uint32_t incarnation, bint alive=True, str node_id=""):
        """Another node came, or was declared dead."""
        cdef string id = node_id.encode()
        if alive:
            peer_came(self.node.state, address, incarnation, &id)
        else:
            peer_died(self.node.state, address, incarnation)
        finish_event(self.node.state)
        self.node.check()

    def scheduler(self, uint32_t address, bint alive=True):
        """A global scheduler came, or went."""
        if alive:
            scheduler_came(self.node.state, address)
        else:
            scheduler_died(self.node.state, address)
        finish_event(self.node.state)

    def hear(self, uint64_t now_ns, uint32_t source, int kind, *, bytes payload=b"", bytes object=None,
             uint64_t request=0, uint64_t aux=0, int flags=0, uint32_t attempt=0):
        """What another party says; returns the commands as dicts, as Node.handle does."""
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.version = MESSAGE_VERSION
        m.kind = kind
        m.flags = flags
        m.size = <uint32_t> len(payload)
        m.attempt = attempt
        m.time_ns = now_ns
        m.request = request
        m.aux = aux
        if object is not None:
            m.object = object_from_bytes(object)
        node_hear(self.node.state, source, &m, <const char*> payload)
        self.node.check()
        return self.node.take_commands()

    def hear_store(self, uint64_t now_ns, int kind, *, uint64_t token=0, bytes object=None, bytes body=b"",
                   int flags=0):
        """An entry of a shard's stream; returns the commands as dicts."""
        cdef Message m
        memset(&m, 0, sizeof(Message))
        if object is not None:
            m.object = object_from_bytes(object)
        self.node.state.now_ns = now_ns
        if not hear_store(self.node.state, kind, flags, token, m.object, <const char*> body, len(body)):
            raise ValueError("malformed")
        finish_event(self.node.state)
        self.node.check()
        return self.node.take_commands()

    def questions(self):
        """The tasks about which schedulers were asked and have not answered: token to task id."""
        asked = {entry.first: task_bytes(entry.second) for entry in self.node.state.cluster.questions}
        return asked | {entry.first: task_bytes(entry.second) for entry in self.node.state.cluster.offers}

    def group_questions(self):
        """The same of placement groups."""
        return {entry.first: task_bytes(entry.second) for entry in self.node.state.cluster.group_questions}

    def offer(self):
        """A heartbeat is sent: queued tasks are offered."""
        offer_queued(self.node.state)

    def unanswered(self):
        """What the store was asked and has not answered: token to (kind, object id)."""
        return {entry.first: (entry.second.kind, object_bytes(entry.second.object))
                for entry in self.node.state.cluster.expected}

    def departing(self):
        """What waits to be said: (queue, operation, message, object id) of each, by the queue that it is in."""
        cdef size_t i
        out = []
        for i in range(self.node.state.cluster.departures.size()):
            out.append(describe("departures", &self.node.state.cluster.departures[i]))
        for i in range(self.node.state.cluster.settling.size()):
            out.append(describe("settling", &self.node.state.cluster.settling[i]))
        for i in range(self.node.state.cluster.releases.size()):
            out.append(describe("releases", &self.node.state.cluster.releases[i]))
        for entry in self.node.state.cluster.uncommitted:
            for i in range(entry.second.size()):
                out.append(describe(f"uncommitted of {task_bytes(entry.first).hex()}", &entry.second[i]))
        return out

    def take_outgoing(self):
        """What is to be said to other parties, oldest first, as dicts."""
        cdef PartyMessage* p
        cdef size_t i
        out = []
        for i in range(self.node.state.cluster.outgoing.size()):
            p = &self.node.state.cluster.outgoing[i]
            out.append({"target": p.target, "kind": p.message.kind, "flags": p.message.flags,
                        "request": p.message.request, "aux": p.message.aux, "attempt": p.message.attempt,
                        "object": object_bytes(p.message.object),
                        "payload": blob_data(p.payload)[:p.payload.size] if p.payload != NULL else b""})
            blob_drop(p.payload)
        self.node.state.cluster.outgoing.clear()
        return out

    def take_operations(self):
        """What the store is to do, oldest first, as dicts."""
        cdef StoreRequest* r
        cdef size_t i
        out = []
        for i in range(self.node.state.cluster.operations.size()):
            r = &self.node.state.cluster.operations[i]
            out.append({"kind": r.kind, "flags": r.flags, "token": r.token, "object": object_bytes(r.object),
                        "body": blob_data(r.body)[:r.body.size] if r.body != NULL else b""})
            blob_drop(r.body)
        self.node.state.cluster.operations.clear()
        return out
