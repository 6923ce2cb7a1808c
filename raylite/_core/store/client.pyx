"""An endpoint's end of its streams to the shards of the control store.

What an event leads to leaves as one numbered letter to each shard, and is kept until the shard has acknowledged it: a
new head gets all that is kept, in order, and knows by the numbers what it has. Letters of entries that come again are
known by their numbers, too. Acknowledgements ride on letters; alone they leave when LETTERS_UNTOLD wait, or after
ack_delay_ns. A party that has one and does nothing else is `store_endpoint`.
"""
from libc.string cimport memset
from raylite._core.envelope cimport blob_data, blob_drop, blob_keep
from raylite._core.message cimport Cursor
from raylite._core.links.packet cimport STORE_REQUEST
from raylite._core.store.message cimport append_item, begin_item, ChainView, end_item, ENTRY_ANSWER, Holder, \
    HOLDER_NODE, OP_HOLD, OP_RELEASE, read_chain, seal_letter, shard_of, STORE_FENCED, store_letter_message, StoreOp, \
    StreamHeader, take_item, take_letter


cdef void store_setup(StoreClient* c, uint32_t address, uint32_t incarnation, uint32_t n_shards,
                      uint64_t ack_delay_ns) noexcept nogil:
    c.address = address
    c.incarnation = incarnation
    c.ack_delay_ns = ack_delay_ns
    c.shards.resize(n_shards)


cdef void store_clear(StoreClient* c) noexcept nogil:
    """Forget everything; the blobs' holds are given back."""
    cdef size_t i, k
    for i in range(c.shards.size()):
        for k in range(c.shards[i].letters.size()):
            blob_drop(c.shards[i].letters[k])
    for i in range(c.inbox.size()):
        blob_drop(c.inbox[i])
    for i in range(c.out.size()):
        blob_drop(c.out[i].payload)
    c.shards.clear()
    c.inbox.clear()
    c.inbox_at = 0
    c.settling.clear()
    c.out.clear()


# ---- operations ------------------------------------------------------------------------------------------------

cdef void store_op_at(StoreClient* c, uint32_t shard, ObjectId object, uint16_t kind, uint16_t flags, uint64_t token,
                      const char* body, uint64_t size) noexcept nogil:
    """As store_op, to a shard by its number: what concerns all of them."""
    cdef ShardStream* s = &c.shards[shard]
    append_item(&s.draft, kind, flags, token, object, body, size)
    s.n_drafted += 1


cdef void store_op(StoreClient* c, ObjectId object, uint16_t kind, uint16_t flags, uint64_t token, const char* body,
                   uint64_t size) noexcept nogil:
    """An operation on an object, a task (object.task) or what hashes to it; it leaves with the next store_flush."""
    store_op_at(c, shard_of(object.task, <uint32_t> c.shards.size()), object, kind, flags, token, body, size)


cdef string* store_begin(StoreClient* c, ObjectId object, uint16_t kind, uint16_t flags, uint64_t token) noexcept nogil:
    """As store_op, for a body in several parts: append them to what this returns, then store_end."""
    cdef ShardStream* s
    c.drafting = shard_of(object.task, <uint32_t> c.shards.size())
    s = &c.shards[c.drafting]
    c.drafting_at = begin_item(&s.draft, kind, flags, token, object)
    s.n_drafted += 1
    return &s.draft


cdef void store_end(StoreClient* c) noexcept nogil:
    end_item(&c.shards[c.drafting].draft, c.drafting_at)


cdef void store_hold(StoreClient* c, ObjectId object, bint holds) noexcept nogil:
    """OP_HOLD, or else OP_RELEASE, with this endpoint as the holder."""
    cdef Holder holder
    memset(&holder, 0, sizeof(Holder))
    holder.kind = HOLDER_NODE
    holder.address = c.address
    holder.incarnation = c.incarnation
    store_op(c, object, OP_HOLD if holds else OP_RELEASE, 0, 0, <const char*> &holder, sizeof(Holder))


# ---- letters ---------------------------------------------------------------------------------------------------

cdef void send_letter(StoreClient* c, const ShardStream* s, Blob* letter) noexcept nogil:
    """Give a letter to the party, for the head that is known now. Takes over the hold."""
    cdef Outgoing out
    out.target = s.head
    out.message = store_letter_message(STORE_REQUEST, letter.size)
    out.message.incarnation = c.incarnation
    out.message.aux = s.epoch
    out.payload = letter
    c.out.push_back(out)


cdef void write_header(const StoreClient* c, uint32_t shard, uint64_t number, uint32_t n_items,
                       StreamHeader* head) noexcept nogil:
    memset(head, 0, sizeof(StreamHeader))
    head.endpoint = c.address
    head.incarnation = c.incarnation
    head.shard = shard
    head.n_items = n_items
    head.sequence = number
    head.acknowledged = c.shards[shard].received


cdef void store_flush(StoreClient* c, uint64_t now_ns) noexcept nogil:
    """Everything that was asked for since leaves: one letter to each shard, and acknowledgements that are due."""
    cdef StreamHeader head
    cdef ShardStream* s
    cdef Blob* letter
    cdef uint32_t i
    for i in range(<uint32_t> c.shards.size()):
        s = &c.shards[i]
        if s.n_drafted:
            s.sent += 1
            write_header(c, i, s.sent, s.n_drafted, &head)
            letter = seal_letter(&head, &s.draft)
            s.letters.push_back(letter)
            s.draft.clear()
            s.n_drafted = 0
            blob_keep(letter)
        elif s.head and s.tell_by_ns and (now_ns >= s.tell_by_ns or s.received - s.told >= LETTERS_UNTOLD):
            write_header(c, i, 0, 0, &head)
            letter = seal_letter(&head, &s.draft)
        else:
            continue
        if s.head == 0:
            blob_drop(letter)
            continue
        s.told = s.received
        s.tell_by_ns = 0
        send_letter(c, s, letter)


cdef uint64_t store_deadline_ns(const StoreClient* c) noexcept nogil:
    """By when store_flush is to be called even if nothing is asked for, or 0."""
    cdef uint64_t earliest = 0
    cdef size_t i
    for i in range(c.shards.size()):
        if c.shards[i].head and c.shards[i].tell_by_ns \
                and (earliest == 0 or c.shards[i].tell_by_ns < earliest):
            earliest = c.shards[i].tell_by_ns
    return earliest


cdef void resend(StoreClient* c, uint32_t shard) noexcept nogil:
    """The head is another: it gets all letters that are not acknowledged, as it may have none of them."""
    cdef ShardStream* s = &c.shards[shard]
    cdef size_t i
    for i in range(s.letters.size()):
        send_letter(c, s, blob_keep(s.letters[i]))
    s.told = 0                    # an acknowledgement on its own may have been lost with the old one
    s.tell_by_ns = s.received != 0


cdef bint store_on_chain(StoreClient* c, Blob* payload, NodeRecord* head) noexcept nogil:
    """A shard's chain has changed, and this is its head. False if the payload is malformed.

    What is sent again is for that start of the head: to its link it must not be another's.
    """
    cdef ChainView view
    cdef ShardStream* s
    if not read_chain(blob_data(payload), payload.size, &view) or view.head.n_shards != c.shards.size() \
            or view.head.n_members == 0:
        return False
    head[0] = view.members[0]
    s = &c.shards[view.head.shard]
    if view.head.epoch <= s.epoch:
        return True
    s.epoch = view.head.epoch
    if s.head != view.members[0].address or s.head_incarnation != view.members[0].incarnation:
        s.head = view.members[0].address
        s.head_incarnation = view.members[0].incarnation
        resend(c, view.head.shard)
    return True


# ---- entries ---------------------------------------------------------------------------------------------------

cdef bint whole(const Blob* letter, const char* data) noexcept nogil:
    cdef Cursor cursor = Cursor(data, letter.size, False)
    return take_letter(&cursor) and cursor.left == 0


cdef bint says_fenced(const StreamHeader* head, const char* data) noexcept nogil:
    cdef const StoreOp* first = <const StoreOp*> (data + sizeof(StreamHeader))
    return head.n_items == 1 and first.kind == ENTRY_ANSWER and first.flags == STORE_FENCED


cdef void take_acknowledgement(ShardStream* s, uint64_t acknowledged) noexcept nogil:
    while s.acknowledged < acknowledged and not s.letters.empty():
        blob_drop(s.letters.front())
        s.letters.pop_front()
        s.acknowledged += 1


cdef bint store_on_entries(StoreClient* c, uint64_t now_ns, Blob* payload) noexcept nogil:
    """A letter from a shard has come; the caller keeps its hold. False if it is malformed."""
    cdef const StreamHeader* head = <const StreamHeader*> blob_data(payload)
    cdef ShardStream* s
    if payload.size < sizeof(StreamHeader) or head.shard >= c.shards.size() or not whole(payload, <char*> head):
        return False
    if head.endpoint != c.address or head.incarnation != c.incarnation:
        return True               # of another start of this party
    s = &c.shards[head.shard]
    if head.acknowledged > s.sent:
        return False
    take_acknowledgement(s, head.acknowledged)
    if head.sequence == 0:
        c.fenced = c.fenced or says_fenced(head, <const char*> head)
    elif head.sequence == s.received + 1:
        s.received += 1
        c.inbox.push_back(blob_keep(payload))
    if s.received > s.told and s.tell_by_ns == 0:
        s.tell_by_ns = now_ns + c.ack_delay_ns
    return True


cdef bint store_next_entry(StoreClient* c, StoreEntry* entry, const char** body) noexcept nogil:
    """The next entry that has come, once. Its body is valid until the next call, or store_clear."""
    cdef Cursor cursor
    cdef const StoreOp* item
    cdef Blob* letter
    while not c.inbox.empty():
        letter = c.inbox.front()
        if c.inbox_at == 0:
            c.inbox_at = sizeof(StreamHeader)
        if c.inbox_at < letter.size:
            cursor = Cursor(blob_data(letter) + c.inbox_at, letter.size - c.inbox_at, False)
            item = take_item(&cursor, body)
            entry[0] = (<const StoreEntry*> item)[0]
            c.inbox_at = letter.size - cursor.left
            return True
        blob_drop(letter)
        c.inbox.pop_front()
        c.inbox_at = 0
    return False


cdef uint64_t store_n_unacknowledged(const StoreClient* c) noexcept nogil:
    """How many letters shards have not acknowledged, with those that the next store_flush would make."""
    cdef uint64_t n = 0
    cdef size_t i
    for i in range(c.shards.size()):
        n += c.shards[i].letters.size() + (c.shards[i].n_drafted != 0)
    return n


cdef void store_settle(StoreClient* c, uint64_t number) noexcept nogil:
    """The master wants to know when all that was asked for until now is acknowledged."""
    cdef Settling* waits
    cdef size_t i
    c.settling.resize(c.settling.size() + 1)
    waits = &c.settling.back()
    waits.number = number
    for i in range(c.shards.size()):
        waits.letters.push_back(c.shards[i].sent + (c.shards[i].n_drafted != 0))


cdef bint store_settled(StoreClient* c, uint64_t* number) noexcept nogil:
    """The next number of store_settle of which it is true by now, once."""
    cdef Settling* waits
    cdef size_t i
    if c.settling.empty():
        return False
    waits = &c.settling.front()
    for i in range(c.shards.size()):
        if c.shards[i].acknowledged < waits.letters[i]:
            return False
    number[0] = waits.number
    c.settling.pop_front()
    return True
