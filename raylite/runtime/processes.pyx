"""What the system does for us that the standard library does not offer: prctl, pidfd, holes in files, C's stdout."""
from libc.stdio cimport _IOLBF, fflush, setvbuf, stdout

from time import monotonic

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <signal.h>
    #include <sys/prctl.h>
    #include <sys/syscall.h>
    #include <sys/wait.h>
    #include <unistd.h>
    #include <poll.h>
    static int raylite_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }
    static void raylite_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
    static int raylite_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }
    static int raylite_pidfd(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
    static int raylite_ended(int fd, int timeout_ms) {
        struct pollfd p; p.fd = fd; p.events = POLLIN; p.revents = 0;
        return poll(&p, 1, timeout_ms); }
    static int raylite_punch(int fd, long long offset, long long size) {
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size); }
    """
    int raylite_punch(int fd, long long offset, long long size) noexcept nogil
    int raylite_subreaper() noexcept nogil
    int raylite_die_with_parent() noexcept nogil
    void raylite_name(const char* name) noexcept nogil
    int raylite_pidfd(int pid) noexcept nogil
    int raylite_ended(int fd, int timeout_ms) noexcept nogil
    int errno


def become_subreaper():
    """Orphans among this process's descendants become its children."""
    if raylite_subreaper() != 0:
        raise OSError(errno, "PR_SET_CHILD_SUBREAPER is refused")


def die_with_parent():
    """This process is killed when the thread that forked it ends."""
    if raylite_die_with_parent() != 0:
        raise OSError(errno, "PR_SET_PDEATHSIG is refused")


def name_process(str name not None):
    """Show this process under a name of at most 15 bytes in ps and top."""
    raylite_name(name.encode())


def flush_c_stdout():
    """Write out what C code has printed and the C library still buffers."""
    fflush(stdout)


def buffer_c_stdout_by_lines():
    """Let lines that C code prints leave the process as they end, although its output is no terminal."""
    setvbuf(stdout, NULL, _IOLBF, 0)


def open_pidfd(int pid):
    """A descriptor that is readable once process `pid` has ended. Raises ProcessLookupError if there is none."""
    cdef int fd = raylite_pidfd(pid)
    if fd < 0:
        raise OSError(errno, f"pidfd_open({pid})")
    return fd


def wait_ended(int pidfd, double timeout_s):
    """Whether the process behind a pidfd ends within the time."""
    cdef int answer = raylite_ended(pidfd, 0)
    cdef double until
    if answer == 0 and timeout_s > 0:
        until = monotonic() + timeout_s
        while answer <= 0 and timeout_s > 0:
            with nogil:
                answer = raylite_ended(pidfd, <int> (timeout_s * 1000) + 1)
            timeout_s = until - monotonic()
    return answer > 0


def punch_hole(int fd, long long offset, long long size):
    """Free the memory behind a part of a file, which reads as zeros from then on. False if that is not possible."""
    return raylite_punch(fd, offset, size) == 0
