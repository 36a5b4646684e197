/* SPDX-License-Identifier: Apache-2.0 */
/* recording.c - see recording.h. */
#include "engine/recording.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/append_file.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/pages.h"
#include "engine/core.h"
#include "ledger/state.h"

enum {
    WORDS = 1 << 20, /* 4 MiB */
    NAMES = 1 << 12, /* functions, or streams; those that find no room are all called alike */
    BLOCKS_MOST = 1 << 22,
    USES_MOST = 4096, /* of a call; others are left out */
    PASS_NS = 1049,   /* over 2 MiB at 2 TB/s */
    LAUNCH_NS = 2000
};

/* What a file has for an operation, and in front of the uses of a call. */
enum {
    MAKE,
    FREE,
    CALL,
    CALL_WORDS = 5,
    USE_WORDS = 4
};

enum function {
    READS,
    WRITES,
    KERNELS /* from here on */
};

/* Numbers of pointers, in the order in which they came. */
struct names {
    const void *key[NAMES];
    uint32_t number[NAMES];
    uint32_t count;
};

/* What there is of a block, by its first granule. */
struct recorded {
    uint32_t number; /* and one; 0: nothing */
    uint32_t mark;   /* the last call that used it */
};

static struct {
    struct lock lock;   /* memory, numbers */
    struct lock filing; /* the file */
    struct append_file file;
    uint32_t *word; /* a ring */
    struct recorded *block;
    struct names *functions, *streams;
    _Atomic uint64_t end, filed; /* words: all, and those that the file has */
    uint32_t blocks, mark;
    const char *ended; /* why */
} recording = {.lock = LOCK_INIT(LOCK_RECORDING), .filing = LOCK_INIT(LOCK_RECORDING_FILE)};

static bool is_on(void)
{
    return atomic_load_explicit(&core.attention, memory_order_relaxed) & ATTENTION_RECORD;
}

static void end(const char *why)
{
    recording.ended = why;
    atomic_fetch_and(&core.attention, ~ATTENTION_RECORD);
}

static bool take_memory(void)
{
    recording.word = pages_reserve(WORDS * sizeof(*recording.word));
    recording.block = pages_reserve(core.blocks.granules * sizeof(*recording.block));
    recording.functions = pages_reserve(sizeof(*recording.functions));
    recording.streams = pages_reserve(sizeof(*recording.streams));
    return recording.word && recording.block && recording.functions && recording.streams;
}

void recording_start(void)
{
    const char *path = core.options->record_path;
    int error;

    if (!*path)
        return;
    recording.ended = NULL;
    recording.blocks = recording.mark = 0;
    atomic_store(&recording.end, 0);
    atomic_store(&recording.filed, 0);
    error = take_memory() ? append_file_make(&recording.file, path) : -ENOMEM;
    if (error)
        log_line(LOG_WARN, "cannot record to %s: %s (EBBTIDE_RECORD)", path, strerrordesc_np(-error));
    else
        atomic_fetch_or(&core.attention, ATTENTION_RECORD);
}

/* ---- into memory; all with recording.lock ------------------------------------------------------------------------ */

static uint64_t waiting_words(void)
{
    return atomic_load(&recording.end) - atomic_load(&recording.filed);
}

/* Room for an operation. */
static bool has_room(uint32_t words)
{
    if (is_on() && waiting_words() + words > WORDS)
        end("more happened at once than memory is kept for");
    return is_on();
}

static void put(uint32_t word)
{
    uint64_t at = atomic_load_explicit(&recording.end, memory_order_relaxed);

    recording.word[at % WORDS] = word;
    atomic_store_explicit(&recording.end, at + 1, memory_order_release);
}

static uint32_t name(struct names *names, const void *key)
{
    uint32_t at = (uint32_t)((uintptr_t)key >> 4) * 0x9e3779b1u % NAMES;

    for (uint32_t tries = 0; tries < NAMES; tries++, at = (at + 1) % NAMES) {
        if (!names->number[at]) {
            names->key[at] = key;
            names->number[at] = ++names->count;
        }
        if (names->key[at] == key)
            return names->number[at] - 1;
    }
    return NAMES;
}

/* The blocks at some granules, those that the call has not named yet, from `found` on. How many there are then. */
static uint32_t find(uint32_t *list, uint32_t found, const uint32_t *granule, uint32_t count)
{
    for (uint32_t i = 0; i < count && found < USES_MOST; i++) {
        uint32_t entry = owner_at(&core.blocks, granule[i]) & ~OWNER_FLAGS;
        struct recorded *block = entry ? &recording.block[entry - 1] : NULL;

        if (!block || !block->number || block->mark == recording.mark)
            continue;
        block->mark = recording.mark;
        list[found++] = entry - 1;
    }
    return found;
}

static uint32_t function_of(const struct use *use)
{
    return use->kernel ? KERNELS + name(recording.functions, use->launched) : use->writes ? WRITES : READS;
}

static uint32_t duration_of(const uint32_t *list, uint32_t count)
{
    uint64_t ns = LAUNCH_NS;

    for (uint32_t i = 0; i < count; i++)
        ns += (uint64_t)core.blocks.block[list[i]].granules * PASS_NS;
    return ns < INT32_MAX ? (uint32_t)ns : INT32_MAX - 1;
}

/* The granules of a block that the program uses: it is not freed meanwhile, unless by mistake, and then it is a number. */
__attribute__((no_sanitize("thread"))) static void put_call(const struct use *use)
{
    static uint32_t list[USES_MOST];
    uint32_t count;

    recording.mark++;
    count = find(list, find(list, 0, use->granule, use->count), use->more, use->more_count);
    if (!count || !has_room(CALL_WORDS + count * USE_WORDS))
        return;
    put(CALL);
    put(function_of(use));
    put(name(recording.streams, use->stream));
    put(duration_of(list, count));
    put(count);
    for (uint32_t i = 0; i < count; i++) {
        put(recording.block[list[i]].number - 1);
        put(use->writes);
        put(1000000);
        put(100);
    }
}

/* ---- what happens -------------------------------------------------------------------------------------------------- */

void recording_made(uint32_t first)
{
    if (LIKELY(!is_on()))
        return;
    lock_acquire(&recording.lock);
    if (recording.blocks == BLOCKS_MOST)
        end("there were too many blocks");
    if (has_room(3)) {
        recording.block[first].number = ++recording.blocks;
        put(MAKE);
        put(recording.blocks - 1);
        put(core.blocks.block[first].granules);
    }
    lock_release(&recording.lock);
}

void recording_freed(uint32_t first)
{
    if (LIKELY(!is_on()))
        return;
    lock_acquire(&recording.lock);
    if (recording.block[first].number && has_room(2)) {
        put(FREE);
        put(recording.block[first].number - 1);
        recording.block[first].number = 0;
    }
    lock_release(&recording.lock);
}

void recording_note(const struct use *use)
{
    if (waiting_words() > WORDS / 2)
        recording_write();
    lock_acquire(&recording.lock);
    if (is_on())
        put_call(use);
    lock_release(&recording.lock);
}

/* ---- into the file ------------------------------------------------------------------------------------------------- */

static int write_words(uint64_t from, uint64_t to)
{
    uint64_t at = from % WORDS, count = to - from, front = count < WORDS - at ? count : WORDS - at;
    const struct iovec part[] = {{recording.word + at, front * sizeof(*recording.word)},
                                 {recording.word, (count - front) * sizeof(*recording.word)}};

    return count ? append_file_write(&recording.file, part, 2) : 0;
}

static void tell(const char *ended)
{
    if (ended)
        log_line(LOG_WARN, "the recording in %s ends here: %s (EBBTIDE_RECORD)", recording.file.path, ended);
}

void recording_write(void)
{
    const char *ended;
    uint64_t to;
    int error;

    if (!recording.word)
        return;
    lock_acquire(&recording.filing);
    /* Operations are whole while nobody adds to one. */
    lock_acquire(&recording.lock);
    to = atomic_load(&recording.end);
    lock_release(&recording.lock);
    error = write_words(atomic_load(&recording.filed), to);
    lock_acquire(&recording.lock);
    atomic_store(&recording.filed, to);
    if (error && is_on())
        end(error == -ESTALE ? "the file is not there any more" : strerrordesc_np(-error));
    ended = recording.ended;
    recording.ended = NULL;
    lock_release(&recording.lock);
    lock_release(&recording.filing);
    tell(ended);
}

void recording_finish(void)
{
    atomic_fetch_and(&core.attention, ~ATTENTION_RECORD);
    recording_write();
}

void recording_forked(void)
{
    lock_init(&recording.lock, LOCK_RECORDING);
    lock_init(&recording.filing, LOCK_RECORDING_FILE);
    atomic_fetch_and(&core.attention, ~ATTENTION_RECORD);
    atomic_store(&recording.filed, atomic_load(&recording.end));
}
