"""Whether the program gets on: in every virtual minute a task ends, gives an item, or is asleep by its own wish.

Where nothing can happen at all any more, the kernel says so at once. This finds the other case: that things go on
happening, and nothing comes of it.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memset
from raylite._core.message cimport EV_FINISHED, EV_YIELDED
from raylite._core.story cimport Story
from raylite.sim.host cimport SimulatedHost
from raylite.sim.kernel cimport Kernel, Process
from raylite.sim.timeline cimport Event, timeline_plan


cdef class Alarms:
    """Calls at set virtual times, that bring nothing about by themselves."""
    cdef Kernel kernel
    cdef dict calls
    cdef uint64_t last

    def __init__(self, Kernel kernel not None):
        self.kernel = kernel
        self.calls = {}

    def after(self, double delay_s, call):
        """Call call() after so many virtual seconds, from the kernel's loop."""
        cdef Event e
        self.last += 1
        self.calls[self.last] = call
        memset(&e, 0, sizeof(Event))
        e.handle = at_alarm
        e.target = <void*> self
        e.background = True
        e.token = self.last
        timeline_plan(&self.kernel.timeline, self.kernel.timeline.now_ns + <uint64_t> (delay_s * 1e9), &e)


cdef int at_alarm(void* target, void* event) except -1:
    (<Alarms> target).calls.pop((<Event*> event).token)()
    return 0


def gets_on(SimulatedHost host not None, double period_s):
    """Whether a task has ended or given an item within the last so many virtual seconds, or one is asleep."""
    cdef Process p
    cdef const Story* story = &host.node.state.story
    cdef uint64_t i, newest
    cdef uint64_t since_ns = host.kernel.timeline.now_ns - <uint64_t> (period_s * 1e9)
    for p in host.processes.values():
        if p.token and p.awaited == NULL and not p.wants_arrived:
            return True
    for i in range(story.ring.size()):
        newest = (story.n_recorded - 1 - i) % story.capacity
        if story.ring[newest].time_ns < since_ns:
            return False
        if story.ring[newest].cause in (EV_FINISHED, EV_YIELDED):
            return True
    return False


def nothing_due(Kernel kernel not None):
    """Whether all that is planned brings nothing about."""
    return kernel.timeline.n_foreground == 0
