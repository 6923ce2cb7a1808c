"""Locks and queues for code under simulation: who waits for one gives way, and virtual time passes.

The methods of the interpreter's own locks and of `SimpleQueue` are changed (see hooks): all else of `threading`, `queue`
and `concurrent.futures` is made of these. A lock is still locked or not as ever; only waiting for it is another thing.
In the thread of the simulation, who meets a locked one waits as a virtual thread, and is woken when it is released; whom
it goes to is a seeded draw. An RLock belongs to a virtual thread. Other threads are left alone; one of these may hold a
lock too, and is then waited for in real time.
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t, uintptr_t
from raylite._core.rng cimport Rng, rng_below, rng_next
from raylite.sim.hooks cimport fast_keyword_function, Hook, hook_prepare, hooks_install, hooks_remove, \
    keyword_function, METH_FASTCALL, METH_KEYWORDS, METH_METHOD, METH_NOARGS, METH_VARARGS, method_function, \
    plain_function
from raylite.sim.kernel cimport is_caller, Kernel, STREAM_LOCKS, stream_seed, Thread
from raylite.sim.timeline cimport NEVER

import _queue
import _thread
import os

cdef extern from "Python.h":
    PyObject* PyTuple_GET_ITEM(tuple p, Py_ssize_t i)

cdef extern from "unistd.h":
    int usleep(unsigned int us) nogil

cdef enum:
    LOCK_ACQUIRE = 0              # the hooks, by number
    LOCK_ACQUIRE_LOCK
    LOCK_ENTER
    LOCK_RELEASE
    LOCK_RELEASE_LOCK
    LOCK_EXIT
    RLOCK_ACQUIRE
    RLOCK_ENTER
    RLOCK_RELEASE
    RLOCK_EXIT
    RLOCK_IS_OWNED
    RLOCK_ACQUIRE_RESTORE
    RLOCK_RELEASE_SAVE
    QUEUE_GET
    QUEUE_PUT
    QUEUE_PUT_NOWAIT
    START_NEW_THREAD
    START_NEW
    START_JOINABLE_THREAD
    N_HOOKS

    POLL_US = 1000                # how often a lock is looked at that only another thread can release
    POLLS_MOST = 1000

cdef enum Asked:
    WAIT                          # for a time, or without limit
    TRY
    OTHERS                        # for something that makes no sense: for the original to refuse

ctypedef object (*attempt_function)(PyObject* what, Thread me)

cdef Hook hooks[N_HOOKS]
cdef int n_hooks = 0
cdef Kernel _kernel = None        # of the session under way
cdef Rng _draws
cdef dict _waiters = {}           # address of a lock or queue -> Waiters
cdef set _held = set()            # addresses of locks that the simulation's code has locked
cdef dict _owners = {}            # address of an RLock -> the Thread that has it
cdef long _n_others = 0           # threads that were there before
cdef long _n_started = 0          # since
cdef bint _is_starting = False    # one that was started last may not be there yet
cdef object _Empty = _queue.Empty
cdef object _lock_type = type(_thread.allocate_lock())
cdef object _NOT_NOW = object()

cdef object _queue_type = _queue.SimpleQueue
cdef tuple _ONCE = (False,)
cdef tuple _PATIENCE = (True, 0.05)   # for a thread that the driver has started, before virtual time passes

THREADS_REFUSED = (
    "a simulation runs in one thread, so that it can be repeated: a task cannot start another. Make what the thread would "
    "do a task, a call of an actor (with max_concurrency it runs several at once) or a coroutine; with virtual_time=False "
    "raylite.sim leaves threads, locks and time alone"
)


cdef class Waiters:
    """Who waits for one lock or queue."""
    cdef object what
    cdef list threads             # not woken yet
    cdef int n_woken              # and on their way

    def __init__(self, what):
        self.what = what
        self.threads = []


cdef bint virtual():
    """Whether it is a simulation's code that calls."""
    return is_caller(_kernel)


cdef object address(PyObject* what):
    return <uintptr_t> what


# ---- waiting ---------------------------------------------------------------------------------------------------

cdef object wait_for(PyObject* what, attempt_function attempt, Thread me, uint64_t until_ns):
    """Wait in line until an attempt works: what it gives; _NOT_NOW if the time has come before."""
    cdef Waiters w = _waiters.get(address(what))
    cdef bint woken
    if w is None:
        w = _waiters[address(what)] = Waiters(<object> what)
    while True:
        w.threads.append(me)
        try:
            woken = me.wait_until_woken(until_ns)
        except BaseException:
            if me in w.threads:
                w.threads.remove(me)
            else:
                w.n_woken -= 1
                wake_one(w)           # it is somebody else's turn
            forget(what, w)
            raise
        if woken:
            w.n_woken -= 1
        else:
            w.threads.remove(me)
        found = attempt(what, me)
        if found is not _NOT_NOW or _kernel.timeline.now_ns >= until_ns:
            forget(what, w)
            return found


cdef int forget(PyObject* what, Waiters w) except -1:
    if not w.threads and not w.n_woken and _waiters.get(address(what)) is w:
        del _waiters[address(what)]
    return 0


cdef int wake_one(Waiters w) except -1:
    if w.threads:
        w.n_woken += 1
        (<Thread> w.threads.pop(rng_below(&_draws, len(w.threads)))).wake()
    return 0


cdef int released(PyObject* what) except -1:
    """Something has become free, or has come."""
    if _waiters:
        w = _waiters.get(address(what))
        if w is not None:
            wake_one(w)
    return 0


cdef bint goes_behind(PyObject* what):
    """Whether somebody who finds it free leaves it, all the same, to who is on his way: else one could starve."""
    if not _waiters:
        return False
    w = _waiters.get(address(what))
    return w is not None and (<Waiters> w).n_woken and rng_next(&_draws) & 1


cdef Asked what_is_asked(tuple args, dict kwargs, object unlimited, uint64_t* until_ns) except *:
    """What the arguments of acquire(blocking, timeout) or get(block, timeout) ask for, and until when."""
    cdef Py_ssize_t n = len(args) + len(kwargs)
    until_ns[0] = NEVER
    if n == 0:
        return WAIT
    blocking = args[0] if args else kwargs.get("blocking", kwargs.get("block", True))
    timeout = args[1] if len(args) > 1 else kwargs.get("timeout", unlimited)
    if not blocking:
        return TRY if timeout is unlimited else OTHERS
    if timeout is unlimited or timeout == unlimited:
        return WAIT if n <= 2 else OTHERS
    if n > 2 or not isinstance(timeout, (int, float)) or not 0 <= timeout <= _thread.TIMEOUT_MAX:
        return OTHERS
    until_ns[0] = _kernel.timeline.now_ns + <uint64_t> (<double> timeout * 1e9)
    return WAIT if timeout else TRY


cdef object take(int i, PyObject* lock, PyObject* args, PyObject* kwargs, attempt_function attempt):
    """What acquire() of a lock does in the simulation."""
    cdef Thread me = _kernel.caller()
    cdef uint64_t until_ns
    cdef Asked asked = what_is_asked(<tuple> args if args != NULL else (), <dict> kwargs if kwargs != NULL else {}, -1,
                                     &until_ns)
    if asked == OTHERS:
        return (<keyword_function> hooks[i].original)(lock, args, kwargs)
    if not goes_behind(lock):
        if attempt(lock, me) is True:
            return True
        if asked == WAIT and is_of_another_thread(lock):      # which lets go of it in real time
            if not (<keyword_function> hooks[i].original)(lock, args, kwargs):
                return False
            note_taken(lock, me)
            return True
        if asked == WAIT and me.is_hub and may_come_from_others():
            if (<keyword_function> hooks[i].original)(lock, <PyObject*> _PATIENCE, NULL):
                note_taken(lock, me)
                return True
    if asked == TRY:
        return False
    return wait_for(lock, attempt, me, until_ns) is True


cdef bint is_of_another_thread(PyObject* lock) except -1:
    """Whether who has it is no code of the simulation's."""
    if _thread._count() == 0:
        return False
    if type(<object> lock) is _lock_type:
        return address(lock) not in _held
    return not is_ours(lock)


cdef bint may_come_from_others() except -1:
    """Whether the driver, before it lets virtual time pass, gives real time to threads that it has started."""
    global _is_starting
    was_starting, _is_starting = _is_starting, False
    return was_starting or _thread._count() > _n_others


cdef int note_taken(PyObject* lock, Thread me) except -1:
    if type(<object> lock) is _lock_type:
        _held.add(address(lock))
    else:
        _owners[address(lock)] = me
    return 0


# ---- Lock ------------------------------------------------------------------------------------------------------

cdef object try_lock(PyObject* lock, Thread me):
    if not (<keyword_function> hooks[LOCK_ACQUIRE].original)(lock, <PyObject*> _ONCE, NULL):
        return _NOT_NOW
    _held.add(address(lock))
    return True


cdef object acquire_lock(int i, PyObject* lock, PyObject* args, PyObject* kwargs):
    if not virtual():
        return (<keyword_function> hooks[i].original)(lock, args, kwargs)
    return take(i, lock, args, kwargs, try_lock)


cdef object release_lock(int i, PyObject* lock, PyObject* argument):
    result = (<plain_function> hooks[i].original)(lock, argument)
    if virtual():
        _held.discard(address(lock))
        released(lock)
    return result


cdef object lock_acquire(PyObject* lock, PyObject* args, PyObject* kwargs):
    return acquire_lock(LOCK_ACQUIRE, lock, args, kwargs)


cdef object lock_acquire_lock(PyObject* lock, PyObject* args, PyObject* kwargs):
    return acquire_lock(LOCK_ACQUIRE_LOCK, lock, args, kwargs)


cdef object lock_enter(PyObject* lock, PyObject* args, PyObject* kwargs):
    return acquire_lock(LOCK_ENTER, lock, args, kwargs)


cdef object lock_release(PyObject* lock, PyObject* argument):
    return release_lock(LOCK_RELEASE, lock, argument)


cdef object lock_release_lock(PyObject* lock, PyObject* argument):
    return release_lock(LOCK_RELEASE_LOCK, lock, argument)


cdef object lock_exit(PyObject* lock, PyObject* argument):
    return release_lock(LOCK_EXIT, lock, argument)


# ---- RLock: to the interpreter all virtual threads are one -----------------------------------------------------

cdef bint is_ours(PyObject* lock) except -1:
    """Whether some virtual thread has it."""
    return (<plain_function> hooks[RLOCK_IS_OWNED].original)(lock, NULL)


cdef bint is_callers(PyObject* lock) except -1:
    return is_ours(lock) and _owners.get(address(lock), _kernel.driver.main) is _kernel.caller()


cdef object try_rlock(PyObject* lock, Thread me):
    if is_ours(lock) and not is_callers(lock):
        return _NOT_NOW
    if not (<keyword_function> hooks[RLOCK_ACQUIRE].original)(lock, <PyObject*> _ONCE, NULL):
        return _NOT_NOW
    _owners[address(lock)] = me
    return True


cdef object acquire_rlock(int i, PyObject* lock, PyObject* args, PyObject* kwargs):
    if not virtual():
        return (<keyword_function> hooks[i].original)(lock, args, kwargs)
    return take(i, lock, args, kwargs, try_rlock)


cdef object release_rlock(int i, PyObject* lock, PyObject* argument):
    if not virtual():
        return (<plain_function> hooks[i].original)(lock, argument)
    if not is_callers(lock):
        raise RuntimeError("cannot release un-acquired lock")
    result = (<plain_function> hooks[i].original)(lock, argument)
    if not is_ours(lock):
        _owners.pop(address(lock), None)
        released(lock)
    return result


cdef object rlock_acquire(PyObject* lock, PyObject* args, PyObject* kwargs):
    return acquire_rlock(RLOCK_ACQUIRE, lock, args, kwargs)


cdef object rlock_enter(PyObject* lock, PyObject* args, PyObject* kwargs):
    return acquire_rlock(RLOCK_ENTER, lock, args, kwargs)


cdef object rlock_release(PyObject* lock, PyObject* argument):
    return release_rlock(RLOCK_RELEASE, lock, argument)


cdef object rlock_exit(PyObject* lock, PyObject* argument):
    return release_rlock(RLOCK_EXIT, lock, argument)


cdef object rlock_release_save(PyObject* lock, PyObject* argument):
    return release_rlock(RLOCK_RELEASE_SAVE, lock, argument)


cdef object rlock_is_owned(PyObject* lock, PyObject* argument):
    return is_callers(lock) if virtual() else (<plain_function> hooks[RLOCK_IS_OWNED].original)(lock, argument)


cdef object rlock_acquire_restore(PyObject* lock, PyObject* state):
    if virtual():
        take(RLOCK_ACQUIRE, lock, NULL, NULL, try_rlock)
        (<plain_function> hooks[RLOCK_RELEASE].original)(lock, NULL)
    return (<plain_function> hooks[RLOCK_ACQUIRE_RESTORE].original)(lock, state)


# ---- SimpleQueue -----------------------------------------------------------------------------------------------

cdef object try_queue(PyObject* queue, Thread me):
    cdef PyObject* once = PyTuple_GET_ITEM(_ONCE, 0)
    try:
        return (<method_function> hooks[QUEUE_GET].original)(queue, <PyObject*> _queue_type, &once, 1, NULL)
    except _Empty:
        return _NOT_NOW


cdef object queue_get(PyObject* queue, PyObject* cls, PyObject** args, Py_ssize_t n_args, PyObject* names):
    cdef Thread me
    cdef uint64_t until_ns
    cdef Asked asked = OTHERS
    cdef Py_ssize_t i
    if virtual():
        me = _kernel.caller()
        named = <tuple> names if names != NULL else ()
        asked = what_is_asked(tuple([<object> args[i] for i in range(n_args)]),
                              {named[i]: <object> args[n_args + i] for i in range(len(named))}, None, &until_ns)
    if asked != WAIT:
        return (<method_function> hooks[QUEUE_GET].original)(queue, cls, args, n_args, names)
    item = _NOT_NOW if goes_behind(queue) else try_queue(queue, me)
    if item is _NOT_NOW:
        item = wait_for(queue, try_queue, me, until_ns)
    if item is _NOT_NOW:
        raise _Empty
    return item


cdef object queue_put(PyObject* queue, PyObject** args, Py_ssize_t n_args, PyObject* names):
    result = (<fast_keyword_function> hooks[QUEUE_PUT].original)(queue, args, n_args, names)
    if virtual():
        released(queue)
    return result


cdef object queue_put_nowait(PyObject* queue, PyObject** args, Py_ssize_t n_args, PyObject* names):
    result = (<fast_keyword_function> hooks[QUEUE_PUT_NOWAIT].original)(queue, args, n_args, names)
    if virtual():
        released(queue)
    return result


# ---- other threads ---------------------------------------------------------------------------------------------

cdef int note_thread() except -1:
    """A thread is to be started: by the driver's program, or another thread. Raises RuntimeError if by a task."""
    global _is_starting, _n_started
    if virtual() and _kernel.running is not None:
        raise RuntimeError(THREADS_REFUSED)
    _is_starting = True
    _n_started += 1
    return 0


cdef object start_new_thread(PyObject* module, PyObject* args):
    note_thread()
    return (<plain_function> hooks[START_NEW_THREAD].original)(module, args)


cdef object start_new(PyObject* module, PyObject* args):
    note_thread()
    return (<plain_function> hooks[START_NEW].original)(module, args)


cdef object start_joinable_thread(PyObject* module, PyObject* args, PyObject* kwargs):
    note_thread()
    return (<keyword_function> hooks[START_JOINABLE_THREAD].original)(module, args, kwargs)


def outside():
    """Nothing can happen any more: if the program has started threads, wait a second for one to release something that
    is waited for. Returns whether one did."""
    if _n_started == 0:
        return False
    for _ in range(POLLS_MOST):
        for w in [w for w in _waiters.values() if is_free((<Waiters> w).what)]:
            wake_one(w)
            return True
        with nogil:
            usleep(POLL_US)
        PyErr_CheckSignals()
    return False


cdef bint is_free(object what) except -1:
    if type(what) is _queue_type:
        return not what.empty()
    if type(what) is _lock_type:
        return not what.locked()
    return not is_ours(<PyObject*> what) and what.acquire(False) and what.release() is None


def waiting():
    """The virtual threads that wait for a lock or a queue: a list."""
    return [thread for w in _waiters.values() for thread in (<Waiters> w).threads]


# ---- putting them in place -------------------------------------------------------------------------------------

cdef int hook(int i, object function, int flags, void* stand_in) except -1:
    return hook_prepare(&hooks[i], function, flags, stand_in)


cdef int prepare() except -1:
    """Once: note what stands in for what."""
    global n_hooks
    cdef int keywords = METH_VARARGS | METH_KEYWORDS
    lock, rlock, queue = _thread.allocate_lock(), _thread.RLock(), _queue.SimpleQueue()
    hook(LOCK_ACQUIRE, lock.acquire, keywords, <void*> lock_acquire)
    hook(LOCK_ACQUIRE_LOCK, lock.acquire_lock, keywords, <void*> lock_acquire_lock)
    hook(LOCK_ENTER, lock.__enter__, keywords, <void*> lock_enter)
    hook(LOCK_RELEASE, lock.release, METH_NOARGS, <void*> lock_release)
    hook(LOCK_RELEASE_LOCK, lock.release_lock, METH_NOARGS, <void*> lock_release_lock)
    hook(LOCK_EXIT, lock.__exit__, METH_VARARGS, <void*> lock_exit)
    hook(RLOCK_ACQUIRE, rlock.acquire, keywords, <void*> rlock_acquire)
    hook(RLOCK_ENTER, rlock.__enter__, keywords, <void*> rlock_enter)
    hook(RLOCK_RELEASE, rlock.release, METH_NOARGS, <void*> rlock_release)
    hook(RLOCK_EXIT, rlock.__exit__, METH_VARARGS, <void*> rlock_exit)
    hook(RLOCK_IS_OWNED, rlock._is_owned, METH_NOARGS, <void*> rlock_is_owned)
    hook(RLOCK_ACQUIRE_RESTORE, rlock._acquire_restore, METH_VARARGS, <void*> rlock_acquire_restore)
    hook(RLOCK_RELEASE_SAVE, rlock._release_save, METH_NOARGS, <void*> rlock_release_save)
    hook(QUEUE_GET, queue.get, METH_METHOD | METH_FASTCALL | METH_KEYWORDS, <void*> queue_get)
    hook(QUEUE_PUT, queue.put, METH_FASTCALL | METH_KEYWORDS, <void*> queue_put)
    hook(QUEUE_PUT_NOWAIT, queue.put_nowait, METH_FASTCALL | METH_KEYWORDS, <void*> queue_put_nowait)
    hook(START_NEW_THREAD, _thread.start_new_thread, METH_VARARGS, <void*> start_new_thread)
    hook(START_NEW, _thread.start_new, METH_VARARGS, <void*> start_new)
    if hasattr(_thread, "start_joinable_thread"):     # from Python 3.13 on
        hook(START_JOINABLE_THREAD, _thread.start_joinable_thread, keywords, <void*> start_joinable_thread)
        n_hooks = N_HOOKS
    else:
        n_hooks = START_JOINABLE_THREAD
    os.register_at_fork(after_in_child=remove)
    return 0


def install(Kernel kernel not None):
    """From here on the calling thread waits for locks and queues in this simulation's time."""
    global _kernel, _n_others, _n_started, _is_starting
    if n_hooks == 0:
        prepare()
    _n_others = _thread._count()
    _n_started = 0
    _is_starting = False
    _draws.state = stream_seed(kernel.seed, STREAM_LOCKS)
    kernel.outside = outside
    _kernel = kernel
    hooks_install(hooks, n_hooks)


def remove():
    """Locks and queues are waited for in real time again."""
    global _kernel
    if _kernel is None:
        return
    hooks_remove(hooks, n_hooks)
    _kernel.outside = None
    _kernel = None
    _waiters.clear()
    _held.clear()
    _owners.clear()
