"""A channel between a client's process and the node's: a ring each way in one memory file.

Who writes what, in which order: each ring has one writing process, which alone stores its tail, and one reading
process, which alone stores its head. A record is visible only after its tail is released; space is reused only after
its head is released. The pages and rings of the other side are mapped read-only. A message of any size passes, in
records of at most RECORD_MOST bytes; the reader copies a record before it looks at it, and checks every length.
"""
from libc.string cimport memcpy, memset
from raylite.runtime.native cimport close, load_acquire, map_mirrored, map_shared, memory_file, not_in_forks, \
    raise_flag, store_release, unmap

cdef struct RecordHeader:
    uint32_t size
    uint32_t more                 # the message goes on in the next record


cdef bint channel_map(Channel* c, int memory, bint node_side) noexcept nogil:
    """Map the memory file for one side. False if the system refuses."""
    cdef char* to_client = map_mirrored(memory, 2 * PAGE, RING_BYTES, node_side)
    cdef char* to_node = map_mirrored(memory, 2 * PAGE + RING_BYTES, RING_BYTES, not node_side)
    c.memory = memory
    c.node_side = node_side
    c.node = <NodePage*> map_shared(memory, 0, PAGE, node_side)
    c.client = <ClientPage*> map_shared(memory, PAGE, PAGE, not node_side)
    if to_client == NULL or to_node == NULL or c.node == NULL or c.client == NULL:
        return False
    not_in_forks(<char*> c.node, PAGE)
    not_in_forks(<char*> c.client, PAGE)
    not_in_forks(to_client, 2 * RING_BYTES)
    not_in_forks(to_node, 2 * RING_BYTES)
    c.into.broken = False
    c.into.head = 0
    c.out.tail = 0
    if node_side:
        c.out.data = to_client
        c.out.shared_tail = &c.node.tail
        c.out.shared_head = &c.client.head
        c.into.data = to_node
        c.into.shared_head = &c.node.head
        c.into.shared_tail = &c.client.tail
    else:
        c.out.data = to_node
        c.out.shared_tail = &c.client.tail
        c.out.shared_head = &c.node.head
        c.into.data = to_client
        c.into.shared_head = &c.client.head
        c.into.shared_tail = &c.node.tail
    return True


cdef void channel_unmap(Channel* c) noexcept nogil:
    unmap(<char*> c.node, PAGE)
    unmap(<char*> c.client, PAGE)
    unmap(c.out.data, 2 * RING_BYTES)
    unmap(<char*> c.into.data, 2 * RING_BYTES)
    memset(&c.out, 0, sizeof(Writer))
    c.node = NULL
    c.client = NULL
    c.into.data = NULL


cdef inline uint64_t minimum(uint64_t a, uint64_t b) noexcept nogil:
    return a if a < b else b


cdef bint ring_write(Writer* w, const Message* m, const char* payload, uint64_t* progress) noexcept nogil:
    """Write a message from byte `progress` on, as far as there is room. True once all of it is written."""
    cdef uint64_t total = sizeof(Message) + m.size, room, part, from_header, at
    cdef RecordHeader* h
    while progress[0] < total:
        room = RING_BYTES - (w.tail - load_acquire(w.shared_head))
        part = minimum(total - progress[0], RECORD_MOST)
        if room < sizeof(RecordHeader) + ((part + 7) & ~(<uint64_t> 7)):
            return False
        at = w.tail & (RING_BYTES - 1)
        h = <RecordHeader*> (w.data + at)
        h.size = <uint32_t> part
        h.more = progress[0] + part < total
        at += sizeof(RecordHeader)
        from_header = 0
        if progress[0] < sizeof(Message):
            from_header = minimum(sizeof(Message) - progress[0], part)
            memcpy(w.data + at, <const char*> m + progress[0], from_header)
        if part > from_header:
            memcpy(w.data + at + from_header, payload + (progress[0] + from_header - sizeof(Message)),
                   part - from_header)
        progress[0] += part
        w.tail += sizeof(RecordHeader) + ((part + 7) & ~(<uint64_t> 7))
        store_release(w.shared_tail, w.tail)
    return True


cdef bint ring_read(Reader* r) noexcept nogil:
    """Read the next whole message into r.message. False if there is none yet, or the writer's indices are wrong."""
    cdef uint64_t available, begin
    cdef RecordHeader h
    cdef Message* m
    while not r.broken:
        available = load_acquire(r.shared_tail) - r.head
        if available == 0:
            return False
        if available > RING_BYTES or available < sizeof(RecordHeader):
            break
        memcpy(&h, r.data + (r.head & (RING_BYTES - 1)), sizeof(RecordHeader))
        if h.size > RECORD_MOST or sizeof(RecordHeader) + <uint64_t> h.size > available:
            break
        begin = r.message.size()
        r.message.resize(begin + h.size)
        if h.size:                # with nothing in it there may be no buffer yet
            memcpy(r.message.data() + begin, r.data + (r.head & (RING_BYTES - 1)) + sizeof(RecordHeader), h.size)
        r.head += sizeof(RecordHeader) + ((<uint64_t> h.size + 7) & ~(<uint64_t> 7))
        store_release(r.shared_head, r.head)
        m = <Message*> r.message.data()
        if r.message.size() >= sizeof(Message) and r.message.size() > sizeof(Message) + <uint64_t> m.size:
            break                 # it would grow without end
        if h.more:
            continue
        if r.message.size() < sizeof(Message) or r.message.size() != sizeof(Message) + <uint64_t> m.size:
            break
        return True
    raise_flag(&r.broken)
    return False


cdef class Loopback:
    """Both sides of a channel in one process, for tests: what one side writes, the other reads.

    Args: from_node: whether the node's side writes.
    """
    cdef Channel node, client
    cdef Channel* writing
    cdef Channel* reading
    cdef Message message
    cdef bytes payload
    cdef uint64_t progress

    def __init__(self, bint from_node):
        cdef int memory = memory_file(b"raylite-loopback", CHANNEL_BYTES)
        if memory < 0 or not channel_map(&self.node, memory, True) or not channel_map(&self.client, memory, False):
            raise OSError("no memory for a channel")
        self.writing = &self.node if from_node else &self.client
        self.reading = &self.client if from_node else &self.node

    def close(self):
        """Give the memory back. Nothing else may be called from then on."""
        channel_unmap(&self.node)
        channel_unmap(&self.client)
        close(self.node.memory)

    def write(self, bytes payload not None):
        """Begin to write a message. Whether all of it is written; if not, go on by write_rest."""
        memset(&self.message, 0, sizeof(Message))
        self.message.size = <uint32_t> len(payload)
        self.payload = payload
        self.progress = 0
        return self.write_rest()

    def write_rest(self):
        """Go on with the message that did not fit. Whether all of it is written now."""
        return bool(ring_write(&self.writing.out, &self.message, <const char*> self.payload, &self.progress))

    def read(self):
        """The payload of the next whole message, or None. Raises ValueError if the writer's words are wrong."""
        cdef Reader* r = &self.reading.into
        if not ring_read(r):
            if r.broken:
                raise ValueError("the channel is broken")
            return None
        out = (<const char*> r.message.data() + sizeof(Message))[:r.message.size() - sizeof(Message)]
        r.message.clear()
        return out

    def used(self):
        """Bytes of the ring that are written and not read."""
        return self.writing.out.tail - load_acquire(self.writing.out.shared_head)

    def forge(self, uint64_t offset, bytes data not None, uint64_t tail):
        """As a hostile writer: put bytes into the ring, and move its tail to any place."""
        memcpy(self.writing.out.data + offset, <const char*> data, len(data))
        store_release(self.writing.out.shared_tail, tail)
