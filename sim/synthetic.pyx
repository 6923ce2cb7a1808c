"""Synthetic tasks: a graph of them without a line of Python in it, for runs of millions.

The driver submits branches; a branch is a task that submits all others, row by row, a task for each of its lanes. Each
takes what the one before it in its lane gave, and some also what the one before in the next lane gave, lets a drawn
time pass, and gives a number of its own and the sum of what it took. A branch keeps two rows under way, and gives the
sum of the last, which depends on every task; `expected` is what a serial run gives.

Nodes, workers, messages and faults are those of any program. Only what a worker does with a task is not its own code,
but a Script's.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, blob_data, blob_drop, ENVELOPE_VERSION, envelope_pickle, EnvelopeHeader, \
    KIND_ARGUMENTS, KIND_VALUE
from raylite._core.ids cimport derive_task, hash_bytes, object_from_bytes, object_id, same_object
from raylite._core.message cimport Cursor, EV_FINISHED, EV_GET, EV_RELEASE, EV_SUBMIT, EV_WAIT, FinishedHeader, \
    GET_LENDS, RunHeader, SubmitHeader, take, take_padded, take_value, ValueRecord, write_padded
from raylite.runtime.inbox cimport inbox_call, inbox_detach, inbox_free_call
from raylite.serialization cimport unpack_memory
from raylite.sim.kernel cimport Process
from raylite.sim.network cimport link_to_node

from raylite.demand import pack_demand
from raylite.serialization import pack

cdef enum:
    STEP_MARK = 0x70657473        # no pickle begins so
    STREAM_GRAPH = 0x68706172
    ONE = 10000                   # of a resource
    TWO_TAKEN = 4                 # one step in so many takes two values
    INT_BYTES = 13                # of a pickled integer
    VALUE_BYTES = sizeof(ValueRecord) + ((sizeof(EnvelopeHeader) + INT_BYTES + 7) & ~7)
    ARGUMENTS_BYTES = sizeof(EnvelopeHeader) + sizeof(Step)

cdef uint64_t VALUE_MASK = (<uint64_t> 1 << 62) - 1
cdef const char* INT_HEAD = b"\x80\x05\x8a\x08"      # pickle's PROTO 5, LONG1 of 8 bytes; they follow, and STOP


# ---- the graph -------------------------------------------------------------------------------------------------

cdef inline uint64_t draw(uint64_t number, uint64_t i) noexcept nogil:
    """What is drawn for step i of a branch: its value, its duration, what it takes."""
    return derive_task(TaskId(number, STREAM_GRAPH), i, 0).lo


cdef inline uint64_t value_of(uint64_t drawn) noexcept nogil:
    return <uint32_t> drawn


cdef inline bint takes_two(uint64_t drawn) noexcept nogil:
    return (drawn >> 32) % TWO_TAKEN == 0


cdef inline uint64_t duration_of(uint64_t drawn, uint64_t mean_ns) noexcept nogil:
    """From half the mean to one and a half times as long."""
    return mean_ns // 2 + (drawn >> 34) % (mean_ns + 1)


def expected(uint64_t number, uint64_t n_tasks, uint64_t n_lanes):
    """What a branch gives, by a serial run."""
    cdef vector[uint64_t] before, row
    cdef uint64_t i, drawn, value, total = 0
    for i in range(n_tasks):
        if i % n_lanes == 0:
            before.swap(row)
            row.clear()
        drawn = draw(number, i)
        value = value_of(drawn)
        if not before.empty():
            value += before[i % n_lanes]
            if takes_two(drawn):
                value += before[(i + 1) % n_lanes]
        row.push_back(value & VALUE_MASK)
    for i in range(row.size()):
        total += row[i]
    for i in range(row.size(), before.size()):
        total += before[i]
    return total & VALUE_MASK


cdef class Graph:
    """What all that run synthetic tasks know. Args: function: the id, 20 bytes, by which those are told from others."""

    def __init__(self, bytes function not None):
        self.function = object_from_bytes(function)
        self.demand = pack_demand({"CPU": ONE})

    def script(self, Process process not None):
        """What runs them in this process."""
        cdef SyntheticScript script = SyntheticScript(process)
        script.graph = self
        script.function = self.function
        return script


def run(client, list branches not None, uint64_t n_lanes, uint64_t mean_ns):
    """Run branches on the simulation that there is, and return what they give.

    Args: client: the driver's; branches: of each its number, how many tasks it has, and its own demand, as bytes;
    n_lanes: how many of the tasks may run at once; mean_ns: how long they take.
    """
    kernel = client.owner.kernel
    function = client.register_function(pack("synthetic tasks have no code"), "synthetic")
    kernel.make_script = Graph(function.binary()).script
    try:
        refs = [client.submit(function, (number, n_tasks, n_lanes, mean_ns), {}, 1, -1, False, demand, b"branch")[0]
                for number, n_tasks, demand in branches]
        return client.get(refs)
    finally:
        kernel.make_script = None


# ---- running it ------------------------------------------------------------------------------------------------

cdef class SyntheticScript(Script):
    """Runs synthetic tasks in a process, one after the other."""

    def __dealloc__(self):
        blob_drop(self.run)

    cdef const Message* message(self) noexcept:
        return <const Message*> blob_data(self.run)

    cdef int attend(self) except -1:
        cdef Process p = self.process
        while not p.ended:
            if self.run == NULL:
                if not p.next_is_scripted():
                    return 0
                self.begin(p.take_run())
            elif p.inbox.closed:
                p.end("exit code 0")
            elif self.call != NULL and self.call.answered:
                self.take_answer()
            elif self.is_over:
                self.finish()
            else:
                return 0
        return 0

    cdef int time_is_over(self) except -1:
        self.is_over = True
        return self.process.attend()

    cdef int begin(self, Blob* run) except -1:
        cdef Cursor c
        cdef const RunHeader* h
        cdef const char* arguments
        if run == NULL or self.process.may_crash():
            blob_drop(run)
            return 0
        self.run = run
        self.busy = True
        self.is_over = False
        self.started_ns = self.kernel.timeline.now_ns
        c = Cursor(blob_data(run) + sizeof(Message), self.message().size, False)
        h = <const RunHeader*> take(&c, sizeof(RunHeader))
        take_padded(&c, 4 * <uint64_t> h.n_gpus)
        take_padded(&c, h.name_size)
        take_padded(&c, h.function_size)
        arguments = take_padded(&c, h.args_size)
        if c.failed:
            raise RuntimeError("a malformed message to run a synthetic task")
        if (<const Step*> envelope_pickle(arguments)).mark == STEP_MARK:
            return self.begin_step(<const Step*> envelope_pickle(arguments), c.data, c.left, h.n_values)
        return self.begin_branch(arguments, h.args_size)

    cdef int begin_step(self, const Step* step, const char* values, uint64_t size, uint64_t count) except -1:
        cdef Cursor c = Cursor(values, size, False)
        cdef const char* body = NULL
        cdef uint64_t taken
        self.value = step.value
        for _ in range(count):
            if take_value(&c, &body) == NULL:
                raise RuntimeError("a malformed value for a synthetic task")
            memcpy(&taken, envelope_pickle(body) + 4, 8)
            self.value += taken
        self.value &= VALUE_MASK
        return self.wait(self.process.slowed(step.duration_ns))

    cdef int begin_branch(self, const char* arguments, uint64_t size) except -1:
        (number, n_tasks, n_lanes, mean_ns), _, _ = unpack_memory(arguments, size, None)
        self.branch = Branch(number, n_tasks, n_lanes, mean_ns)
        self.n_submitted = 0
        self.older.clear()
        self.newer.clear()
        self.submit_row()
        return self.go_on()

    # ---- a branch ----------------------------------------------------------------------------------------------

    cdef int go_on(self) except -1:
        """All rows but the last are done: submit one more, and wait for the one before; or collect what they gave."""
        if self.n_submitted < self.branch.n_tasks:
            self.submit_row()
        if self.n_submitted < self.branch.n_tasks:
            return self.ask(EV_WAIT, self.older.size())
        while self.newer.size() < self.older.size():
            self.newer.push_back(self.older[self.newer.size()])       # of a lane that the last row does not have
        for i in range(self.older.size()):
            if not same_object(self.older[i], self.newer[i]):
                self.release(self.older[i])
        return self.ask(EV_GET, 0)

    cdef int submit_row(self) except -1:
        cdef uint64_t end = min(self.n_submitted + self.branch.n_lanes, self.branch.n_tasks)
        self.older.swap(self.newer)
        self.newer.clear()
        while self.n_submitted < end:
            self.submit_step(self.n_submitted)
            self.n_submitted += 1
        return 0

    cdef int submit_step(self, uint64_t i) except -1:
        cdef uint64_t drawn = draw(self.branch.number, i), n_lanes = self.branch.n_lanes
        cdef char buffer[512]
        cdef SubmitHeader* h = <SubmitHeader*> buffer
        cdef ObjectId* refs = <ObjectId*> (buffer + sizeof(SubmitHeader))
        cdef EnvelopeHeader* envelope
        cdef Step* step
        cdef char* at
        cdef ObjectId id = object_id(derive_task(self.message().object.task, i, 0), 0)
        memset(buffer, 0, sizeof(buffer))
        h.function = self.graph.function
        h.parent = self.message().object.task
        h.n_returns = 1
        h.max_retries = -1
        h.demand_size = <uint32_t> len(self.graph.demand)
        h.args_size = ARGUMENTS_BYTES
        if not self.older.empty():
            refs[0] = self.older[i % n_lanes]
            refs[1] = self.older[(i + 1) % n_lanes]
            h.n_refs = 1 + (takes_two(drawn) and n_lanes > 1)
        at = write_padded(<char*> (refs + h.n_refs), self.graph.demand, h.demand_size)
        envelope = <EnvelopeHeader*> at
        memset(envelope, 0, sizeof(EnvelopeHeader))
        envelope.version = ENVELOPE_VERSION
        envelope.kind = KIND_ARGUMENTS
        envelope.pickle_size = sizeof(Step)
        envelope.size = ARGUMENTS_BYTES
        step = <Step*> (at + sizeof(EnvelopeHeader))
        step.mark = STEP_MARK
        step.value = value_of(drawn)
        step.duration_ns = duration_of(drawn, self.branch.mean_ns)
        at += align8(ARGUMENTS_BYTES)
        h.digest = hash_bytes(buffer, at - buffer, 0).lo
        self.newer.push_back(id)
        return self.send(EV_SUBMIT, id, 0, 0, buffer, at - buffer)

    cdef int ask(self, int kind, uint64_t aux) except -1:
        """Get the values of the last row, or wait for the one before."""
        cdef const vector[ObjectId]* refs = &self.newer if kind == EV_GET else &self.older
        self.call = inbox_call(self.process.inbox, <uint32_t> refs.size() if kind == EV_GET else 0, 0)
        return self.send(kind, object_id(self.message().object.task, 0), self.call.id, aux,
                         <const char*> refs.data(), refs.size() * sizeof(ObjectId))

    cdef int take_answer(self) except -1:
        cdef Call* call = self.call
        cdef bint is_last = not call.slots.empty(), failed = call.failed
        cdef uint64_t taken
        cdef size_t i
        self.call = NULL
        for i in range(call.slots.size() if not failed else 0):
            memcpy(&taken, envelope_pickle(blob_data(call.slots[i].blob)) + 4, 8)
            self.value = ((self.value if i else 0) + taken) & VALUE_MASK
        inbox_detach(self.process.inbox, call, True)
        inbox_free_call(call)
        if failed:
            raise RuntimeError("a synthetic task has failed")
        for id in self.newer if is_last else self.older:
            self.release(id)
        return self.finish() if is_last else self.go_on()

    cdef int release(self, ObjectId id) except -1:
        return self.send(EV_RELEASE, id, 0, 0, NULL, 0)

    # ---- what every task does ----------------------------------------------------------------------------------

    cdef int finish(self) except -1:
        cdef char buffer[256]
        cdef FinishedHeader* h = <FinishedHeader*> buffer
        cdef ValueRecord* record = <ValueRecord*> (buffer + sizeof(FinishedHeader))
        cdef EnvelopeHeader* envelope = <EnvelopeHeader*> (record + 1)
        cdef char* pickle = <char*> (envelope + 1)
        if self.process.may_crash():
            return 0
        memset(buffer, 0, sizeof(buffer))
        h.start_ns = self.started_ns
        h.end_ns = self.kernel.timeline.now_ns
        h.n_values = 1
        record.kind = envelope.kind = KIND_VALUE
        record.where.size = envelope.size = sizeof(EnvelopeHeader) + INT_BYTES
        envelope.version = ENVELOPE_VERSION
        envelope.pickle_size = INT_BYTES
        memcpy(pickle, INT_HEAD, 4)
        memcpy(pickle + 4, &self.value, 8)
        pickle[12] = 46               # STOP
        self.send(EV_FINISHED, object_id(self.message().object.task, 0), 0, 0, buffer,
                  sizeof(FinishedHeader) + VALUE_BYTES)
        blob_drop(self.run)
        self.run = NULL
        self.busy = False
        return 0

    cdef int send(self, int kind, ObjectId object, uint64_t request, uint64_t aux, const char* payload,
                  uint64_t size) except -1:
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.kind = <unsigned char> kind
        m.flags = GET_LENDS if kind == EV_GET or kind == EV_WAIT else 0
        m.attempt = 0 if kind == EV_SUBMIT else self.message().attempt
        m.job = self.process.inbox.job
        m.object = object
        m.request = request
        m.aux = aux
        m.size = <uint32_t> size
        link_to_node(&self.process.link, &m, payload, True)
        return 0
