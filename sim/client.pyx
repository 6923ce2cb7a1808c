"""The client of a virtual process: the runtime's own, but that who waits gives way to the kernel.

Every call is a point where a worker may crash. Functions are known by the order of their registration, not by the hash
of their pickle, which differs from run to run where sets of strings or classes of `__main__` are in it.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset
from raylite._core.ids cimport TaskId
from raylite._core.message cimport EV_CHECKPOINT, EV_DECLINED, Message
from raylite.runtime.client cimport Mapping, Run
from raylite.runtime.task_context cimport TaskContext
from raylite.runtime.inbox cimport Call, Inbox, inbox_close, inbox_forget, inbox_free, inbox_has_task
from raylite.runtime.native cimport getpid
from raylite.serialization cimport Packed
from raylite.sim.kernel cimport AWAITS_ARRIVED, AWAITS_MESSAGES, Process, Thread
from raylite.sim.network cimport link_flush_soon, link_to_node
from raylite.sim.timeline cimport NEVER

import sys
from functools import partial

from raylite.runtime.watcher import deliver
from raylite.sim.function_keys import function_key

cdef enum:
    IDLE_RARELY = 3               # a worker that dies before it begins a task uses up no attempt

cdef extern from *:
    """
    template <typename T> static T *raylite_sim_new(T *) { return new T(); }
    """
    Inbox* raylite_sim_new(Inbox*) nogil


cdef class SimulatedClient(Client):
    """Args: number: of the client at its node; job: number; node: the node's id, 16 bytes; root: 16 bytes, the id
    under which code outside tasks submits; is_driver: or a worker; memory: the node's segments; functions: a dict
    shared by all clients of the job."""

    def __cinit__(self):
        self.inbox = raylite_sim_new(<Inbox*> NULL)
        self.inbox.notice_event = -1

    def __init__(self, uint32_t number, uint32_t job, bytes node not None, bytes root not None, bint is_driver,
                 Memory memory not None, dict functions not None):
        self.node = node
        self.inbox.client = number
        self.inbox.job = job
        self.inbox.send = link_to_node
        self.inbox.wake = link_flush_soon
        self.process = getpid()
        self.root = TaskContext.of(root, "driver" if is_driver else "worker", 0, (), is_driver)
        self.watched = {}
        self.is_worker = not is_driver
        self.memory = memory
        self.functions = functions

    def join(self, Process owner not None):
        """This is the client of that process."""
        self.owner = owner
        self.inbox.link = &owner.link

    def close(self):
        """The process or the simulation is over: references that outlive it have nobody to tell."""
        inbox_close(self.inbox)
        inbox_forget(self.inbox)
        self.inbox.wake = NULL
        self.inbox.link = NULL

    def __dealloc__(self):
        if self.inbox != NULL:
            inbox_free(self.inbox)

    def usable(self):
        """As Client.usable(); in a worker also a point where it may crash."""
        self.owner.kernel.check_thread()
        self.owner.crash_point()
        Client.usable(self)

    # ---- waiting -----------------------------------------------------------------------------------------------

    cdef int await_call(self, Call* call, int64_t timeout_ns) except -1:
        cdef uint64_t until_ns = NEVER
        cdef int result
        if timeout_ns >= 0:
            until_ns = self.owner.kernel.timeline.now_ns + <uint64_t> timeout_ns
        while True:
            result = self.owner.kernel.caller().await_call(call, until_ns)
            if result != 2:
                return result
            self.run_in_place(call)

    cdef int run_in_place(self, Call* call) except -1:
        """Run a task that the waiting one needs, on top of it."""
        cdef Run run = Run.__new__(Run)
        run.client = self
        run.blob = call.in_place.back()
        call.in_place.pop_back()
        run.parse()
        self.owner.kernel.caller().nest(partial(self.run_task, run))
        return 0

    def watch(self, list refs not None, callback):
        """As Client.watch(). An event loop collects what arrives itself; elsewhere a virtual thread does. Where locks
        are left as they are, so that waiting for a future would stop the simulation, waits for the values first."""
        asyncio = sys.modules.get("asyncio.events")
        has_loop = asyncio is not None and asyncio._get_running_loop() is not None
        if has_loop or self.owner.kernel.virtual_time:
            Client.watch(self, refs, callback)
            if not (has_loop or self.is_watched):
                self.is_watched = True
                self.owner.start_thread(self.collect_watched)
            return
        try:
            values = self.get(refs)
        except Exception as error:
            callback(None, error)
        else:
            callback(values, None)

    def collect_watched(self):
        """A thread: complete futures while there are any."""
        try:
            while self.watched:
                self.await_arrived(-1)
                deliver(self)
        finally:
            self.is_watched = False

    def await_arrived(self, double timeout_s):
        """Wait until collect_arrived() has something, or for so many seconds (below 0: no limit). Where an actor's
        event loop waits, also until tasks or notices have come."""
        cdef Thread caller = self.owner.kernel.caller()
        cdef bint is_loop = self.owner.on_message is not None and caller is self.owner.main
        cdef uint64_t until_ns = NEVER
        if timeout_s >= 0:
            until_ns = self.owner.kernel.timeline.now_ns + <uint64_t> (timeout_s * 1e9)
        caller.await_arrived(AWAITS_MESSAGES if is_loop else AWAITS_ARRIVED, until_ns)

    # ---- values ------------------------------------------------------------------------------------------------

    cdef Mapping* mapping(self, uint32_t segment, bint writable) except NULL:
        cdef Mapping* m = self.memory.find(segment)
        if m == NULL:
            raise RuntimeError(f"there is no arena segment {segment}")
        return m

    cdef TaskId function_id(self, Packed packed):
        return TaskId(0, self.functions.setdefault(function_key(packed.pickle), len(self.functions) + 1))

    # ---- running (workers) -------------------------------------------------------------------------------------

    def next_run(self):
        """The next task to run, None if there is none now, False if a notice is to be taken first."""
        cdef Run run
        while inbox_has_task(self.inbox) and not self.owner.next_is_scripted():
            self.owner.crash_point(IDLE_RARELY)
            run = Run.__new__(Run)
            run.client = self
            run.blob = self.inbox.runs.front()
            self.inbox.runs.pop_front()
            run.parse()
            run.declined = not self.begin(run.message())
            if not run.declined or run.brings_function():
                self.owner.crash_point()
                return run
        return None if self.inbox.runs.empty() or self.inbox.notices.empty() else False

    def take_runs(self):
        """As Client.take_runs()."""
        self.owner.crash_point()
        return Client.take_runs(self)

    cdef bint begin(self, Message* m):
        """See SimulatedHost.recall."""
        cdef Message declined
        cdef uint64_t position = m.request
        if position == 0:
            return True
        self.owner.link.started = position
        if position < self.owner.link.recall_from or position >= self.owner.link.recall_to:
            return True
        memset(&declined, 0, sizeof(Message))
        declined.kind = EV_DECLINED
        declined.object = m.object
        declined.attempt = m.attempt
        declined.request = position
        self.post(&declined, NULL)
        return False

    def yielded(self, Run run not None, uint32_t index, bytes record not None):
        """As Client.yielded(), once the item has taken its time."""
        self.owner.spend_on_item()
        self.owner.crash_point()
        Client.yielded(self, run, index, record)

    def finish(self, Run run not None, list records not None, uint64_t start_ns, uint64_t end_ns, int flags,
               uint32_t n_yielded=0):
        """As Client.finish()."""
        self.owner.crash_point()
        Client.finish(self, run, records, start_ns, end_ns, flags, n_yielded)

    def tell(self, int kind, bytes payload=b"", *, bytes task=None, uint64_t request=0):
        """As Client.tell()."""
        if kind == EV_CHECKPOINT:
            self.owner.crash_point()
        Client.tell(self, kind, payload, task=task, request=request)

    def has_messages(self):
        """Whether take_runs() or collect() would bring anything, or the node has ended the process."""
        return self.owner.has_messages()

    def has_notices(self):
        """Whether collect() would bring anything."""
        return not self.inbox.notices.empty() or not self.inbox.arrived.empty()

    def poll(self):
        """All that has come is there already."""
