/* SPDX-License-Identifier: Apache-2.0 */
/* Hazards and the report: each test runs one scenario and reads what it reported. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The report of a scenario; empty if it wrote none. It must have ended well. */
static const char *run(const char *name)
{
    static char report[65536];
    char path[] = "/tmp/simgpu-report-XXXXXX";
    int file = mkstemp(path), status;
    ssize_t length;
    pid_t child;

    cr_assert_geq(file, 0);
    child = fork();
    if (child == 0) {
        setenv("SIMGPU_REPORT", path, 1);
        execl(getenv("SIMGPU_TEST_SCENARIO"), "scenario", name, (char *)NULL);
        _exit(127);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    close(file);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s ended with status %d", name, status);
    FILE *stream = fopen(path, "r");
    cr_assert(stream);
    length = (ssize_t)fread(report, 1, sizeof report - 1, stream);
    report[length] = '\0';
    fclose(stream);
    unlink(path);
    return report;
}

static long number(const char *report, const char *key)
{
    const char *at = strstr(report, key);

    cr_assert(at, "no %s in %s", key, report);
    return strtol(at + strlen(key), NULL, 10);
}

static long hazards_of(const char *name)
{
    return number(run(name), "\"hazards\": ");
}

Test(hazard, unmapping_what_a_queued_kernel_names_is_one)
{
    cr_assert_eq(hazards_of("unmap_named"), 1);
}

Test(hazard, unmapping_after_a_drain_is_none)
{
    const char *report = run("unmap_after_drain");

    cr_assert_eq(number(report, "\"hazards\": "), 0);
    cr_assert_eq(number(report, "\"sticky_errors\": "), 0);
    cr_assert_eq(number(report, "\"cuMemUnmap\": "), 1);
}

Test(hazard, unmapping_under_a_copy_is_one_and_the_copy_faults)
{
    const char *report = run("unmap_under_copy");

    cr_assert_eq(number(report, "\"hazards\": "), 1);
    cr_assert_eq(number(report, "\"sticky_errors\": "), 1);
}

Test(hazard, unmapping_what_a_running_kernel_has_declared_is_one)
{
    cr_assert_eq(hazards_of("unmap_touched"), 1);
}

Test(hazard, taking_access_away_from_a_queued_kernel_is_one_and_repeating_a_grant_is_none)
{
    cr_assert_eq(hazards_of("revoke_named"), 1);
}

Test(hazard, remapping_what_a_launched_graph_names_is_one)
{
    cr_assert_eq(hazards_of("unmap_named_by_graph"), 1);
}

Test(hazard, a_free_that_waits_is_none)
{
    cr_assert_eq(hazards_of("free_waits"), 0);
}

Test(hazard, unordered_writes_of_the_same_bytes_are_one)
{
    cr_assert_eq(hazards_of("unordered_sets"), 1);
}

Test(hazard, what_waits_for_a_word_comes_after_what_was_complete_then)
{
    cr_assert_eq(hazards_of("value_ordered"), 0);
}

Test(hazard, a_word_that_is_written_while_another_copies_it_is_one)
{
    cr_assert_eq(hazards_of("value_unordered"), 1);
}

Test(hazard, an_alias_is_the_same_memory)
{
    cr_assert_eq(hazards_of("unordered_alias"), 1);
}

Test(hazard, a_copy_beside_a_kernel_on_the_same_memory_is_one)
{
    cr_assert_eq(hazards_of("unordered_kernel_and_copy"), 1);
}

Test(hazard, a_copy_beside_a_kernel_that_declares_other_bytes_is_none)
{
    cr_assert_eq(hazards_of("declared_halves"), 0);
}

Test(hazard, host_buffers_count_too)
{
    cr_assert_eq(hazards_of("unordered_host_buffer"), 1);
}

Test(hazard, branches_of_a_graph_are_unordered)
{
    cr_assert_eq(hazards_of("unordered_in_graph"), 1);
}

Test(hazard, streams_events_host_waits_queries_and_callbacks_order)
{
    const char *report = run("all_ordered");

    cr_assert_eq(number(report, "\"hazards\": "), 0);
    cr_assert_eq(number(report, "\"leaks\": "), 0);
}

Test(hazard, neighbouring_columns_do_not_overlap)
{
    cr_assert_eq(hazards_of("columns"), 0);
}

Test(hazard, a_graph_whose_memory_moved_to_the_host_is_one)
{
    cr_assert_eq(hazards_of("moved_graph_memory"), 1);
}

Test(hazard, a_prefetch_beside_a_kernel_or_a_set_of_the_pages_is_none)
{
    cr_assert_eq(hazards_of("paged"), 0);
}

Test(hazard, a_storm_of_threads_that_synchronise_has_none)
{
    const char *report = run("storm");

    cr_assert_eq(number(report, "\"hazards\": "), 0);
    cr_assert_eq(number(report, "\"sticky_errors\": "), 0);
    cr_assert_eq(number(report, "\"leaks\": "), 0);
}

Test(hazard, a_set_of_what_a_kernel_of_ptx_reads_is_one)
{
    cr_assert_eq(hazards_of("ptx_unordered"), 1);
}

Test(hazard, a_set_behind_a_kernel_of_ptx_or_beside_what_it_reads_is_none)
{
    cr_assert_eq(hazards_of("ptx_ordered"), 0);
    cr_assert_eq(hazards_of("ptx_beside"), 0);
}

Test(hazard, a_set_of_what_a_texture_is_read_for_is_one_and_beside_it_none)
{
    cr_assert_eq(hazards_of("ptx_sample_unordered"), 1);
    cr_assert_eq(hazards_of("ptx_sample_beside"), 0);
}

Test(hazard, unmapping_what_a_kernel_of_ptx_has_read_is_one)
{
    cr_assert_eq(hazards_of("ptx_unmap_used"), 1);
}

Test(hazard, reading_host_memory_takes_a_kernel_of_ptx_the_time_of_the_link)
{
    cr_assert_eq(hazards_of("ptx_zero_copy"), 0);
}

Test(report, pages_of_managed_memory_come_as_a_kernel_of_ptx_reads_them)
{
    cr_assert_eq(number(run("ptx_managed"), "\"faulted_pages\": "), 3);
}

Test(report, a_trap_is_a_sticky_error)
{
    cr_assert_eq(number(run("ptx_trap"), "\"sticky_errors\": "), 1);
}

Test(report, sticky_errors_are_counted)
{
    cr_assert_eq(number(run("illegal_address"), "\"sticky_errors\": "), 1);
}

Test(report, every_kind_of_leak_is_counted)
{
    cr_assert_eq(number(run("leaks"), "\"leaks\": "), 4);
}

Test(report, peaks_and_final_bytes_are_exact_per_place)
{
    const char *report = run("peaks");

    cr_assert(strstr(report, "\"peak_bytes\": {\"device\": 8388608, \"host\": 2097152}"), "%s", report);
    cr_assert(strstr(report, "\"final_bytes\": {\"device\": 2097152, \"host\": 0}"), "%s", report);
    cr_assert_eq(number(report, "\"cuMemCreate\": "), 2);
}

Test(report, managed_memory_is_told_by_what_is_held_and_what_has_moved)
{
    const char *report = run("paged");

    cr_assert(strstr(report, "\"managed\": {\"allocated_bytes\": 20971520, \"held_bytes\": 16777216, "
                             "\"host_bytes\": 4194304, \"prefetched_pages\": 9, \"faulted_pages\": 5, "
                             "\"remote_pages\": 1, \"evicted_pages\": 2}"),
              "%s", report);
    cr_assert(strstr(report, "\"final_bytes\": {\"device\": 16777216, \"host\": 4194304}"), "%s", report);
    cr_assert(strstr(report, "\"peak_bytes\": {\"device\": 16777216, \"host\": 8388608}"), "%s", report);
}

Test(report, a_process_that_never_initialised_writes_none)
{
    cr_assert_str_empty(run("no_init"));
}
