/* Preloaded into a process: while the file that FAILING_FSYNC names is there, fsync and fdatasync of files whose names
   hold the text in it (of all, if it is empty) fail with EIO. How often they did is how long the file beside it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int file) {
    const char *flag = getenv("FAILING_FSYNC");
    if (flag == NULL) return 0;
    int opened = open(flag, O_RDONLY);
    if (opened < 0) return 0;
    char text[256];
    long length = read(opened, text, sizeof text - 1);
    close(opened);
    text[length < 0 ? 0 : length] = 0;
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, name, sizeof name - 1);
    name[length < 0 ? 0 : length] = 0;
    if (strstr(name, text) == NULL) return 0;
    char count[4096];
    snprintf(count, sizeof count, "%s-count", flag);
    opened = open(count, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (opened >= 0) {
        if (write(opened, "x", 1) != 1) abort();
        close(opened);
    }
    errno = EIO;
    return 1;
}

int fsync(int file) {
    if (fails(file)) return -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file) {
    if (fails(file)) return -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
