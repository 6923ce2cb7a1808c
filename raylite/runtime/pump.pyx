"""Who reads a process's input: a native thread that never takes the GIL, or a thread that waits for an answer anyway.

A thread that waits may lead: it polls the input itself, spins briefly, then sleeps on an event of its own, so that an
answer costs one hop. While nobody leads, the native thread sleeps in epoll and is woken instead. The bell word tells
the other side which of the two to wake, if any. Handing over costs no system call: the native thread stays asleep while
a waiter leads, and the bell points back to it when the waiter leaves.

Order (Dekker): we store the bell, fence, and look at the input once more before we sleep; the other side stores its
input, fences, and looks at the bell. All fields but `bell` are guarded by `lock`.
"""
from raylite.runtime.native cimport block_all_signals, close, cond_new, cond_wait_until, cpu_relax, epoll_new, \
    epoll_tags, epoll_watch, event_clear, event_set, full_fence, monotonic_ns, name_thread, pthread_cond_broadcast, \
    pthread_join, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, short_timer_slack, start_thread, \
    store_seq, timer_arm, timer_new, wait_readable
from raylite.runtime.channel cimport BELL_AWAKE, BELL_THREAD, BELL_WAITER

cdef enum:
    SIGNAL_CHECK_NS = 50000000    # how long a follower sleeps before it looks at signals
    STOP_CHECK_NS = 1000000


cdef bint pump_open(Pump* p, void* owner, uint64_t* bell, int thread_event, int waiter_event) noexcept nogil:
    """Make a pump; its functions are set by the caller. False if the system has no descriptors left."""
    pthread_mutex_init(&p.lock, NULL)
    cond_new(&p.moved)
    p.owner = owner
    p.bell = bell
    p.thread_event = thread_event
    p.waiter_event = waiter_event
    p.timer = timer_new()
    p.epoll = epoll_new()
    if p.timer < 0 or p.epoll < 0:
        return False
    epoll_watch(p.epoll, thread_event, TAG_BELL)
    epoll_watch(p.epoll, p.timer, TAG_TIMER)
    return True


cdef void rest(Pump* p) noexcept nogil:
    """Nobody leads: let the other side wake the native thread; take in what came before it could know."""
    store_seq(p.bell, BELL_THREAD)
    full_fence()
    while p.pending(p.owner):
        p.poll(p.owner)
    if p.n_followers:
        pthread_cond_broadcast(&p.moved)


cdef void* thread_main(void* arg) noexcept nogil:
    cdef Pump* p = <Pump*> arg
    cdef uint32_t tags[64]
    cdef int i, n
    block_all_signals()
    name_thread(b"raylite-pump")
    short_timer_slack()
    while True:
        n = epoll_tags(p.epoll, tags, 64, -1)
        pthread_mutex_lock(&p.lock)
        if p.stopping:
            pthread_mutex_unlock(&p.lock)
            return NULL
        for i in range(n):
            if tags[i] == TAG_BELL:
                event_clear(p.thread_event)
            elif tags[i] == TAG_TIMER:
                event_clear(p.timer)
                p.timer_at_ns = 0
            else:
                p.readable(p.owner, tags[i])
        if not p.leader:
            store_seq(p.bell, BELL_AWAKE)
        p.poll(p.owner)
        if not p.leader:
            rest(p)
        pthread_mutex_unlock(&p.lock)


cdef bint pump_start(Pump* p) noexcept nogil:
    """Start the native thread."""
    store_seq(p.bell, BELL_THREAD)
    p.running = start_thread(&p.thread, thread_main, p) == 0
    return p.running


cdef void pump_stop(Pump* p) noexcept nogil:
    """End the native thread and close what the pump opened. What is waited for must be done; waiters are let go."""
    pthread_mutex_lock(&p.lock)
    p.stopping = True
    while p.n_waiting:
        pump_nudge(p)
        cond_wait_until(&p.moved, &p.lock, monotonic_ns() + STOP_CHECK_NS)
    pthread_mutex_unlock(&p.lock)
    if p.running:
        event_set(p.thread_event)
        pthread_join(p.thread, NULL)
        p.running = False
    close(p.timer)
    close(p.epoll)
    p.timer = p.epoll = -1


cdef void pump_wake_by(Pump* p, uint64_t after_ns) noexcept nogil:
    """Have poll() called in `after_ns` at the latest, whatever else happens."""
    cdef uint64_t when = monotonic_ns() + after_ns
    if p.timer_at_ns == 0 or when < p.timer_at_ns:
        p.timer_at_ns = when
        timer_arm(p.timer, after_ns)


cdef void pump_nudge(Pump* p) noexcept nogil:
    """Something that a thread may wait for has happened, under the lock: have all look."""
    p.nudged = True
    if p.leader_asleep:
        p.leader_asleep = False
        event_set(p.waiter_event)
    if p.n_followers:
        pthread_cond_broadcast(&p.moved)


cdef void spin_for_input(Pump* p) noexcept nogil:
    cdef uint64_t until = monotonic_ns() + p.spin_ns
    while not p.pending(p.owner):
        for _ in range(32):
            cpu_relax()
        if monotonic_ns() >= until:
            return


cdef int lead(Pump* p, int64_t left_ns, bint spin) noexcept nogil:
    """Wait for input as the leader, without the lock while asleep. -1 if a signal came."""
    cdef int woken = 1
    p.leader = True
    p.nudged = False
    store_seq(p.bell, BELL_AWAKE)
    if spin and p.spin_ns:
        pthread_mutex_unlock(&p.lock)
        spin_for_input(p)
        pthread_mutex_lock(&p.lock)
    if not p.pending(p.owner) and not p.nudged:
        store_seq(p.bell, BELL_WAITER)
        full_fence()
        if not p.pending(p.owner):
            p.leader_asleep = True
            pthread_mutex_unlock(&p.lock)
            woken = wait_readable(p.waiter_event, left_ns)
            pthread_mutex_lock(&p.lock)
            p.leader_asleep = False
            event_clear(p.waiter_event)
        store_seq(p.bell, BELL_AWAKE)
    p.leader = False
    return woken


cdef int pump_wait(Pump* p, done_function done, void* what, int64_t timeout_ns, bint spin) noexcept nogil:
    """Wait, with the lock held on entry and exit, until done(what). 1: it is; 0: time is up; -1: look at signals.

    timeout_ns below 0: no limit.
    """
    cdef uint64_t now = 0, until = 0
    cdef int64_t left = -1
    cdef int result = 1
    p.n_waiting += 1
    while True:
        p.poll(p.owner)
        if done(what):
            break
        if timeout_ns >= 0:
            now = monotonic_ns()
            if until == 0:
                until = now + <uint64_t> timeout_ns
            if now >= until:
                result = 0
                break
            left = <int64_t> (until - now)
        if p.leader:
            p.n_followers += 1
            now = monotonic_ns() + SIGNAL_CHECK_NS
            cond_wait_until(&p.moved, &p.lock, until if until and until < now else now)
            p.n_followers -= 1
            if not done(what):
                result = -1
                break
        elif lead(p, left, spin) < 0:
            p.poll(p.owner)
            result = 1 if done(what) else -1
            break
    if not p.leader:
        rest(p)
        if result != 1 and done(what):
            result = 1
    p.n_waiting -= 1
    return result
