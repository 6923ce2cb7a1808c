"""Calls at set virtual times, from the kernel's loop: they bring nothing about by themselves."""
from libc.stdint cimport uint64_t
from libc.string cimport memset
from raylite.sim.kernel cimport Kernel
from raylite.sim.timeline cimport Event, timeline_plan


cdef int at_alarm(void* target, void* event) except -1:
    (<Alarms> target).calls.pop((<Event*> event).token)()
    return 0


cdef class Alarms:
    """Args: kernel: in whose time."""
    cdef Kernel kernel
    cdef dict calls
    cdef uint64_t last

    def __init__(self, Kernel kernel not None):
        self.kernel = kernel
        self.calls = {}

    def after(self, double delay_s, call):
        """Call call() after so many virtual seconds."""
        cdef Event e
        self.last += 1
        self.calls[self.last] = call
        memset(&e, 0, sizeof(Event))
        e.handle = at_alarm
        e.target = <void*> self
        e.background = True
        e.token = self.last
        timeline_plan(&self.kernel.timeline, self.kernel.timeline.now_ns + <uint64_t> (delay_s * 1e9), &e)
