from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libcpp.vector cimport vector
from raylite._core.ids cimport ObjectId, TaskId

cdef struct StoryEntry:
    uint64_t time_ns
    TaskId task
    ObjectId function
    uint64_t duration_ns          # of a finished run, else 0
    uint32_t worker
    uint32_t attempt
    uint8_t old_state
    uint8_t new_state
    uint8_t cause                 # kind of the message that led to it
    uint8_t unused

cdef struct Story:
    vector[StoryEntry] ring
    uint64_t n_recorded
    uint64_t capacity

cdef void story_add(Story* s, const StoryEntry* entry) noexcept nogil
