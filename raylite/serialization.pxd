from libc.stdint cimport uint8_t, uint32_t, uint64_t
from raylite._core.envelope cimport Blob

cdef class Packed:
    cdef public uint8_t kind
    cdef public uint8_t flags
    cdef public list refs         # ObjectRef instances met while pickling
    cdef public bytes pickle
    cdef list buffers             # memoryviews, contiguous bytes
    cdef uint64_t n_buffers
    cdef readonly uint64_t size   # of the whole envelope
    cdef list ids                 # 20-byte ids of refs
    cdef void plan(self)
    cdef void write(self, char* at)

cdef class BlobBuffer:
    cdef Blob* blob

cdef object unpack_blob(Blob* blob)
cdef object unpack_memory(const char* data, uint64_t size, object owner)
