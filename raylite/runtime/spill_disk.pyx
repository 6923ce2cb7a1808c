"""The disk that takes what the arena has no room for: two native threads, one that writes and one that reads.

Values lie one behind another in files without a name, each with its checksum; a file goes when all its values have
gone, and before that what is dropped of it is given back to the file system. A value counts as written when all of it
is. Neither thread takes the GIL or holds a lock while bytes move. They begin with the first job.
"""
from cython.operator cimport dereference as deref, preincrement
from libc.stdlib cimport free, malloc
from raylite.runtime.disk_files cimport give_back_bytes, move_bytes, nameless_file, reserve_file, shorten_file
from raylite.runtime.native cimport block_all_signals, close, cond_new, errno, name_thread, pthread_cond_broadcast, \
    pthread_join, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock, start_thread

cdef extern from "<pthread.h>" nogil:
    int pthread_cond_wait(pthread_cond_t*, pthread_mutex_t*) noexcept

cdef enum:
    FILE_BYTES = 1 << 30          # a file that has so many gets no more
    BUFFER_BYTES = 1 << 18
    DAMAGED = 74                  # errno: EBADMSG
    NOT_THERE = 2                 # errno: ENOENT
    NO_THREADS = 11               # errno: EAGAIN


cdef int open_file(SpillDisk* d, DiskPlace* place) noexcept nogil:
    """Find where the next value goes. 0, or errno."""
    cdef DiskFile fresh
    it = d.files.find(d.last_file)
    if it == d.files.end() or deref(it).second.end >= FILE_BYTES:
        fresh.fd = nameless_file(d.folder.c_str())
        if fresh.fd < 0:
            return errno
        fresh.n_live = 0
        fresh.end = 0
        d.last_file += 1
        d.files[d.last_file] = fresh
        it = d.files.find(d.last_file)
    place.file = d.last_file
    place.offset = deref(it).second.end
    return 0


cdef int spill(SpillDisk* d, const DiskJob* job, char* buffer) noexcept nogil:
    """Write a value; all of it, or nothing. 0, or errno. Only one thread does this."""
    cdef DiskPlace place
    cdef DiskFile* file
    cdef int error
    place.size = job.size
    place.sum = 0
    pthread_mutex_lock(&d.lock)
    error = open_file(d, &place)
    file = &d.files[place.file] if error == 0 else NULL
    pthread_mutex_unlock(&d.lock)
    if error:
        return error
    error = move_bytes(job.memory, job.offset, file.fd, place.offset, job.size, buffer, BUFFER_BYTES, &d.stopping,
                       &place.sum)
    if error:
        shorten_file(file.fd, place.offset)
        return error
    pthread_mutex_lock(&d.lock)
    file.end = place.offset + job.size
    file.n_live += 1
    d.places[job.number] = place
    pthread_mutex_unlock(&d.lock)
    return 0


cdef int restore(SpillDisk* d, const DiskJob* job, char* buffer) noexcept nogil:
    """Read a value, and see that it is what was written. 0, or errno."""
    cdef DiskPlace place
    cdef uint32_t sum = 0
    cdef int error, fd = -1
    pthread_mutex_lock(&d.lock)
    it = d.places.find(job.number)
    if it != d.places.end():
        place = deref(it).second
        fd = d.files[place.file].fd
    pthread_mutex_unlock(&d.lock)
    if fd < 0 or place.size != job.size:
        return NOT_THERE
    error = move_bytes(fd, place.offset, job.memory, job.offset, job.size, buffer, BUFFER_BYTES, &d.stopping, &sum)
    return error if error else (0 if sum == place.sum else DAMAGED)


cdef void drop(SpillDisk* d, uint64_t number) noexcept nogil:
    """The value is not needed any more. By the thread that writes, so behind its writing."""
    cdef DiskPlace place
    cdef DiskFile* file
    cdef int closing = -1
    pthread_mutex_lock(&d.lock)
    it = d.places.find(number)
    if it == d.places.end():
        pthread_mutex_unlock(&d.lock)
        return
    place = deref(it).second
    d.places.erase(number)
    file = &d.files[place.file]
    file.n_live -= 1
    if file.n_live == 0 and place.file != d.last_file:
        closing = file.fd
        d.files.erase(place.file)
    elif file.n_live == 0:
        file.end = 0
    pthread_mutex_unlock(&d.lock)
    if closing >= 0:
        close(closing)
    elif file.n_live == 0:
        shorten_file(file.fd, 0)
    else:
        give_back_bytes(file.fd, place.offset, place.size)


cdef int make_segment(SpillDisk* d, uint64_t size, int* fd) noexcept nogil:
    """A file of this size, whose room on the disk is certain. 0, or errno."""
    cdef int error
    fd[0] = nameless_file(d.folder.c_str())
    if fd[0] < 0:
        return errno
    error = reserve_file(fd[0], size)
    if error:
        close(fd[0])
        fd[0] = -1
    return error


cdef void work(SpillDisk* d, const DiskJob* job, char* buffer) noexcept nogil:
    cdef int error = 0, fd = -1
    if job.kind == DISK_SPILL:
        error = spill(d, job, buffer)
    elif job.kind == DISK_RESTORE:
        error = restore(d, job, buffer)
    elif job.kind == DISK_SEGMENT:
        error = make_segment(d, job.size, &fd)
    else:
        drop(d, job.number)
        return
    if job.memory >= 0:
        close(job.memory)
    d.done(d.owner, job.kind, job.number, error, job.size, fd)


cdef void serve(SpillDisk* d, deque[DiskJob]* jobs) noexcept nogil:
    cdef char* buffer = <char*> malloc(BUFFER_BYTES)
    cdef DiskJob job
    block_all_signals()
    name_thread(b"raylite-disk")
    while True:
        pthread_mutex_lock(&d.lock)
        while jobs.empty() and not d.stopping:
            pthread_cond_wait(&d.work, &d.lock)
        if d.stopping:
            pthread_mutex_unlock(&d.lock)
            free(buffer)
            return
        job = jobs.front()
        jobs.pop_front()
        pthread_mutex_unlock(&d.lock)
        work(d, &job, buffer)


cdef void* write_main(void* arg) noexcept nogil:
    serve(<SpillDisk*> arg, &(<SpillDisk*> arg).writes)
    return NULL


cdef void* read_main(void* arg) noexcept nogil:
    serve(<SpillDisk*> arg, &(<SpillDisk*> arg).reads)
    return NULL


cdef void disk_open(SpillDisk* d, const string* folder, void* owner, disk_done done) noexcept nogil:
    """Files will be in this folder; nothing is made before the first job."""
    pthread_mutex_init(&d.lock, NULL)
    cond_new(&d.work)
    d.folder = folder[0]
    d.owner = owner
    d.done = done
    d.is_open = True


cdef bint start_threads(SpillDisk* d) noexcept nogil:
    if d.n_threads == 0 and start_thread(&d.threads[0], write_main, d) == 0:
        d.n_threads = 1
    if d.n_threads == 1 and start_thread(&d.threads[1], read_main, d) == 0:
        d.n_threads = 2
    return d.n_threads == 2


cdef bint disk_add(SpillDisk* d, int kind, uint64_t number, int memory, uint64_t offset, uint64_t size) noexcept nogil:
    """Have a job done; `memory` is ours from here. False if it cannot be, and will not: then `memory` is the caller's.
    One thread at a time calls this."""
    cdef DiskJob job
    if not d.is_open or not start_threads(d):
        return False
    job.kind = kind
    job.memory = memory
    job.number = number
    job.offset = offset
    job.size = size
    pthread_mutex_lock(&d.lock)
    if kind == DISK_RESTORE:
        d.reads.push_back(job)
    else:
        d.writes.push_back(job)
    pthread_cond_broadcast(&d.work)
    pthread_mutex_unlock(&d.lock)
    return True


cdef void close_jobs(deque[DiskJob]* jobs) noexcept nogil:
    cdef size_t i
    for i in range(jobs.size()):
        if jobs[0][i].memory >= 0:
            close(jobs[0][i].memory)
    jobs.clear()


cdef void disk_close(SpillDisk* d) noexcept nogil:
    """End the threads, and with the files all that is in them. Not under a lock that `done` takes."""
    cdef int i
    if not d.is_open:
        return
    pthread_mutex_lock(&d.lock)
    d.stopping = 1
    pthread_cond_broadcast(&d.work)
    pthread_mutex_unlock(&d.lock)
    for i in range(d.n_threads):
        pthread_join(d.threads[i], NULL)
    d.n_threads = 0
    d.is_open = False
    close_jobs(&d.writes)
    close_jobs(&d.reads)
    it = d.files.begin()
    while it != d.files.end():
        close(deref(it).second.fd)
        preincrement(it)
    d.files.clear()
    d.places.clear()
