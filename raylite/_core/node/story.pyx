"""What happened: the last transitions of tasks, each with its cause, in a ring of bounded size.

Errors quote it and the timeline is drawn from it. The ring grows as it fills and then overwrites its oldest entries.
"""


cdef void story_add(Story* s, const StoryEntry* entry) noexcept nogil:
    if s.capacity == 0:
        return
    if s.ring.size() < s.capacity:
        s.ring.push_back(entry[0])
    else:
        s.ring[s.n_recorded % s.capacity] = entry[0]
    s.n_recorded += 1
