// Loaded before libc: lets flushes or writes of the commit store fail while a control file says so.
//
// COUNTERSIGN_SHIM names the control file. Its first byte: 's' lets fsync and fdatasync fail with EIO, 'f' lets writes fail with
// ENOSPC, 'd' lets flushes take 300 ms longer. Absent or empty, everything works. Only files whose name holds "commit.sqlite" are
// touched.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static char asked(void) {
    const char *name = getenv("COUNTERSIGN_SHIM");
    char what = 0;
    if (!name) return 0;
    int control = open(name, O_RDONLY | O_CLOEXEC);
    if (control < 0) return 0;
    if (syscall(SYS_read, control, &what, 1) != 1) what = 0;
    close(control);
    return what;
}

static int store(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "commit.sqlite") != NULL;
}

static int refused(int fd, char what, int error) {
    if (!store(fd) || asked() != what) return 0;
    errno = error;
    return 1;
}

static void delayed(int fd) {
    if (store(fd) && asked() == 'd') usleep(300000);
}

int fsync(int fd) {
    delayed(fd);
    return refused(fd, 's', EIO) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    delayed(fd);
    return refused(fd, 's', EIO) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *from, size_t length) {
    return refused(fd, 'f', ENOSPC) ? -1 : syscall(SYS_write, fd, from, length);
}

ssize_t pwrite64(int fd, const void *from, size_t length, off64_t at) {
    return refused(fd, 'f', ENOSPC) ? -1 : syscall(SYS_pwrite64, fd, from, length, at);
}

ssize_t pwrite(int fd, const void *from, size_t length, off_t at) { return pwrite64(fd, from, length, at); }
