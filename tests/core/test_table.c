/* SPDX-License-Identifier: Apache-2.0 */
/* Records by address, against a plain array. */
#include "base/table.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

enum {
    KEYS = 3000,
    STEPS = 60000,
    THREADS = 4
};

struct record {
    uint64_t value;
    uint32_t more;
};

/* The pages of the system, which are asked for by the name for large files: as many as a test allows. */
static unsigned mappings_left = UINT32_MAX;

void *__real_mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset);

void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    if (mappings_left && mappings_left-- > 0)
        return __real_mmap64(address, bytes, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

static uint64_t key_of(uint32_t i)
{
    return ((uint64_t)i + 1) << 21; /* as addresses are: the low bits say nothing */
}

Test(table, one_that_became_empty_needs_nothing_of_the_system)
{
    static struct table table = TABLE_INIT(struct record);
    struct record record = {1, 2};
    struct table_copy copy;

    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(table_put(&table, key_of(i), &record), 0);
        cr_assert(table_take(&table, key_of(i), &record));
        cr_assert_not(table_get(&table, key_of(i), &record));
        cr_assert_eq(table_copy(&table, &copy), 0);
        cr_assert_eq(copy.count, 0);
        mappings_left = 0;
    }
    mappings_left = UINT32_MAX;
}

Test(table, agrees_with_an_array)
{
    static struct table table = TABLE_INIT(struct record);
    static struct record expected[KEYS];
    static bool is_there[KEYS];
    uint64_t random = 42;
    uint32_t count = 0;

    for (unsigned step = 0; step < STEPS; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t i = (uint32_t)(random >> 33) % KEYS;
        struct record record = {random, step};
        struct record got;

        if (random >> 60 < 9) {
            cr_assert_eq(table_put(&table, key_of(i), &record), 0);
            count += !is_there[i];
            is_there[i] = true;
            expected[i] = record;
        } else {
            bool found = table_take(&table, key_of(i), &got);

            cr_assert_eq(found, is_there[i]);
            cr_assert(!found || got.value == expected[i].value);
            count -= found;
            is_there[i] = false;
        }
    }
    struct table_copy copy;

    cr_assert_eq(table_copy(&table, &copy), 0);
    cr_expect_eq(copy.count, count);
    for (uint32_t i = 0; i < copy.count; i++) {
        uint32_t key = (uint32_t)(table_copy_key(&copy, i) >> 21) - 1;

        cr_assert(key < KEYS && is_there[key]);
        cr_expect_eq(((const struct record *)table_copy_record(&copy, i))->value, expected[key].value);
    }
    table_copy_free(&copy);
}

static struct table shared = TABLE_INIT(struct record);

static void *hammer(void *arg)
{
    uint32_t first = *(uint32_t *)arg;

    for (uint32_t round = 0; round < 200; round++) {
        for (uint32_t i = 0; i < 100; i++) {
            struct record record = {first + i, round};

            table_put(&shared, key_of(first + i), &record);
        }
        for (uint32_t i = 0; i < 100; i++) {
            struct record got;

            if (!table_take(&shared, key_of(first + i), &got) || got.value != first + i)
                return arg;
        }
    }
    return NULL;
}

Test(table, keeps_what_each_thread_put)
{
    pthread_t thread[THREADS];
    uint32_t first[THREADS];
    struct table_copy copy;

    for (uint32_t i = 0; i < THREADS; i++) {
        first[i] = i * 1000;
        cr_assert_eq(pthread_create(&thread[i], NULL, hammer, &first[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        void *failed;

        pthread_join(thread[i], &failed);
        cr_expect_null(failed);
    }
    cr_assert_eq(table_copy(&shared, &copy), 0);
    cr_assert_eq(copy.count, 0);
}

/* Whether the table has just the first `count` keys. */
static bool has_just(struct table *table, uint32_t count)
{
    struct table_copy copy;
    struct record got;
    bool right = true;

    for (uint32_t i = 0; i < count; i++)
        right &= table_get(table, key_of(i), &got) && got.value == i;
    right &= !table_get(table, key_of(count), &got);
    if (table_copy(table, &copy))
        return false;
    right &= copy.count == count;
    table_copy_free(&copy);
    return right;
}

Test(table, without_memory_is_as_it_was)
{
    /* Every place where it asks for some: the first records, the table, its buckets, more records, more buckets. */
    for (unsigned allowed = 0; allowed < 24; allowed++) {
        struct table table = TABLE_INIT(struct record);
        uint32_t count = 0;
        int error;

        mappings_left = allowed;
        for (struct record record = {0}; !(error = table_put(&table, key_of(count), &record));
             record.value = count) {
            count++;
            cr_assert_lt(count, 1000000, "it never asks the system");
        }
        mappings_left = UINT32_MAX;
        cr_expect_eq(error, -ENOMEM);
        cr_assert(has_just(&table, count), "%u mappings, %u records", allowed, count);
        for (uint32_t more = 0; more < 100; more++, count++) {
            struct record record = {.value = count};

            cr_assert_eq(table_put(&table, key_of(count), &record), 0);
        }
        cr_assert(has_just(&table, count), "%u mappings, then %u records", allowed, count);
    }
}
