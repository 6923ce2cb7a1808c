"""Letters between endpoints and shards of the control store: put together, taken apart with every bound checked."""
from libc.string cimport memcpy, memset
from raylite._core.envelope cimport align8, blob_data, blob_new
from raylite._core.message cimport MESSAGE_VERSION, take, take_padded


cdef uint64_t begin_item(string* letter, uint16_t kind, uint16_t flags, uint64_t token, ObjectId object) noexcept nogil:
    """An operation or entry at the end of a letter; what is then appended is its body, until end_item."""
    cdef StoreOp op
    cdef uint64_t at = letter.size()
    op.kind = kind
    op.flags = flags
    op.size = 0
    op.token = token
    op.object = object
    op.object.unused = 0
    letter.append(<const char*> &op, sizeof(StoreOp))
    return at


cdef void end_item(string* letter, uint64_t at) noexcept nogil:
    cdef uint32_t size = <uint32_t> (letter.size() - at - sizeof(StoreOp))
    memcpy(<char*> letter.data() + at + 4, &size, 4)
    letter.append(align8(size) - size, <char> 0)


cdef void append_item(string* letter, uint16_t kind, uint16_t flags, uint64_t token, ObjectId object, const char* body,
                      uint64_t size) noexcept nogil:
    cdef uint64_t at = begin_item(letter, kind, flags, token, object)
    if size:
        letter.append(body, size)
    end_item(letter, at)


cdef const StoreOp* take_item(Cursor* c, const char** body) noexcept nogil:
    """The next operation or entry and its body; NULL, and the cursor has failed, if it is not whole."""
    cdef const StoreOp* op = <const StoreOp*> take(c, sizeof(StoreOp))
    if op == NULL:
        return NULL
    body[0] = take_padded(c, op.size)
    return op if body[0] != NULL else NULL


cdef uint64_t take_letter(Cursor* c) noexcept nogil:
    """The size of the next letter, of several one after another; 0, and the cursor has failed, if it is not whole."""
    cdef const char* start = c.data
    cdef const StreamHeader* head = <const StreamHeader*> take(c, sizeof(StreamHeader))
    cdef const char* body
    cdef uint32_t _i
    if head == NULL:
        return 0
    for _i in range(head.n_items):
        if take_item(c, &body) == NULL:
            return 0
    return c.data - start


cdef Blob* seal_letter(const StreamHeader* head, const string* items) noexcept nogil:
    cdef Blob* letter = blob_new(sizeof(StreamHeader) + items.size())
    memcpy(blob_data(letter), head, sizeof(StreamHeader))
    memcpy(blob_data(letter) + sizeof(StreamHeader), items.data(), items.size())
    return letter


cdef Message store_letter_message(uint8_t kind, uint64_t size) noexcept nogil:
    cdef Message m
    memset(&m, 0, sizeof(Message))
    m.version = MESSAGE_VERSION
    m.kind = kind
    m.size = <uint32_t> size
    return m


cdef bint read_chain(const char* data, uint64_t size, ChainView* out) noexcept nogil:
    """The configuration of a chain. False if it is malformed."""
    cdef Cursor c = Cursor(data, size, False)
    cdef const ChainHeader* head = <const ChainHeader*> take(&c, sizeof(ChainHeader))
    if head == NULL or head.shard >= head.n_shards or head.n_joining > 1:
        return False
    out.head = head[0]
    out.members = <const NodeRecord*> take(&c, sizeof(NodeRecord) * (<uint64_t> head.n_members + head.n_joining))
    return not c.failed and c.left == 0
