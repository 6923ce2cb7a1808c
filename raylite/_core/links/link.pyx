"""Links: of a network that loses, repeats, reorders and delays packets they make an ordered stream between two parties.

Between two incarnations every packet arrives once, and those of a lane in the order in which they were sent. Data has a
number from the moment it enters the window; it stays there until it is acknowledged, and is sent again after a
time-out that is learned from round trips and doubles, or as soon as three behind it have come. What comes early waits
for what is missing. Acknowledgements are cumulative, with a bitmap of what came early; they ride on data, or go alone
ACK_DELAY_NS after the data at the latest, and at once for what comes twice or early, so that the sender learns.

Data is sent to a known incarnation only. To learn of it, a party says hello: an acknowledgement for incarnation 0. A
packet for another incarnation than the receiver's is answered by an acknowledgement, which says who is there now. When
an incarnation has ended, what it did not acknowledge is given back: it may have been delivered, or not.

Control packets have a fixed window, and a burst that doubles as acknowledgements come after a time-out. Packets in the
bulk lane have a part of that window, so the others go before those that wait; how much waits there is for the sender to
limit. How many bytes of bulk are under way adapts as TCP's window does (RFC 5681): halved by a time-out, a packet more
for each window that is acknowledged; and time-outs allow for the time that these bytes take, which is learned too, or
a slow network would be filled with repetitions.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.string cimport memset
from raylite._core.envelope cimport blob_drop, blob_keep
from raylite._core.message cimport MESSAGE_VERSION
from raylite._core.links.packet cimport PacketHeader, PEER_ACK, PEER_FENCED
from raylite._core.planted cimport planted, REPEATED_PACKET, STALE_INCARNATION

cdef extern from *:
    """
    template <typename T> static void raylite_reset(T *p) { *p = T(); }
    """
    void raylite_reset(Link*) nogil

cdef enum:
    FIRST_SLOTS = 4
    MOST_IDLE_SLOTS = 64          # a queue that is empty keeps no more
    BURST = 8                     # packets sent again after a time-out
    OVERTAKEN = 3                 # by so many, a packet counts as lost
    MOST_TIMEOUTS = 20            # that are counted


# ---- queues ----------------------------------------------------------------------------------------------------

cdef inline Sending* queue_at(SendQueue* q, uint64_t i) noexcept nogil:
    return &q.slots[(q.head + i) & (q.slots.size() - 1)]


cdef void queue_grow(SendQueue* q) noexcept nogil:
    cdef vector[Sending] more
    cdef uint64_t i
    more.resize(max(<size_t> FIRST_SLOTS, 2 * q.slots.size()))
    for i in range(q.count):
        more[i] = queue_at(q, i)[0]
    q.slots.swap(more)
    q.head = 0


cdef inline void queue_push(SendQueue* q, const Sending* s) noexcept nogil:
    if q.count == q.slots.size():
        queue_grow(q)
    q.count += 1
    queue_at(q, q.count - 1)[0] = s[0]


cdef inline void queue_pop(SendQueue* q) noexcept nogil:
    cdef vector[Sending] nothing
    q.head += 1
    q.count -= 1
    if q.count == 0 and q.slots.size() > MOST_IDLE_SLOTS:
        q.slots.swap(nothing)


# ---- sending ---------------------------------------------------------------------------------------------------

cdef uint64_t first_sequence(const Link* link) noexcept nogil:
    """The oldest that is not acknowledged."""
    return link.next_sequence - link.window.count


cdef uint64_t timeout_ns(const Link* link) noexcept nogil:
    cdef uint64_t base = FIRST_TIMEOUT_NS
    cdef uint64_t most = MOST_TIMEOUT_NS + link.bulk_bytes * MOST_BYTE_NS
    if link.round_trip_ns:
        base = max(<uint64_t> LEAST_TIMEOUT_NS, link.round_trip_ns + 4 * link.variation_ns)
    base = min(most, base + link.bulk_bytes * link.byte_ns)
    return min(most, base << min(link.n_timeouts, <uint32_t> MOST_TIMEOUTS))


cdef uint64_t early_bits(Link* link) noexcept nogil:
    cdef uint64_t bits = 0, ahead
    it = link.early.begin()
    while it != link.early.end():
        ahead = deref(it).first - link.received - 2
        if ahead > 63:
            break
        bits |= <uint64_t> 1 << ahead
        preincrement(it)
    return bits


cdef Packet* emit(const Links* l, Link* link, vector[Packet]* out) noexcept nogil:
    """A new packet to the peer, without message; it acknowledges what has come."""
    cdef Packet* p
    out.resize(out.size() + 1)
    p = &out.back()
    memset(p, 0, sizeof(Packet))
    p.head.source = l.address
    p.head.source_incarnation = l.incarnation
    p.head.target = link.address
    p.head.target_incarnation = link.incarnation
    p.head.acknowledged = link.received
    if not link.early.empty():
        p.head.early = early_bits(link)
    p.message.version = MESSAGE_VERSION
    p.message.kind = PEER_ACK
    link.ack_now = link.must_answer = False
    link.ack_due_ns = link.n_unacknowledged = 0
    return p


cdef void transmit(const Links* l, Link* link, Sending* s, uint64_t sequence, uint64_t now_ns, vector[Packet]* out) \
        noexcept nogil:
    cdef Packet* p = emit(l, link, out)
    p.head.sequence = sequence
    p.message = s.message
    p.payload = blob_keep(s.payload)
    s.sent_ns = now_ns
    s.n_sent += 1


cdef bint has_room(const Link* link, const Sending* s) noexcept nogil:
    if link.window.count >= WINDOW:
        return False
    return not s.bulk or link.n_bulk == 0 or (link.n_bulk < BULK_WINDOW
                                              and link.bulk_bytes + s.message.size <= link.bulk_most)


cdef int next_lane(Link* link) noexcept nogil:
    return LANE_CONTROL if link.lanes[LANE_CONTROL].count else LANE_BULK


cdef void fill_window(const Links* l, Link* link, uint64_t now_ns, vector[Packet]* out) noexcept nogil:
    """Number and send what waits, as far as there is room."""
    cdef SendQueue* lane = &link.lanes[next_lane(link)]
    cdef Sending* s
    while link.incarnation and lane.count and has_room(link, queue_at(lane, 0)):
        queue_push(&link.window, queue_at(lane, 0))
        queue_pop(lane)
        s = queue_at(&link.window, link.window.count - 1)
        if s.bulk:
            link.n_bulk += 1
            link.bulk_bytes += s.message.size
        transmit(l, link, s, link.next_sequence, now_ns, out)
        link.next_sequence += 1
        if link.retransmit_ns == 0:
            link.retransmit_ns = now_ns + timeout_ns(link)
        lane = &link.lanes[next_lane(link)]


cdef void say_hello(const Links* l, Link* link, uint64_t now_ns, vector[Packet]* out) noexcept nogil:
    """Ask who is there: there is something to send, and no incarnation known."""
    emit(l, link, out)
    link.retransmit_ns = now_ns + timeout_ns(link)


cdef void give_back(Links* l, const Link* link, const Sending* s) noexcept nogil:
    cdef Packet* p
    l.returned.resize(l.returned.size() + 1)
    p = &l.returned.back()
    memset(&p.head, 0, sizeof(PacketHeader))
    p.head.source = l.address
    p.head.source_incarnation = l.incarnation
    p.head.target = link.address
    p.head.target_incarnation = link.incarnation if link.incarnation else link.dead
    p.message = s.message
    p.payload = s.payload


cdef int links_send(Links* l, uint64_t now_ns, uint32_t target, const Message* message, Blob* payload, int lane,
                    vector[Packet]* out) noexcept nogil:
    """Send a message to a party; takes over the hold of its payload, which may be NULL. Answers SendStatus."""
    cdef Link* link
    cdef Sending s
    if l.fenced:
        blob_drop(payload)
        return SEND_FENCED
    s.message = message[0]
    s.message.version = MESSAGE_VERSION
    s.message.size = <uint32_t> payload.size if payload != NULL else 0
    s.payload = payload
    s.sent_ns = s.n_sent = 0
    s.bulk = lane == LANE_BULK
    s.arrived = False
    link = links_row(l, target)
    if link.incarnation == 0 and link.dead:
        give_back(l, link, &s)
        return SEND_RETURNED
    queue_push(&link.lanes[lane], &s)
    if link.incarnation:
        fill_window(l, link, now_ns, out)
    elif link.retransmit_ns == 0:
        say_hello(l, link, now_ns, out)
    reschedule(l, link)
    return SEND_OK


# ---- acknowledgements ------------------------------------------------------------------------------------------

cdef void measure(Link* link, uint64_t round_trip_ns) noexcept nogil:
    """A round trip, of a packet that was sent once (RFC 6298)."""
    cdef uint64_t off
    round_trip_ns = max(round_trip_ns, <uint64_t> 1)
    if link.round_trip_ns == 0:
        link.round_trip_ns = round_trip_ns
        link.variation_ns = round_trip_ns // 2
    else:
        off = max(link.round_trip_ns, round_trip_ns) - min(link.round_trip_ns, round_trip_ns)
        link.variation_ns += off // 4 - link.variation_ns // 4
        link.round_trip_ns += round_trip_ns // 8 - link.round_trip_ns // 8
    link.n_timeouts = 0


cdef void measure_bulk(Link* link, uint64_t round_trip_ns) noexcept nogil:
    """The round trip of a packet of bulk that was sent once: all that is under way shares it."""
    cdef uint64_t sample = round_trip_ns // max(link.bulk_bytes, <uint64_t> 1)
    sample = min(max(sample, <uint64_t> LEAST_BYTE_NS), <uint64_t> MOST_BYTE_NS)
    link.byte_ns += sample // 4 - link.byte_ns // 4
    link.byte_ns = max(link.byte_ns, <uint64_t> LEAST_BYTE_NS)


cdef void measure_packet(Link* link, const Sending* s, uint64_t now_ns) noexcept nogil:
    measure(link, now_ns - s.sent_ns)
    if s.bulk:
        measure_bulk(link, now_ns - s.sent_ns)


cdef void bulk_timed_out(Link* link) noexcept nogil:
    if link.n_bulk:
        link.bulk_most = link.bulk_bytes // 2
        link.byte_ns = min(2 * link.byte_ns, <uint64_t> MOST_BYTE_NS)


cdef void leave_window(Link* link) noexcept nogil:
    cdef Sending* s = queue_at(&link.window, 0)
    cdef uint64_t size = s.message.size
    if s.bulk:
        link.n_bulk -= 1
        link.bulk_bytes -= size
        link.bulk_most = min(link.bulk_most + size * size // max(link.bulk_most, size, <uint64_t> 1),
                             <uint64_t> BULK_BYTES)
    blob_drop(s.payload)
    queue_pop(&link.window)


cdef void recover(const Links* l, Link* link, uint64_t most, uint64_t now_ns, vector[Packet]* out) noexcept nogil:
    """Send again so many of those that were sent before the time-out."""
    cdef uint64_t first = first_sequence(link)
    cdef Sending* s
    link.recover_from = max(link.recover_from, first)
    while most and link.recover_from < link.recover_to:
        s = queue_at(&link.window, link.recover_from - first)
        if not s.arrived:
            transmit(l, link, s, link.recover_from, now_ns, out)
            most -= min(most, <uint64_t> (BURST if s.bulk else 1))
        link.recover_from += 1


cdef void on_early_bits(const Links* l, Link* link, uint64_t acknowledged, uint64_t bits, uint64_t now_ns,
                        vector[Packet]* out) noexcept nogil:
    """Some came early: note which, and send again what they overtook, once in a round trip."""
    cdef uint64_t i, at, n_marked = 0
    cdef Sending* s
    for i in range(64):
        at = i + 1                # in the window: its first is acknowledged + 1
        if at >= link.window.count:
            break
        s = queue_at(&link.window, at)
        if bits >> i & 1 and not s.arrived:
            s.arrived = True
            n_marked += 1
            if s.n_sent == 1:
                measure_packet(link, s, now_ns)
    if n_marked == 0:
        return
    i = 0
    for at in range(min(link.window.count, <uint64_t> 65)):
        i += queue_at(&link.window, at).arrived
    at = 0
    while i >= OVERTAKEN and at < link.window.count:
        s = queue_at(&link.window, at)
        if s.arrived:
            i -= 1
        elif now_ns >= s.sent_ns + link.round_trip_ns:
            transmit(l, link, s, acknowledged + 1 + at, now_ns, out)
        at += 1


cdef void on_acknowledged(const Links* l, Link* link, uint64_t acknowledged, uint64_t bits, uint64_t now_ns,
                          vector[Packet]* out) noexcept nogil:
    cdef uint64_t n = 0
    cdef Sending* s
    if acknowledged >= link.next_sequence or acknowledged + 1 < first_sequence(link):
        return                    # never sent, or old news
    while first_sequence(link) <= acknowledged:
        s = queue_at(&link.window, 0)
        if s.n_sent == 1 and not s.arrived and first_sequence(link) == acknowledged:
            measure_packet(link, s, now_ns)
        leave_window(link)
        n += 1
    if n:
        link.retransmit_ns = now_ns + timeout_ns(link) if link.window.count else 0
        recover(l, link, 2 * n, now_ns, out)
    if bits:
        on_early_bits(l, link, acknowledged, bits, now_ns, out)
    if n:
        fill_window(l, link, now_ns, out)


# ---- incarnations ----------------------------------------------------------------------------------------------

cdef void begin(Link* link, uint32_t address) noexcept nogil:
    link.address = address
    link.next_sequence = 1
    link.bulk_most = BULK_BYTES
    link.byte_ns = LEAST_BYTE_NS


cdef Link* links_row(Links* l, uint32_t address) noexcept nogil:
    cdef Link* link = &l.rows[address]
    if link.address == 0:
        begin(link, address)
    return link


cdef void return_all(Links* l, Link* link, SendQueue* q) noexcept nogil:
    while q.count:
        give_back(l, link, queue_at(q, 0))
        queue_pop(q)


cdef void drop_early(Link* link) noexcept nogil:
    it = link.early.begin()
    while it != link.early.end():
        blob_drop(deref(it).second.payload)
        preincrement(it)
    link.early.clear()


cdef void end_link(Links* l, Link* link) noexcept nogil:
    """The known incarnation has ended, or nobody was there: all that was sent and not acknowledged is given back."""
    cdef PeerGone gone
    cdef uint32_t address = link.address, dead = link.dead
    return_all(l, link, &link.window)
    return_all(l, link, &link.lanes[LANE_CONTROL])
    return_all(l, link, &link.lanes[LANE_BULK])
    drop_early(link)
    if link.incarnation:
        gone.address = link.address
        gone.incarnation = link.incarnation
        l.gone.push_back(gone)
    if link.timer_ns:
        l.timers.erase(pair[uint64_t, uint32_t](link.timer_ns, link.address))
    raylite_reset(link)
    begin(link, address)
    link.dead = dead


cdef void meet(Links* l, Link* link, uint32_t incarnation) noexcept nogil:
    """The peer has this incarnation now, which is newer than the known one."""
    link.dead = incarnation - 1
    if link.incarnation:
        end_link(l, link)
    link.incarnation = incarnation
    link.retransmit_ns = 0        # of the hello
    link.n_timeouts = 0


cdef void links_know(Links* l, uint64_t now_ns, uint32_t address, uint32_t incarnation, vector[Packet]* out) \
        noexcept nogil:
    """Somebody said which incarnation a party has: no need to ask. Older news changes nothing."""
    cdef Link* link
    if l.fenced or incarnation == 0:
        return
    link = links_row(l, address)
    if incarnation > link.incarnation and incarnation > link.dead:
        meet(l, link, incarnation)
        fill_window(l, link, now_ns, out)
        reschedule(l, link)


cdef void links_declare_dead(Links* l, uint32_t address, uint32_t incarnation) noexcept nogil:
    """A party's incarnations up to this one are dead: nothing more is taken from them, and nothing sent to them."""
    cdef Link* link
    if l.fenced or incarnation == 0:
        return
    if address == l.address and incarnation >= l.incarnation:
        fence(l)
        return
    link = links_row(l, address)
    if incarnation <= link.dead:
        return
    link.dead = incarnation
    end_link(l, link)


cdef void fence(Links* l) noexcept nogil:
    """This party was declared dead: it says and hears nothing any more. What there is goes with links_taken."""
    l.fenced = True


cdef void answer_fenced(const Links* l, const Packet* p, vector[Packet]* out) noexcept nogil:
    cdef Packet answer
    memset(&answer, 0, sizeof(Packet))
    answer.head.source = l.address
    answer.head.source_incarnation = l.incarnation
    answer.head.target = p.head.source
    answer.head.target_incarnation = p.head.source_incarnation
    answer.message.version = MESSAGE_VERSION
    answer.message.kind = PEER_FENCED
    out.push_back(answer)


# ---- receiving -------------------------------------------------------------------------------------------------

cdef void hand_over(Links* l, Link* link, const Packet* p) noexcept nogil:
    l.arrived.push_back(p[0])
    link.received += 1


cdef void on_data(Links* l, Link* link, const Packet* p, uint64_t now_ns) noexcept nogil:
    cdef uint64_t sequence = p.head.sequence
    if sequence <= link.received or sequence > link.received + WINDOW:
        link.ack_now = True       # known, or more than a window allows
        if planted(REPEATED_PACKET):
            blob_keep(p.payload)
            l.arrived.push_back(p[0])
    elif sequence > link.received + 1:
        link.ack_now = True
        if link.early.count(sequence) == 0:
            link.early[sequence] = p[0]
            blob_keep(p.payload)
    else:
        blob_keep(p.payload)
        hand_over(l, link, p)
        link.n_unacknowledged += 1
        link.ack_now = link.ack_now or not link.early.empty() or link.n_unacknowledged >= ACK_EVERY
        it = link.early.begin()
        while it != link.early.end() and deref(it).first == link.received + 1:
            hand_over(l, link, &deref(it).second)
            it = link.early.erase(it)
    if link.ack_due_ns == 0:
        link.ack_due_ns = now_ns + ACK_DELAY_NS


cdef void links_receive(Links* l, uint64_t now_ns, const Packet* p, vector[Packet]* out) noexcept nogil:
    """Take a packet from the network; the caller keeps its hold of the payload.

    What can be handed over is then in l.arrived, and when that is done links_answer is to be called.
    """
    cdef Link* link
    cdef uint32_t source = p.head.source_incarnation
    cdef bint is_new
    if l.fenced or p.head.target != l.address or p.head.source == 0 or source == 0:
        return
    link = links_row(l, p.head.source)
    if source <= link.dead and not planted(STALE_INCARNATION):
        if p.message.kind != PEER_FENCED:
            answer_fenced(l, p, out)
        return
    is_new = source > link.incarnation
    if is_new:
        meet(l, link, source)
    if p.message.kind == PEER_FENCED:
        if p.head.target_incarnation == l.incarnation:
            fence(l)
            return
    elif p.head.target_incarnation != l.incarnation:
        link.must_answer = True
    else:
        on_acknowledged(l, link, p.head.acknowledged, p.head.early, now_ns, out)
        if p.head.sequence:
            on_data(l, link, p, now_ns)
    if is_new:
        fill_window(l, link, now_ns, out)
    reschedule(l, link)


cdef void links_answer(Links* l, uint64_t now_ns, uint32_t address, vector[Packet]* out) noexcept nogil:
    """Acknowledge what a party sent, if that cannot wait and nothing was sent to it that says so."""
    cdef unordered_map[uint32_t, Link].iterator it = l.rows.find(address)
    if it != l.rows.end() and (deref(it).second.ack_now or deref(it).second.must_answer):
        emit(l, &deref(it).second, out)


# ---- time ------------------------------------------------------------------------------------------------------

cdef uint64_t deadline_of(const Link* link) noexcept nogil:
    if link.ack_due_ns and link.retransmit_ns:
        return min(link.ack_due_ns, link.retransmit_ns)
    return link.ack_due_ns + link.retransmit_ns


cdef void reschedule(Links* l, Link* link) noexcept nogil:
    """Set its timer earlier if need be. One that is too early stays: moving it for each packet would cost more."""
    cdef uint64_t wanted_ns = deadline_of(link)
    if wanted_ns == 0 or (link.timer_ns and link.timer_ns <= wanted_ns):
        return
    if link.timer_ns:
        l.timers.erase(pair[uint64_t, uint32_t](link.timer_ns, link.address))
    link.timer_ns = wanted_ns
    l.timers.insert(pair[uint64_t, uint32_t](wanted_ns, link.address))


cdef void send_again(const Links* l, Link* link, uint64_t now_ns, vector[Packet]* out) noexcept nogil:
    """Nothing was acknowledged in time."""
    link.n_timeouts = min(link.n_timeouts + 1, <uint32_t> MOST_TIMEOUTS)
    if link.incarnation == 0:
        say_hello(l, link, now_ns, out)
        return
    bulk_timed_out(link)
    link.recover_from = 0
    link.recover_to = link.next_sequence
    recover(l, link, BURST, now_ns, out)
    link.retransmit_ns = now_ns + timeout_ns(link)


cdef void links_tick(Links* l, uint64_t now_ns, vector[Packet]* out) noexcept nogil:
    """Do what is due: send again, acknowledge."""
    cdef Link* link
    while not l.fenced and not l.timers.empty() and deref(l.timers.begin()).first <= now_ns:
        link = &l.rows[deref(l.timers.begin()).second]
        l.timers.erase(l.timers.begin())
        link.timer_ns = 0
        if link.retransmit_ns and link.retransmit_ns <= now_ns:
            send_again(l, link, now_ns, out)
        if link.ack_due_ns and link.ack_due_ns <= now_ns:
            emit(l, link, out)
        reschedule(l, link)


cdef uint64_t links_deadline_ns(Links* l) noexcept nogil:
    """By when links_tick is to be called, or earlier than needed; 0: no need. 1: at once, something was given back."""
    if not l.returned.empty() or not l.gone.empty():
        return 1
    return deref(l.timers.begin()).first if not l.timers.empty() else 0


# ---- the whole -------------------------------------------------------------------------------------------------

cdef uint64_t links_unacknowledged(Links* l, uint32_t address) noexcept nogil:
    """How many packets to a party wait or are not acknowledged."""
    it = l.rows.find(address)
    if it == l.rows.end():
        return 0
    return deref(it).second.window.count + deref(it).second.lanes[LANE_CONTROL].count \
        + deref(it).second.lanes[LANE_BULK].count


cdef void drop_queue(SendQueue* q) noexcept nogil:
    while q.count:
        blob_drop(queue_at(q, 0).payload)
        queue_pop(q)


cdef void drop_packets(vector[Packet]* packets) noexcept nogil:
    cdef size_t i
    for i in range(packets.size()):
        blob_drop(packets[0][i].payload)
    packets.clear()


cdef void links_taken(Links* l) noexcept nogil:
    """What arrived or was given back was looked at."""
    drop_packets(&l.arrived)
    drop_packets(&l.returned)
    l.gone.clear()
    if l.fenced:
        links_clear(l)


cdef void links_clear(Links* l) noexcept nogil:
    """Forget everything, and let go of all payloads."""
    it = l.rows.begin()
    while it != l.rows.end():
        drop_queue(&deref(it).second.window)
        drop_queue(&deref(it).second.lanes[LANE_CONTROL])
        drop_queue(&deref(it).second.lanes[LANE_BULK])
        drop_early(&deref(it).second)
        preincrement(it)
    l.rows.clear()
    l.timers.clear()
    l.gone.clear()
    drop_packets(&l.arrived)
    drop_packets(&l.returned)


cdef const char* link_violation(Links* l, Link* link) noexcept nogil:
    cdef uint64_t i, n_bulk = 0, bulk_bytes = 0
    cdef SendQueue* lane = &link.lanes[next_lane(link)]
    if link.incarnation and link.dead != link.incarnation - 1:
        return b"what is dead are not the incarnations before the known one"
    if link.incarnation == 0 and (link.window.count or link.received or not link.early.empty()):
        return b"data from or to an incarnation that is not known"
    if link.incarnation == 0 and link.dead and lane.count:
        return b"something waits for a party that is dead"
    if link.window.count > WINDOW or link.early.size() > WINDOW:
        return b"more in a window than it allows"
    for i in range(link.window.count):
        n_bulk += queue_at(&link.window, i).bulk
        bulk_bytes += queue_at(&link.window, i).message.size if queue_at(&link.window, i).bulk else 0
        if queue_at(&link.window, i).n_sent == 0:
            return b"a packet in the window that was never sent"
    if n_bulk != link.n_bulk or bulk_bytes != link.bulk_bytes:
        return b"the bulk in the window differs from its count"
    if link.incarnation and lane.count and has_room(link, queue_at(lane, 0)):
        return b"something waits, and there is room"
    if not link.early.empty() and (deref(link.early.begin()).first <= link.received + 1
                                   or deref(link.early.rbegin()).first > link.received + WINDOW):
        return b"what came early should have been handed over, or refused"
    if (link.window.count or (link.incarnation == 0 and lane.count)) and link.retransmit_ns == 0:
        return b"something is not acknowledged, and nothing will be sent again"
    if link.n_unacknowledged and link.ack_due_ns == 0:
        return b"data will not be acknowledged"
    if link.timer_ns and l.timers.count(pair[uint64_t, uint32_t](link.timer_ns, link.address)) == 0:
        return b"a link's timer is not in the list"
    if deadline_of(link) and (link.timer_ns == 0 or link.timer_ns > deadline_of(link)):
        return b"a link's timer is too late"
    return NULL


cdef const char* links_violation_at(Links* l, uint32_t address) noexcept nogil:
    """What is wrong with the link to this party between two calls, or NULL."""
    cdef unordered_map[uint32_t, Link].iterator it = l.rows.find(address)
    return link_violation(l, &deref(it).second) if it != l.rows.end() else NULL


cdef const char* links_violation(Links* l) noexcept nogil:
    """What is wrong with the tables between two calls, or NULL."""
    cdef const char* wrong
    cdef uint64_t n_timers = 0
    it = l.rows.begin()
    while it != l.rows.end():
        if deref(it).first != deref(it).second.address:
            return b"a link is not where its address says"
        wrong = link_violation(l, &deref(it).second)
        if wrong != NULL:
            return wrong
        n_timers += deref(it).second.timer_ns != 0
        preincrement(it)
    if n_timers != l.timers.size():
        return b"there are timers of no link"
    if not l.arrived.empty():
        return b"what arrived was not taken"
    return NULL
