from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #ifndef RAYLITE_CORE_IDS
    #define RAYLITE_CORE_IDS
    #include <cstdint>
    #include <functional>
    struct TaskId { uint64_t hi; uint64_t lo; };
    struct ObjectId { TaskId task; uint32_t index; uint32_t unused; };
    static inline bool operator==(const TaskId &a, const TaskId &b) { return a.hi == b.hi && a.lo == b.lo; }
    static inline bool operator<(const TaskId &a, const TaskId &b) { return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo; }
    static inline bool operator==(const ObjectId &a, const ObjectId &b) {
        return a.task == b.task && a.index == b.index; }
    static inline bool operator<(const ObjectId &a, const ObjectId &b) {
        return a.task == b.task ? a.index < b.index : a.task < b.task; }
    namespace std {
        template <> struct hash<TaskId> { size_t operator()(const TaskId &t) const { return t.lo; } };
        template <> struct hash<ObjectId> {
            size_t operator()(const ObjectId &o) const { return o.task.lo + o.index * 0x9E3779B97F4A7C15ull; } };
    }
    #endif
    """
    cdef struct TaskId:
        uint64_t hi
        uint64_t lo
    cdef struct ObjectId:
        TaskId task
        uint32_t index
        uint32_t unused

cdef enum:
    PUT_INDEX = 0x80000000        # objects made by put: this bit and the put's number within its task
    CHECKPOINT_INDEX = 0xC0000000  # checkpoints of the actor that this task creates: put by it, as it were
    ACTOR_INDEX = 0xFFFFFFFE      # the actor that this task creates: an object as long as somebody has a handle
    FUNCTION_INDEX = 0xFFFFFFFF   # a function: the task half is the hash of its content

cdef TaskId derive_task(TaskId parent, uint64_t index, uint64_t salt) noexcept nogil
cdef TaskId hash_bytes(const char* data, size_t size, uint64_t seed) noexcept nogil

cdef inline ObjectId object_id(TaskId task, uint32_t index) noexcept nogil:
    cdef ObjectId o
    o.task = task
    o.index = index
    o.unused = 0
    return o

cdef inline bint same_task(TaskId a, TaskId b) noexcept nogil:
    return a.hi == b.hi and a.lo == b.lo

cdef inline bint same_object(ObjectId a, ObjectId b) noexcept nogil:
    return a.task.hi == b.task.hi and a.task.lo == b.task.lo and a.index == b.index

cdef inline bint task_less(TaskId a, TaskId b) noexcept nogil:
    return a.hi < b.hi or (a.hi == b.hi and a.lo < b.lo)

cdef bytes task_bytes(TaskId t)
cdef TaskId task_from_bytes(bytes data)
cdef bytes object_bytes(ObjectId o)
cdef ObjectId object_from_bytes(bytes data)
