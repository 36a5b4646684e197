/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - large allocations where little is allowed: in a sandbox that was closed before, on a small stack; see
 * heap.py. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(9);
}

/* The first larger ones of the process. */
static void allocate(void)
{
    static const size_t sizes[] = {100, 5000, 300000, 3 * MIB, 40 * MIB};
    void *memory;

    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memory = malloc(sizes[i]);
        memory = memory ? realloc(memory, 2 * sizes[i]) : NULL;
        if (!memory)
            _exit(8);
        memset(memory, 1, sizes[i]);
        free(memory);
    }
}

#define ALLOW(number)                                                                                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Memory may be had and given back, and no file be opened, no question asked. */
static void seal(void)
{
    static struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_mmap),
        ALLOW(SYS_munmap),
        ALLOW(SYS_mremap),
        ALLOW(SYS_mprotect),
        ALLOW(SYS_madvise),
        ALLOW(SYS_brk),
        ALLOW(SYS_futex),
        ALLOW(SYS_getrandom),
        ALLOW(SYS_write),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    static const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        say("no sandbox here\n");
}

static ucontext_t back, routine;

static void on_small_stack(void)
{
    allocate();
    swapcontext(&routine, &back);
}

/* With a page below it that nobody may touch. */
static void run_on(size_t bytes)
{
    char *memory = mmap(NULL, bytes + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_NONE) || getcontext(&routine))
        _exit(7);
    routine.uc_stack = (stack_t){.ss_sp = memory + 4096, .ss_size = bytes};
    makecontext(&routine, on_small_stack, 0);
    swapcontext(&back, &routine);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "stack") == 0) {
        run_on((size_t)atoi(argv[2]));
    } else {
        seal();
        allocate();
    }
    say("allocated\n");
    _exit(0);
}
