/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that realloc makes larger: how often they move, and how much they take. */
#include <criterion/criterion.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define KIB    ((size_t)1 << 10)
#define BUDGET ((size_t)256 << 20) /* as meson.build sets it */

/* Half as large again each time. Returns how often it moved, and checks that it keeps what is in it. */
static unsigned grow(char **text, size_t bytes, size_t to)
{
    unsigned moves = 0;

    while (bytes <= to) {
        char *grown = realloc(*text, bytes + bytes / 2);

        cr_assert(grown);
        cr_assert_eq(grown[bytes - 1], (char)bytes);
        moves += grown != *text;
        *text = grown;
        bytes += bytes / 2;
        grown[bytes - 1] = (char)bytes;
    }
    return moves;
}

static char *new_text(size_t bytes)
{
    char *text = malloc(bytes);

    cr_assert(text);
    text[bytes - 1] = (char)bytes;
    return text;
}

static size_t usable_bytes(size_t bytes)
{
    void *memory = malloc(bytes);
    size_t usable = malloc_usable_size(memory);

    free(memory);
    return usable;
}

Test(grow, again_and_again_is_a_move_for_each_doubling)
{
    char *text = new_text(16);

    cr_expect_leq(grow(&text, 16, 8000), 8, "of 16 times");
    free(text);
}

Test(grow, of_several_at_a_time_is_no_other)
{
    char *text[3] = {new_text(16), new_text(1000), new_text(30000)};

    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 3; i++) {
            size_t bytes = malloc_usable_size(text[i]);

            text[i][bytes - 1] = (char)bytes;
            cr_expect_leq(grow(&text[i], bytes, 4 * bytes), 3, "of 4 times");
        }
    for (unsigned i = 0; i < 3; i++)
        free(text[i]);
}

Test(grow, once_takes_no_more_than_was_asked_for)
{
    for (size_t bytes = 100; bytes < 2000000; bytes += bytes) {
        char *text = realloc(new_text(bytes), 3 * bytes);

        cr_expect_eq(malloc_usable_size(text), usable_bytes(3 * bytes), "%zu bytes", 3 * bytes);
        free(text);
    }
}

Test(grow, takes_twice_as_much_at_most_and_gives_it_back_when_it_shrinks)
{
    for (size_t bytes = 100; bytes < 5000000; bytes += bytes) {
        char *text = realloc(new_text(bytes), 2 * bytes);

        text = realloc(text, 3 * bytes);
        cr_expect_leq(malloc_usable_size(text), usable_bytes(6 * bytes), "%zu bytes", 3 * bytes);
        text = realloc(text, bytes);
        cr_expect_eq(malloc_usable_size(text), usable_bytes(bytes), "%zu bytes", bytes);
        free(text);
    }
}

Test(grow, is_in_the_ledger_to_the_byte)
{
    size_t before = mallinfo2().uordblks;
    char *text = new_text(16);

    grow(&text, 16, 300000);
    cr_expect_eq(mallinfo2().uordblks, before + malloc_usable_size(text));
    free(text);
    cr_expect_eq(mallinfo2().uordblks, before);
}

/* Room is nothing that a request could be refused for. */
Test(grow, near_the_budget_is_by_what_is_asked_for)
{
    static void *ballast[4096];
    unsigned count = 0;
    char *text;

    while (mallinfo2().uordblks < BUDGET - 650 * KIB)
        cr_assert(ballast[count++] = malloc(64 * KIB));
    cr_assert(text = malloc(200 * KIB));
    cr_assert(text = realloc(text, 230 * KIB));
    cr_assert(text = realloc(text, 270 * KIB));
    cr_expect_eq(malloc_usable_size(text), 320 * KIB);
    free(text);
    while (count)
        free(ballast[--count]);
}
