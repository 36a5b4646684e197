/* SPDX-License-Identifier: Apache-2.0 */
/* child.c - see child.h. */
#include "child.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rounds.h"

/* Into `path`: a file of the build folder, which is two above the bench. */
static void build_path(const char *below, char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

    path[length < 0 ? 0 : length] = '\0';
    for (int i = 0; i < 2; i++)
        if (strrchr(path, '/'))
            *strrchr(path, '/') = '\0';
    snprintf(path + strlen(path), PATH_MAX - strlen(path), "/%s", below);
}

static bool is_there(const char *below)
{
    char path[PATH_MAX];

    build_path(below, path);
    return access(path, R_OK) == 0;
}

const char *child_missing(void)
{
    if (!is_there("tests/simgpu/libcuda.so.1"))
        return "the simulated GPU, tests/simgpu/libcuda.so.1, is not built";
    if (!is_there("shim/libebbtide.so"))
        return "the library, shim/libebbtide.so, is not built";
    return NULL;
}

bool child_copy_library(char path[PATH_MAX])
{
    off_t bytes = -1, at = 0;
    int from, to;

    build_path("shim/libebbtide.so", path);
    from = open(path, O_RDONLY | O_CLOEXEC);
    build_path("shim/libebbtide-XXXXXX.so", path);
    to = from < 0 ? -1 : mkostemps(path, 3, O_CLOEXEC);
    if (to >= 0)
        bytes = lseek(from, 0, SEEK_END);
    while (at < bytes && sendfile(to, from, &at, (size_t)(bytes - at)) > 0)
        ;
    if (to >= 0)
        close(to);
    if (to >= 0 && at != bytes)
        unlink(path);
    if (from >= 0)
        close(from);
    return bytes > 0 && at == bytes;
}

/* In the child: what it sees of the world. `statistics`: where they are written; NULL: nowhere. */
static void become(const struct child *child, int out, const char *statistics)
{
    char path[PATH_MAX];
    char *arguments[16] = {path};
    size_t count = 1;

    for (; child->arguments[count - 1] && count < 15; count++)
        arguments[count] = (char *)(uintptr_t)child->arguments[count - 1];
    for (const char *const *pair = child->environment; *pair; pair += 2)
        setenv(pair[0], pair[1], 1);
    build_path("tests/simgpu", path);
    setenv("LD_LIBRARY_PATH", path, 1);
    if (child->preloaded) {
        build_path("shim/libebbtide.so", path);
        setenv("LD_PRELOAD", path, 1);
        if (statistics)
            setenv("EBBTIDE_STATS_JSON", statistics, 1);
    }
    if (child->program[0] == '/') {
        snprintf(path, PATH_MAX, "%s", child->program);
    } else {
        build_path("bench", path);
        snprintf(path + strlen(path), PATH_MAX - strlen(path), "/%s", child->program);
    }
    dup2(out, STDOUT_FILENO);
    execv(path, arguments);
    perror(path);
    _exit(127);
}

/* Read to the end or until the text is full. */
static size_t read_all(FILE *from, char *text, size_t room)
{
    size_t length = from ? fread(text, 1, room - 1, from) : 0;

    text[length] = '\0';
    return length;
}

bool child_run(const struct child *child, char out_text[CHILD_TEXT])
{
    char statistics[] = "/tmp/bench-statistics-XXXXXX";
    int to_us[2], status = -1, file = mkstemp(statistics);
    size_t length;
    FILE *from;
    pid_t pid;

    if (file < 0 || pipe(to_us) < 0) {
        perror("bench");
        exit(1);
    }
    close(file);
    pid = fork();
    if (pid == 0)
        become(child, to_us[1], statistics);
    close(to_us[1]);
    from = fdopen(to_us[0], "r");
    length = read_all(from, out_text, CHILD_TEXT);
    fclose(from);
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (child->preloaded) {
        from = fopen(statistics, "r");
        read_all(from, out_text + length, CHILD_TEXT - length);
        if (from)
            fclose(from);
    }
    unlink(statistics);
    return status == 0;
}

bool child_time(const struct child *child, double *out_cpu_ns, double *out_wall_ns)
{
    double since_ns = rounds_wall_ns();
    struct rusage usage;
    int status;
    pid_t pid = fork();

    if (pid == 0)
        become(child, STDOUT_FILENO, NULL);
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status != 0)
        return false;
    *out_wall_ns = rounds_wall_ns() - since_ns;
    *out_cpu_ns = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
                  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
    return true;
}

double child_figure(const char *text, const char *name, const char *part)
{
    const char *at = strstr(text, name);

    if (at && part) {
        name = part;
        at = strstr(at, part);
    }
    if (!at)
        return -1;
    at += strlen(name);
    return strtod(at + strspn(at, "\": "), NULL);
}
