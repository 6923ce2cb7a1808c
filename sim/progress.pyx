"""Whether the program gets on: in every virtual minute a task ends, gives an item, or sleeps by its own wish, or bytes
of a value come from another node.

Where nothing can happen at all any more, the kernel says so at once. This finds the other case: that things go on
happening, and nothing comes of it.
"""
from libc.stdint cimport uint64_t
from raylite._core.message cimport EV_FINISHED, EV_YIELDED
from raylite._core.node.story cimport Story
from raylite.sim.host cimport SimulatedHost
from raylite.sim.kernel cimport Process


def gets_on(SimulatedHost host not None, double period_s):
    """Whether a task has ended, slept or given an item within the last so many virtual seconds, or bytes have come, or
    one is asleep."""
    cdef Process p
    cdef const Story* story = &host.node.state.story
    cdef uint64_t i, newest
    cdef uint64_t since_ns = host.kernel.timeline.now_ns - <uint64_t> (period_s * 1e9)
    if host.kernel.slept_ns >= since_ns or host.written_ns >= since_ns:
        return True
    for p in host.processes.values():
        if p.asleep():
            return True
    for i in range(story.ring.size()):
        newest = (story.n_recorded - 1 - i) % story.capacity
        if story.ring[newest].time_ns < since_ns:
            return False
        if story.ring[newest].cause in (EV_FINISHED, EV_YIELDED):
            return True
    return False
