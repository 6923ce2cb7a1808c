"""Functions of the interpreter's changed where all names of them lead: in its own method tables.

So it makes no difference how and when a program has imported them, or made the objects whose methods they are. What
stands in for a function is called in every thread, and leaves to the original what is not the simulation's.
"""


cdef int hook_prepare(Hook* hook, object function, int flags, void* stand_in) except -1:
    """Note what is to stand in for a function, or for the method that a bound one is of."""
    cdef PyMethodDef* method = raylite_method(<PyObject*> function) if PyCFunction_Check(function) else NULL
    if method == NULL or method.ml_flags != flags:
        raise NotImplementedError(f"{function} is of a kind that raylite.sim does not know in this version of Python; "
                                  "virtual_time=False leaves time, random and locks as they are")
    hook.method = method
    hook.original = raylite_code(method)
    hook.stand_in = stand_in
    return 0


cdef void hooks_install(Hook* hooks, int n_hooks):
    cdef int i
    for i in range(n_hooks):
        raylite_set_code(hooks[i].method, hooks[i].stand_in)


cdef void hooks_remove(Hook* hooks, int n_hooks):
    cdef int i
    for i in range(n_hooks):
        raylite_set_code(hooks[i].method, hooks[i].original)
