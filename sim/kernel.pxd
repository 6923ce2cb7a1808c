from libc.stdint cimport int64_t, uint32_t, uint64_t
from raylite._core.envelope cimport Blob
from raylite._core.ids cimport ObjectId
from raylite._core.message cimport Message
from raylite._core.rng cimport Rng
from raylite.runtime.client cimport Client
from raylite.runtime.inbox cimport Call, Inbox
from raylite.runtime.pump cimport done_function
from raylite.sim.fault_draws cimport FaultDraws
from raylite.sim.network cimport Link
from raylite.sim.timeline cimport Timeline

cdef enum Stream:                 # of seeded draws: one more draw of one kind shifts no other
    STREAM_ROOT = 1
    STREAM_DELAYS = 2
    STREAM_STARTS = 3
    STREAM_DURATIONS = 4
    STREAM_CRASHES = 5
    STREAM_RANDOM = 6
    STREAM_LOCKS = 7

cdef class Kernel:
    cdef Timeline timeline
    cdef readonly uint64_t seed
    cdef readonly uint64_t thread  # the only one that may call
    cdef object hub               # the greenlet that runs the loop: the driver's
    cdef list spare               # fibers without a job
    cdef dict parked              # token -> Thread or Script that is to go on at a certain time
    cdef list ending              # processes whose code has yet to unwind
    cdef uint64_t last_token
    cdef readonly uint64_t n_handled  # events
    cdef uint64_t n_idle          # background events since anything else happened
    cdef readonly uint64_t active_ns  # when that was
    cdef public uint64_t patience_ns  # nothing can happen any more if there were only background events for so long
    cdef Process current          # whose variables and client are in force
    cdef Thread running           # whose code runs; None: the loop, or the driver's program
    cdef Process driver
    cdef public object failure    # what raylite's own code raised in a fiber, for the driver to raise
    cdef public bint virtual_time  # time, chance, locks and event loops are the simulation's
    cdef public bint interrupted  # Ctrl-C came while a task's code ran
    cdef public object recorder   # recording.Recorder, or None
    cdef public object make_script    # called with a Process, returns its Script; None: all tasks are code of Python's
    cdef public object outside    # called before; returns whether it has brought anything about
    cdef public object explain    # called when nothing can happen any more; returns the error to raise
    cdef Rng durations
    cdef readonly FaultDraws faults
    cdef uint64_t alarm_ns        # once an event happens at this time or later, `alarm` is called
    cdef object alarm
    cdef uint64_t slept_ns        # when the last sleep was over
    cdef int run(self, done_function done, void* what, uint64_t until_ns) except -1
    cdef int after_event(self) except -1
    cdef int ring(self) except -1
    cdef int collect_garbage(self) except -1
    cdef int run_or_explain(self, done_function done, void* what, uint64_t until_ns) except -1
    cdef int resume(self, Thread t) except -1
    cdef int plan_resume(self, Thread t, uint64_t at_ns) except -1
    cdef int wake(self, uint64_t token) except -1
    cdef int unwind_ending(self) except -1
    cdef int enter(self, Process p) except -1
    cdef object take_fiber(self)
    cdef uint64_t read_clock(self)
    cdef Thread caller(self)
    cdef int advance(self, uint64_t duration_ns) except -1

cdef class Process:
    cdef readonly Kernel kernel
    cdef Link link
    cdef readonly Client client
    cdef Inbox* inbox
    cdef readonly uint32_t number
    cdef public uint32_t node     # the number of the node that it is on
    cdef readonly bint is_driver
    cdef public object worker     # VirtualWorker
    cdef Script script            # None: it has not had one
    cdef readonly tuple gpus
    cdef public dict environment  # variables that only it has
    cdef readonly Thread main     # runs tasks, and the calls of most actors
    cdef dict threads             # the others that run: a set, in order of their start
    cdef public object on_message  # called, where the main thread waits for anything, when messages have come
    cdef public bint started      # its worker's code runs
    cdef public bint doomed       # to be killed as soon as it starts
    cdef readonly bint ended
    cdef public object lost       # what calls raise once it has ended; None: ProcessEnded
    cdef int attend(self) except -1
    cdef bint next_is_scripted(self) except -1
    cdef Blob* take_run(self) except? NULL
    cdef bint may_crash(self, int rarely=*) except -1
    cdef bint has_messages(self)
    cdef bint asleep(self)
    cdef int interrupt(self) except -1
    cdef int crash_point(self, int rarely=*) except -1
    cdef uint64_t slowed(self, uint64_t duration_ns) noexcept
    cdef int thread_ended(self, Thread t) except -1

cdef class Script:
    cdef Process process
    cdef Kernel kernel
    cdef ObjectId function        # whose tasks it runs
    cdef bint busy                # with one of them
    cdef int attend(self) except -1
    cdef int time_is_over(self) except -1
    cdef int wait(self, uint64_t duration_ns) except -1

cdef enum Awaited:                # beside the answer to a call
    AWAITS_NOTHING = 0
    AWAITS_ARRIVED = 1            # asynchronous calls that are done
    AWAITS_MESSAGES = 2           # tasks and notices too, and the end

cdef struct Wake:
    bint called
    Inbox* inbox

cdef class Thread:
    cdef readonly Process process
    cdef readonly Kernel kernel
    cdef bint is_hub              # the driver's program: it has no fiber, and where it waits the loop runs
    cdef object context           # its contextvars.Context
    cdef list fibers              # of the tasks on its stack, outermost first
    cdef object job               # for the fiber just added
    cdef Call* awaited            # what the innermost fiber waits for
    cdef Awaited awaits
    cdef Wake wakes               # see wait_until_woken
    cdef uint64_t token           # of the time at which it goes on anyway
    cdef readonly uint64_t n_costs    # how often it has spent time
    cdef readonly uint64_t n_waits    # how often it has given way
    cdef uint64_t n_costs_before  # when its task last reported an item
    cdef uint64_t n_waits_before
    cdef bint to_interrupt        # KeyboardInterrupt is raised in it when it goes on
    cdef int park(self, uint64_t until_ns) except -1
    cdef int nest(self, object job) except -1
    cdef int begin(self, object job) except -1
    cdef int sleep(self, uint64_t duration_ns) except -1
    cdef int await_call(self, Call* call, uint64_t until_ns) except -1
    cdef int await_arrived(self, Awaited what, uint64_t until_ns) except -1
    cdef int wake(self) except -1
    cdef bint wait_until_woken(self, uint64_t until_ns) except -1

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident() nogil

cdef inline bint is_caller(Kernel kernel):
    """Whether it is this simulation's code that calls."""
    return kernel is not None and PyThread_get_thread_ident() == kernel.thread

cdef uint64_t stream_seed(uint64_t seed, uint64_t stream) noexcept nogil
