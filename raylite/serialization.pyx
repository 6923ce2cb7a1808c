"""Values to envelopes and back.

pickle protocol 5 with out-of-band buffers; plain data and numeric arrays go through the C pickler as they are, all else
through cloudpickle, which also carries functions and classes of `__main__` by value. References met on the way are
noted in the envelope (DESIGN 4.1). Reading copies nothing: buffers are read-only views of the memory they lie in.
"""
from cpython.buffer cimport PyBUF_CONTIG_RO, PyBUF_READ, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.string cimport memcpy, memset
from raylite._core.envelope cimport blob_data, blob_drop, blob_keep, BUFFER_ALIGNMENT, BufferSpan, envelope_pickle, \
    envelope_spans, ENVELOPE_VERSION, EnvelopeHeader, KIND_VALUE
from raylite._core.ids cimport ObjectId

import _pickle
from _thread import get_ident

cdef object _dumps = _pickle.dumps
cdef object _loads = _pickle.loads
cdef dict _packing = {}           # thread -> the Packed that it is filling
cdef object _cloud = None
cdef dict _reducers = {}          # class -> how the program wants its objects reduced (util.serialization)

cdef enum:
    PLAIN_ITEMS = 1000            # larger containers are not searched for what needs cloudpickle
    SMALL_BUFFER = 4096           # smaller ones stay in the pickle: a view costs more than the copy
    RELEASE_GIL_BYTES = 1 << 20


cdef object cloud():
    """cloudpickle, imported when something first needs it: it costs as much as the rest of a start."""
    global _cloud
    if _cloud is None:
        import cloudpickle
        _cloud = cloudpickle
    return _cloud


def set_reducer(type cls not None, reduce):
    """Have objects of exactly this class pickled as `reduce(object)` says, in this process; None: as without it."""
    if reduce is None:
        _reducers.pop(cls, None)
        return
    pickler = cloud().CloudPickler
    if pickler.dispatch_table.maps[0] is not _reducers:
        pickler.dispatch_table = pickler.dispatch_table.new_child(_reducers)
    _reducers[cls] = reduce


def reducer(type cls not None):
    """What set_reducer was told for this class, or None."""
    return _reducers.get(cls)


cdef int is_plain(object value, int left, bint rich) except -1:
    """How much of the budget of items is left if the C pickler can carry this alone; 0 if it cannot.

    rich: arrays and references may be in it.
    """
    cdef type t = type(value)
    if left <= 0:
        return 0
    if (value is None or t is int or t is float or t is str or t is bytes or t is bool or t is complex
            or t is bytearray):
        return left
    if t is tuple or t is list:
        for item in value:
            left = is_plain(item, left - 1, rich)
            if left <= 0:
                return 0
        return left
    if t is dict:
        for key, item in (<dict> value).items():
            left = is_plain(key, left - 1, rich)
            if left > 0:
                left = is_plain(item, left - 1, rich)
            if left <= 0:
                return 0
        return left
    if not rich or t in _reducers:
        return 0
    if t.__name__ == "ndarray" and t.__module__ == "numpy":
        return left if not value.dtype.hasobject else 0
    if t.__name__ == "ObjectRef" and t.__module__ == "raylite.runtime.client":
        return left
    return left if t.__name__ == "ActorHandle" and t.__module__ == "raylite.actor" else 0


cdef class Packed:
    """A pickled value on its way into an envelope: its bytes, buffers and the references inside it."""

    def __cinit__(self):
        self.kind = KIND_VALUE
        self.refs = []
        self.buffers = []

    cdef void plan(self):
        """Work out the envelope's size."""
        cdef uint64_t at = sizeof(EnvelopeHeader) + sizeof(ObjectId) * <uint64_t> len(self.refs) \
            + sizeof(BufferSpan) * <uint64_t> len(self.buffers) + <uint64_t> PyBytes_GET_SIZE(self.pickle)
        for view in self.buffers:
            at = (at + BUFFER_ALIGNMENT - 1) & ~(<uint64_t> BUFFER_ALIGNMENT - 1)
            at += <uint64_t> view.nbytes
        self.size = at

    cdef void write(self, char* at):
        """Write the envelope, `size` bytes. Large buffers are copied without the GIL."""
        cdef EnvelopeHeader* h = <EnvelopeHeader*> at
        cdef ObjectId* id = <ObjectId*> (h + 1)
        cdef BufferSpan* span
        cdef uint64_t offset, n_bytes
        cdef Py_buffer view
        cdef const char* source
        memset(h, 0, sizeof(EnvelopeHeader))
        h.version = ENVELOPE_VERSION
        h.kind = self.kind
        h.flags = self.flags
        h.n_refs = <uint32_t> len(self.refs)
        h.n_buffers = <uint32_t> len(self.buffers)
        h.pickle_size = <uint64_t> PyBytes_GET_SIZE(self.pickle)
        h.size = self.size
        for ref in self.refs:
            memset(id, 0, sizeof(ObjectId))
            memcpy(id, PyBytes_AS_STRING(ref.binary()), 20)
            id += 1
        span = <BufferSpan*> id
        memcpy(<char*> (span + h.n_buffers), PyBytes_AS_STRING(self.pickle), h.pickle_size)
        offset = <uint64_t> (<char*> (span + h.n_buffers) - at) + h.pickle_size
        for item in self.buffers:
            offset = (offset + BUFFER_ALIGNMENT - 1) & ~(<uint64_t> BUFFER_ALIGNMENT - 1)
            PyObject_GetBuffer(item, &view, PyBUF_CONTIG_RO)
            source = <const char*> view.buf
            n_bytes = <uint64_t> view.len
            span.offset = offset
            span.size = n_bytes
            if n_bytes >= RELEASE_GIL_BYTES:
                with nogil:
                    memcpy(at + offset, source, n_bytes)
            else:
                memcpy(at + offset, source, n_bytes)
            PyBuffer_Release(&view)
            offset += n_bytes
            span += 1

    def to_bytes(self):
        """The envelope as a byte string."""
        cdef bytes out
        self.plan()
        out = bytes(self.size)
        self.write(PyBytes_AS_STRING(out))
        return out


cdef object buffer_filter(list buffers):
    def take(buffer):
        view = buffer.raw()
        if view.nbytes < SMALL_BUFFER:
            return True           # in band
        buffers.append(view)
        return False
    return take


def packing():
    """The Packed that this thread is filling right now, or None."""
    return _packing.get(get_ident())


def pack(value, *, by_cloudpickle=False, in_band=False):
    """Pickle a value for the object store.

    Args: value: anything that pickles; by_cloudpickle: do not try the plain pickler first;
    in_band: who loads it may write to its arrays, where they could be written to before.
    Returns a Packed. Raises TypeError naming what in the value cannot be pickled.
    """
    cdef Packed out = Packed()
    ident = get_ident()
    outer = _packing.get(ident)
    take = None if in_band else buffer_filter(out.buffers)
    _packing[ident] = out
    try:
        if not by_cloudpickle and is_plain(value, PLAIN_ITEMS, True):
            out.pickle = _dumps(value, 5, buffer_callback=take)
        else:
            out.pickle = cloud().dumps(value, protocol=5, buffer_callback=take)
    finally:
        if outer is None:
            del _packing[ident]
        else:
            _packing[ident] = outer
    out.plan()
    return out


def pack_raw(bytes pickle not None, int kind, list refs not None):
    """A Packed of bytes that are pickled already."""
    cdef Packed out = Packed()
    out.pickle = pickle
    out.kind = kind
    out.refs = refs
    out.plan()
    return out


cdef class BlobBuffer:
    """A read-only buffer over a blob, which lives as long as views of it do."""

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, blob_data(self.blob), <Py_ssize_t> self.blob.size, 1, flags)

    def __dealloc__(self):
        blob_drop(self.blob)


cdef object unpack_memory(const char* data, uint64_t size, object owner):
    """Load the value of an envelope (already checked). Buffers are views of `owner`, which spans the envelope."""
    cdef const EnvelopeHeader* h = <const EnvelopeHeader*> data
    cdef const BufferSpan* spans
    cdef uint32_t i
    cdef list buffers
    pickle = PyMemoryView_FromMemory(<char*> envelope_pickle(data), <Py_ssize_t> h.pickle_size, PyBUF_READ)
    if h.n_buffers == 0:
        return _loads(pickle)
    whole = memoryview(owner)
    spans = envelope_spans(data)
    buffers = []
    for i in range(h.n_buffers):
        buffers.append(whole[spans[i].offset:spans[i].offset + spans[i].size])
    return _loads(pickle, buffers=buffers)


cdef object unpack_blob(Blob* blob):
    """Load the value of an envelope in a blob."""
    cdef const EnvelopeHeader* h = <const EnvelopeHeader*> blob_data(blob)
    cdef BlobBuffer owner = None
    if h.n_buffers:
        owner = BlobBuffer.__new__(BlobBuffer)
        owner.blob = blob_keep(blob)
    return unpack_memory(blob_data(blob), blob.size, owner)


def is_small_plain(value, uint64_t most_bytes):
    """Whether this is built-in data only, without references or arrays, of at most so many bytes when pickled."""
    if not is_plain(value, PLAIN_ITEMS, False):
        return False
    try:
        return <uint64_t> len(_dumps(value, 5)) <= most_bytes
    except Exception:
        return False
