/* SPDX-License-Identifier: Apache-2.0 */
/* The log: what a line looks like, where it goes, what it never does. */
#include "base/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/ebbtide-test-log-XXXXXX";
static char text[64 * 1024];

static void start(void)
{
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
}

static void end(void)
{
    log_finish();
    unlink(path);
}

TestSuite(log, .init = start, .fini = end);

static const char *written(void)
{
    int fd = open(path, O_RDONLY);
    cr_assert_geq(fd, 0);
    ssize_t length = read(fd, text, sizeof(text) - 1);
    cr_assert_geq(length, 0);
    close(fd);
    text[length] = '\0';
    return text;
}

static void expect_format(const char *expected, const char *format, ...)
{
    char buf[128];
    va_list args;
    va_start(args, format);
    size_t length = log_format(buf, sizeof(buf), format, args);
    va_end(args);
    cr_expect_str_eq(buf, expected);
    cr_expect_eq(length, strlen(expected));
}

Test(log, a_line_has_process_level_and_text)
{
    char expected[128];
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    log_line(LOG_WARN, "no room for %zu bytes", (size_t)42);
    snprintf(expected, sizeof(expected), "ebbtide[%d]: warn: no room for 42 bytes\n", getpid());
    cr_expect_str_eq(written(), expected);
}

Test(log, a_level_that_is_not_wanted_is_not_written_nor_evaluated)
{
    int evaluated = 0;
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    log_line(LOG_INFO, "%d", ++evaluated);
    cr_expect_eq(evaluated, 0);
    cr_expect_str_empty(written());
    cr_expect(log_wants(LOG_ERROR));
    cr_expect_not(log_wants(LOG_DEBUG));
}

Test(log, a_long_line_is_cut_and_still_ends)
{
    char long_text[2 * LOG_LINE_BYTES];
    memset(long_text, 'a', sizeof(long_text));
    long_text[sizeof(long_text) - 1] = '\0';
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    log_line(LOG_WARN, "%s", long_text);
    log_line(LOG_ERROR, "next");
    const char *line_end = strchr(written(), '\n');
    cr_assert_not_null(line_end);
    cr_expect_lt(line_end - text, LOG_LINE_BYTES);
    cr_expect_arr_eq(line_end - 4, "a...", 4);
    cr_expect_not_null(strstr(line_end, "error: next\n"));
}

Test(log, warnings_are_capped_and_errors_are_not)
{
    int lines = 0;
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    for (int i = 0; i < 3 * LOG_WARNINGS; i++)
        log_line(LOG_WARN, "number %d", i);
    log_line(LOG_ERROR, "the last");
    for (const char *at = written(); (at = strchr(at, '\n')); at++)
        lines++;
    cr_expect_eq(lines, LOG_WARNINGS + 2);
    cr_expect_not_null(strstr(text, "number 31\n"));
    cr_expect_null(strstr(text, "number 32\n"));
    cr_expect_not_null(strstr(text, "more were suppressed"));
    cr_expect_not_null(strstr(text, "the last\n"));
}

Test(log, errno_is_kept)
{
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    errno = EDOM;
    log_line(LOG_WARN, "x");
    cr_expect_eq(errno, EDOM);
}

Test(log, a_new_file_is_for_the_user_alone_and_closes_at_exec)
{
    struct stat st;
    int lowest = dup(0);
    close(lowest);
    unlink(path);
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600 & ~umask(0));
    cr_expect_eq(fcntl(lowest, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

Test(log, a_symbolic_link_is_refused)
{
    char link[sizeof(path) + 8];
    snprintf(link, sizeof(link), "%s.link", path);
    cr_assert_eq(symlink(path, link), 0);
    cr_expect_eq(log_init(LOG_ERROR, link), -ELOOP);
    unlink(link);
}

Test(log, a_file_that_took_our_descriptor_is_left_alone)
{
    char other[] = "/tmp/ebbtide-test-other-XXXXXX";
    struct stat st;
    int fd = dup(0);
    close(fd);
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    close(fd);
    cr_assert_eq(mkstemp(other), fd, "the program's file has the number that the log had");
    log_line(LOG_WARN, "hello");
    cr_assert_eq(fstat(fd, &st), 0);
    cr_expect_eq(st.st_size, 0);
    cr_expect_not_null(strstr(written(), "hello\n"));
    log_finish();
    cr_expect_eq(fstat(fd, &st), 0, "and it stays open");
    close(fd);
    unlink(other);
}

Test(log, what_somebody_would_have_to_read_is_no_log)
{
    char pipe_path[sizeof(path) + 8];
    int reader;

    snprintf(pipe_path, sizeof(pipe_path), "%s.pipe", path);
    cr_assert_eq(mkfifo(pipe_path, 0600), 0);
    cr_expect_eq(log_init(LOG_ERROR, pipe_path), -ENXIO, "nobody reads, and nobody is waited for");
    reader = open(pipe_path, O_RDONLY | O_NONBLOCK);
    cr_expect_eq(log_init(LOG_ERROR, pipe_path), -EINVAL);
    close(reader);
    unlink(pipe_path);
    cr_expect_eq(log_init(LOG_ERROR, "/dev/null"), 0);
}

Test(log, a_value_ends_no_line_and_tells_a_terminal_nothing)
{
    char expected[128];

    cr_assert_eq(log_init(LOG_WARN, path), 0);
    log_line(LOG_WARN, "'%s'", "a\nebbtide[1]: error: forged\x1b[2J\x7f\xc2\x9b \xc3\xa4");
    snprintf(expected, sizeof(expected), "ebbtide[%d]: warn: 'a?ebbtide[1]: error: forged?[2J??? \xc3\xa4'\n",
             getpid());
    cr_expect_str_eq(written(), expected);
}

/* Standard error becomes what is opened next. */
static void close_errors(void)
{
    cr_assert_eq(log_init(LOG_WARN, NULL), 0);
    close(STDERR_FILENO);
}

Test(log, a_file_that_took_the_number_of_standard_error_is_left_alone)
{
    char other[] = "/tmp/ebbtide-test-other-XXXXXX";
    struct stat st;

    close_errors();
    cr_assert_eq(mkstemp(other), STDERR_FILENO);
    log_line(LOG_WARN, "hello");
    cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
    cr_expect_eq(st.st_size, 0);
    unlink(other);
}

Test(log, standard_error_that_is_closed_at_the_start_is_nobodys)
{
    char other[] = "/tmp/ebbtide-test-other-XXXXXX";
    struct stat st;

    close(STDERR_FILENO);
    cr_assert_eq(log_init(LOG_WARN, NULL), 0);
    cr_assert_eq(mkstemp(other), STDERR_FILENO);
    log_line(LOG_WARN, "hello");
    cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
    cr_expect_eq(st.st_size, 0);
    unlink(other);
}

/* Standard error is a pipe that nobody reads. */
static void break_errors(void)
{
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[0]);
    cr_assert_eq(log_init(LOG_WARN, NULL), 0);
}

static bool is_pending(int number)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, number);
}

Test(log, a_reader_that_has_gone_is_no_signal)
{
    sigset_t blocked;

    break_errors();
    signal(SIGPIPE, SIG_DFL);
    log_line(LOG_WARN, "hello");
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    cr_expect_not(sigismember(&blocked, SIGPIPE));
    cr_expect_not(is_pending(SIGPIPE));
}

Test(log, a_signal_of_the_programs_own_stays_pending)
{
    sigset_t pipe_alone;

    break_errors();
    sigemptyset(&pipe_alone);
    sigaddset(&pipe_alone, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_alone, NULL);
    log_line(LOG_WARN, "hello");
    cr_expect_not(is_pending(SIGPIPE));
    raise(SIGPIPE);
    log_line(LOG_WARN, "hello");
    cr_expect(is_pending(SIGPIPE));
}

Test(log, a_file_that_may_not_grow_is_no_signal)
{
    struct rlimit none = {0, RLIM_INFINITY};

    cr_assert_eq(log_init(LOG_WARN, path), 0);
    signal(SIGXFSZ, SIG_DFL);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    log_line(LOG_WARN, "hello");
    cr_expect_not(is_pending(SIGXFSZ));
}

Test(log, a_thread_that_is_to_be_cancelled_comes_through)
{
    cr_assert_eq(log_init(LOG_WARN, path), 0);
    pthread_cancel(pthread_self());
    log_line(LOG_WARN, "hello");
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    cr_expect_not_null(strstr(written(), "hello\n"));
}

Test(log, integers_are_formatted_like_printf)
{
    expect_format("0 -1 2147483647 -2147483648", "%d %i %d %d", 0, -1, INT_MAX, INT_MIN);
    expect_format("4294967295 ffffffff", "%u %x", UINT_MAX, UINT_MAX);
    expect_format("-9223372036854775808 18446744073709551615", "%ld %lu", LONG_MIN, ULONG_MAX);
    expect_format("18446744073709551615 -5", "%zu %zd", SIZE_MAX, (ssize_t)-5);
    expect_format("deadbeefcafe -1 7", "%llx %lld %llu", 0xdeadbeefcafeULL, -1LL, 7ULL);
}

Test(log, strings_characters_and_pointers_are_formatted_like_printf)
{
    expect_format("a b% (null)", "%s %c%% %s", "a", 'b', (char *)NULL);
    expect_format("0xabc 0x0", "%p %p", (void *)0xabc, NULL);
    expect_format("abc ab", "%.3s %.*s", "abcdef", 2, "abcdef");
}

Test(log, widths_pad_left_right_and_with_zeros)
{
    expect_format("[    5][5    ][00005][-0005]", "[%5d][%-5d][%05d][%05d]", 5, 5, 5, -5);
    expect_format("[   ab][ab   ][  x]", "[%5s][%-5s][%*c]", "ab", "ab", 3, 'x');
    expect_format("123456", "%3d", 123456);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
Test(log, an_unknown_conversion_ends_the_formatting)
{
    expect_format("a %f %d", "a %f %d", 1.5, 2);
    expect_format("50%", "50%");
}
#pragma GCC diagnostic pop

Test(log, text_that_does_not_fit_is_cut_and_ended)
{
    char buf[4];
    cr_expect_eq(log_print(buf, sizeof(buf), "%d", 123456), 3);
    cr_expect_str_eq(buf, "123");
    cr_expect_eq(log_print(buf, 0, "%d", 1), 0);
}
