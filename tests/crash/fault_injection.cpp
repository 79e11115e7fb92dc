// SPDX-License-Identifier: Apache-2.0
//
// Loaded before the real binary (LD_PRELOAD), this library fails its k-th call that changes the
// disk, or ends the process there as SIGKILL would:
//
//   ANAMNESIS_FAULT_AT=k        which call, counted from 1
//   ANAMNESIS_FAULT_ERRNO=n     what it reports; absent: the process is killed before the call
//   ANAMNESIS_FAULT_COUNT=path  writes the number of calls seen to a file at exit

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include <dlfcn.h>

namespace {

std::atomic<long> calls{0};

template <class Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

/// True where this call is the one to fail; `errno` is set.
bool strikes() {
    const char* at = std::getenv("ANAMNESIS_FAULT_AT");
    if (++calls != (at != nullptr ? std::atol(at) : 0)) {
        return false;
    }
    const char* reason = std::getenv("ANAMNESIS_FAULT_ERRNO");
    if (reason == nullptr) {
        ::raise(SIGKILL);
    }
    errno = std::atoi(reason);
    return true;
}

bool is_data_file(int descriptor) {
    struct stat status{};
    return descriptor > STDERR_FILENO && ::fstat(descriptor, &status) == 0 &&
           (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

bool is_writable(int descriptor) {
    const int flags = ::fcntl(descriptor, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

struct Report {
    ~Report() {
        if (const char* path = std::getenv("ANAMNESIS_FAULT_COUNT")) {
            if (std::FILE* file = std::fopen(path, "w")) {
                std::fprintf(file, "%ld", calls.load());
                std::fclose(file);
            }
        }
    }
} report;

}  // namespace

extern "C" {

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
    static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
    return is_data_file(fd) && strikes() ? -1 : real(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
    static const auto real = next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
    return is_data_file(fd) && strikes() ? -1 : real(fd, data, size, offset);
}
ssize_t copy_file_range(int in, off64_t* from, int out, off64_t* to, size_t size, unsigned flags) {
    static const auto real =
        next<ssize_t (*)(int, off64_t*, int, off64_t*, size_t, unsigned)>("copy_file_range");
    return strikes() ? -1 : real(in, from, out, to, size, flags);
}
int fsync(int fd) {
    static const auto real = next<int (*)(int)>("fsync");
    return strikes() ? -1 : real(fd);
}
int fdatasync(int fd) {
    static const auto real = next<int (*)(int)>("fdatasync");
    return strikes() ? -1 : real(fd);
}
int rename(const char* from, const char* to) {
    static const auto real = next<int (*)(const char*, const char*)>("rename");
    return strikes() ? -1 : real(from, to);
}
int fallocate(int fd, int mode, off_t offset, off_t size) {
    static const auto real = next<int (*)(int, int, off_t, off_t)>("fallocate");
    return strikes() ? -1 : real(fd, mode, offset, size);
}
int ftruncate(int fd, off_t size) {
    static const auto real = next<int (*)(int, off_t)>("ftruncate");
    return strikes() ? -1 : real(fd, size);
}
int mkdir(const char* path, mode_t mode) {
    static const auto real = next<int (*)(const char*, mode_t)>("mkdir");
    return strikes() ? -1 : real(path, mode);
}
int link(const char* from, const char* to) {
    static const auto real = next<int (*)(const char*, const char*)>("link");
    return strikes() ? -1 : real(from, to);
}
int open(const char* path, int flags, ...) {
    static const auto real = next<int (*)(const char*, int, mode_t)>("open");
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
        if (strikes()) {
            return -1;
        }
    }
    return real(path, flags, mode);
}
int close(int fd) {
    static const auto real = next<int (*)(int)>("close");
    const bool counts = is_data_file(fd) && is_writable(fd);
    const int result = real(fd);
    return counts && strikes() ? -1 : result;
}

}  // extern "C"
