"""Identities: tasks and objects, derived by hashing and never drawn.

A task's id is a hash of its parent's id and its submission index, an object's id is its task's id and an index
(DESIGN rule 3), so re-executing a task names its children and results again. Only a job's root id is random, and the
host draws it. Ids are 16 and 20 bytes; the hash is MurmurHash3 x64 128 (A. Appleby), which collides by chance only.
"""
from libc.string cimport memcpy


cdef inline uint64_t rotl(uint64_t x, int r) noexcept nogil:
    return (x << r) | (x >> (64 - r))


cdef inline uint64_t fmix(uint64_t k) noexcept nogil:
    k ^= k >> 33
    k *= <uint64_t> 0xff51afd7ed558ccd
    k ^= k >> 33
    k *= <uint64_t> 0xc4ceb9fe1a85ec53
    k ^= k >> 33
    return k


cdef TaskId hash_bytes(const char* data, size_t size, uint64_t seed) noexcept nogil:
    """MurmurHash3 x64 128 of `size` bytes."""
    cdef uint64_t c1 = <uint64_t> 0x87c37b91114253d5
    cdef uint64_t c2 = <uint64_t> 0x4cf5ad432745937f
    cdef uint64_t h1 = seed, h2 = seed, k1, k2
    cdef uint64_t tail[2]
    cdef size_t i, n_blocks = size // 16, rest = size & 15
    cdef TaskId out
    for i in range(n_blocks):
        memcpy(&k1, data + i * 16, 8)
        memcpy(&k2, data + i * 16 + 8, 8)
        k1 *= c1
        h1 ^= rotl(k1, 31) * c2
        h1 = (rotl(h1, 27) + h2) * 5 + <uint64_t> 0x52dce729
        k2 *= c2
        h2 ^= rotl(k2, 33) * c1
        h2 = (rotl(h2, 31) + h1) * 5 + <uint64_t> 0x38495ab5
    if rest:
        tail[0] = tail[1] = 0
        memcpy(&tail[0], data + n_blocks * 16, rest)
        h2 ^= rotl(tail[1] * c2, 33) * c1
        h1 ^= rotl(tail[0] * c1, 31) * c2
    h1 ^= size
    h2 ^= size
    h1 += h2
    h2 += h1
    h1 = fmix(h1)
    h2 = fmix(h2)
    h1 += h2
    out.hi = h1
    out.lo = h2 + h1
    return out


cdef TaskId derive_task(TaskId parent, uint64_t index, uint64_t salt) noexcept nogil:
    """The id of the `index`-th task that `parent` submits; `salt` is the attempt if a replay diverged, else 0."""
    cdef uint64_t block[4]
    block[0] = parent.hi
    block[1] = parent.lo
    block[2] = index
    block[3] = salt
    return hash_bytes(<const char*> block, 32, 0)


cdef bytes task_bytes(TaskId t):
    return (<const char*> &t)[:16]


cdef TaskId task_from_bytes(bytes data):
    cdef TaskId t
    if len(data) != 16:
        raise ValueError(f"a task id has 16 bytes, got {len(data)}")
    memcpy(&t, <const char*> data, 16)
    return t


cdef bytes object_bytes(ObjectId o):
    return (<const char*> &o)[:20]


cdef ObjectId object_from_bytes(bytes data):
    cdef ObjectId o
    if len(data) != 20:
        raise ValueError(f"an object id has 20 bytes, got {len(data)}")
    o.unused = 0
    memcpy(&o, <const char*> data, 20)
    return o


def child_task(bytes parent not None, uint64_t index, uint64_t salt=0):
    """The 16-byte id of the `index`-th task submitted by `parent` (16 bytes)."""
    return task_bytes(derive_task(task_from_bytes(parent), index, salt))


def content_hash(bytes data not None, uint64_t seed=0):
    """The 16-byte hash of a byte string, as function ids use it."""
    return task_bytes(hash_bytes(<const char*> data, len(data), seed))
