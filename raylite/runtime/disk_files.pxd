"""Files that have no name, and bytes moved between them and the arena with their checksum; inline C, no module.

A file without a name goes with its last descriptor, however a process ends. The checksum is CRC-32C, by the processor's
own instruction where it has one. Nothing is mapped: a disk that fails is an errno and not a signal.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #ifndef RAYLITE_RUNTIME_DISK_FILES
    #define RAYLITE_RUNTIME_DISK_FILES
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <cerrno>
    #include <cstdint>
    #include <cstdlib>
    #include <cstring>
    #include <fcntl.h>
    #include <string>
    #include <unistd.h>
    #ifndef FALLOC_FL_KEEP_SIZE
    #define FALLOC_FL_KEEP_SIZE 1
    #endif
    #ifndef FALLOC_FL_PUNCH_HOLE
    #define FALLOC_FL_PUNCH_HOLE 2
    #endif

    static inline uint32_t crc32c_by_table(uint32_t sum, const char *data, size_t size) {
        struct Table { uint32_t of[256]; Table() {
            for (uint32_t i = 0; i < 256; i++) { uint32_t c = i;
                for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
                of[i] = c; } } };
        static const Table table;
        for (size_t i = 0; i < size; i++) sum = table.of[(sum ^ (unsigned char)data[i]) & 255] ^ (sum >> 8);
        return sum; }
    #if defined(__x86_64__)
    __attribute__((target("sse4.2")))
    static uint32_t crc32c_by_instruction(uint32_t sum, const char *data, size_t size) {
        uint64_t word, wide = sum; size_t i = 0;
        for (; i + 8 <= size; i += 8) { memcpy(&word, data + i, 8); wide = __builtin_ia32_crc32di(wide, word); }
        sum = (uint32_t)wide;
        for (; i < size; i++) sum = __builtin_ia32_crc32qi(sum, (unsigned char)data[i]);
        return sum; }
    static inline uint32_t crc32c(uint32_t sum, const char *data, size_t size) {
        static const bool has = __builtin_cpu_supports("sse4.2");
        return has ? crc32c_by_instruction(sum, data, size) : crc32c_by_table(sum, data, size); }
    #elif defined(__ARM_FEATURE_CRC32)
    #include <arm_acle.h>
    static inline uint32_t crc32c(uint32_t sum, const char *data, size_t size) {
        uint64_t word; size_t i = 0;
        for (; i + 8 <= size; i += 8) { memcpy(&word, data + i, 8); sum = __crc32cd(sum, word); }
        for (; i < size; i++) sum = __crc32cb(sum, (uint8_t)data[i]);
        return sum; }
    #else
    static inline uint32_t crc32c(uint32_t sum, const char *data, size_t size) {
        return crc32c_by_table(sum, data, size); }
    #endif

    /* -1 with errno if there can be none. */
    static inline int nameless_file(const char *folder) {
        int fd = open(folder, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT)) return fd;
        std::string path = std::string(folder) + "/raylite-spill-XXXXXX";    /* the file system has none without */
        fd = mkostemp(&path[0], O_CLOEXEC);
        if (fd >= 0) unlink(path.c_str());
        return fd; }
    /* 0, or errno: there is no room. */
    static inline int reserve_file(int fd, uint64_t size) { return posix_fallocate(fd, 0, (off_t)size); }
    static inline void shorten_file(int fd, uint64_t size) { int r = ftruncate(fd, (off_t)size); (void)r; }
    static inline void give_back_bytes(int fd, uint64_t offset, uint64_t size) {
        int r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size); (void)r; }

    /* Copy bytes from one file to another by way of `buffer`, and tell their checksum. 0, or errno; ECANCELED: *stop
       became true. */
    static inline int move_bytes(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t size,
                                 char *buffer, uint64_t buffer_size, const uint32_t *stop, uint32_t *sum_out) {
        uint32_t sum = 0xFFFFFFFFu;
        while (size) {
            if (__atomic_load_n(stop, __ATOMIC_RELAXED)) return ECANCELED;
            ssize_t got = pread(from, buffer, size < buffer_size ? size : buffer_size, (off_t)from_offset);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) return got < 0 ? errno : EIO;
            sum = crc32c(sum, buffer, (size_t)got);
            for (ssize_t done = 0; done < got;) {
                ssize_t put = pwrite(to, buffer + done, (size_t)(got - done), (off_t)(to_offset + done));
                if (put < 0 && errno == EINTR) continue;
                if (put <= 0) return put < 0 ? errno : ENOSPC;
                done += put; }
            from_offset += got; to_offset += got; size -= (uint64_t)got; }
        *sum_out = ~sum;
        return 0; }
    #endif
    """
    int nameless_file(const char* folder) noexcept nogil
    int reserve_file(int fd, uint64_t size) noexcept nogil
    void shorten_file(int fd, uint64_t size) noexcept nogil
    void give_back_bytes(int fd, uint64_t offset, uint64_t size) noexcept nogil
    int move_bytes(int source, uint64_t source_offset, int target, uint64_t target_offset, uint64_t size, char* buffer,
                   uint64_t buffer_size, const uint32_t* stop, uint32_t* sum) noexcept nogil
