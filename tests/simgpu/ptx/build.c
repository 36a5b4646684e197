/* SPDX-License-Identifier: Apache-2.0 */
#include "ptx/build.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

extern char **environ;
extern const char ptx_device_text[];
extern const size_t ptx_device_text_bytes;

enum {
    PATH_ROOM = 1024,
    LINE_ROOM = 256
};

/* Contraction is off: a product that is added is two roundings unless the text says fma. */
static const char compiler[] = "gcc";
static const char *const flags[] = {"-std=gnu11",
                                    "-O2",
                                    "-fwrapv",
                                    "-fno-strict-aliasing",
                                    "-ffp-contract=off",
                                    "-fno-math-errno",
                                    "-fno-stack-protector",
                                    "-fno-asynchronous-unwind-tables",
                                    "-fvisibility=hidden",
                                    "-fPIC",
                                    "-w",
                                    "-Werror=implicit-function-declaration",
                                    "-shared"};

/* What the processor has beyond what every one of its kind has. */
static const char *processor_flag(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("fma") ? "-mfma" : "-mno-fma";
#else
    return "-ffp-contract=off";
#endif
}

static XXH128_hash_t hash_of(const char *text)
{
    XXH3_state_t state;

    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, ptx_device_text, ptx_device_text_bytes);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        XXH3_128bits_update(&state, flags[i], strlen(flags[i]) + 1);
    XXH3_128bits_update(&state, processor_flag(), strlen(processor_flag()) + 1);
    XXH3_128bits_update(&state, text, strlen(text));
    return XXH3_128bits_digest(&state);
}

/* A folder that is ours alone to write; made if it is not there. */
static bool folder_is_ours(const char *path)
{
    struct stat status;

    return (mkdir(path, 0700) == 0 || errno == EEXIST) && lstat(path, &status) == 0 &&
           S_ISDIR(status.st_mode) && status.st_uid == geteuid() && !(status.st_mode & 022);
}

static bool find_folder(char *path)
{
    const char *own = getenv("SIMGPU_CACHE"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (own && *own == '/' && strlen(own) < PATH_ROOM - LINE_ROOM && folder_is_ours(strcpy(path, own)))
        return true;
    if (cache && *cache == '/') {
        mkdir(cache, 0700);
        if (snprintf(path, PATH_ROOM, "%s/simgpu", cache) < PATH_ROOM - LINE_ROOM && folder_is_ours(path))
            return true;
    } else if (home && *home == '/' && snprintf(path, PATH_ROOM, "%s/.cache", home) < PATH_ROOM - LINE_ROOM) {
        mkdir(path, 0700);
        strcat(path, "/simgpu");
        if (folder_is_ours(path))
            return true;
    }
    snprintf(path, PATH_ROOM, "/tmp/simgpu-%u", (unsigned)geteuid());
    return folder_is_ours(path);
}

/* The program's environment without what is meant for it alone: nothing of ours is loaded into the compiler. */
static char **compiler_environment(void)
{
    static const char *const dropped[] = {"LD_PRELOAD=", "LD_LIBRARY_PATH=", "LD_AUDIT=", "MALLOC_"};
    size_t count = 0, kept = 0;
    char **environment;

    while (environ[count])
        count++;
    environment = calloc(count + 1, sizeof *environment);
    for (size_t i = 0; environment && i < count; i++) {
        bool drop = false;

        for (size_t k = 0; k < sizeof dropped / sizeof *dropped; k++)
            drop |= strncmp(environ[i], dropped[k], strlen(dropped[k])) == 0;
        if (!drop)
            environment[kept++] = environ[i];
    }
    return environment;
}

static bool write_all(int file, const char *bytes, size_t length)
{
    while (length) {
        ssize_t written = write(file, bytes, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static void print_complaint(const char *log)
{
    FILE *file = fopen(log, "re");
    char line[LINE_ROOM];

    while (file && fgets(line, sizeof line, file)) {
        const char *what = strstr(line, "error: ");

        if (what) {
            fprintf(stderr, "simgpu: PTX: the compiler says %s", what);
            break;
        }
    }
    if (file)
        fclose(file);
}

/* 0, or a negative errno where the compiler cannot be started; *good says what became of it. */
static int run_compiler(const char *source, const char *object, const char *log, bool *good)
{
    const char *arguments[sizeof flags / sizeof *flags + 8];
    char **environment = compiler_environment();
    posix_spawn_file_actions_t actions;
    size_t count = 0;
    int status = 0, error;
    pid_t child;

    if (!environment)
        return -ENOMEM;
    arguments[count++] = compiler;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        arguments[count++] = flags[i];
    arguments[count++] = processor_flag();
    arguments[count++] = "-o";
    arguments[count++] = object;
    arguments[count++] = source;
    arguments[count++] = "-lm";
    arguments[count] = NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    error = -posix_spawnp(&child, compiler, &actions, NULL, (char *const *)arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    if (error)
        return error;
    while (waitpid(child, &status, 0) < 0) {
        if (errno == EINTR)
            continue;
        /* The program waits for all children, this one included: the object tells. */
        status = access(object, R_OK) == 0 ? 0 : 1;
        break;
    }
    *good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return 0;
}

/* Makes the object, by way of files of other names. */
static CUresult compile(const char *folder, const char *text, const char *object)
{
    char source[PATH_ROOM + 32], made[PATH_ROOM + 40], log[PATH_ROOM + 40];
    CUresult result = CUDA_ERROR_JIT_COMPILER_NOT_FOUND;
    bool good = false;
    int file, error = -EIO;

    snprintf(source, sizeof source, "%s/XXXXXX.c", folder);
    file = mkstemps(source, 2);
    if (file < 0) {
        fprintf(stderr, "simgpu: PTX: no file can be made in %s: %m\n", folder);
        return result;
    }
    snprintf(made, sizeof made, "%s.so", source);
    snprintf(log, sizeof log, "%s.log", source);
    if (write_all(file, ptx_device_text, ptx_device_text_bytes) && write_all(file, text, strlen(text)))
        error = run_compiler(source, made, log, &good);
    close(file);
    if (error) {
        fprintf(stderr, "simgpu: PTX: %s cannot be run: %s\n", compiler, strerror(-error));
    } else if (!good) {
        print_complaint(log);
        result = CUDA_ERROR_INVALID_PTX;
    } else if (rename(made, object) == 0) {
        result = CUDA_SUCCESS;
    }
    unlink(source);
    unlink(made);
    unlink(log);
    return result;
}

static const struct ptx_code *load(const char *object, void **opened)
{
    const struct ptx_code *code;

    *opened = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    if (!*opened)
        return NULL;
    code = dlsym(*opened, "ptx_code");
    if (code && code->version == PTX_VERSION)
        return code;
    dlclose(*opened);
    return NULL;
}

CUresult ptx_build(const char *text, void **opened, const struct ptx_code **code)
{
    char folder[PATH_ROOM], object[PATH_ROOM + 64];
    XXH128_hash_t hash = hash_of(text);
    CUresult result;

    if (!find_folder(folder)) {
        fprintf(stderr, "simgpu: PTX: no place for what is compiled: %s\n", folder);
        return CUDA_ERROR_JIT_COMPILER_NOT_FOUND;
    }
    snprintf(object, sizeof object, "%s/%016llx%016llx.so", folder, (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    *code = load(object, opened);
    if (*code)
        return CUDA_SUCCESS;
    result = compile(folder, text, object);
    if (result != CUDA_SUCCESS)
        return result;
    *code = load(object, opened);
    if (!*code)
        fprintf(stderr, "simgpu: PTX: what was compiled does not load: %s\n", dlerror());
    return *code ? CUDA_SUCCESS : CUDA_ERROR_SHARED_OBJECT_INIT_FAILED;
}
