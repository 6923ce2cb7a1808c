cdef object leave_thread_state()
cdef int return_to_thread_state(object state) except -1
