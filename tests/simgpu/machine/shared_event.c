/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/shared_event.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char magic[16] = "simgpu-event-1";

/* What lies in the file. */
struct state {
    char magic[16];
    uint64_t id;
    _Atomic uint32_t recorded, complete;
    _Atomic int32_t recorder; /* the process of the latest record */
};

struct shared_event {
    struct state *state;
    int file; /* -1: another process's */
    atomic_uint references;
};

static struct shared_event *attach(int file, bool own)
{
    struct shared_event *event = malloc(sizeof *event);
    void *state = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    if (!event || state == MAP_FAILED) {
        if (state != MAP_FAILED)
            munmap(state, sizeof(struct state));
        free(event);
        return NULL;
    }
    *event = (struct shared_event){state, own ? file : -1, 1};
    return event;
}

struct shared_event *shared_event_create(void)
{
    int file = memfd_create("simgpu-event", MFD_CLOEXEC);
    struct shared_event *event = NULL;
    struct state state = {0};

    memcpy(state.magic, magic, sizeof magic);
    if (file >= 0 && getrandom(&state.id, sizeof state.id, 0) == (ssize_t)sizeof state.id &&
        pwrite(file, &state, sizeof state, 0) == (ssize_t)sizeof state)
        event = attach(file, true);
    if (!event && file >= 0)
        close(file);
    return event;
}

struct shared_event *shared_event_open(const struct shared_event_handle *handle)
{
    struct shared_event *event = NULL;
    char path[64];
    struct state state;
    int file;

    if (memcmp(handle->magic, magic, sizeof magic) != 0)
        return NULL;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)handle->pid, (int)handle->file);
    file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return NULL;
    if (pread(file, &state, sizeof state, 0) == (ssize_t)sizeof state &&
        memcmp(state.magic, magic, sizeof magic) == 0 && state.id == handle->id)
        event = attach(file, false);
    close(file);
    return event;
}

bool shared_event_describe(const struct shared_event *event, struct shared_event_handle *handle)
{
    if (event->file < 0)
        return false;
    *handle = (struct shared_event_handle){.id = event->state->id, .pid = getpid(), .file = event->file};
    memcpy(handle->magic, magic, sizeof magic);
    return true;
}

void shared_event_hold(struct shared_event *event)
{
    event->references++;
}

void shared_event_drop(struct shared_event *event)
{
    if (--event->references)
        return;
    munmap(event->state, sizeof *event->state);
    if (event->file >= 0)
        close(event->file);
    free(event);
}

uint32_t shared_event_record(struct shared_event *event)
{
    event->state->recorder = getpid();
    return ++event->state->recorded;
}

uint32_t shared_event_latest(const struct shared_event *event)
{
    return event->state->recorded;
}

/* Numbers may pass the largest one. */
static bool has_come(uint32_t complete, uint32_t number)
{
    return (int32_t)(complete - number) >= 0;
}

void shared_event_complete(struct shared_event *event, uint32_t number)
{
    uint32_t complete = event->state->complete;

    while (!has_come(complete, number) &&
           !atomic_compare_exchange_weak(&event->state->complete, &complete, number))
        continue;
    syscall(SYS_futex, &event->state->complete, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* One that has ended may stay in the list of processes, until its parent asks after it. */
static bool is_orphan(const struct state *state)
{
    char path[32], line[512], *end;
    ssize_t bytes;
    int file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)state->recorder);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT;
    bytes = read(file, line, sizeof line - 1);
    close(file);
    line[bytes > 0 ? bytes : 0] = '\0';
    end = strrchr(line, ')'); /* of the program's name */
    return end && strncmp(end, ") Z", 3) == 0;
}

bool shared_event_is_complete(const struct shared_event *event, uint32_t number)
{
    return has_come(event->state->complete, number) || is_orphan(event->state);
}

/* Nobody tells when a process ends: it is asked after from time to time. */
void shared_event_wait(const struct shared_event *event, uint32_t number)
{
    const struct timespec a_while = {0, 20000000};

    while (!shared_event_is_complete(event, number)) {
        uint32_t complete = event->state->complete;

        if (!has_come(complete, number))
            syscall(SYS_futex, &event->state->complete, FUTEX_WAIT, complete, &a_while, NULL, 0);
    }
}
