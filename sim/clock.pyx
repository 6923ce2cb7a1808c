"""Time and chance for code under simulation: virtual clocks, sleeps and a seeded `random`.

`time.sleep`, the clocks of `time` and the functions of `random` are changed (see hooks). The thread of the simulation
gets the virtual ones, from the start of the session to its end; every other thread the real ones.
"""
from cpython.object cimport PyObject
from raylite.sim.hooks cimport fast_function, Hook, hook_prepare, hooks_install, hooks_remove, METH_FASTCALL, \
    METH_NOARGS, METH_O, plain_function, raylite_method
from raylite.sim.kernel cimport is_caller, Kernel, STREAM_RANDOM, stream_seed
from raylite.sim.timeline cimport START_NS

import _random
import os
import random
import time
from _contextvars import ContextVar

from raylite._core.ids import content_hash
from raylite.runtime.client import current_task

cdef enum:
    EPOCH_S = 946684800           # time.time() begins here: 2000-01-01
    N_HOOKS = 12

cdef Hook hooks[N_HOOKS]
cdef int n_hooks = 0
cdef Kernel _kernel = None        # of the session under way
cdef PyObject* _shared = <PyObject*> random._inst
cdef object _generator = ContextVar("raylite_sim_random")     # (TaskContext, Random)


cdef bint virtual():
    """Whether it is a simulation's code that calls."""
    return is_caller(_kernel)


# ---- the clocks ------------------------------------------------------------------------------------------------

cdef object original(int i, PyObject* self, PyObject* argument):
    return (<plain_function> hooks[i].original)(self, argument)


cdef object sleep(PyObject* self, PyObject* argument):
    if not virtual():
        return original(0, self, argument)
    _kernel.sleep(<object> argument)


cdef object time_s(PyObject* self, PyObject* argument):
    return EPOCH_S + (_kernel.read_clock() - START_NS) / 1e9 if virtual() else original(1, self, argument)


cdef object time_ns(PyObject* self, PyObject* argument):
    return <long long> EPOCH_S * 10**9 + (_kernel.read_clock() - START_NS) if virtual() else original(2, self, argument)


cdef object monotonic_s(PyObject* self, PyObject* argument):
    return _kernel.read_clock() / 1e9 if virtual() else original(3, self, argument)


cdef object monotonic_ns(PyObject* self, PyObject* argument):
    return _kernel.read_clock() if virtual() else original(4, self, argument)


cdef object perf_counter_s(PyObject* self, PyObject* argument):
    return _kernel.read_clock() / 1e9 if virtual() else original(5, self, argument)


cdef object perf_counter_ns(PyObject* self, PyObject* argument):
    return _kernel.read_clock() if virtual() else original(6, self, argument)


# ---- chance ----------------------------------------------------------------------------------------------------

cdef object generator():
    """The running task's own: the same task, in the same attempt, draws the same."""
    task = current_task()
    found = _generator.get(None)
    if found is not None and found[0] is task:
        return found[1]
    data = task.task_id + task.attempt.to_bytes(8, "little")
    own = _random.Random(int.from_bytes(content_hash(data, stream_seed(_kernel.seed, STREAM_RANDOM)), "little"))
    _generator.set((task, own))
    return own


cdef object with_generator(int i, PyObject* self, PyObject* argument):
    if self != _shared or not virtual():
        return original(i, self, argument)
    own = generator()
    return original(i, <PyObject*> own, argument)


cdef object draw_random(PyObject* self, PyObject* argument):
    return with_generator(7, self, argument)


cdef object draw_bits(PyObject* self, PyObject* argument):
    return with_generator(8, self, argument)


cdef object get_state(PyObject* self, PyObject* argument):
    return with_generator(9, self, argument)


cdef object set_state(PyObject* self, PyObject* argument):
    return with_generator(10, self, argument)


cdef object set_seed(PyObject* self, PyObject* argument):
    return with_generator(11, self, argument)


cdef object set_seed_fast(PyObject* self, PyObject** args, Py_ssize_t n_args):
    if self != _shared or not virtual():
        return (<fast_function> hooks[11].original)(self, args, n_args)
    own = generator()
    return (<fast_function> hooks[11].original)(<PyObject*> own, args, n_args)


# ---- putting them in place -------------------------------------------------------------------------------------

cdef int hook(object function, int flags, void* stand_in) except -1:
    """Note what stands in for a function."""
    global n_hooks
    hook_prepare(&hooks[n_hooks], function, flags, stand_in)
    n_hooks += 1
    return 0


cdef int prepare() except -1:
    """Once: the hooks, in the order in which the stand-ins know their originals."""
    base_seed = super(random.Random, random._inst).seed
    hook(time.sleep, METH_O, <void*> sleep)
    hook(time.time, METH_NOARGS, <void*> time_s)
    hook(time.time_ns, METH_NOARGS, <void*> time_ns)
    hook(time.monotonic, METH_NOARGS, <void*> monotonic_s)
    hook(time.monotonic_ns, METH_NOARGS, <void*> monotonic_ns)
    hook(time.perf_counter, METH_NOARGS, <void*> perf_counter_s)
    hook(time.perf_counter_ns, METH_NOARGS, <void*> perf_counter_ns)
    hook(random._inst.random, METH_NOARGS, <void*> draw_random)
    hook(random._inst.getrandbits, METH_O, <void*> draw_bits)
    hook(super(random.Random, random._inst).getstate, METH_NOARGS, <void*> get_state)
    hook(super(random.Random, random._inst).setstate, METH_O, <void*> set_state)
    if raylite_method(<PyObject*> base_seed).ml_flags == METH_FASTCALL:
        hook(base_seed, METH_FASTCALL, <void*> set_seed_fast)
    else:
        hook(base_seed, METH_O, <void*> set_seed)
    os.register_at_fork(after_in_child=remove)
    return 0


def install(Kernel kernel not None):
    """From here on the calling thread's time and chance are those of this simulation."""
    global _kernel
    if n_hooks == 0:
        prepare()
    _kernel = kernel
    random._inst.gauss_next = None    # a number left over; where random.gauss draws two, a later task may use the other
    hooks_install(hooks, n_hooks)


def remove():
    """Time and chance are real again."""
    global _kernel
    if _kernel is None:
        return
    hooks_remove(hooks, n_hooks)
    _kernel = None
