/* SPDX-License-Identifier: Apache-2.0 */
/* lock.c - the order of locks, checked. See lock.h. */
#include "base/lock.h"

#ifdef EBB_LOCK_CHECKS

#include "base/compiler.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HELD_MOST = 16,
    LINE_BYTES = 160
};

enum kind {
    LONG,
    SHORT
};

static const struct {
    const char *name;
    enum kind kind;
} rank[] = {
#define LOCK(name, kind) {#name, kind},
#include "base/lock.def"
#undef LOCK
};

/* A signal handler gives back what it takes, so it may come between any two steps here: a place that was found free is
 * free again when it returns. */
static THREAD_LOCAL const struct lock_tag *volatile held[HELD_MOST];

/* HELD_MOST: it is not held. */
static int place_of(const struct lock_tag *tag)
{
    int i = 0;

    while (i < HELD_MOST && held[i] != tag)
        i++;
    return i;
}

/* Nothing may be in order: no lock is taken, nor the log's descriptor asked for. */
_Noreturn static void fail(const char *what, const struct lock_tag *tag, const char *why,
                           const struct lock_tag *other)
{
    char line[LINE_BYTES] = "ebbtide: order of locks: ";

    strcat(line, tag ? rank[tag->rank].name : "");
    strcat(line, what);
    strcat(line, other ? rank[other->rank].name : "");
    strcat(line, why);
    (void)!write(STDERR_FILENO, line, strlen(line));
    abort();
}

void lock_order(const struct lock_tag *tag)
{
    for (int i = 0; i < HELD_MOST; i++)
        if (held[i] && held[i]->rank >= tag->rank)
            fail(" is taken while ", tag, " is held\n", held[i]);
}

/* Readers go before a writer that waits. */
void lock_order_read(const struct lock_tag *tag)
{
    if (!tag->reads_again || place_of(tag) == HELD_MOST)
        lock_order(tag);
}

void lock_hold(const struct lock_tag *tag)
{
    int i = place_of(NULL);

    if (i == HELD_MOST)
        fail(" is one lock too many\n", tag, "", NULL);
    held[i] = tag;
}

void lock_forget(const struct lock_tag *tag)
{
    int i = place_of(tag);

    if (i < HELD_MOST)
        held[i] = NULL;
}

void lock_let_go(const struct lock_tag *tag)
{
    int i = place_of(tag);

    if (i == HELD_MOST)
        fail(" is released and not held\n", tag, "", NULL);
    held[i] = NULL;
}

void lock_assert_none(void)
{
    for (int i = 0; i < HELD_MOST; i++)
        if (held[i] && rank[held[i]->rank].kind == SHORT)
            fail("what takes its time is done while ", NULL, " is held\n", held[i]);
}

/* Awake, be it because the thread is cancelled. */
static void again(void *tag)
{
    lock_hold(tag);
}

int lock_wait_until(pthread_cond_t *condition, struct lock *lock, const struct timespec *until)
{
    int error;

    lock_let_go(&lock->tag);
    lock_assert_none();
    lock_order(&lock->tag);
    pthread_cleanup_push(again, &lock->tag);
    error = until ? pthread_cond_clockwait(condition, &lock->mutex, CLOCK_MONOTONIC, until)
                  : pthread_cond_wait(condition, &lock->mutex);
    pthread_cleanup_pop(1);
    return error;
}

#endif
