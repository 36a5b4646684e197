/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lifetimes.c - allocates at some moment of a process's life, checks and frees at another; see heap.py.
 *
 * usage: lifetimes early | loader PLUGIN | threads | exit | quick | fork | foreign | tls PLUGIN
 * Prints "kept" as the last thing when all was as it should be.
 */
#include "object.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define THREADS 4
#define FORKS   4

extern struct objects linked_early;
extern unsigned linked_forks;

static struct objects first, second;
static const char *when = "";
static const char *plugin;

/* ---- before main ------------------------------------------------------------------------------------------ */

static void before_constructors(int count, char **arguments, char **environment)
{
    (void)environment;
    when = count > 1 ? arguments[1] : "";
    plugin = count > 2 ? arguments[2] : NULL;
    objects_make(&first);
}
__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char **,
                                                                        char **) = before_constructors;

__attribute__((constructor(101))) static void construct(void)
{
    objects_make(&second);
}

/* ---- the loader ------------------------------------------------------------------------------------------- */

static void *use_loader(void *arg)
{
    for (int i = 0; i < 10; i++) {
        void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
        int (*work)(int);

        if (!handle)
            fail(dlerror());
        *(void **)&work = dlsym(handle, "loaded_work");
        if (!work || !work(i))
            fail("the plugin");
        if (dlsym(handle, "no_such_name") || !dlerror() || dlsym(RTLD_NEXT, "no_such_name") || !dlerror())
            fail("a name that nobody has");
        dlclose(handle);
        if (dlopen("/no/such/file.so", RTLD_NOW) || !dlerror())
            fail("a file that is not there");
    }
    return arg;
}

/* ---- threads ---------------------------------------------------------------------------------------------- */

enum {
    KEYS = 3
};

/* What a thread leaves to the destructor of a key. */
struct late {
    unsigned key, pass;
    struct objects objects;
};

static pthread_key_t keys[KEYS];
static pthread_barrier_t all_there;

static void leave_late(unsigned key, unsigned pass)
{
    struct late *late = malloc(sizeof *late);

    late->key = key;
    late->pass = pass;
    objects_make(&late->objects);
    pthread_setspecific(keys[key], late);
}

/* In every pass that there is: frees what was left for it, leaves something for the next one. */
static void end_late(void *memory)
{
    struct late *late = memory, had = *late;

    objects_end(&late->objects);
    free(late);
    objects_pass();
    if (had.pass < PTHREAD_DESTRUCTOR_ITERATIONS)
        leave_late(had.key, had.pass + 1);
}

static void end_first(void *memory)
{
    objects_end(memory);
    free(memory);
}

int __cxa_thread_atexit_impl(void (*run)(void *memory), void *memory, void *object);
extern void *__dso_handle;

static void make_keys(void)
{
    pthread_barrier_init(&all_there, NULL, THREADS);
    for (unsigned i = 0; i < KEYS; i++)
        pthread_key_create(&keys[i], end_late);
}

static void *live_shortly(void *arg)
{
    struct objects *objects = malloc(sizeof *objects);

    objects_make(objects);
    __cxa_thread_atexit_impl(end_first, objects, &__dso_handle);
    for (unsigned i = 0; i < KEYS; i++)
        leave_late(i, 1);
    pthread_barrier_wait(&all_there); /* as many stacks in every generation */
    return arg;
}

static void run_threads(void *(*run)(void *arg))
{
    pthread_t thread[THREADS];

    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, run, NULL))
            fail("no thread");
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static void *keep_busy(void *arg)
{
    for (;;)
        objects_pass();
    return arg;
}

static void keep_threads_busy(void)
{
    pthread_t thread;

    for (unsigned i = 0; i < 2; i++)
        if (pthread_create(&thread, NULL, keep_busy, NULL))
            fail("no thread");
}

static void at_exit(void)
{
    objects_end(&first);
    objects_make(&first);
}

static void on_exit_too(int status, void *arg)
{
    (void)status;
    objects_end(arg);
    objects_make(arg);
}

static void at_quick_exit_too(void)
{
    objects_end(&first);
    objects_pass();
    say("kept\n");
}

__attribute__((destructor(101))) static void destruct(void)
{
    if (strcmp(when, "exit"))
        return;
    objects_end(&first);
    objects_end(&second);
    say("kept\n");
}

/* ---- fork ------------------------------------------------------------------------------------------------- */

static void fork_often(void)
{
    make_keys();
    keep_threads_busy();
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = fork();
        int status = -1;

        if (child == 0) {
            alarm(30);
            objects_end(&first);
            run_threads(live_shortly);
            objects_pass();
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status)
            fail("a child");
    }
    if (linked_forks != FORKS)
        fail("the library's handlers did not run");
}

/* ---- pointers of others ----------------------------------------------------------------------------------- */

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

/* In turns with ours, and next to them: so many bytes are always a mapping of their own. */
static void take_turns(void)
{
    void *memory[8];

    for (unsigned i = 0; i < 8; i++)
        memory[i] = i % 2 ? __libc_malloc((size_t)40 << 20) : malloc(100);
    for (unsigned i = 0; i < 8; i++) {
        uintptr_t page = (uintptr_t)memory[i] & ~(uintptr_t)0xffff;
        unsigned char there;

        free(memory[i]);
        if (i % 2 && mincore((void *)(page + 0x10000), 1, &there) == 0)
            fail("what libc gave out did not go back to it");
    }
}

static void take_foreign(void)
{
    static const size_t sizes[] = {20, 5000, 400000};

    for (unsigned i = 0; i < 9; i++) {
        size_t bytes = sizes[i / 3];
        struct object object = {i % 3 == 0   ? __libc_malloc(bytes)
                                : i % 3 == 1 ? __libc_calloc(1, bytes)
                                             : __libc_memalign(4096, bytes),
                                bytes};

        if (malloc_usable_size(object.memory) < bytes)
            fail("usable size of a pointer of libc");
        for (size_t at = 0; at < bytes; at++)
            object.memory[at] = byte_at(at, bytes);
        errno = 77;
        if (i % 2) {
            object.memory = realloc(object.memory, bytes * 2);
            object_check(&object, bytes);
            object.memory = realloc(object.memory, bytes / 2);
            object_check(&object, bytes / 2);
            free(object.memory);
        } else {
            free(object.memory);
        }
        if (errno != 77)
            fail("errno");
    }
    take_turns();
}

/* ---- which ------------------------------------------------------------------------------------------------ */

static void early(void)
{
    objects_end(&first);
    objects_end(&second);
    objects_end(&linked_early);
}

static void loader(void)
{
    run_threads(use_loader);
}

static void threads(void)
{
    bool counted = dlsym(RTLD_DEFAULT, "sallocx");
    size_t before;

    make_keys();
    run_threads(live_shortly); /* what the C library keeps of threads is there from now on */
    before = mallinfo2().uordblks;
    for (unsigned i = 0; i < 5; i++)
        run_threads(live_shortly);
    if (counted && mallinfo2().uordblks != before)
        fail("the heap is not what it was");
}

static void leave(void)
{
    atexit(at_exit);
    on_exit(on_exit_too, &second);
    keep_threads_busy();
    exit(0);
}

static void leave_quickly(void)
{
    at_quick_exit(at_quick_exit_too);
    keep_threads_busy();
    quick_exit(0);
}

static void static_storage(void)
{
    if (!dlopen(plugin, RTLD_NOW))
        fail(dlerror());
}

int main(void)
{
    static const struct {
        const char *when;
        void (*run)(void);
    } moments[] = {{"early", early},          {"loader", loader},       {"threads", threads},
                   {"exit", leave},           {"quick", leave_quickly}, {"fork", fork_often},
                   {"foreign", take_foreign}, {"tls", static_storage}};

    for (unsigned i = 0; i < sizeof moments / sizeof moments[0]; i++)
        if (!strcmp(when, moments[i].when)) {
            moments[i].run();
            say("kept\n");
            return 0;
        }
    fail("no such moment");
}
