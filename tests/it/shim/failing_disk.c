/* A disk that fails while a file exists. For LD_PRELOAD.
 *
 * FAILING_DISK        the file. While it exists, flushes fail with EIO and writes with ENOSPC. If its content begins with
 *                     "flush" or "write", only those fail.
 * FAILING_DISK_UNDER  only files under this folder are concerned (optional; a real path).
 *
 * Only regular files are concerned, so that pipes and sockets go on working.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int concerned(int fd) {
    struct stat status;
    const char *folder = getenv("FAILING_DISK_UNDER");
    char link[64], path[4096];
    ssize_t length;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    if (folder == NULL) return 1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    return strncmp(path, folder, strlen(folder)) == 0;
}

/* Whether a call of this kind fails now. Leaves errno as it was. */
static int fails(int fd, const char *kind) {
    const char *flag = getenv("FAILING_DISK");
    char content[8] = "";
    int before = errno, file, failing;
    if (flag == NULL) return 0;
    file = open(flag, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        errno = before;
        return 0;
    }
    if (read(file, content, sizeof content - 1) < 0) content[0] = '\0';
    close(file);
    failing = strncmp(content, "flush", 5) != 0 && strncmp(content, "write", 5) != 0;
    failing = (failing || strncmp(content, kind, 5) == 0) && concerned(fd);
    errno = before;
    return failing;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define FAIL_IF(fd, kind, code) \
    if (fails(fd, kind)) { \
        errno = code; \
        return -1; \
    }

int fsync(int fd) {
    REAL(fsync);
    FAIL_IF(fd, "flush", EIO)
    return real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    FAIL_IF(fd, "flush", EIO)
    return real(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    REAL(write);
    FAIL_IF(fd, "write", ENOSPC)
    return real(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    REAL(pwrite);
    FAIL_IF(fd, "write", ENOSPC)
    return real(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    REAL(pwrite64);
    FAIL_IF(fd, "write", ENOSPC)
    return real(fd, bytes, count, offset);
}
