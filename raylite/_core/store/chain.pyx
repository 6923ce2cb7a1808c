"""A replica's part of a shard's chain: who applies what when, and tells whom (van Renesse and Schneider, OSDI 2004).

The head numbers the letters of endpoints, each replica applies them in that order, keeps them until the tail has them
and passes them on, all that it may by then in one message; the tail alone sends letters to endpoints. Every message has the configuration's epoch: an older one
is ignored, a newer one waits (`early`) until the master has told of it. In a new configuration each replica tells its
predecessor what it has, and gets what it lacks.

Who joins gets a snapshot from the tail and what comes after it. Once it has the snapshot the tail exposes nothing that
the joiner lacks, so that whatever was acknowledged is in every member of the next configuration.

A number, a shard and an epoch are the message's request, client and aux. A CHAIN_UPDATE is letters one after another,
and its number that of the first.
"""
from libc.stdint cimport uint8_t
from libc.string cimport memset
from libcpp.map cimport map as ordered_map
from libcpp.unordered_map cimport unordered_map
from raylite._core.envelope cimport blob_copy, blob_data, blob_drop, blob_keep
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Cursor
from raylite._core.links.packet cimport CHAIN_ACK, CHAIN_RESYNC, CHAIN_SNAPSHOT, CHAIN_TAKEN, CHAIN_UPDATE, \
    MASTER_JOINED, party, PARTY_MASTER, STORE_ENTRIES, STORE_REQUEST
from raylite._core.planted cimport ACK_LOST, planted, UPDATES_LOST
from raylite._core.store.message cimport append_item, ENTRY_ANSWER, party_key, seal_letter, STORE_FENCED, \
    store_letter_message, StreamHeader, take_letter
from raylite._core.store.shard cimport apply_letter, judge_letter, LETTER_FENCED, LETTER_NEW
from raylite._core.store.snapshot cimport read_snapshot, write_snapshot
from raylite._core.store.state cimport Endpoint, is_shard, store_state_clear, store_state_delete, store_state_new
from raylite._core.store.streams cimport find_endpoint

cdef extern from *:
    """
    template <typename T> static T *raylite_new(T *) { return new T(); }
    template <typename T> static void raylite_delete(T *p) { delete p; }
    """
    Chain* raylite_new(Chain*) nogil
    void raylite_delete(Chain*) nogil


cdef Chain* chain_new(uint32_t shard, uint32_t n_shards, uint32_t address, uint32_t incarnation, bint flushes,
                      vector[ShardHead]* heads) noexcept nogil:
    cdef Chain* c = NULL
    c = raylite_new(c)
    c.shard = shard
    c.address = address
    c.incarnation = incarnation
    c.heads = heads
    c.state = store_state_new(shard, n_shards, flushes)
    return c


cdef void forget_log(Chain* c) noexcept nogil:
    cdef size_t i
    for i in range(c.log.size()):
        blob_drop(c.log[i].letter)
    c.log.clear()
    c.exposures.clear()
    c.snapshot.clear()
    c.incoming.clear()
    c.applied = c.journaled = c.acknowledged = c.passed = c.exposed = 0
    c.has_state = c.successor_ready = False


cdef void chain_delete(Chain* c) noexcept nogil:
    cdef size_t i
    if c == NULL:
        return
    forget_log(c)
    for i in range(c.early.size()):
        blob_drop(c.early[i].payload)
    for i in range(c.out.size()):
        blob_drop(c.out[i].payload)
    for i in range(c.journal.size()):
        blob_drop(c.journal[i].data)
    store_state_delete(c.state)
    raylite_delete(c)


cdef void chain_fault(Chain* c, const char* what) noexcept nogil:
    if c.fault.empty():
        c.fault.assign(what)


# ---- what it sends ---------------------------------------------------------------------------------------------

cdef void say(Chain* c, uint32_t target, uint8_t kind, uint64_t number, Blob* payload) noexcept nogil:
    """A message of the chain. Takes over the payload's hold."""
    cdef Outgoing o
    o.target = target
    o.message = store_letter_message(kind, payload.size if payload != NULL else 0)
    o.message.incarnation = c.incarnation
    o.message.client = c.shard
    o.message.aux = c.epoch
    o.message.request = number
    o.payload = payload
    c.out.push_back(o)


cdef void send_to_endpoint(Chain* c, uint64_t key, Blob* letter) noexcept nogil:
    """A letter to an endpoint; for another shard it is a request to its head. Takes over the hold."""
    cdef Outgoing o
    cdef ShardHead* head
    o.payload = letter
    o.target = <uint32_t> (key >> 32)
    o.message = store_letter_message(STORE_ENTRIES, letter.size)
    if is_shard(key):
        head = &c.heads[0][o.target & 0xFFFFFF]
        if head.address == 0:
            blob_drop(letter)
            return
        o.message.kind = STORE_REQUEST
        o.message.aux = head.epoch
        o.target = head.address
    o.message.incarnation = c.incarnation
    c.out.push_back(o)


cdef void send_acknowledgement(Chain* c, const Endpoint* e, uint64_t number) noexcept nogil:
    """Its letters up to this number are applied, by all who must have them."""
    cdef StreamHeader h
    cdef string nothing
    cdef uint32_t address = <uint32_t> (e.key >> 32)
    memset(&h, 0, sizeof(StreamHeader))
    h.endpoint = address
    h.incarnation = <uint32_t> e.key
    h.shard = c.shard
    if is_shard(e.key):
        h.endpoint = party(address >> 24, c.shard)
        h.shard = address & 0xFFFFFF
    h.acknowledged = number
    send_to_endpoint(c, e.key, seal_letter(&h, &nothing))


cdef void say_fenced(Chain* c, const StreamHeader* asked) noexcept nogil:
    """Tell an endpoint that was declared dead; it has no stream any more."""
    cdef StreamHeader h = asked[0]
    cdef ObjectId nothing
    cdef string items
    memset(&nothing, 0, sizeof(ObjectId))
    h.n_items = 1
    h.sequence = h.acknowledged = 0
    append_item(&items, ENTRY_ANSWER, STORE_FENCED, 0, nothing, NULL, 0)
    send_to_endpoint(c, party_key(asked.endpoint, asked.incarnation), seal_letter(&h, &items))


# ---- places in the chain ---------------------------------------------------------------------------------------

cdef bint is_head(const Chain* c) noexcept nogil:
    return c.role == ROLE_MEMBER and c.place == 0


cdef bint is_tail(const Chain* c) noexcept nogil:
    return c.role == ROLE_MEMBER and c.place + 1 == c.members.size()


cdef uint32_t predecessor(const Chain* c) noexcept nogil:
    """Its address; 0 if there is none."""
    return c.members[c.place - 1].address if c.role == ROLE_MEMBER and c.place else 0


cdef uint32_t successor(const Chain* c) noexcept nogil:
    return c.members[c.place + 1].address if c.role == ROLE_MEMBER and not is_tail(c) else 0


# ---- updates ---------------------------------------------------------------------------------------------------

cdef void put_record(Chain* c, uint32_t kind, uint64_t number, Blob* data) noexcept nogil:
    """A record for the journal. Takes over the hold."""
    cdef JournalRecord r
    r.shard = c.shard
    r.kind = kind
    r.number = number
    r.data = data
    c.n_unwritten += kind == JOURNAL_SNAPSHOT
    c.journal.push_back(r)


cdef void note_exposures(Chain* c, const StreamHeader* h) noexcept nogil:
    """Remember which letters this update led to, for when it may be exposed."""
    cdef uint64_t asking = party_key(h.endpoint, h.incarnation)
    cdef bint answered = h.sequence == 0
    cdef Endpoint* e
    cdef size_t i
    for i in range(c.state.written.size()):
        e = find_endpoint(c.state, c.state.written[i])
        answered = answered or c.state.written[i] == asking
        if e != NULL:
            c.exposures.push_back(Exposure(c.applied, e.key, e.sent, 0))
    e = find_endpoint(c.state, asking)
    if not answered and e != NULL:
        c.exposures.push_back(Exposure(c.applied, asking, 0, e.applied))


cdef void apply(Chain* c, Blob* letter, bint replayed) noexcept nogil:
    """The next update. The caller keeps its hold of the letter."""
    if judge_letter(c.state, blob_data(letter), letter.size) != LETTER_NEW:
        chain_fault(c, b"an update of the chain cannot be applied")
        return
    apply_letter(c.state, blob_data(letter), letter.size)
    if not c.state.fault.empty():
        chain_fault(c, c.state.fault.c_str())
        return
    c.applied += 1
    c.log.push_back(Update(c.applied, blob_keep(letter)))
    if c.journals and not replayed:
        put_record(c, JOURNAL_UPDATE, c.applied, blob_keep(letter))
    if is_tail(c) or c.journals:
        note_exposures(c, <const StreamHeader*> blob_data(letter))


cdef uint64_t safe_number(const Chain* c) noexcept nogil:
    """Updates up to here may be passed on."""
    return c.journaled if c.journals else c.applied


cdef void trim(Chain* c) noexcept nogil:
    """Forget updates that no replica can lack."""
    cdef uint64_t needed = c.acknowledged
    if c.has_joiner and is_tail(c):
        needed = min(needed, c.joiner_has if c.follows else c.snapshot_number)
    while not c.log.empty() and c.log.front().number <= needed:
        blob_drop(c.log.front().letter)
        c.log.pop_front()
    while not c.exposures.empty() and c.exposures.front().update <= c.acknowledged:
        c.exposures.pop_front()


cdef void chain_tell(Chain* c) noexcept nogil:
    """Tell the predecessor what all have: it may forget that. This waits for nothing, so it is said of many at once."""
    if predecessor(c) and c.told < c.acknowledged:
        c.told = c.acknowledged
        say(c, predecessor(c), CHAIN_ACK, c.told, NULL)


cdef uint64_t n_together(const Chain* c, size_t i, uint64_t most) noexcept nogil:
    """How many letters from the log's place i on, one at least, go into one message."""
    cdef uint64_t n = 1, size = c.log[i].letter.size
    while n < most and size + c.log[i + n].letter.size <= UPDATE_BYTES:
        size += c.log[i + n].letter.size
        n += 1
    return n


cdef Blob* together(const Chain* c, size_t i, uint64_t n) noexcept nogil:
    """These letters one after another; one alone as it is."""
    cdef string letters
    cdef uint64_t k
    if n == 1:
        return blob_keep(c.log[i].letter)
    for k in range(n):
        letters.append(blob_data(c.log[i + k].letter), c.log[i + k].letter.size)
    return blob_copy(letters.data(), letters.size())


cdef uint64_t pass_on(Chain* c, uint32_t target, uint64_t passed, uint64_t limit) noexcept nogil:
    """Send the updates after `passed` up to `limit`; the number of the last one."""
    cdef uint64_t n
    cdef size_t i
    if passed >= limit:
        return passed
    if c.log.empty() or c.log.front().number > passed + 1:
        chain_fault(c, b"a replica lacks what its predecessor has forgotten")
        return passed
    while passed < limit:
        i = passed + 1 - c.log.front().number
        n = n_together(c, i, limit - passed)
        say(c, target, CHAIN_UPDATE, passed + 1, together(c, i, n))
        passed += n
    return passed


cdef void expose_letter(Chain* c, const Exposure* x) noexcept nogil:
    cdef Endpoint* e = find_endpoint(c.state, x.endpoint)
    if e != NULL and x.letter > e.acknowledged:
        send_to_endpoint(c, e.key, blob_keep(e.letters[x.letter - e.acknowledged - 1]))


cdef void expose_acknowledgements(Chain* c, ordered_map[uint64_t, uint64_t]* numbers) noexcept nogil:
    cdef Endpoint* e
    if planted(ACK_LOST):
        return
    for entry in numbers[0]:
        e = find_endpoint(c.state, entry.first)
        if e != NULL:
            send_acknowledgement(c, e, entry.second)


cdef void expose(Chain* c, uint64_t limit) noexcept nogil:
    """All members have these updates: their letters leave, and the others may forget them."""
    cdef ordered_map[uint64_t, uint64_t] acknowledged         # by endpoint: that no letter says
    cdef Exposure x
    if c.exposed >= limit:
        return
    while not c.exposures.empty() and c.exposures.front().update <= limit:
        x = c.exposures.front()
        c.exposures.pop_front()
        if x.letter:
            acknowledged.erase(x.endpoint)
            expose_letter(c, &x)
        else:
            acknowledged[x.endpoint] = x.applied
    expose_acknowledgements(c, &acknowledged)
    c.exposed = c.acknowledged = limit
    if c.acknowledged - c.told >= UNTOLD_MOST:
        chain_tell(c)


cdef void chain_pump(Chain* c) noexcept nogil:
    """Send whatever may be sent by now."""
    cdef uint64_t limit = safe_number(c)
    if c.role == ROLE_OUT or not c.has_state or not c.fault.empty():
        return
    if c.role == ROLE_JOINING:
        tell_tail(c, limit)
        return
    if successor(c):
        if c.successor_ready:
            c.passed = pass_on(c, successor(c), c.passed, limit)
    else:
        if c.has_joiner:
            serve_joiner(c, limit)
        expose(c, min(limit, c.joiner_has) if c.has_joiner and c.follows else limit)
    trim(c)


# ---- who joins -------------------------------------------------------------------------------------------------

cdef void start_joining(Chain* c) noexcept nogil:
    """As the tail: what the shard is now is what the joiner gets."""
    write_snapshot(c.state, &c.snapshot)
    c.snapshot_number = c.applied
    c.n_chunks_sent = c.n_chunks_taken = 0
    c.follows = c.told_master = False
    c.joiner_passed = c.joiner_has = c.snapshot_number


cdef void serve_joiner(Chain* c, uint64_t limit) noexcept nogil:
    cdef uint64_t at, size
    cdef Blob* chunk
    if limit < c.snapshot_number:
        return                    # not yet in the journal
    while c.n_chunks_sent * CHUNK_BYTES < c.snapshot.size() and c.n_chunks_sent < c.n_chunks_taken + CHUNKS_AHEAD:
        at = c.n_chunks_sent * CHUNK_BYTES
        size = min(<uint64_t> CHUNK_BYTES, c.snapshot.size() - at)
        chunk = blob_copy(c.snapshot.data() + at, size)
        c.n_chunks_sent += 1
        say(c, c.joiner.address, CHAIN_SNAPSHOT, c.snapshot_number, chunk)
        c.out.back().message.object.index = <uint32_t> (at == 0)
        c.out.back().message.object.task.hi = c.snapshot.size()
    if c.n_chunks_sent * CHUNK_BYTES < c.snapshot.size():
        return
    c.joiner_passed = pass_on(c, c.joiner.address, c.joiner_passed, limit)


cdef void on_joiner_has(Chain* c, uint64_t number) noexcept nogil:
    """The joiner has the snapshot, and updates up to this one."""
    if not c.follows:
        c.follows = True
        c.joined_at = c.exposed
        c.snapshot.clear()
    c.joiner_has = max(c.joiner_has, number)
    if not c.told_master and c.joiner_has >= c.joined_at:
        c.told_master = True
        say(c, party(PARTY_MASTER, 0), MASTER_JOINED, c.joiner_has, NULL)


cdef void chain_welcomed(Chain* c) noexcept nogil:
    """The master has started again, maybe: it may not have heard that the joiner is there."""
    if c.role == ROLE_MEMBER and c.has_joiner and is_tail(c) and c.told_master:
        say(c, party(PARTY_MASTER, 0), MASTER_JOINED, c.joiner_has, NULL)


cdef void tell_tail(Chain* c, uint64_t limit) noexcept nogil:
    """As who joins and has the snapshot: say which updates it has."""
    if limit >= c.acknowledged and (limit > c.exposed or not c.follows):
        c.follows = True
        c.exposed = limit
        say(c, c.members.back().address, CHAIN_ACK, limit, NULL)


cdef void on_chunk(Chain* c, uint32_t source, const Message* m, Blob* payload) noexcept nogil:
    """As who joins: a part of the snapshot."""
    if c.role != ROLE_JOINING or c.has_state or payload == NULL or source != c.members.back().address:
        return
    if m.object.index:
        c.incoming.clear()
    c.incoming.append(blob_data(payload), payload.size)
    say(c, source, CHAIN_TAKEN, m.request, NULL)
    if c.incoming.size() < m.object.task.hi:
        return
    if not read_snapshot(c.state, c.incoming.data(), c.incoming.size()):
        chain_fault(c, b"the snapshot that it was sent is not whole")
        return
    c.applied = c.acknowledged = c.journaled = m.request
    c.exposed = 0
    c.has_state = True
    if c.journals:
        put_record(c, JOURNAL_SNAPSHOT, m.request, blob_copy(c.incoming.data(), c.incoming.size()))
        c.journaled = 0
    c.incoming.clear()


# ---- what comes ------------------------------------------------------------------------------------------------

cdef void on_request(Chain* c, uint32_t source, const Message* m, Blob* payload) noexcept nogil:
    """A letter of an endpoint, for the head. Who is not the head yet keeps it; else its sender will hear who is."""
    cdef int fate
    if not is_head(c):
        if m.aux > c.epoch:
            keep_early(c, source, m, payload)
        return
    fate = judge_letter(c.state, blob_data(payload), payload.size)
    if fate == LETTER_FENCED:
        say_fenced(c, <const StreamHeader*> blob_data(payload))
    elif fate == LETTER_NEW:
        apply(c, payload, False)


cdef void on_update(Chain* c, uint32_t source, const Message* m, Blob* payload) noexcept nogil:
    cdef uint32_t before = c.members.back().address if c.role == ROLE_JOINING else predecessor(c)
    cdef Cursor letters = Cursor(blob_data(payload), payload.size, False)
    cdef uint64_t number = m.request
    cdef const char* data
    cdef uint64_t size
    cdef Blob* letter
    if source != before or not c.has_state:
        return
    while letters.left and c.fault.empty():
        data = letters.data
        size = take_letter(&letters)
        if number > c.applied + 1 or size == 0:
            chain_fault(c, b"an update of the chain is not whole" if size == 0 else b"an update of the chain is missing")
        elif number == c.applied + 1:
            letter = blob_keep(payload) if size == payload.size else blob_copy(data, size)
            apply(c, letter, False)
            blob_drop(letter)
        number += 1


cdef void on_ack(Chain* c, uint32_t source, uint64_t number) noexcept nogil:
    if c.role == ROLE_MEMBER and is_tail(c):
        if c.has_joiner and source == c.joiner.address:
            on_joiner_has(c, number)
        return
    if c.role != ROLE_MEMBER or number > c.applied:
        return
    c.acknowledged = max(c.acknowledged, number)
    chain_tell(c)


cdef void on_resync(Chain* c, uint32_t source, uint64_t number) noexcept nogil:
    """The successor says what it has."""
    if source != successor(c):
        return
    if number > c.applied:
        chain_fault(c, b"a replica has updates that its predecessor does not know")
        return
    c.successor_ready = True
    c.passed = c.applied if planted(UPDATES_LOST) else number


cdef void keep_early(Chain* c, uint32_t source, const Message* m, Blob* payload) noexcept nogil:
    cdef Outgoing o
    o.target = source
    o.message = m[0]
    o.payload = blob_keep(payload)
    c.early.push_back(o)


cdef void take(Chain* c, uint32_t source, const Message* m, Blob* payload) noexcept nogil:
    if m.kind == STORE_REQUEST:
        if payload != NULL:
            on_request(c, source, m, payload)
    elif m.aux > c.epoch:
        keep_early(c, source, m, payload)
    elif m.aux < c.epoch:
        return
    elif m.kind == CHAIN_UPDATE:
        if payload != NULL:
            on_update(c, source, m, payload)
    elif m.kind == CHAIN_ACK:
        on_ack(c, source, m.request)
    elif m.kind == CHAIN_RESYNC:
        on_resync(c, source, m.request)
    elif m.kind == CHAIN_SNAPSHOT:
        on_chunk(c, source, m, payload)
    elif m.kind == CHAIN_TAKEN and c.has_joiner and source == c.joiner.address and c.n_chunks_taken < c.n_chunks_sent:
        c.n_chunks_taken += 1


cdef void chain_deliver(Chain* c, uint32_t source, const Message* m, Blob* payload) noexcept nogil:
    """A STORE_REQUEST or a message of this shard's chain. The caller keeps its hold of the payload."""
    if c.fault.empty():
        take(c, source, m, payload)
        chain_pump(c)


# ---- configurations --------------------------------------------------------------------------------------------

cdef void expose_everything(Chain* c) noexcept nogil:
    """From now on the tail: endpoints get all that they have not acknowledged, as nobody knows what reached them."""
    cdef uint64_t limit = safe_number(c)
    cdef unordered_map[uint64_t, uint64_t] held_back
    cdef Endpoint* e
    cdef uint64_t number
    cdef size_t i
    for i in range(c.exposures.size()):
        if c.exposures[i].update > limit and c.exposures[i].letter and held_back.count(c.exposures[i].endpoint) == 0:
            held_back[c.exposures[i].endpoint] = c.exposures[i].letter
    while not c.exposures.empty() and c.exposures.front().update <= limit:
        c.exposures.pop_front()
    for entry in c.state.endpoints:
        e = find_endpoint(c.state, entry.first)
        for i in range(e.letters.size()):
            number = e.acknowledged + 1 + i
            if held_back.count(e.key) == 0 or number < held_back[e.key]:
                send_to_endpoint(c, e.key, blob_keep(e.letters[i]))
        if limit == c.applied:
            send_acknowledgement(c, e, e.applied)
    c.exposed = c.acknowledged = limit
    chain_tell(c)


cdef void chain_head_changed(Chain* c, uint32_t shard) noexcept nogil:
    """Another shard has a new head: the tail sends it all that its shard has not acknowledged."""
    cdef Endpoint* e
    cdef uint64_t key = (<uint64_t> (5 << 24 | shard)) << 32
    cdef size_t i
    if not is_tail(c) or shard == c.shard:
        return
    e = find_endpoint(c.state, key)
    if e == NULL:
        return
    for i in range(e.letters.size()):
        send_to_endpoint(c, key, blob_keep(e.letters[i]))
    send_acknowledgement(c, e, e.applied)


cdef void find_place(Chain* c, const ChainView* view) noexcept nogil:
    cdef uint32_t i
    c.role = ROLE_OUT
    c.members.assign(view.members, view.members + view.head.n_members)
    c.has_joiner = view.head.n_joining != 0
    if c.has_joiner:
        c.joiner = view.members[view.head.n_members]
        if c.joiner.address == c.address and c.joiner.incarnation == c.incarnation:
            c.role = ROLE_JOINING
    for i in range(view.head.n_members):
        if c.members[i].address == c.address and c.members[i].incarnation == c.incarnation:
            c.role = ROLE_MEMBER
            c.place = i


cdef void take_early(Chain* c) noexcept nogil:
    cdef deque[Outgoing] early
    cdef size_t i
    early.swap(c.early)
    for i in range(early.size()):
        take(c, early[i].target, &early[i].message, early[i].payload)
        blob_drop(early[i].payload)


cdef void chain_configure(Chain* c, const ChainView* view) noexcept nogil:
    """The master has given the chain another configuration."""
    cdef bint was_tail = is_tail(c)
    if view.head.epoch <= c.epoch or not c.fault.empty():
        return
    c.epoch = view.head.epoch
    find_place(c, view)
    c.successor_ready = c.follows = False
    c.snapshot.clear()
    if c.role != ROLE_MEMBER and (c.has_state or c.applied):
        forget_log(c)
        store_state_clear(c.state)
    if c.role == ROLE_MEMBER and not c.has_state:
        if not view.head.is_first:
            chain_fault(c, b"it is in a chain and has lost its state")
            return
        c.has_state = True
        if c.journals:
            chain_write_snapshot(c)
    c.told = 0
    if predecessor(c):
        say(c, predecessor(c), CHAIN_RESYNC, c.applied, NULL)
        chain_tell(c)             # which a start from a journal does not know
    if is_tail(c) and not was_tail:
        expose_everything(c)
    if is_tail(c) and c.has_joiner:
        start_joining(c)
    take_early(c)
    chain_pump(c)


# ---- the journal -----------------------------------------------------------------------------------------------

cdef void chain_unjournaled(Chain* c, uint32_t kind) noexcept nogil:
    """A record that was put out will not be written, or is by now."""
    if kind == JOURNAL_SNAPSHOT and c.n_unwritten:
        c.n_unwritten -= 1


cdef void chain_journaled(Chain* c, uint32_t kind, uint64_t number) noexcept nogil:
    """The host has written the next record; chain_pump is to follow. Of one before a snapshot that is still to be written the number says
    nothing: the replica may have left the chain since, and joined again."""
    chain_unjournaled(c, kind)
    if c.n_unwritten == 0:
        c.journaled = min(max(c.journaled, number), c.applied)


cdef void chain_write_snapshot(Chain* c) noexcept nogil:
    """Put out a record that supersedes all before it, and the updates that a successor may still lack."""
    cdef string out
    cdef size_t i
    write_snapshot(c.state, &out)
    put_record(c, JOURNAL_SNAPSHOT, c.applied, blob_copy(out.data(), out.size()))
    for i in range(c.log.size()):
        put_record(c, JOURNAL_LOGGED, c.log[i].number, blob_keep(c.log[i].letter))


cdef bint chain_replay(Chain* c, uint32_t kind, uint64_t number, const char* data, uint64_t size) noexcept nogil:
    """The next record of the journal, before the replica has a configuration. False if it does not fit."""
    cdef Blob* letter
    if kind == JOURNAL_SNAPSHOT:
        forget_log(c)
        c.has_state = read_snapshot(c.state, data, size)
        c.applied = c.acknowledged = c.journaled = number
        return c.has_state
    if not c.has_state or size < sizeof(StreamHeader):
        return False
    letter = blob_copy(data, size)
    if kind == JOURNAL_LOGGED:
        c.log.push_back(Update(number, letter))
        c.acknowledged = c.log.front().number - 1
        return number <= c.applied
    if kind == JOURNAL_UPDATE and number == c.applied + 1:
        apply(c, letter, True)
        c.journaled = c.applied
    blob_drop(letter)
    return c.applied == number and c.fault.empty()


cdef const char* chain_violation(Chain* c) noexcept nogil:
    cdef size_t i
    if not c.fault.empty():
        return c.fault.c_str()
    for i in range(c.log.size()):
        if c.log[i].number != c.applied - c.log.size() + 1 + i:
            return b"the log of a replica has a gap, or does not end with the last update"
    if c.acknowledged > c.applied or c.exposed > c.applied or c.passed > c.applied and c.successor_ready:
        return b"a replica has passed on more than it has"
    if c.role == ROLE_MEMBER and c.log.size() < c.applied - c.acknowledged:
        return b"a replica has forgotten updates that others may lack"
    if c.journals and is_tail(c) and c.exposed > c.journaled:
        return b"a replica has exposed what is not in its journal"
    return NULL
