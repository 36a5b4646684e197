/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forks.c - forks while a library's handlers, the oldest of the process, do what any code may; see heap.py.
 *
 * usage: forks [over]
 * With `over` there is registered memory, and a handler's allocation finds no room unless some of it leaves.
 */
#include "object.h"

#include <ebbtide.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MIB              ((size_t)1 << 20)
#define REGISTERED_BYTES (60 * MIB)
#define WORDS            (REGISTERED_BYTES / sizeof(uint64_t))

extern void (*first_work)(const char *moment);
extern unsigned first_calls;

static uint64_t *words;

static bool is_there(size_t step)
{
    for (size_t i = 0; i < WORDS; i += step)
        if (words[i] != i * 3 + 1)
            return false;
    return true;
}

/* More than is left of the budget beside the registered memory, then a look at that. */
static void work(const char *moment)
{
    size_t bytes = (strcmp(moment, "child") ? 40 : 24) * MIB;
    unsigned char *memory = malloc(bytes);

    if (!memory)
        fail(moment);
    memset(memory, 1, bytes);
    if (!is_there(WORDS / 16 - 1))
        fail("registered memory in a handler");
    free(memory);
}

static void register_memory(void)
{
    int rc;

    words = mmap(NULL, REGISTERED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    rc = ebb_register(words, REGISTERED_BYTES, 0, "words");
    if (words == MAP_FAILED || (rc && rc != -ENOSYS))
        fail("registered memory");
    for (size_t i = 0; i < WORDS; i++)
        words[i] = i * 3 + 1;
    first_work = work;
}

int main(int count, char **arguments)
{
    (void)arguments;
    alarm(100);
    if (count > 1)
        register_memory();
    for (unsigned i = 1; i <= 3; i++) {
        pid_t child = fork();
        int status = -1;

        if (child == 0) {
            objects_pass();
            _exit(words && !is_there(1));
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status || first_calls != 2 * i)
            fail("a child");
    }
    if (words && !is_there(1))
        fail("registered memory");
    say("kept\n");
    return 0;
}
