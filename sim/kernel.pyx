"""The simulator's kernel: virtual time, and whose code runs in it.

One thread of the interpreter's. The driver's greenlet runs the loop whenever the program waits; tasks run in pooled
greenlets ("fibers") which give way to it, never to each other. A virtual process has a main thread, and as many others
as its actor runs calls at once. Each is a stack of fibers: one for its task, and one more for each task that runs in
place of the one that waits for it, of which only the innermost can go on. All chance comes from seeded streams.

What a fiber may meet when it goes on: its process has ended (ProcessEnded, from every call from then on), or the node
cancels its task (KeyboardInterrupt, once).
"""
from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memset
from raylite._core.envelope cimport blob_data, blob_drop
from raylite._core.ids cimport derive_task, same_object, TaskId
from raylite._core.message cimport EV_DETACH, Message, RunHeader
from raylite._core.rng cimport rng_below, rng_next
from raylite.runtime.inbox cimport inbox_close
from raylite.sim.fault_draws cimport FAULT_WORKER_CRASH
from raylite.sim.machine cimport FULL_SPEED
from raylite.sim.network cimport link_report
from raylite.sim.thread_state cimport leave_thread_state, return_to_thread_state
from raylite.sim.timeline cimport Event, NEVER, START_NS, timeline_clear, timeline_plan, timeline_take

import gc
import os
import sys
from _contextvars import Context
from _thread import get_ident

from greenlet import getcurrent, greenlet

from raylite.runtime.client import current_task, set_current_client
from raylite.sim.errors import ProcessEnded

cdef enum:
    READING_NS = 1000             # reading the clock takes so long: a loop that waits for a time ends
    SIGNAL_PERIOD = 64            # events
    YOUNG_PERIOD = 4096           # events between collections of young garbage
    FULL_PERIOD = 262144          # and of all
    IDLE_MOST = 16                # background events in a row that brought nothing about
    SHORTEST_NS = 10000           # of a task's drawn duration; each of the following is twice as long, and as likely
    DOUBLINGS = 11
    LONGEST_S = 9000000000        # of one sleep


cdef uint64_t stream_seed(uint64_t seed, uint64_t stream) noexcept nogil:
    """The seed of one stream of draws."""
    return derive_task(TaskId(seed, stream), 0, 0).lo


cdef bint answered(void* call) noexcept nogil:
    return (<Call*> call).answered


cdef bint has_arrived(void* wakes) noexcept nogil:
    return (<Wake*> wakes).called or not (<Wake*> wakes).inbox.arrived.empty()


cdef bint never(void* nothing) noexcept nogil:
    return False


cdef bint is_called(void* wakes) noexcept nogil:
    return (<Wake*> wakes).called


cdef int go_on(void* target, void* event) except -1:
    """An event: what somebody waited for is a time, and it has come."""
    return (<Kernel> target).wake((<Event*> event).token)


cdef int unwind(void* target, void* event) except -1:
    """An event: processes have ended."""
    return (<Kernel> target).unwind_ending()


cdef class Kernel:
    """Args: seed: of everything; faults: what goes wrong."""

    def __init__(self, uint64_t seed, FaultDraws faults not None):
        self.seed = seed
        self.timeline.now_ns = START_NS
        self.thread = get_ident()
        self.hub = getcurrent()
        self.spare = []
        self.parked = {}
        self.ending = []
        self.durations.state = stream_seed(seed, STREAM_DURATIONS)
        self.faults = faults
        self.alarm_ns = NEVER

    def __dealloc__(self):
        timeline_clear(&self.timeline)

    @property
    def now_ns(self):
        """Virtual time, from START_NS."""
        return self.timeline.now_ns

    @property
    def start_ns(self):
        """Virtual time at the start."""
        return <uint64_t> START_NS

    @property
    def elapsed_s(self):
        """Virtual seconds since the start."""
        return self.seconds(self.timeline.now_ns)

    def seconds(self, uint64_t time_ns):
        """Virtual seconds from the start to a time."""
        return (time_ns - START_NS) / 1e9

    @property
    def in_task(self):
        """Whether it is a task's code that runs."""
        return self.running is not None

    cdef uint64_t read_clock(self):
        """Virtual time, for user code."""
        self.timeline.now_ns += READING_NS
        return self.timeline.now_ns

    # ---- the loop ----------------------------------------------------------------------------------------------

    cdef int run(self, done_function done, void* what, uint64_t until_ns) except -1:
        """Let things happen until done(what): 1; until it is `until_ns`: 0; until nothing can happen any more: 2."""
        cdef Event event
        self.hub = getcurrent()
        state = leave_thread_state()
        try:
            while not done(what):
                if until_ns == NEVER and self.timeline.n_foreground == 0 and self.n_idle >= IDLE_MOST \
                        and self.timeline.now_ns - self.active_ns >= self.patience_ns:
                    return 2
                if not timeline_take(&self.timeline, until_ns, &event):
                    if until_ns == NEVER:
                        return 2
                    if until_ns > self.timeline.now_ns:
                        self.timeline.now_ns = until_ns
                    return 0
                if event.background:
                    self.n_idle += 1
                else:
                    self.n_idle = 0
                    self.active_ns = self.timeline.now_ns
                event.handle(event.target, &event)
                self.after_event()
            return 1
        finally:
            self.enter(self.driver)
            return_to_thread_state(state)

    cdef int run_or_explain(self, done_function done, void* what, uint64_t until_ns) except -1:
        """As run(), for the driver's program, which is told if nothing can happen any more."""
        cdef int result = self.run(done, what, until_ns)
        while result == 2:
            if self.outside is None or not self.outside():
                raise self.explain()
            result = self.run(done, what, until_ns)
        return result

    cdef int after_event(self) except -1:
        self.n_handled += 1
        if self.n_handled % SIGNAL_PERIOD == 0:
            PyErr_CheckSignals()
        if self.n_handled % YOUNG_PERIOD == 0:
            self.collect_garbage()
        if self.timeline.now_ns >= self.alarm_ns:
            self.ring()
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        if self.failure is not None:
            error, self.failure = self.failure, None
            raise error
        return 0

    def set_alarm(self, double after_s, call):
        """Have call() called at the first event after so many virtual seconds, in place of what was to be called.
        For an alarm alone no time passes."""
        self.alarm_ns = self.timeline.now_ns + <uint64_t> (after_s * 1e9)
        self.alarm = call

    cdef int ring(self) except -1:
        call, self.alarm, self.alarm_ns = self.alarm, None, NEVER
        call()
        return 0

    cdef int collect_garbage(self) except -1:
        """Automatic collection is off: where it would come depends on all that the process did before."""
        gc.collect(2 if self.n_handled % FULL_PERIOD == 0 else 1)
        return 0

    def settle(self):
        """Let things happen until nothing can any more."""
        self.run(never, NULL, NEVER)

    cdef int advance(self, uint64_t duration_ns) except -1:
        """The driver's program lets time pass."""
        self.run(never, NULL, self.timeline.now_ns + duration_ns)
        return 0

    def pass_time(self, uint64_t duration_ns):
        """Let virtual time pass, whoever calls: for what has no driver."""
        self.advance(duration_ns)

    def sleep(self, double seconds):
        """Let virtual time pass for whoever calls. Raises ValueError for a negative time,
        OverflowError for too long."""
        if not seconds >= 0:
            raise ValueError("sleep length must be non-negative")
        if seconds > LONGEST_S:
            raise OverflowError("timestamp too large to convert to C PyTime_t")
        self.caller().sleep(<uint64_t> (seconds * 1e9))

    def work(self, double seconds):
        """As sleep(), but longer on a slow machine."""
        if 0 < seconds <= LONGEST_S:
            seconds = self.caller().process.slowed(<uint64_t> (seconds * 1e9)) / 1e9
        self.sleep(seconds)

    # ---- whose code runs ---------------------------------------------------------------------------------------

    cdef Thread caller(self):
        """The thread whose code runs."""
        return self.running if self.running is not None else self.driver.main

    def calling_thread(self):
        """The thread whose code runs."""
        return self.caller()

    cdef int enter(self, Process p) except -1:
        """From here on code of this process runs."""
        if self.current is p:
            return 0
        if self.current is not None and self.current.environment:
            exchange_environment(self.current)
        self.current = p
        if p.environment:
            exchange_environment(p)
        set_current_client(p.client)
        return 0

    cdef int resume(self, Thread t) except -1:
        """Let the innermost task of a thread go on, and the outer ones as the inner end, until one gives way."""
        cdef list fibers = t.fibers
        self.enter(t.process)
        while fibers:
            fiber = fibers[-1]
            self.running = t
            if t.job is None:
                ended = fiber.switch()
            elif t.process.ended:
                t.job, ended = None, True     # it never began
            else:
                job, t.job = t.job, None
                ended = fiber.switch(t, job)
            self.running = None
            if ended:
                fibers.pop()
                self.spare.append(fiber)
            elif fibers[-1] is fiber:
                return 0
        return t.process.thread_ended(t)

    cdef int plan_resume(self, Thread t, uint64_t at_ns) except -1:
        """Have the thread go on at a time; of several plans for one thread the last counts."""
        cdef Event event
        self.last_token += 1
        t.token = self.last_token
        self.parked[t.token] = t
        memset(&event, 0, sizeof(Event))
        event.handle = go_on
        event.target = <void*> self
        event.token = t.token
        timeline_plan(&self.timeline, at_ns, &event)
        return 0

    cdef int wake(self, uint64_t token) except -1:
        t = self.parked.pop(token, None)
        if isinstance(t, Script):
            return 0 if (<Script> t).process.ended else (<Script> t).time_is_over()
        if t is not None and (<Thread> t).token == token:
            (<Thread> t).token = 0
            self.resume(t)
        return 0

    cdef int unwind_ending(self) except -1:
        while self.ending:
            self.unwind(self.ending.pop(0))
        return 0

    def unwind(self, Process p not None):
        """Let the code of a process that has ended run to its end. For the loop, or the driver's program."""
        if self.running is None:
            self.hub = getcurrent()
            for t in (p.main, *p.threads):
                if (<Thread> t).fibers:
                    self.resume(t)
            self.enter(self.driver)

    cdef object take_fiber(self):
        return self.spare.pop() if self.spare else greenlet(self._live)

    def _live(self, Thread t, job):
        """The life of a fiber: one job after another."""
        while True:
            try:
                (t.context if len(t.fibers) == 1 else t.context.copy()).run(job)
            except SystemExit as error:
                if t.process.is_driver and not t.process.ended:
                    self.failure = error
                else:
                    t.process.end(exit_text(error.code))
            except BaseException as error:
                if not t.process.ended:  # who dies in the middle of something leaves it as it is
                    self.failure = error
            job = None
            t, job = self.hub.switch(True)

    def close(self):
        """End the fibers. No process has any left."""
        self.hub = getcurrent()
        while self.spare:
            fiber = self.spare.pop()
            fiber.parent = self.hub
            fiber.throw()
        self.ending.clear()
        self.parked.clear()
        timeline_clear(&self.timeline)
        self.alarm = None

    def check_thread(self):
        """Raise RuntimeError unless this is the thread that the simulation runs in."""
        if get_ident() != self.thread:
            raise RuntimeError("a simulation runs in one thread, so that it can be repeated: raylite cannot be called "
                               "from another one. Use tasks in place of threads.")


cdef class Process:
    """A virtual process: a driver or a worker. Args: number: its number at the node; client: its Client."""

    def __init__(self, Kernel kernel not None, uint32_t number, Client client not None, bint is_driver, tuple gpus=()):
        self.kernel = kernel
        self.number = number
        self.client = client
        self.inbox = client.inbox
        self.is_driver = is_driver
        self.gpus = gpus
        self.threads = {}
        self.main = Thread(self)
        self.main.is_hub = is_driver
        if is_driver:
            kernel.driver = self

    @property
    def pid(self):
        """Its process id, as messages name it."""
        return 1000 + self.number

    @property
    def busy(self):
        """Whether any code of its runs, or waits."""
        return bool(self.main.fibers or self.threads)

    def start_thread(self, job):
        """Run job() in a thread of its own, from this time on."""
        cdef Thread t = Thread(self)
        t.fibers.append(self.kernel.take_fiber())
        t.job = job
        self.threads[t] = None
        self.kernel.plan_resume(t, self.kernel.timeline.now_ns)

    cdef int thread_ended(self, Thread t) except -1:
        """A thread has nothing left to do."""
        if t is not self.main:
            self.threads.pop(t, None)
        elif self.ended:
            return 0
        elif self.inbox.closed:
            self.end("exit code 0")
        elif self.next_is_scripted():
            self.attend()
        return 0

    cdef int attend(self) except -1:
        """Something has come: let go on whom that lets."""
        cdef Thread t
        if self.script is not None and self.script.busy:
            self.script.attend()
            if self.ended or self.script.busy:
                return 0
        for each in (self.main, *self.threads) if self.threads else (self.main,):
            t = each
            if t.awaited != NULL:
                if t.awaited.answered or not t.awaited.in_place.empty():
                    self.kernel.resume(t)
            elif t.awaits:
                if not self.inbox.arrived.empty() or (t.awaits == AWAITS_MESSAGES and self.has_messages()):
                    self.kernel.resume(t)
        if self.is_driver or self.main.fibers or self.ended:
            return 0
        if not self.inbox.closed and not self.inbox.runs.empty():
            if self.next_is_scripted():
                self.script.attend()
                if self.ended or self.script.busy:
                    return 0
            if not self.inbox.runs.empty():
                self.main.begin(self.worker.serve)
        if not self.main.fibers and not self.ended:
            if not self.inbox.notices.empty():
                self.kernel.enter(self)
                self.worker.take_notices()
            if self.inbox.closed:
                self.end("exit code 0")
        return 0

    cdef bint has_messages(self):
        return self.inbox.closed or not self.inbox.runs.empty() or not self.inbox.notices.empty()

    cdef bint asleep(self):
        """Whether a thread of it lets time pass by its own wish."""
        for t in (self.main, *self.threads):
            if (<Thread> t).token and (<Thread> t).awaited == NULL:
                return True
        return False

    cdef int interrupt(self) except -1:
        """Raise KeyboardInterrupt where the task waits."""
        self.main.to_interrupt = True
        return self.kernel.resume(self.main)

    cdef int crash_point(self, int rarely=0) except -1:
        """A place where a worker may die, and then raises ProcessEnded; rarely: see may_crash."""
        if self.ended:
            raise ProcessEnded if self.lost is None else self.lost
        if not self.is_driver and self.may_crash(rarely):
            raise ProcessEnded
        return 0

    cdef bint may_crash(self, int rarely=0) except -1:
        """Whether it dies here; rarely: as many times halved is the likelihood."""
        cdef int64_t number = self.kernel.faults.strikes(FAULT_WORKER_CRASH, rarely)
        if number < 0:
            return False
        self.kernel.faults.note(FAULT_WORKER_CRASH, number, self.kernel.timeline.now_ns, (self.node, self.number))
        self.end("signal 9")
        return True

    # ---- tasks without code ------------------------------------------------------------------------------------

    cdef bint next_is_scripted(self) except -1:
        """Whether the next task that it is to run is its script's."""
        if self.ended or self.inbox.runs.empty():
            return False
        if self.script is None:
            if self.kernel.make_script is None:
                return False
            self.script = self.kernel.make_script(self)
        return same_object((<const RunHeader*> (blob_data(self.inbox.runs.front()) + sizeof(Message))).function,
                           self.script.function)

    cdef Blob* take_run(self) except? NULL:
        """The next task to run: Message, payload; NULL if it is not to be run (see SimulatedClient.begin)."""
        cdef Blob* run = self.inbox.runs.front()
        self.inbox.runs.pop_front()
        if self.client.begin(<Message*> blob_data(run)):
            return run
        blob_drop(run)
        return NULL

    def end_code(self):
        """Nothing of it runs any more; what outlives it, as a handle in a module, keeps none of its code."""
        self.client.close()
        self.client.run_task = None
        self.client.worker = None
        self.worker = self.script = None
        if not self.is_driver:
            self.let_go()

    def let_go(self):
        """Its client lives as long as others have references or values that are the client's."""
        self.client = None

    def end(self, str why not None):
        """The process is gone, as from one instant to the next; what it has sent still arrives.

        Its code unwinds: that which runs by what its next call raises, that which waits soon after.
        """
        cdef Message m
        cdef Event event
        cdef bytes text = why.encode()
        if self.ended:
            return
        self.ended = True
        if self.kernel.recorder is not None:
            self.kernel.recorder.process_ended(self, why)
        inbox_close(self.inbox)
        memset(&m, 0, sizeof(Message))
        m.kind = EV_DETACH
        m.request = self.link.started
        m.size = <uint32_t> len(text)
        link_report(&self.link, &m, text)
        if not self.threads and (not self.main.fibers or self.kernel.running is self.main):
            return
        self.kernel.ending.append(self)
        memset(&event, 0, sizeof(Event))
        event.handle = unwind
        event.target = <void*> self.kernel
        timeline_plan(&self.kernel.timeline, self.kernel.timeline.now_ns, &event)

    # ---- time: of the thread that calls ------------------------------------------------------------------------

    def spend(self):
        """Let pass what a task takes that says nothing of its duration: a seeded draw."""
        cdef uint64_t draw = rng_next(&self.kernel.durations)
        cdef uint64_t base = SHORTEST_NS << (draw % DOUBLINGS)
        self.kernel.caller().sleep(self.slowed(base + rng_below(&self.kernel.durations, base)))

    cdef uint64_t slowed(self, uint64_t duration_ns) noexcept:
        """How long work takes here that takes so long on a machine that is as it should be."""
        return duration_ns * self.link.slowness[0] // FULL_SPEED if self.link.slowness != NULL else duration_ns

    def spend_on_item(self):
        """The same for an item of a stream."""
        cdef Thread t = self.kernel.caller()
        if t.n_costs == t.n_costs_before and (self.on_message is None or t.n_waits == t.n_waits_before):
            self.spend()
        t.n_costs_before = t.n_costs
        t.n_waits_before = t.n_waits


cdef class Thread:
    """A thread of a virtual process. Args: process: whose."""

    def __init__(self, Process process not None):
        self.process = process
        self.kernel = process.kernel
        self.wakes.inbox = process.inbox
        self.context = Context()
        self.fibers = []

    @property
    def frame(self):
        """Where its code waits; None if it is the driver's program."""
        return self.fibers[-1].gr_frame if self.fibers else None

    @property
    def task(self):
        """The TaskContext of the task that waits; None if there is none."""
        return self.fibers[-1].gr_context.copy().run(current_task) if self.fibers else None

    cdef int begin(self, object job) except -1:
        """The thread has been idle: run job() in it."""
        self.fibers.append(self.kernel.take_fiber())
        self.job = job
        return self.kernel.resume(self)

    cdef int nest(self, object job) except -1:
        """Run job() in this thread, on top of the task that calls; returns when it has ended."""
        self.fibers.append(self.kernel.take_fiber())
        self.job = job
        return self.park(NEVER)

    cdef int park(self, uint64_t until_ns) except -1:
        """Give way, until somebody resumes this thread, or it is `until_ns`."""
        if self.process.ended:
            raise ProcessEnded
        if until_ns != NEVER:
            self.kernel.plan_resume(self, until_ns)
        self.n_waits += 1
        state = leave_thread_state()
        self.kernel.hub.switch(False)
        return_to_thread_state(state)
        self.token = 0
        if self.process.ended:
            raise ProcessEnded
        if self.to_interrupt:
            self.to_interrupt = False
            raise KeyboardInterrupt
        return 0

    # ---- waiting -----------------------------------------------------------------------------------------------

    cdef int sleep(self, uint64_t duration_ns) except -1:
        """Let virtual time pass."""
        self.n_costs += 1
        if self.is_hub:
            self.kernel.advance(duration_ns)
            self.kernel.slept_ns = self.kernel.timeline.now_ns
            return 0
        cdef uint64_t until_ns = self.kernel.timeline.now_ns + duration_ns
        while self.kernel.timeline.now_ns < until_ns:
            self.park(until_ns)
        self.kernel.slept_ns = until_ns
        return self.process.crash_point()

    cdef int await_call(self, Call* call, uint64_t until_ns) except -1:
        """Wait for an answer (1), for a task to be run in place (2), or for a time (0)."""
        if self.is_hub:
            return self.kernel.run_or_explain(answered, call, until_ns)
        while True:
            if call.answered:
                return 1
            if not call.in_place.empty():
                return 2
            if self.kernel.timeline.now_ns >= until_ns:
                return 0
            self.awaited = call
            try:
                self.park(until_ns)
            finally:
                self.awaited = NULL

    cdef int await_arrived(self, Awaited what, uint64_t until_ns) except -1:
        """Wait until asynchronous calls are done, or messages have come (1), or for a time (0)."""
        cdef Process p = self.process
        self.wakes.called = False
        if self.is_hub:
            return self.kernel.run_or_explain(has_arrived, &self.wakes, until_ns)
        while p.inbox.arrived.empty() and not (what == AWAITS_MESSAGES and p.has_messages()) and not self.wakes.called:
            if self.kernel.timeline.now_ns >= until_ns:
                self.kernel.slept_ns = self.kernel.timeline.now_ns
                return 0
            self.awaits = what
            try:
                self.park(until_ns)
            finally:
                self.awaits = AWAITS_NOTHING
        return 1

    cdef int wake(self) except -1:
        """Let it go on from where it waits in wait_until_woken() or await_arrived()."""
        self.wakes.called = True
        if not self.is_hub:
            self.kernel.plan_resume(self, self.kernel.timeline.now_ns)
        return 0

    def go_on(self):
        """As wake()."""
        self.wake()

    cdef bint wait_until_woken(self, uint64_t until_ns) except -1:
        """Wait for wake() (True), or for a time (False)."""
        self.wakes.called = False
        if self.is_hub:
            self.kernel.run_or_explain(is_called, &self.wakes, until_ns)
            return self.wakes.called
        while not self.wakes.called and self.kernel.timeline.now_ns < until_ns:
            self.park(until_ns)
        return self.wakes.called


cdef class Script:
    """What runs tasks of one function in place of Python code. Args: process: whose tasks."""

    def __init__(self, Process process not None):
        self.process = process
        self.kernel = process.kernel

    cdef int attend(self) except -1:
        """Something has come for it: do what can be done."""
        return 0

    cdef int time_is_over(self) except -1:
        """The time that it has waited for."""
        return 0

    cdef int wait(self, uint64_t duration_ns) except -1:
        """Have time_is_over() called after a time, unless the process has ended."""
        cdef Event event
        self.kernel.last_token += 1
        self.kernel.parked[self.kernel.last_token] = self
        memset(&event, 0, sizeof(Event))
        event.handle = go_on
        event.target = <void*> self.kernel
        event.token = self.kernel.last_token
        timeline_plan(&self.kernel.timeline, self.kernel.timeline.now_ns + duration_ns, &event)
        return 0


cdef str exit_text(object code):
    """What the node is told of a process that called sys.exit()."""
    if code is None:
        code = 0
    elif not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    return f"exit code {code & 0xFF}"


cdef int exchange_environment(Process p) except -1:
    """Put the process's own variables in the place of those of the same names, or back."""
    cdef dict others = {}
    for name, value in p.environment.items():
        others[name] = os.environ.get(name)
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    p.environment = others
    return 0
