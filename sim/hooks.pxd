from cpython.object cimport PyObject

cdef extern from *:
    """
    #ifndef RAYLITE_SIM_HOOKS
    #define RAYLITE_SIM_HOOKS
    static inline PyMethodDef *raylite_method(PyObject *function) { return ((PyCFunctionObject *)function)->m_ml; }
    static inline void *raylite_code(PyMethodDef *method) { return (void *)method->ml_meth; }
    static inline void raylite_set_code(PyMethodDef *method, void *code) { method->ml_meth = (PyCFunction)code; }
    #endif
    """
    bint PyCFunction_Check(object function)
    ctypedef struct PyMethodDef:
        int ml_flags
    PyMethodDef* raylite_method(PyObject* function)
    void* raylite_code(PyMethodDef* method)
    void raylite_set_code(PyMethodDef* method, void* code)
    int METH_NOARGS
    int METH_O
    int METH_VARARGS
    int METH_KEYWORDS
    int METH_FASTCALL
    int METH_METHOD

# The ways in which the interpreter calls functions in C: without arguments or with one, and with several.
ctypedef object (*plain_function)(PyObject* self, PyObject* argument)
ctypedef object (*keyword_function)(PyObject* self, PyObject* args, PyObject* kwargs)
ctypedef object (*fast_function)(PyObject* self, PyObject** args, Py_ssize_t n_args)
ctypedef object (*fast_keyword_function)(PyObject* self, PyObject** args, Py_ssize_t n_args, PyObject* names)
ctypedef object (*method_function)(PyObject* self, PyObject* cls, PyObject** args, Py_ssize_t n_args, PyObject* names)

cdef struct Hook:                 # one function of the interpreter's, and what stands in for it
    PyMethodDef* method
    void* original
    void* stand_in

cdef int hook_prepare(Hook* hook, object function, int flags, void* stand_in) except -1
cdef void hooks_install(Hook* hooks, int n_hooks)
cdef void hooks_remove(Hook* hooks, int n_hooks)
