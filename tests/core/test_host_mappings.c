/* SPDX-License-Identifier: Apache-2.0 */
/* test_host_mappings.c - registered host memory whose mapping the program changes while it is away. */
#include "host/host_state.h"
#include "host_world.h"
#include "ledger/state.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096
#define BYTES (2 * MIB)

enum {
    FIRST = 5, /* a page within a piece */
    POLICY_PREFERRED = 1
};

/* A block all of which is away; the page is one of its pages. */
static uint64_t *begin(char **out_page)
{
    host_world_begin(64 * MIB, NULL);
    uint64_t *words = range_map_registered(BYTES);

    range_fill(words, BYTES);
    range_evict(words, BYTES);
    *out_page = (char *)words + FIRST * PAGE;
    return words;
}

/* By the first access, and by a pin. */
static void expect_all_of_it(uint64_t *words)
{
    cr_expect(range_is_filled(words, BYTES));
    cr_expect_eq(range_away(words), 0);
    cr_expect_geq(host_block_evict(words, 0), 0);
    cr_expect_eq(host_block_pin(words, 0), 0);
    cr_expect(range_is_filled(words, BYTES), "it left once more");
    cr_expect_eq(host_block_unpin(words), 0);
    range_release(words, BYTES);
    host_world_end();
}

Test(host_mappings, page_that_may_not_be_written_to_splits_a_piece)
{
    char *page;
    uint64_t *words = begin(&page);

    cr_assert_eq(mprotect(page, PAGE, PROT_READ), 0);
    expect_all_of_it(words);
}

Test(host_mappings, page_without_access_is_found_when_it_has_some_again)
{
    char *page;
    uint64_t *words = begin(&page);

    cr_assert_eq(mprotect(page, PAGE, PROT_NONE), 0);
    cr_expect_eq(words[0], range_word(0), "its neighbours come");
    cr_assert_eq(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
    expect_all_of_it(words);
}

Test(host_mappings, block_without_access_is_found_when_it_has_some_again)
{
    char *page;
    uint64_t *words = begin(&page);

    cr_assert_eq(mprotect(words, BYTES, PROT_NONE), 0);
    cr_assert_eq(host_block_pin(words, 0), 0);
    cr_assert_eq(host_block_unpin(words), 0);
    cr_assert_eq(mprotect(words, BYTES, PROT_READ | PROT_WRITE), 0);
    expect_all_of_it(words);
}

Test(host_mappings, every_other_page_has_a_mapping_of_its_own)
{
    char *page;
    uint64_t *words = begin(&page);

    for (uint64_t at = 0; at < BYTES; at += 2 * PAGE)
        cr_assert_eq(mprotect((char *)words + at, PAGE, PROT_READ), 0);
    expect_all_of_it(words);
}

Test(host_mappings, locked_page_splits_a_piece)
{
    char *page;
    uint64_t *words = begin(&page);

    cr_assert_eq(mlock(page, PAGE), 0);
    expect_all_of_it(words);
}

Test(host_mappings, page_to_be_locked_later_splits_a_piece)
{
    char *page;
    uint64_t *words = begin(&page);

    cr_assert_eq(mlock2(page, 3 * PAGE, MLOCK_ONFAULT), 0);
    expect_all_of_it(words);
}

Test(host_mappings, page_that_children_do_not_get_splits_a_piece)
{
    char *page;
    uint64_t *words = begin(&page);

    cr_assert_eq(madvise(page, PAGE, MADV_DONTFORK), 0);
    expect_all_of_it(words);
}

Test(host_mappings, page_that_is_not_dumped_splits_a_piece)
{
    char *page;
    uint64_t *words = begin(&page);

    cr_assert_eq(madvise(page, PAGE, MADV_DONTDUMP), 0);
    expect_all_of_it(words);
}

Test(host_mappings, page_with_a_memory_policy_splits_a_piece)
{
    unsigned long nodes = 1;
    char *page;
    uint64_t *words = begin(&page);

    if (syscall(SYS_mbind, page, PAGE, POLICY_PREFERRED, &nodes, 8 * sizeof(nodes), 0) < 0) {
        range_release(words, BYTES);
        host_world_end();
        cr_skip("no memory policies here");
    }
    expect_all_of_it(words);
}

Test(host_mappings, what_is_unmapped_takes_nothing_else_along)
{
    char *page;
    uint64_t *words = begin(&page), end = (FIRST + 2) * PAGE;

    cr_assert_eq(munmap(page, 2 * PAGE), 0);
    cr_expect(range_is_filled(words, FIRST * PAGE));
    for (uint64_t i = end / 8; i < BYTES / 8; i++)
        cr_assert_eq(words[i], range_word(i));
    cr_expect_eq(range_away(words), 0);
    range_release(words, BYTES);
    host_world_end();
}

Test(host_mappings, new_mapping_gets_none_of_the_old_bytes)
{
    char *page;
    uint64_t *words = begin(&page);

    cr_assert_eq(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                 page);
    cr_assert_eq(host_block_pin(words, 0), 0);
    for (uint64_t i = 0; i < BYTES / 8; i++)
        cr_assert_eq(words[i], i / (PAGE / 8) == FIRST ? 0 : range_word(i));
    cr_expect_eq(host_block_unpin(words), 0);
    range_release(words, BYTES);
    host_world_end();
}

/* ---- what cannot be brought back ------------------------------------------------------------------------------ */

static ssize_t pread_fails(int file, void *memory, size_t bytes, off_t offset)
{
    (void)file, (void)memory, (void)bytes, (void)offset;
    errno = EIO;
    return -1;
}

static ssize_t pread_and_flip(int file, void *memory, size_t bytes, off_t offset)
{
    ssize_t length = pread(file, memory, bytes, offset);

    ((char *)memory)[100] ^= 1;
    return length;
}

static void ignore(int signal)
{
    (void)signal;
}

/* Its signal, and what it said. */
static int status_of(ssize_t (*read_back)(int, void *, size_t, off_t), char *said, size_t size)
{
    int said_by[2], status;
    size_t length = 0;
    ssize_t more;

    cr_assert_eq(pipe(said_by), 0);
    pid_t child = fork();

    if (child == 0) {
        dup2(said_by[1], STDERR_FILENO);
        close(said_by[1]);
        spill_init(&host_spill, NULL);
        rmdir(host_spill.path); /* nobody is there to do it later */
        strcpy(host_spill.options.spill_dir.of[0].path, "/var/tmp");
        host_spill.options.host_budget = (struct size_spec){.kind = SIZE_BYTES, .bytes = 64 * MIB};
        host_spill.options.verify = true;
        signal(SIGBUS, ignore);
        core_host_start(&host_spill.options);
        core.disk.pread = read_back;
        uint64_t *words = range_map_registered(MIB);

        range_fill(words, MIB);
        if (!host_fault_running() || host_block_evict(words, 0) != (long)MIB)
            _exit(2);
        _exit(range_is_filled(words, MIB) ? 0 : 1);
    }
    close(said_by[1]);
    while (length < size - 1 && (more = read(said_by[0], said + length, size - 1 - length)) > 0)
        length += (size_t)more;
    said[length] = 0;
    close(said_by[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        cr_skip("faults of the kernel are not handed to this user");
    return status;
}

Test(host_mappings, bytes_that_changed_on_disk_stop_the_process_with_a_line)
{
    char said[1024];
    int status = status_of(pread_and_flip, said, sizeof(said));

    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %x", status);
    cr_expect(strstr(said, "cannot be brought back"), "said: %s", said);
}

Test(host_mappings, bytes_that_stay_unreadable_stop_the_process_with_a_line, .timeout = 60)
{
    char said[1024];
    int status = status_of(pread_fails, said, sizeof(said));

    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %x", status);
    cr_expect(strstr(said, "cannot be brought back (Input/output error)"), "said: %s", said);
}
