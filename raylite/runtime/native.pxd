"""System calls and atomic words, as Cython sees them; everything is inline C, there is no module behind it."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #ifndef RAYLITE_RUNTIME_NATIVE
    #define RAYLITE_RUNTIME_NATIVE
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <cerrno>
    #include <cstdint>
    #include <cstring>
    #include <ctime>
    #include <fcntl.h>
    #include <poll.h>
    #include <pthread.h>
    #include <sched.h>
    #include <signal.h>
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/mman.h>
    #include <sys/prctl.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/timerfd.h>
    #include <unistd.h>
    #ifndef MFD_CLOEXEC
    #define MFD_CLOEXEC 1U
    #endif
    #ifndef MFD_ALLOW_SEALING
    #define MFD_ALLOW_SEALING 2U
    #endif
    #ifndef F_ADD_SEALS
    #define F_ADD_SEALS 1033
    #endif
    #ifndef F_SEAL_SHRINK
    #define F_SEAL_SHRINK 2
    #endif
    #ifndef F_SEAL_FUTURE_WRITE
    #define F_SEAL_FUTURE_WRITE 16
    #endif

    static inline uint64_t load_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
    static inline uint64_t load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void store_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline void store_seq(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
    static inline uint64_t load_seq(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
    static inline int load_flag(const int *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
    static inline void raise_flag(int *p) { __atomic_store_n(p, 1, __ATOMIC_RELAXED); }
    static inline void full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    static inline void *exchange_pointer(void **p, void *v) { return __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL); }
    static inline int push_pointer(void **head, void **next, void *item) {
        void *seen = __atomic_load_n(head, __ATOMIC_RELAXED);
        do { *next = seen; } while (
            !__atomic_compare_exchange_n(head, &seen, item, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
        return seen == NULL; }
    static inline void cpu_relax(void) {
    #if defined(__x86_64__)
        __builtin_ia32_pause();
    #elif defined(__aarch64__)
        __asm__ __volatile__("yield");
    #endif
    }
    static inline uint64_t monotonic_ns(void) {
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec; }

    /* Whoever is given one with a size cannot shorten it: the others would die of what they have mapped. */
    static inline int memory_file(const char *name, uint64_t size) {
        int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd >= 0 && (fchmod(fd, 0600) != 0 || ftruncate(fd, (off_t)size) != 0)) {
            int e = errno; close(fd); errno = e; return -1; }
        if (fd >= 0 && size) fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
        return fd; }
    /* From now on it can be written only by who has mapped it already. */
    static inline void let_nobody_write(int fd) { fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE); }
    static inline void append_to(int fd) { fcntl(fd, F_SETFL, O_APPEND); }
    static inline char *map_shared(int fd, uint64_t offset, uint64_t size, int writable) {
        void *p = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)offset);
        return p == MAP_FAILED ? NULL : (char *)p; }
    /* The same pages twice, one behind the other, so that no record in a ring is split. */
    static inline char *map_mirrored(int fd, uint64_t offset, uint64_t size, int writable) {
        int prot = PROT_READ | (writable ? PROT_WRITE : 0);
        char *base = (char *)mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == (char *)MAP_FAILED) return NULL;
        if (mmap(base, size, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED ||
            mmap(base + size, size, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED) {
            munmap(base, 2 * size); return NULL; }
        return base; }
    static inline void not_in_forks(char *p, uint64_t size) { madvise(p, size, MADV_DONTFORK); }
    static inline void unmap(char *p, uint64_t size) { if (p) munmap(p, size); }
    static inline int event_new(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
    static inline void event_set(int fd) { uint64_t one = 1; ssize_t r = write(fd, &one, 8); (void)r; }
    static inline void event_clear(int fd) { uint64_t n; ssize_t r = read(fd, &n, 8); (void)r; }
    /* 1: readable, 0: time is up, -1: a signal arrived. timeout_ns < 0: none. */
    static inline int wait_readable(int fd, int64_t timeout_ns) {
        struct pollfd p; p.fd = fd; p.events = POLLIN; p.revents = 0;
        struct timespec t;
        if (timeout_ns >= 0) { t.tv_sec = timeout_ns / 1000000000; t.tv_nsec = timeout_ns % 1000000000; }
        int r = ppoll(&p, 1, timeout_ns >= 0 ? &t : NULL, NULL);
        return r > 0 ? 1 : r == 0 ? 0 : -1; }
    static inline int epoll_new(void) { return epoll_create1(EPOLL_CLOEXEC); }
    static inline int epoll_watch(int ep, int fd, uint32_t tag) {
        struct epoll_event e; memset(&e, 0, sizeof e); e.events = EPOLLIN; e.data.u32 = tag;
        return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e); }
    static inline int epoll_watch_hangup(int ep, int fd, uint32_t tag) {
        struct epoll_event e; memset(&e, 0, sizeof e); e.events = EPOLLRDHUP; e.data.u32 = tag;
        return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e); }
    static inline void epoll_unwatch(int ep, int fd) { epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL); }
    static inline int epoll_tags(int ep, uint32_t *tags, int most, int timeout_ms) {
        struct epoll_event e[64];
        int n = epoll_wait(ep, e, most < 64 ? most : 64, timeout_ms);
        for (int i = 0; i < n; i++) tags[i] = e[i].data.u32;
        return n; }
    static inline int timer_new(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); }
    static inline void timer_arm(int fd, uint64_t after_ns) {
        struct itimerspec t; memset(&t, 0, sizeof t);
        t.it_value.tv_sec = after_ns / 1000000000ull; t.it_value.tv_nsec = after_ns % 1000000000ull;
        timerfd_settime(fd, 0, &t, NULL); }
    static inline int packet_pair(int *fds) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds); }
    static inline int send_with_fds(int sock, const void *data, size_t size, const int *fds, int n_fds) {
        struct msghdr m; struct iovec v; char control[CMSG_SPACE(16 * sizeof(int))];
        memset(&m, 0, sizeof m); v.iov_base = (void *)data; v.iov_len = size; m.msg_iov = &v; m.msg_iovlen = 1;
        if (n_fds) {
            m.msg_control = control; m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
            struct cmsghdr *c = CMSG_FIRSTHDR(&m);
            c->cmsg_level = SOL_SOCKET; c->cmsg_type = SCM_RIGHTS; c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
            memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int)); }
        return sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size ? 0 : -1; }
    static inline int recv_one_fd(int sock, uint32_t *tag) {
        struct msghdr m; struct iovec v; char control[CMSG_SPACE(sizeof(int))]; int fd = -1; ssize_t r;
        memset(&m, 0, sizeof m); v.iov_base = tag; v.iov_len = sizeof *tag; m.msg_iov = &v; m.msg_iovlen = 1;
        m.msg_control = control; m.msg_controllen = sizeof control;
        do { r = recvmsg(sock, &m, MSG_CMSG_CLOEXEC); } while (r < 0 && errno == EINTR);
        if (r != (ssize_t)sizeof *tag) return -1;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(c), sizeof fd);
        return fd; }
    static inline int receive(int sock, void *data, size_t size) { return (int)recv(sock, data, size, MSG_DONTWAIT); }
    /* The process that made the other end. */
    static inline int peer_process(int sock) {
        struct ucred c; socklen_t n = sizeof c;
        return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &c, &n) ? 0 : (int)c.pid; }
    static inline void hang_up(int sock) { shutdown(sock, SHUT_RDWR); }
    static inline void say_no_more(int sock) { shutdown(sock, SHUT_WR); }
    static inline int open_pidfd(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
    static inline uint64_t file_size(int fd) { struct stat s; return fstat(fd, &s) ? 0 : (uint64_t)s.st_size; }
    static inline int read_at(int fd, char *data, uint64_t size, uint64_t offset) {
        return (int)pread(fd, data, size, (off_t)offset); }
    static inline int current_cpu_count(void) {
        cpu_set_t s; return sched_getaffinity(0, sizeof s, &s) ? 1 : CPU_COUNT(&s); }
    static inline void block_all_signals(void) { sigset_t s; sigfillset(&s); pthread_sigmask(SIG_BLOCK, &s, NULL); }
    static inline void short_timer_slack(void) { prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0); }
    static inline void name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
    static inline int start_thread(pthread_t *out, void *(*run)(void *), void *arg) {
        pthread_attr_t a; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 256 * 1024);
        sigset_t all, old; sigfillset(&all); pthread_sigmask(SIG_SETMASK, &all, &old);
        int r = pthread_create(out, &a, run, arg);
        pthread_sigmask(SIG_SETMASK, &old, NULL); pthread_attr_destroy(&a); return r; }
    static inline void cond_new(pthread_cond_t *c) {
        pthread_condattr_t a; pthread_condattr_init(&a); pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
        pthread_cond_init(c, &a); pthread_condattr_destroy(&a); }
    static inline void cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, uint64_t when_ns) {
        struct timespec t; t.tv_sec = when_ns / 1000000000ull; t.tv_nsec = when_ns % 1000000000ull;
        pthread_cond_timedwait(c, m, &t); }
    #endif
    """
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct pthread_t:
        pass
    int pthread_mutex_init(pthread_mutex_t*, void*) noexcept nogil
    int pthread_mutex_lock(pthread_mutex_t*) noexcept nogil
    int pthread_mutex_trylock(pthread_mutex_t*) noexcept nogil
    int pthread_mutex_unlock(pthread_mutex_t*) noexcept nogil
    int pthread_cond_broadcast(pthread_cond_t*) noexcept nogil
    int pthread_join(pthread_t, void**) noexcept nogil
    int kill(int pid, int signal) noexcept nogil
    int killpg(int pgid, int signal) noexcept nogil
    int close(int fd) noexcept nogil
    int dup(int fd) noexcept nogil
    int sched_yield() noexcept nogil
    int getpid() noexcept nogil
    int SIGKILL
    int errno

    uint64_t load_relaxed(const uint64_t* p) noexcept nogil
    uint64_t load_acquire(const uint64_t* p) noexcept nogil
    uint64_t load_seq(const uint64_t* p) noexcept nogil
    void store_release(uint64_t* p, uint64_t v) noexcept nogil
    void store_seq(uint64_t* p, uint64_t v) noexcept nogil
    bint load_flag(const bint* p) noexcept nogil
    void raise_flag(bint* p) noexcept nogil
    void full_fence() noexcept nogil
    void* exchange_pointer(void** p, void* v) noexcept nogil
    int push_pointer(void** head, void** next, void* item) noexcept nogil
    void cpu_relax() noexcept nogil
    uint64_t monotonic_ns() noexcept nogil
    int memory_file(const char* name, uint64_t size) noexcept nogil
    void let_nobody_write(int fd) noexcept nogil
    void append_to(int fd) noexcept nogil
    char* map_shared(int fd, uint64_t offset, uint64_t size, int writable) noexcept nogil
    char* map_mirrored(int fd, uint64_t offset, uint64_t size, int writable) noexcept nogil
    void not_in_forks(char* p, uint64_t size) noexcept nogil
    void unmap(char* p, uint64_t size) noexcept nogil
    int event_new() noexcept nogil
    void event_set(int fd) noexcept nogil
    void event_clear(int fd) noexcept nogil
    int wait_readable(int fd, int64_t timeout_ns) noexcept nogil
    int epoll_new() noexcept nogil
    int epoll_watch(int ep, int fd, uint32_t tag) noexcept nogil
    int epoll_watch_hangup(int ep, int fd, uint32_t tag) noexcept nogil
    void epoll_unwatch(int ep, int fd) noexcept nogil
    int epoll_tags(int ep, uint32_t* tags, int most, int timeout_ms) noexcept nogil
    int timer_new() noexcept nogil
    void timer_arm(int fd, uint64_t after_ns) noexcept nogil
    int packet_pair(int* fds) noexcept nogil
    int send_with_fds(int sock, const void* data, size_t size, const int* fds, int n_fds) noexcept nogil
    int recv_one_fd(int sock, uint32_t* tag) noexcept nogil
    int receive(int sock, void* data, size_t size) noexcept nogil
    int peer_process(int sock) noexcept nogil
    void hang_up(int sock) noexcept nogil
    void say_no_more(int sock) noexcept nogil
    int open_pidfd(int pid) noexcept nogil
    uint64_t file_size(int fd) noexcept nogil
    int read_at(int fd, char* data, uint64_t size, uint64_t offset) noexcept nogil
    int current_cpu_count() noexcept nogil
    void block_all_signals() noexcept nogil
    void short_timer_slack() noexcept nogil
    void name_thread(const char* name) noexcept nogil
    int start_thread(pthread_t* out, void* (*run)(void*) noexcept nogil, void* arg) noexcept nogil
    void cond_new(pthread_cond_t* c) noexcept nogil
    void cond_wait_until(pthread_cond_t* c, pthread_mutex_t* m, uint64_t when_ns) noexcept nogil
