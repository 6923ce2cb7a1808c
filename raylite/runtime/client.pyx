"""What a process has of the runtime: references, and the calls that get, put, wait and submit make.

The same class serves a driver beside its node and a worker at the end of a ring; they differ in Inbox.send. Locks: the
pump's lock is tried with the GIL held and awaited only without it. The counts of references and the mappings of
segments are guarded by the GIL.
"""
cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cython.operator cimport dereference as deref
from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset
from libcpp.deque cimport deque
from libcpp.vector cimport vector
from raylite._core.envelope cimport align8, blob_data, blob_drop, blob_keep, envelope_pickle, envelope_valid, \
    EnvelopeHeader, KIND_ARGUMENTS, KIND_FUNCTION, KIND_SYSTEM_ERROR, KIND_USER_ERROR
from raylite._core.ids cimport ACTOR_INDEX, derive_task, FUNCTION_INDEX, hash_bytes, object_bytes, object_from_bytes, \
    object_id, PUT_INDEX, task_bytes, task_from_bytes
from raylite._core.message cimport *
from raylite._core.node.resources cimport DemandHeader
from raylite.runtime.inbox cimport inbox_call, inbox_detach, inbox_free_call, inbox_has_task, inbox_lock, \
    inbox_release_later, inbox_send, inbox_take_arrived, inbox_unlock
from raylite.runtime.native cimport close, event_clear, event_set, getpid, map_shared, monotonic_ns, \
    pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_unlock, unmap
from raylite.runtime.pump cimport pump_wait
from raylite.runtime.task_context cimport entered_task
from raylite.serialization cimport BlobBuffer, unpack_blob, unpack_memory


from raylite.call_sites import note_call_site
from raylite.serialization import pack, packing

cdef enum:
    INLINE_MOST = 100 * 1024      # larger values go through the arena
    SIGNAL_CHECK_NS = 1000000000  # a signal that comes just before a wait begins does not end it, so look again

cdef bytes NO_DEMAND = bytes(sizeof(DemandHeader))  # of resources, by a task that another's are for
cdef Client _current = None


cpdef Client current_client():
    """The client of this process (in a simulation: of the virtual process that is running), or None."""
    return _current


cdef bint call_answered(Call* call):
    """Whether the answer came with the call itself, as it does when the node is in this process."""
    return (<volatile bint*> &call.answered)[0]


cdef int kind_of(Blob* envelope):
    return (<EnvelopeHeader*> blob_data(envelope)).kind


cdef int64_t to_ns(double timeout_s):
    return <int64_t> (timeout_s * 1e9) if timeout_s >= 0 else -1


def set_current_client(Client client):
    """Make `client` the one that calls in this process go through; None when there is none any more."""
    global _current
    _current = client


def reset_after_fork():
    """In a child that the user forked: the runtime belongs to the parent, this process has none."""
    global _current
    _current = None


cdef bint call_done(void* call) noexcept nogil:
    return (<Call*> call).answered or not (<Call*> call).in_place.empty()


cdef bint has_work(void* inbox) noexcept nogil:
    return not (<Inbox*> inbox).runs.empty() or not (<Inbox*> inbox).notices.empty() or (<Inbox*> inbox).closed


cdef TaskContext current_context(Client client):
    cdef TaskContext context = entered_task()
    return context if context is not None else client.root


def current_task():
    """The TaskContext of the running task; the driver's own outside tasks; None without a runtime."""
    return current_context(_current) if _current is not None else entered_task()


@cython.no_gc                     # the collector would clear `client` before __dealloc__ needs it
cdef class PinnedBuffer:
    """A read-only view of a value in the arena; the node keeps the bytes until it is gone."""

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, <void*> self.data, <Py_ssize_t> self.size, 1, flags)

    def __dealloc__(self):
        if self.client is None:
            return
        if self.data != NULL:
            self.client.leave_mapping(self.segment)
        if self.client.alive():
            inbox_release_later(self.client.inbox, EV_UNPIN, self.id)


@cython.no_gc
cdef class ObjectRef:
    """A reference to an object: the result of a task, or of put. Counted: the object lives while a reference does."""

    def __init__(self, *args):
        raise TypeError("references are made by put and by remote calls, not by calling ObjectRef")

    def __dealloc__(self):
        if self.client is not None:
            self.client.count_down(self.id)

    def binary(self):
        """The object's id: 20 bytes."""
        return object_bytes(self.id)

    def hex(self):
        """The object's id in hexadecimal."""
        return object_bytes(self.id).hex()

    def task_id(self):
        """The id of the task that makes the object."""
        from raylite.ids import TaskID
        return TaskID(task_bytes(self.id.task))

    def job_id(self):
        """The id of the job that the object belongs to."""
        from raylite.ids import JobID
        if self.client is None:
            raise TypeError("this is not a reference of a program's: it is only good for wait()")
        return JobID.from_int(self.client.inbox.job)

    def is_nil(self):
        """Whether the reference refers to nothing: never."""
        return False

    @staticmethod
    def size():
        """The number of bytes of an id."""
        return 20

    def call_site(self):
        """Where the reference was made: empty, as that is not kept; what Ray says unless told to keep it."""
        return ""

    def owner_address(self):
        """The address of the process that the object belongs to: empty, as it belongs to its node."""
        return b""

    def tensor_transport(self):
        """How tensors in the object travel: None, as all do through the object store."""
        return None

    def future(self):
        """A concurrent.futures.Future that gets the object's value."""
        from raylite.futures import concurrent_future
        return concurrent_future(self)

    def as_future(self):
        """An asyncio future, on the running loop, that gets the object's value."""
        from raylite.futures import asyncio_future
        return asyncio_future(self)

    def __await__(self):
        return self.as_future().__await__()

    def __hash__(self):
        return <Py_hash_t> (self.id.task.lo ^ self.id.index)

    def __eq__(self, other):
        if type(other) is not ObjectRef:
            return NotImplemented
        cdef ObjectId b = (<ObjectRef> other).id
        return self.id.task.hi == b.task.hi and self.id.task.lo == b.task.lo and self.id.index == b.index

    def __repr__(self):
        return f"ObjectRef({self.hex()})"

    def __reduce__(self):
        if self.client is None:
            raise TypeError("this is not a reference of a program's: it is only good for wait()")
        require_alive(self)
        ours = packing()
        if ours is not None:
            ours.refs.append(self)
        else:
            self.client.keep_for_ever(self)
        return _rebuild_ref, (object_bytes(self.id),)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __class_getitem__(cls, item):
        return cls


cdef int require_alive(ObjectRef ref) except -1:
    """Raise RaySystemError if the reference is from a runtime that has been shut down, be there another or not."""
    if ref.client is not _current and ref.client is not None:
        ref.client.usable()
    return 0


def _rebuild_ref(bytes id not None):
    """A reference from its id, in the process that loads it."""
    if _current is None:
        raise RuntimeError("an ObjectRef can only be loaded where raylite is initialized: call raylite.init() first")
    return _current.ref(object_from_bytes(id), True)


cdef class Client:
    """The calls of one process to its node."""

    cdef bint alive(self):
        return self.inbox != NULL and not self.inbox.closed and self.process == getpid()

    cdef void post(self, Message* m, const char* payload):
        """Send a message that has no answer. With the GIL if that takes no waiting, else all of it without."""
        cdef bint sent
        if self.pump == NULL:
            inbox_send(self.inbox, m, payload, True)
            return
        if pthread_mutex_trylock(&self.pump.lock) == 0:
            sent = inbox_send(self.inbox, m, payload, False)
            pthread_mutex_unlock(&self.pump.lock)
            if sent:
                return
        with nogil:
            pthread_mutex_lock(&self.pump.lock)
            inbox_send(self.inbox, m, payload, True)
            pthread_mutex_unlock(&self.pump.lock)

    cdef Call* open_call(self, Message* m, const char* payload, uint32_t n_slots, uint64_t token):
        """Send a message that will be answered. The answer may be there when this returns.

        token: 0, or (nobody blocks in it) what `watched` knows the call by.
        """
        cdef Call* call = NULL
        cdef bint sent
        if self.pump == NULL:
            call = inbox_call(self.inbox, n_slots, token)
            m.request = call.id
            inbox_send(self.inbox, m, payload, True)
            return call
        if pthread_mutex_trylock(&self.pump.lock) == 0:
            call = inbox_call(self.inbox, n_slots, token)
            m.request = call.id
            sent = inbox_send(self.inbox, m, payload, False)
            pthread_mutex_unlock(&self.pump.lock)
            if sent:
                return call
        with nogil:
            pthread_mutex_lock(&self.pump.lock)
            if call == NULL:
                call = inbox_call(self.inbox, n_slots, token)
                m.request = call.id
            inbox_send(self.inbox, m, payload, True)
            pthread_mutex_unlock(&self.pump.lock)
        return call

    cdef void detach_call(self, Call* call):
        """From here the call is ours alone; the node is told if it has not answered in full."""
        cdef bint done
        if self.pump == NULL:
            inbox_detach(self.inbox, call, True)
            return
        if pthread_mutex_trylock(&self.pump.lock) == 0:
            done = inbox_detach(self.inbox, call, False)
            pthread_mutex_unlock(&self.pump.lock)
            if done:
                return
        with nogil:
            pthread_mutex_lock(&self.pump.lock)
            inbox_detach(self.inbox, call, True)
            pthread_mutex_unlock(&self.pump.lock)

    cdef void free_call(self, Call* call):
        """Free a detached call; values in the arena that nobody took are unpinned."""
        cdef size_t i
        for i in range(call.slots.size()):
            if call.slots[i].filled and call.slots[i].in_arena:
                inbox_release_later(self.inbox, EV_UNPIN, call.slots[i].object)
        inbox_free_call(call)

    cdef str fault(self):
        """What poisoned the node, if it is in this process and is poisoned."""
        return ""

    def usable(self):
        """Raise RaySystemError unless the runtime can be talked to from here."""
        if not self.alive():
            from raylite.exceptions import RaySystemError
            if self.inbox != NULL and self.process != getpid():
                raise RaySystemError("this process was forked from one that uses raylite; references from there are "
                                     "of no use here. Call raylite.init() to start a runtime of its own.")
            fault = self.fault()
            if fault:
                raise RaySystemError(f"raylite's node found a fault in itself and stopped: {fault}. This is a bug in "
                                     "raylite; raylite.timeline() has what led to it.")
            raise RaySystemError("raylite has been shut down, and what it held is gone; call raylite.init() to start "
                                 "anew.")

    # ---- references --------------------------------------------------------------------------------------------

    cdef void count_up(self, ObjectId id, bint hold):
        self.counts[id] += 1
        if hold and self.counts[id] == 1:
            inbox_release_later(self.inbox, EV_HOLD, id)

    cdef void count_down(self, ObjectId id):
        cdef unordered_map[ObjectId, uint32_t].iterator it
        if not self.alive():
            return
        it = self.counts.find(id)
        if it == self.counts.end():
            return
        if deref(it).second > 1:
            self.counts[id] -= 1
            return
        self.counts.erase(it)
        inbox_release_later(self.inbox, EV_RELEASE, id)

    cdef object ref(self, ObjectId id, bint hold):
        """A new reference. hold: the node does not know yet that this client has one."""
        cdef ObjectRef r = ObjectRef.__new__(ObjectRef)
        r.id = id
        r.client = self
        self.count_up(id, hold)
        return r

    def keep_for_ever(self, ObjectRef ref not None):
        """A reference was pickled outside raylite: its object lives until the job ends. Warns once."""
        cdef Message m
        self.usable()
        memset(&m, 0, sizeof(Message))
        m.kind = EV_KEEP
        m.object = ref.id
        self.post(&m, NULL)
        if not self.keep_warned:
            self.keep_warned = True
            import warnings
            warnings.warn("an ObjectRef was pickled outside raylite (a file, your own pickle): nobody can tell when "
                          "that copy is gone, so its object is held until the job ends", stacklevel=4)

    # ---- waiting -----------------------------------------------------------------------------------------------

    cdef int await_call(self, Call* call, int64_t timeout_ns) except -1:
        """Wait for the answer. 1: it is there, 0: time is up. Signals raise.

        Tasks that come to be run in place are run meanwhile.
        """
        cdef uint64_t until = monotonic_ns() + <uint64_t> timeout_ns if timeout_ns >= 0 else 0
        cdef int64_t left = timeout_ns
        cdef bint limited
        cdef int result
        cdef Blob* task
        cdef Run run
        cdef object patience = None
        if call_answered(call):
            return 1
        while True:
            task = NULL
            limited = left < 0 or left > SIGNAL_CHECK_NS
            with nogil:
                pthread_mutex_lock(&self.pump.lock)
                result = pump_wait(self.pump, call_done, call, SIGNAL_CHECK_NS if limited else left, True)
                if not call.in_place.empty() and not call.answered:
                    task = call.in_place.back()
                    call.in_place.pop_back()
                elif call.answered:
                    result = 1
                pthread_mutex_unlock(&self.pump.lock)
            if task != NULL:
                run = Run.__new__(Run)
                run.client = self
                run.blob = task
                run.parse()
                self.run_task(run)
            elif result > 0 or (result == 0 and not limited):
                return result
            else:
                PyErr_CheckSignals()
                if timeout_ns < 0 and self.patience_ns:
                    from raylite.patience import look_why
                    patience = look_why(self, call.id, patience)
            if timeout_ns >= 0:
                left = <int64_t> (until - monotonic_ns())
                left = left if left > 0 else 0

    cdef Call* ask(self, int kind, list refs, uint64_t aux, int flags, uint64_t token):
        """Send a request about objects."""
        cdef Message m
        cdef TaskContext context = current_context(self)
        cdef Py_ssize_t i, n = len(refs)
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, n * sizeof(ObjectId))
        cdef ObjectId* ids = <ObjectId*> PyBytes_AS_STRING(payload)
        for i in range(n):
            require_alive(<ObjectRef> refs[i])
            ids[i] = (<ObjectRef> refs[i]).id
        memset(&m, 0, sizeof(Message))
        m.kind = <unsigned char> kind
        m.flags = <unsigned short> flags
        m.size = <uint32_t> PyBytes_GET_SIZE(payload)
        m.aux = aux
        m.object = object_id(context.id, 0)
        m.attempt = context.attempt
        return self.open_call(&m, PyBytes_AS_STRING(payload), <uint32_t> n if kind == EV_GET else 0, token)

    def get(self, list refs not None, double timeout_s=-1.0):
        """The values of references, in order.

        Args: refs: ObjectRef instances; timeout_s: seconds, below 0 for no limit.
        Raises GetTimeoutError, or the error that one of the objects is (the first in order of those known).
        """
        cdef Call* call
        cdef int arrived = 0
        self.usable()
        if not refs:
            return []
        call = self.ask(EV_GET, refs, 0, GET_LENDS | (GET_IN_PLACE if timeout_s < 0 else 0), 0)
        try:
            try:
                arrived = self.await_call(call, to_ns(timeout_s))
            finally:
                self.detach_call(call)
            self.usable()
            if arrived:
                return self.decode_all(call)
        finally:
            self.free_call(call)
        if len(self.wait(refs, len(refs), 0)) == len(refs):
            return self.get(refs)     # time was too short to hear of it
        from raylite.exceptions import GetTimeoutError
        raise GetTimeoutError(f"get: {len(refs)} object(s) were asked for, and not all were ready after {timeout_s:g} "
                              "seconds")

    cdef list decode_all(self, Call* call):
        cdef size_t i
        cdef list out = []
        if call.failed:
            for i in range(call.slots.size()):
                if call.slots[i].filled and not call.slots[i].in_arena \
                        and kind_of(call.slots[i].blob) in (KIND_USER_ERROR, KIND_SYSTEM_ERROR):
                    self.decode(&call.slots[i])
        for i in range(call.slots.size()):
            out.append(self.decode(&call.slots[i]))
        return out

    cdef object decode(self, Slot* slot):
        """The value in a slot. Raises it if it is an error."""
        cdef const EnvelopeHeader* head
        cdef PinnedBuffer owner
        cdef Mapping* segment
        if slot.in_arena:
            owner = PinnedBuffer.__new__(PinnedBuffer)
            owner.client = self
            owner.id = slot.object
            slot.in_arena = False             # the pin is the buffer's now
            slot.filled = False
            segment = self.mapping(slot.where.segment, False)
            if slot.where.offset + slot.where.size > segment.size:
                self.leave_mapping(slot.where.segment)
                raise RuntimeError("a value lies outside its arena segment")
            owner.data = segment.readable + slot.where.offset
            owner.size = slot.where.size
            owner.segment = slot.where.segment
            if not envelope_valid(owner.data, owner.size):
                raise RuntimeError("a value in the arena is damaged: its envelope does not add up")
            return unpack_memory(owner.data, owner.size, owner)
        head = <const EnvelopeHeader*> blob_data(slot.blob)
        if head.kind == KIND_SYSTEM_ERROR:
            from raylite.system_errors import system_error
            raise system_error(envelope_pickle(blob_data(slot.blob))[:head.pickle_size],
                               task_bytes(slot.object.task).hex())
        value = unpack_blob(slot.blob)
        if head.kind == KIND_USER_ERROR:
            raise value.as_instanceof_cause()
        return value

    cdef Call* await_answer(self, Call* call, int64_t timeout_ns, int* arrived) except NULL:
        """Wait for a call and detach it; if that raises, it is freed."""
        try:
            try:
                arrived[0] = self.await_call(call, timeout_ns)
            finally:
                self.detach_call(call)
            self.usable()
        except BaseException:
            self.free_call(call)
            raise
        return call

    def wait(self, list refs not None, Py_ssize_t num_returns, double timeout_s=-1.0, bint fetch_local=True):
        """Positions of the references that are ready, at most num_returns, in order; fewer if time was up.

        fetch_local: those that are on another node are brought here first."""
        cdef int flags = 0 if fetch_local else WAIT_ANYWHERE
        cdef Call* call
        cdef int arrived = 0
        cdef const uint32_t* slots
        cdef size_t i, n
        cdef list out = []
        self.usable()
        call = self.ask(EV_WAIT, refs, <uint64_t> num_returns, flags | (GET_LENDS if timeout_s != 0 else 0), 0)
        self.await_answer(call, to_ns(timeout_s), &arrived)
        if not arrived:
            self.free_call(call)
            call = self.await_answer(self.ask(EV_WAIT, refs, 0, flags, 0), -1, &arrived)
        if call.answer != NULL:
            slots = <const uint32_t*> blob_data(call.answer)
            n = call.answer.size // sizeof(uint32_t)
            for i in range(n):
                if len(out) == num_returns:
                    break
                out.append(slots[i])
        self.free_call(call)
        return out

    def item_ref(self, ObjectRef stream not None, uint32_t index):
        """Item `index` (from 1) of a stream, made or not: to wait for it. Not counted, and good for nothing else."""
        cdef ObjectRef r = ObjectRef.__new__(ObjectRef)
        r.id = object_id(stream.id.task, index)
        return r

    def next_item(self, ObjectRef stream not None, uint32_t index, bint after_error, double timeout_s=-1.0):
        """Item `index` (from 1) of a generator task: (reference, whether it is the error that ended the stream);
        None at the stream's end; False if time is up."""
        cdef Message m
        cdef Call* call
        cdef int arrived = 0
        cdef ObjectId id = object_id(stream.id.task, index)
        self.usable()
        memset(&m, 0, sizeof(Message))
        m.kind = EV_NEXT
        m.object = id
        m.aux = after_error
        m.flags = GET_LENDS
        call = self.await_answer(self.open_call(&m, NULL, 0, 0), to_ns(timeout_s), &arrived)
        try:
            if not arrived:
                return False
            if call.flags & READY_END:
                return None
            return self.ref(id, False), call.aux != 0
        finally:
            self.free_call(call)

    def ensure_watched(self):
        """Have somebody call collect_arrived() when there is something; the driver's monitor does anyway."""

    def watch(self, list refs not None, callback):
        """Have collect_arrived() give (callback, values or None, error or None) once the references are ready.

        A task lends its CPU until then: it may well be waiting, and what it waits for must be able to run.
        """
        self.usable()
        self.last_token += 1
        self.watched[self.last_token] = (callback, list(refs))
        self.ask(EV_GET, refs, 0, GET_LENDS, self.last_token)

    def watch_ready(self, list refs not None, callback):
        """As watch, without the values, once one of the references is ready."""
        self.usable()
        self.last_token += 1
        self.watched[self.last_token] = (callback, list(refs))
        self.ask(EV_WAIT, refs, 1, GET_LENDS, self.last_token)

    def collect(self):
        """Take what came asynchronously: what collect_arrived gives, and a list of notices (kind, flags, aux, object,
        text). For the one thread that the process has for it."""
        cdef deque[Blob*] taken
        cdef Message* m
        cdef size_t i
        notices = []
        done = self.collect_arrived()
        with nogil:
            inbox_lock(self.inbox)
            taken.swap(self.inbox.notices)
            inbox_unlock(self.inbox)
        for i in range(taken.size()):
            m = <Message*> blob_data(taken[i])
            notices.append((m.kind, m.flags, m.aux, object_bytes(m.object),
                            (blob_data(taken[i]) + sizeof(Message))[:m.size]))
            blob_drop(taken[i])
        return done, notices

    def collect_arrived(self):
        """Take the asynchronous calls that are done: a list of (callback, values or None, error or None)."""
        cdef vector[Call*] calls
        cdef size_t i
        done = []
        with nogil:
            inbox_lock(self.inbox)
            event_clear(self.inbox.notice_event)
            inbox_take_arrived(self.inbox, &calls)
            inbox_unlock(self.inbox)
        for i in range(calls.size()):
            callback, _ = self.watched.pop(calls[i].token)
            values = error = None
            try:
                self.usable()
                values = self.decode_all(calls[i])
                if calls[i].slots.empty():
                    values = -1 if calls[i].flags & READY_END else calls[i].aux
            except BaseException as e:
                error = e
            self.free_call(calls[i])
            done.append((callback, values, error))
        return done

    def job_number(self):
        """The number of the job that this client belongs to."""
        return self.inbox.job

    def node_id(self):
        """The id of the one node, 16 bytes: the same for all its clients."""
        return self.node

    def client_number(self):
        """This client's number at its node."""
        return self.inbox.client

    def query(self, uint32_t what, bytes payload not None=b""):
        """Ask the node about itself (QUERY_*); the answer's bytes."""
        return self.question(EV_QUERY, payload, index=what)[1]

    def tell(self, int kind, bytes payload=b"", *, bytes task=None, uint64_t request=0):
        """Send the node an event (EV_*) that has no answer, about the thing with this 16-byte id."""
        cdef Message m
        self.usable()
        memset(&m, 0, sizeof(Message))
        m.kind = <unsigned char> kind
        m.size = <uint32_t> PyBytes_GET_SIZE(payload)
        m.request = request
        if task is not None:
            m.object = object_id(task_from_bytes(task), 0)
        self.post(&m, PyBytes_AS_STRING(payload))

    def question(self, int kind, bytes payload=b"", *, bytes task=None, uint32_t index=0, uint64_t aux=0, int flags=0):
        """Send the node an event that it answers once: (number, bytes) of the answer."""
        cdef Message m
        cdef Call* call
        cdef int arrived = 0
        self.usable()
        memset(&m, 0, sizeof(Message))
        m.kind = <unsigned char> kind
        m.size = <uint32_t> PyBytes_GET_SIZE(payload)
        m.aux = aux
        m.flags = <unsigned short> flags
        if task is not None:
            m.object = object_id(task_from_bytes(task), 0)
        m.object.index = index
        call = self.await_answer(self.open_call(&m, PyBytes_AS_STRING(payload), 0, 0), -1, &arrived)
        try:
            return call.aux, blob_data(call.answer)[:call.answer.size]
        finally:
            self.free_call(call)

    def new_ids(self):
        """Ids for one thing that the running task makes, derived as those of tasks: the next if one is taken."""
        cdef TaskContext context = current_context(self)
        cdef uint64_t index = context.n_submitted, salt = 0
        context.n_submitted += 1
        while True:
            yield task_bytes(derive_task(context.id, index, salt))
            salt += context.attempt + 1

    def cancel(self, ObjectRef ref not None, bint force, bint recursive):
        """Ask for the task behind a reference to be cancelled. Raises ValueError for a call of an actor, by force."""
        cdef Message m
        cdef Call* call
        cdef int arrived = 0
        cdef bint is_call
        self.usable()
        require_alive(ref)
        memset(&m, 0, sizeof(Message))
        m.kind = EV_CANCEL
        m.object = ref.id
        m.flags = (CANCEL_FORCE if force else 0) | (CANCEL_RECURSIVE if recursive else 0)
        if not force:
            self.post(&m, NULL)
            return
        call = self.await_answer(self.open_call(&m, NULL, 0, 0), -1, &arrived)
        is_call = call.aux != 0
        self.free_call(call)
        if is_call:
            raise ValueError("force=True is not supported for calls of actors: kill() ends the actor")

    # ---- values ------------------------------------------------------------------------------------------------

    cdef int fetch_segment(self, uint32_t segment, uint64_t* size) except -1:
        """The descriptor of an arena segment; overridden by each kind of client."""
        raise NotImplementedError

    cdef Mapping* mapping(self, uint32_t segment, bint writable) except NULL:
        """This process's view of a segment, read-only unless this client is its one writer; see leave_mapping."""
        cdef Mapping* m
        cdef uint64_t size = 0
        cdef int fd = -1
        if self.mappings.count(segment) == 0:
            fd = self.fetch_segment(segment, &size)
        m = &self.mappings[segment]
        if m.size == 0:
            m.fd = fd
            m.size = size
        elif fd >= 0:
            close(fd)             # another thread was faster
        if writable and m.writable == NULL:
            m.writable = map_shared(m.fd, 0, m.size, True)
            if m.writable == NULL:
                raise MemoryError("an arena segment cannot be mapped")
        if not writable and m.readable == NULL:
            m.readable = map_shared(m.fd, 0, m.size, False)
            if m.readable == NULL:
                raise MemoryError("an arena segment cannot be mapped")
        m.n_users += 1
        return m

    cdef void leave_mapping(self, uint32_t segment):
        """One user of a mapping fewer."""
        cdef Mapping* m
        if self.mappings.count(segment):
            m = &self.mappings[segment]
            m.n_users = m.n_users - 1
            if m.dropped and m.n_users == 0:
                unmap(m.readable, m.size)
                unmap(m.writable, m.size)
                self.mappings.erase(segment)

    def drop_mapping(self, uint32_t segment):
        """The segment is gone: unmap it, at once or with the last view of a value in it."""
        cdef Mapping* m
        if self.mappings.count(segment) and not self.mappings[segment].dropped:
            m = &self.mappings[segment]
            close(m.fd)
            m.dropped = True
            m.n_users += 1
            self.leave_mapping(segment)

    def drop_mappings(self):
        """The node is gone, and all segments with it."""
        for segment in [m.first for m in self.mappings]:
            self.drop_mapping(segment)

    cdef bytes place(self, Packed packed, bint may_inline):
        """A ValueRecord for a packed value: itself inline, or written into a block of the arena leased for it."""
        cdef Message m
        cdef Call* call
        cdef ValueRecord record
        cdef Location where
        cdef Mapping* segment
        cdef bytes out
        cdef char* at
        cdef ObjectId* id
        cdef uint64_t wanted = packed.size
        cdef int arrived = 0
        memset(&record, 0, sizeof(ValueRecord))
        record.kind = packed.kind
        record.flags = packed.flags
        if may_inline and (packed.size <= INLINE_MOST or packed.kind == KIND_USER_ERROR):
            record.where.size = packed.size
            out = PyBytes_FromStringAndSize(NULL, sizeof(ValueRecord) + align8(packed.size))
            at = PyBytes_AS_STRING(out)
            memcpy(at, &record, sizeof(ValueRecord))
            packed.write(at + sizeof(ValueRecord))
            return out
        memset(&m, 0, sizeof(Message))
        m.kind = EV_LEASE
        m.size = 8
        call = self.await_answer(self.open_call(&m, <const char*> &wanted, 0, 0), -1, &arrived)
        memcpy(&where, blob_data(call.answer), sizeof(Location))
        answer, no_disk = blob_data(call.answer)[:call.answer.size], call.flags & LEASE_NO_DISK
        self.free_call(call)
        if where.size == 0:
            from raylite.system_errors import no_room
            raise no_room(packed.size, where.offset, answer[sizeof(Location):].decode(), no_disk != 0)
        try:
            segment = self.mapping(where.segment, True)
            try:
                packed.write(segment.writable + where.offset)
            finally:
                self.leave_mapping(where.segment)
        except BaseException:
            memset(&m, 0, sizeof(Message))
            m.kind = EV_RETURN
            m.size = sizeof(Location)
            self.post(&m, <const char*> &where)
            raise
        record.in_arena = 1
        record.n_refs = <uint32_t> len(packed.refs)
        record.where = where
        out = PyBytes_FromStringAndSize(NULL, sizeof(ValueRecord) + sizeof(ObjectId) * len(packed.refs))
        memcpy(PyBytes_AS_STRING(out), &record, sizeof(ValueRecord))
        id = <ObjectId*> (PyBytes_AS_STRING(out) + sizeof(ValueRecord))
        for ref in packed.refs:
            id[0] = (<ObjectRef> ref).id
            id += 1
        return out

    cdef ObjectRef store(self, Packed packed, TaskContext context):
        cdef bytes record = self.place(packed, True)
        cdef Message m
        cdef ObjectRef ref
        memset(&m, 0, sizeof(Message))
        m.kind = EV_PUT
        context.n_put += 1
        m.object = object_id(context.id, PUT_INDEX | context.n_put)
        m.attempt = context.attempt
        m.size = <uint32_t> PyBytes_GET_SIZE(record)
        if self.call_sites is not None:
            m.aux = note_call_site(self)
        ref = self.ref(m.object, False)
        self.post(&m, PyBytes_AS_STRING(record))
        return ref

    def put(self, value):
        """Store a value; returns its reference."""
        self.usable()
        return self.store(pack(value), current_context(self))

    # ---- tasks -------------------------------------------------------------------------------------------------

    cdef TaskId function_id(self, Packed packed):
        """By what the node knows a function: the hash of its pickle."""
        return hash_bytes(PyBytes_AS_STRING(packed.pickle), PyBytes_GET_SIZE(packed.pickle), 0)

    def register_function(self, Packed packed not None, str name not None):
        """Make a function known to the node; returns the reference that holds it."""
        cdef Message m
        cdef bytes envelope, text = name.encode("utf-8", "replace"), payload
        cdef uint64_t size = len(text)
        cdef ObjectRef ref
        self.usable()
        packed.kind = KIND_FUNCTION
        envelope = packed.to_bytes()
        memset(&m, 0, sizeof(Message))
        m.kind = EV_FUNCTION
        m.object = object_id(self.function_id(packed), FUNCTION_INDEX)
        payload = (<const char*> &size)[:8] + text + b"\0" * (align8(size) - size) + envelope
        m.size = <uint32_t> len(payload)
        ref = self.ref(m.object, False)
        self.post(&m, PyBytes_AS_STRING(payload))
        return ref

    def submit(self, ObjectRef function not None, tuple args, dict kwargs, int32_t n_returns, int32_t max_retries,
               bint retry_exceptions, bytes demand not None, bytes name not None, uint32_t backpressure=0,
               uint32_t retry_delay_ms=0, uint32_t retry_jitter=0):
        """Submit a task; returns the list of its references (for a stream: the one that stands for it).

        Args: function: from register_function of this client; args, kwargs: checked against its signature;
        n_returns: -1 for a generator; demand: see resources.pyx; name: empty for the function's own; backpressure:
        items that a generator may be ahead of its reader, 0: any number; retry_jitter: in 1/10000 of the delay.
        """
        cdef SubmitHeader h
        memset(&h, 0, sizeof(SubmitHeader))
        h.retry_delay_ms = retry_delay_ms
        h.retry_jitter = retry_jitter
        h.n_returns = n_returns
        h.max_retries = max_retries
        h.flags = SUBMIT_RETRY_EXCEPTIONS if retry_exceptions else 0
        h.backpressure = backpressure
        return self.submit_any(function, args, kwargs, &h, b"", demand, name, False)

    def submit_call(self, ObjectRef actor not None, ObjectRef function not None, tuple args, dict kwargs,
                    int32_t n_returns, int32_t max_retries, bint retry_exceptions, bytes name not None, uint32_t group,
                    bint confirm, uint32_t backpressure=0):
        """Call a method of an actor; returns as submit().

        Args: actor: its object; function: the method, registered; group: concurrency group; confirm: the actor limits
        its pending calls. Raises PendingCallsLimitExceeded.
        """
        cdef SubmitHeader h
        cdef CallHeader call
        cdef TaskContext context = current_context(self)
        require_alive(actor)
        memset(&h, 0, sizeof(SubmitHeader))
        h.n_returns = n_returns
        h.max_retries = max_retries
        h.backpressure = backpressure
        h.flags = SUBMIT_CALL | (SUBMIT_RETRY_EXCEPTIONS if retry_exceptions else 0)
        call.actor = actor.id.task
        call.sequence = context.n_calls[call.actor]
        call.group = group
        call.unused = 0
        context.n_calls[call.actor] += 1
        more = (<const char*> &call)[:sizeof(CallHeader)]
        return self.submit_any(function, args, kwargs, &h, more, NO_DEMAND, name, confirm)

    def create_actor(self, ObjectRef function not None, tuple args, dict kwargs, bytes demand not None,
                     bytes name not None, int32_t max_restarts, int32_t max_pending, uint32_t flags,
                     list groups not None, bytes full_name not None, handle):
        """Make an actor; returns the reference of its object.

        Args: function: its class, registered; name: of the task that creates it; groups: calls at once, for each
        concurrency group; full_name: namespace, line feed, name, or empty; handle: what describes a handle of it.
        Raises ActorAlreadyExistsError if another actor has that name.
        """
        cdef SubmitHeader h
        cdef ActorHeader actor
        cdef bytes description = pack(handle).to_bytes()
        memset(&h, 0, sizeof(SubmitHeader))
        h.flags = SUBMIT_ACTOR
        actor.max_restarts = max_restarts
        actor.max_pending = max_pending
        actor.flags = flags
        actor.n_groups = <uint32_t> len(groups)
        actor.name_size = <uint32_t> len(full_name)
        actor.handle_size = <uint32_t> len(description)
        more = [(<const char*> &actor)[:sizeof(ActorHeader)]]
        for part in (b"".join([limit.to_bytes(4, "little") for limit in groups]), full_name, description):
            more.append(part + bytes((8 - len(part) % 8) % 8))
        return self.submit_any(function, args, kwargs, &h, b"".join(more), demand, name, bool(full_name))[0]

    cdef list submit_any(self, ObjectRef function, tuple args, dict kwargs, SubmitHeader* h, bytes more, bytes demand,
                         bytes name, bint confirm):
        """Submit what the header says. more: the header that follows it; confirm: ask whether it is accepted."""
        cdef TaskContext context = current_context(self)
        cdef list refs = []
        cdef Packed packed = None
        cdef Message m
        cdef Py_ssize_t i
        cdef uint64_t args_size = 0, total, index
        cdef char* at
        cdef list out
        self.usable()
        if args or kwargs:
            packed = pack_arguments(args, kwargs, refs)
            if packed.size > INLINE_MOST:
                refs.append(self.store(packed, context))
                h.flags |= SUBMIT_ARGS_OBJECT
                packed = None
            else:
                args_size = packed.size
        h.function = function.id
        h.parent = context.id
        h.n_refs = <uint32_t> len(refs)
        h.demand_size = <uint32_t> PyBytes_GET_SIZE(demand)
        h.name_size = <uint32_t> PyBytes_GET_SIZE(name)
        h.args_size = args_size
        total = sizeof(SubmitHeader) + <uint64_t> PyBytes_GET_SIZE(more) + sizeof(ObjectId) * <uint64_t> len(refs) \
            + align8(h.demand_size) + align8(h.name_size) + align8(args_size)
        cdef bytes buffer = PyBytes_FromStringAndSize(NULL, total)
        at = PyBytes_AS_STRING(buffer) + sizeof(SubmitHeader)
        at = put_padded(at, PyBytes_AS_STRING(more), <uint64_t> PyBytes_GET_SIZE(more))
        for i in range(len(refs)):
            (<ObjectId*> at)[0] = (<ObjectRef> refs[i]).id
            at += sizeof(ObjectId)
        at = put_padded(at, PyBytes_AS_STRING(demand), h.demand_size)
        at = put_padded(at, PyBytes_AS_STRING(name), h.name_size)
        if args_size:
            packed.write(at)
            memset(at + args_size, 0, align8(args_size) - args_size)
        memcpy(PyBytes_AS_STRING(buffer), h, sizeof(SubmitHeader))
        h.digest = hash_bytes(PyBytes_AS_STRING(buffer), total, 0).lo
        memcpy(PyBytes_AS_STRING(buffer), h, sizeof(SubmitHeader))
        index = context.n_submitted
        context.n_submitted += 1
        memset(&m, 0, sizeof(Message))
        m.kind = EV_SUBMIT
        m.size = <uint32_t> total
        m.object = object_id(derive_task(context.id, index, 0), 0)
        if self.call_sites is not None:
            m.aux = note_call_site(self)
        if confirm or context.attempt:
            return self.submit_confirmed(&m, PyBytes_AS_STRING(buffer), context, index)
        out = refs_of_results(self, &m, h)
        self.post(&m, PyBytes_AS_STRING(buffer))
        return out

    cdef list submit_confirmed(self, Message* m, const char* payload, TaskContext context, uint64_t index):
        """Submit, and hear whether it was accepted: from a task that runs again, which may have diverged from its first
        run, so that the id is another task's; or where an actor limits what it takes."""
        cdef Call* call
        cdef uint64_t salt = 0, answer
        cdef int arrived = 0
        cdef list out
        m.flags = SUBMIT_CONFIRM
        while True:
            out = refs_of_results(self, m, <const SubmitHeader*> payload)  # released if the wait is interrupted
            call = self.await_answer(self.open_call(m, payload, 0, 0), -1, &arrived)
            answer = call.aux
            self.free_call(call)
            if answer == 0:
                return out
            if answer != SUBMIT_TAKEN:
                from raylite.system_errors import submission_refused
                raise submission_refused(answer)
            salt += context.attempt if context.attempt else 1
            m.object = object_id(derive_task(context.id, index, salt), 0)

    def kill(self, ObjectRef actor not None, bint no_restart):
        """Kill an actor's process."""
        cdef Message m
        self.usable()
        require_alive(actor)
        memset(&m, 0, sizeof(Message))
        m.kind = EV_KILL
        m.object = actor.id
        m.flags = KILL_NO_RESTART if no_restart else 0
        self.post(&m, NULL)

    def actor_ref(self, bytes actor not None):
        """A new reference of an actor's object, by the actor's id of 16 bytes."""
        return self.ref(object_id(task_from_bytes(actor), ACTOR_INDEX), True)

    def find_actor(self, bytes full_name not None):
        """The object of the actor of this name (namespace, line feed, name), or None."""
        cdef bytes found = self.query(QUERY_ACTOR, full_name)
        return self.ref(object_id(task_from_bytes(found), ACTOR_INDEX), True) if found else None

    # ---- running (workers) -------------------------------------------------------------------------------------

    def next_run(self):
        """Wait for a task to run (a Run), or for a notice to take (False); None when the node is gone. Interrupted by
        signals. A Run that is `declined` was taken back: it brings a function, and is not to be run. No notice is left
        from before a Run that brings a function."""
        cdef Run run
        cdef Blob* task
        cdef bint closed, noticed
        while True:
            task = NULL
            with nogil:
                pthread_mutex_lock(&self.pump.lock)
                if not has_work(self.inbox):
                    pump_wait(self.pump, has_work, self.inbox, -1, True)
                closed = self.inbox.closed
                noticed = not self.inbox.notices.empty()
                if inbox_has_task(self.inbox):
                    task = self.inbox.runs.front()
                    self.inbox.runs.pop_front()
                pthread_mutex_unlock(&self.pump.lock)
            if closed:
                return None
            if task == NULL:
                PyErr_CheckSignals()
                if noticed:
                    return False
                continue
            run = Run.__new__(Run)
            run.client = self
            run.blob = task
            run.parse()
            run.declined = not self.begin(run.message())
            if not run.declined or run.brings_function():
                return run

    def take_runs(self):
        """The calls that have come, without waiting for any; None when the node is gone. While notices wait there may
        be none: one that brings a function comes after the notices before it."""
        cdef deque[Blob*] taken
        cdef Run run
        cdef bint closed
        cdef size_t i
        cdef list out = []
        with nogil:
            inbox_lock(self.inbox)
            closed = self.inbox.closed
            while inbox_has_task(self.inbox):
                taken.push_back(self.inbox.runs.front())
                self.inbox.runs.pop_front()
            inbox_unlock(self.inbox)
        for i in range(taken.size()):
            run = Run.__new__(Run)
            run.client = self
            run.blob = taken[i]
            run.parse()
            self.begin(run.message())
            out.append(run)
        return None if closed else out

    def announce_runs(self):
        """From now on the notice event is set for tasks too: this process waits for them elsewhere."""
        with nogil:
            inbox_lock(self.inbox)
            self.inbox.announces_runs = True
            event_set(self.inbox.notice_event)
            inbox_unlock(self.inbox)

    cdef bint begin(self, Message* m):
        """Mark the message as begun. False if it was taken back; overridden where that can happen."""
        return True

    def leave(self, Run run not None):
        """Leave a task to the node because its function is not here: it comes again, with the function."""
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.kind = EV_DECLINED
        m.object = run.message().object
        m.attempt = run.message().attempt
        m.request = run.message().request
        m.flags = DECLINED_NO_FUNCTION
        self.post(&m, NULL)

    def await_read(self, Run run not None, uint32_t index):
        """Wait until the reader of a stream has taken item `index` (from 1). How many it has taken; -1: there is no
        reader any more."""
        cdef Message m
        cdef Call* call
        cdef int arrived = 0
        self.ask_read(&m, run, index)
        call = self.await_answer(self.open_call(&m, NULL, 0, 0), -1, &arrived)
        try:
            return -1 if call.flags & READY_END else <int64_t> call.aux
        finally:
            self.free_call(call)

    def watch_read(self, Run run not None, uint32_t index, callback):
        """As await_read(), without waiting: collect_arrived() gives the number."""
        cdef Message m
        self.usable()
        self.last_token += 1
        self.watched[self.last_token] = (callback, [])
        self.ask_read(&m, run, index)
        self.open_call(&m, NULL, 0, self.last_token)

    cdef void ask_read(self, Message* m, Run run, uint32_t index):
        memset(m, 0, sizeof(Message))
        m.kind = EV_AWAIT_READ
        m.object = object_id(run.message().object.task, index)
        m.attempt = run.message().attempt
        m.flags = GET_LENDS

    def finish(self, Run run not None, list records not None, uint64_t start_ns, uint64_t end_ns, int flags,
               uint32_t n_yielded=0):
        """Report a task's end. records: from record(), one for each return."""
        cdef FinishedHeader h
        cdef bytes payload
        h.start_ns = start_ns
        h.end_ns = end_ns
        h.n_values = <uint32_t> len(records)
        h.n_yielded = n_yielded
        payload = (<const char*> &h)[:sizeof(FinishedHeader)] + b"".join(records)
        self.report(run, EV_FINISHED, object_id(run.message().object.task, 0), payload, flags)

    def yielded(self, Run run not None, uint32_t index, bytes record not None):
        """Report item `index` (from 1) of a generator task."""
        self.report(run, EV_YIELDED, object_id(run.message().object.task, index), record, 0)

    cdef void report(self, Run run, int kind, ObjectId object, bytes payload, int flags):
        cdef Message m
        memset(&m, 0, sizeof(Message))
        m.kind = <unsigned char> kind
        m.object = object
        m.attempt = run.message().attempt
        m.flags = <unsigned short> flags
        m.size = <uint32_t> PyBytes_GET_SIZE(payload)
        self.post(&m, PyBytes_AS_STRING(payload))

    def record(self, Packed packed not None):
        """What finish() and yielded() take for one value: it is in the arena, or in the record."""
        return self.place(packed, True)


cdef list refs_of_results(Client client, const Message* m, const SubmitHeader* h):
    """The references of what a submission gives."""
    cdef uint32_t i
    cdef list out = [client.ref(object_id(m.object.task, ACTOR_INDEX), False)] if h.flags & SUBMIT_ACTOR else []
    for i in range(1 if h.n_returns < 0 else <uint32_t> h.n_returns):
        out.append(client.ref(object_id(m.object.task, i), False))
    return out


cdef char* put_padded(char* at, const char* data, uint64_t size):
    memcpy(at, data, size)
    memset(at + size, 0, align8(size) - size)
    return at + align8(size)


cdef Packed pack_arguments(tuple args, dict kwargs, list refs):
    """Arguments as one envelope: (args, kwargs, slots); top-level references go to `refs`, their slots say where."""
    cdef list slots = [], values = None
    cdef Py_ssize_t i
    cdef Packed packed
    for i in range(len(args)):
        if type(args[i]) is ObjectRef:
            require_alive(<ObjectRef> args[i])
            if values is None:
                values = list(args)
            refs.append(args[i])
            slots.append(i)
            values[i] = None
    if values is not None:
        args = tuple(values)
    if kwargs:
        for key, value in kwargs.items():
            if type(value) is ObjectRef:
                require_alive(<ObjectRef> value)
                refs.append(value)
                slots.append(key)
        if slots and type(slots[-1]) is str:
            kwargs = {k: (None if type(v) is ObjectRef else v) for k, v in kwargs.items()}
    packed = pack((args, kwargs or None, slots or None))
    packed.kind = KIND_ARGUMENTS
    return packed


cdef class Run:
    """A task that this worker is to run: its function, arguments and who it is."""

    cdef Message* message(self):
        return <Message*> blob_data(self.blob)

    cdef int parse(self) except -1:
        """Find the parts of the message."""
        cdef Message* m = self.message()
        cdef Cursor c = Cursor(blob_data(self.blob) + sizeof(Message), m.size, False)
        cdef const RunHeader* h = <const RunHeader*> take(&c, sizeof(RunHeader))
        cdef const uint32_t* gpus
        cdef const char* name
        cdef uint32_t i
        if h == NULL:
            raise RuntimeError("a malformed message to run a task")
        gpus = <const uint32_t*> take_padded(&c, 4 * <uint64_t> h.n_gpus)
        name = take_padded(&c, h.name_size)
        self.function_data = take_padded(&c, h.function_size)
        self.function_size = h.function_size
        self.args_data = take_padded(&c, h.args_size)
        self.args_size = h.args_size
        if c.failed:
            raise RuntimeError("a malformed message to run a task")
        self.values = c.data
        self.values_size = c.left
        self.n_values = h.n_values
        self.n_returns = h.n_returns
        self.name = name[:h.name_size].decode("utf-8", "replace")
        self.gpus = tuple([gpus[i] for i in range(h.n_gpus)])
        self.position = m.request
        self.retries_exceptions = m.flags & RUN_RETRY_EXCEPTIONS != 0
        self.in_place = m.flags & RUN_IN_PLACE != 0
        self.creates, self.restores = m.flags & RUN_CREATES != 0, m.flags & RUN_RESTORES != 0
        self.is_call = m.flags & RUN_CALL != 0
        self.backpressure = h.backpressure
        self.group = <uint32_t> m.aux if self.is_call else 0
        self.placement_group = task_bytes(h.group) if h.group.hi or h.group.lo else None
        self.captures = m.flags & RUN_CAPTURES != 0
        return 0

    def __dealloc__(self):
        blob_drop(self.blob)

    @property
    def function_id(self):
        """The function's id, 20 bytes."""
        return object_bytes((<const RunHeader*> (blob_data(self.blob) + sizeof(Message))).function)

    @property
    def task_id(self):
        """The task's id, 16 bytes."""
        return task_bytes(self.message().object.task)

    @property
    def attempt(self):
        return self.message().attempt

    cdef bint brings_function(self):
        return self.function_size and not (<const RunHeader*> (blob_data(self.blob) + sizeof(Message))).is_forgotten

    def function(self):
        """The function's pickle, if it came with this task; else None."""
        if not self.brings_function():
            return None
        return envelope_pickle(self.function_data)[:(<const EnvelopeHeader*> self.function_data).pickle_size]

    def arguments(self):
        """(args, kwargs), references at the top level replaced by values. Of an actor restored: its state alone."""
        cdef BlobBuffer all_bytes = BlobBuffer.__new__(BlobBuffer)
        cdef Cursor c = Cursor(self.values, self.values_size, False)
        cdef const ValueRecord* record
        cdef const char* body = NULL
        cdef const char* begin = blob_data(self.blob)
        cdef Slot slot
        cdef uint64_t size
        cdef list values = []
        all_bytes.blob = blob_keep(self.blob)
        whole = memoryview(all_bytes)
        for _ in range(self.n_values):
            record = take_value(&c, &body)
            if record == NULL:
                raise RuntimeError("a malformed message to run a task")
            if record.in_arena:
                memset(&slot, 0, sizeof(Slot))
                slot.filled = slot.in_arena = True
                slot.object = (<const ObjectId*> body)[0]
                slot.where = record.where
                values.append(self.client.decode(&slot))
            else:
                size = record.where.size
                values.append(unpack_memory(body, size, whole[body - begin:body - begin + size]))
        if self.message().flags & RUN_ARGS_OBJECT:
            packed = values.pop()
        elif self.args_size:
            packed = unpack_memory(self.args_data, self.args_size,
                                   whole[self.args_data - begin:self.args_data - begin + self.args_size])
        else:
            return tuple(values), {}
        args, kwargs, slots = packed
        if slots:
            args = list(args)
            for place, value in zip(slots, values):
                if type(place) is int:
                    args[place] = value
                else:
                    kwargs[place] = value
        return args, kwargs or {}
