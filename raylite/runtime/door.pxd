"""The door: an abstract Unix socket at which processes of the same user come in; inline C, no module is behind it.

Nothing of it is on disk, and it goes with the last descriptor of it. Whoever may see the network namespace may knock,
so who it is, is asked of the kernel before anything else: a caller of another effective user is hung up on, and not a
byte passes either way. Nothing that a caller sends is ever read. Nothing here blocks.
"""
from libc.stdint cimport int32_t

cdef extern from *:
    """
    #ifndef RAYLITE_RUNTIME_DOOR
    #define RAYLITE_RUNTIME_DOOR
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <cerrno>
    #include <cstddef>
    #include <cstdint>
    #include <cstring>
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <unistd.h>

    /* name: its bytes behind the leading zero. -1 if the system refuses. */
    static inline int door_open(const char *name, size_t size) {
        struct sockaddr_un a; memset(&a, 0, sizeof a); a.sun_family = AF_UNIX;
        if (size >= sizeof a.sun_path) return -1;
        memcpy(a.sun_path + 1, name, size);
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && (bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size))
                        || listen(fd, 64))) { close(fd); return -1; }
        return fd; }
    /* The next caller that may come in, and its process; or a DoorState. */
    static inline int door_caller(int door, int32_t *process) {
        for (;;) {
            int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
            if (fd < 0) return errno == EAGAIN ? -1 : errno == EINVAL ? -3 : -2;
            struct ucred c; socklen_t n = sizeof c;
            if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 && c.uid == geteuid()) {
                *process = c.pid; return fd; }
            close(fd); } }
    #endif
    """
    int door_open(const char* name, size_t size) noexcept nogil
    int door_caller(int door, int32_t* process) noexcept nogil

cdef enum DoorState:
    DOOR_NOBODY = -1
    DOOR_CROWDED = -2             # the system has no descriptors left
    DOOR_SHUT = -3                # by a copy of it, in another process

cdef enum:
    CALLERS_MOST = 16             # who may be in at a time: each takes six descriptors, and memory as it uses its rings
    CROWDED_NS = 100000000        # how long the door stays shut when there are no descriptors left
