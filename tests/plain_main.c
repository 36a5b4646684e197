/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs Criterion's tests without Criterion's sandbox, which maps shared memory where ThreadSanitizer keeps
 * its shadow. Linked into the test programs of sanitized builds, where these definitions come before those of
 * libcriterion. Each case runs in a fork of its own and ends through exit, so that a sanitizer's last report
 * counts. Output is TAP.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED         77
#define TIMEOUT_SECONDS 300 /* for a case that names none */
#define SLOWNESS        4   /* what a sanitizer or an emulator adds to a case that names one */

/* The linker marks the ends of the sections in which Test() and TestSuite() leave pointers. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

/* Of the case that runs in this process; several threads may add to failures. */
static struct {
    const struct criterion_test *test;
    const struct criterion_suite *suite;
    int failures;
} running;

static void end_case(int status)
{
    fflush(NULL);
    exit(status);
}

void criterion_send_assert(struct criterion_assert_stats *stats)
{
    if (stats->passed)
        return;
    __atomic_add_fetch(&running.failures, 1, __ATOMIC_RELAXED);
    printf("# %s:%u: %s\n", stats->file, stats->line, stats->message);
}

void cri_asserts_passed_incr(void) {}

void criterion_continue_test(void) {}

void criterion_abort_test(void)
{
    end_case(EXIT_FAILURE);
    __builtin_unreachable();
}

void criterion_skip_test(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("# skipped: ", stdout);
    vprintf(format, args);
    puts("");
    va_end(args);
    end_case(SKIPPED);
    __builtin_unreachable();
}

void criterion_internal_test_setup(void)
{
    if (running.suite && running.suite->data->init)
        running.suite->data->init();
    if (running.test->data->init)
        running.test->data->init();
}

void criterion_internal_test_main(void (*test)(void))
{
    test();
}

void criterion_internal_test_teardown(void)
{
    if (running.test->data->fini)
        running.test->data->fini();
    if (running.suite && running.suite->data->fini)
        running.suite->data->fini();
}

static const struct criterion_suite *find_suite(const char *name)
{
    for (struct criterion_suite **suite = __start_cr_sts; suite < __stop_cr_sts; suite++)
        if (*suite && strcmp((*suite)->name, name) == 0)
            return *suite;
    return NULL;
}

/* A case's own setting holds, else its suite's, else zero. */
#define SETTING(_field)                                                                                      \
    (running.test->data->_field || !running.suite ? running.test->data->_field : running.suite->data->_field)

static void run_in_child(void)
{
    double timeout = SETTING(timeout);

    alarm(timeout > 0 ? (unsigned)(timeout * SLOWNESS) + 1 : TIMEOUT_SECONDS);
    running.test->test();
    end_case(running.failures ? EXIT_FAILURE : SETTING(exit_code));
}

/* Returns whether the case passed, with its TAP line written. */
static bool run_case(const struct criterion_test *test)
{
    int status = 0;

    running.test = test;
    running.suite = find_suite(test->category);
    if (test->data->disabled || (running.suite && running.suite->data->disabled)) {
        printf("ok - %s::%s # SKIP disabled\n", test->category, test->name);
        return true;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        run_in_child();
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("plain_main: cannot run a case");
        return false;
    }
    int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    bool is_skipped = !signal && code == SKIPPED;
    bool passed = is_skipped || (signal == SETTING(signal) && (signal || code == SETTING(exit_code)));

    if (!passed)
        printf("# ended by signal %d, exit status %d\n", signal, code);
    printf("%sok - %s::%s%s\n", passed ? "" : "not ", test->category, test->name,
           is_skipped ? " # SKIP" : "");
    return passed;
}

/* Takes and ignores Criterion's own arguments. */
int main(void)
{
    int failed = 0;
    int count = 0;

    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++)
        count += *test != NULL;
    printf("TAP version 13\n1..%d\n", count);
    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++)
        if (*test)
            failed += !run_case(*test);
    return failed != 0;
}
