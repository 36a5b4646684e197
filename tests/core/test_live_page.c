/* SPDX-License-Identifier: Apache-2.0 */
/* The live page: what is read of it, whatever became of the file and of who writes it. */
#include "live/folder.h"
#include "live/reader.h"
#include "live/writer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/dev/shm/ebbtide-test-XXXXXX";
static struct live_view view;
static enum live_state state;
static struct live_now now;
static struct live_look look;

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
}

static bool remove_page(int dir, const char *name, void *arg)
{
    (void)arg;
    unlinkat(dir, name, 0);
    return true;
}

static void remove_folder(void)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY);

    for (unsigned i = 0; i < 10; i++) /* what is removed meanwhile may hide others */
        live_folder_each(dir, remove_page, NULL);
    close(dir);
    cr_expect_eq(rmdir(folder), 0, "%s", strerror(errno));
}

TestSuite(live_page, .init = make_folder, .fini = remove_folder);

static bool note_name(int dir, const char *name, void *arg)
{
    (void)dir;
    strcpy(arg, name);
    return false;
}

static bool any_page(char *name)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY);

    *name = '\0';
    live_folder_each(dir, note_name, name);
    close(dir);
    return *name != '\0';
}

/* The path of the one page. */
static const char *path_of_page(void)
{
    static char path[PATH_MAX];
    char name[LIVE_NAME_BYTES];

    cr_assert(any_page(name));
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int read_page(void)
{
    return live_read_process(folder, getpid(), &view, &state);
}

static void open_page(uint32_t devices)
{
    now.devices = devices;
    cr_assert_eq(live_writer_open(folder, false, devices, &now), 0);
}

static void write_counted(uint64_t count)
{
    now.counts.evictions = count;
    live_writer_now(&now);
}

Test(live_page, is_read_as_it_was_written)
{
    open_page(2);
    now.device[1].budget.used_bytes = 77;
    for (uint64_t count = 1; count < 10; count++) {
        write_counted(count);
        cr_assert_eq(read_page(), 0);
        cr_expect_eq(view.now.counts.evictions, count);
        cr_expect_eq(view.now.device[1].budget.used_bytes, 77);
        cr_expect_not(view.is_cut);
    }
    look.blocks = 5;
    live_writer_look(1, &look);
    cr_assert_eq(read_page(), 0);
    cr_expect_eq(view.look[0].blocks, 0);
    cr_expect_eq(view.look[1].blocks, 5);
    cr_expect_eq(view.head.who.pid, getpid());
    cr_expect_eq(state, LIVE_RUNS);
}

Test(live_page, keeps_no_descriptor_and_is_the_users_alone)
{
    struct stat st;
    int before = dup(0), after;

    open_page(1);
    after = dup(0);
    cr_expect_eq(after, before + 1);
    cr_assert_eq(stat(path_of_page(), &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0600);
    cr_expect_eq((size_t)st.st_size, live_page_bytes(1));
    cr_expect_geq((size_t)st.st_blocks * 512, live_page_bytes(1), "all of its room is taken");
}

/* Bytes of a copy are others, as where a store stopped in the middle. */
static void tear(unsigned copy)
{
    size_t at = offsetof(struct live_page, now) + copy * sizeof(struct live_now_copy) +
                offsetof(struct live_now_copy, now.counts);
    int file = open(path_of_page(), O_RDWR);
    char bytes[16] = "half an update";

    cr_assert_eq(pwrite(file, bytes, sizeof(bytes), (off_t)at), (ssize_t)sizeof(bytes));
    close(file);
}

Test(live_page, an_update_that_was_cut_short_leaves_the_one_before_it)
{
    open_page(1);
    write_counted(6); /* the second, so in the first copy */
    write_counted(7);
    tear(1);
    cr_assert_eq(read_page(), 0);
    cr_expect_eq(view.now.counts.evictions, 6);
    cr_expect(view.is_cut);
    write_counted(8);
    write_counted(9);
    cr_assert_eq(read_page(), 0);
    cr_expect_eq(view.now.counts.evictions, 9);
    cr_expect_not(view.is_cut);
    tear(0);
    tear(1);
    cr_expect_eq(read_page(), -ENODATA, "none is whole");
}

Test(live_page, that_is_cut_off_is_written_no_more)
{
    char path[PATH_MAX];

    now.devices = 1;
    for (size_t left = live_page_bytes(1) - 1; left; left = left > 4096 ? left - 4096 : 0) {
        cr_assert_eq(live_writer_open(folder, false, 1, &now), 0);
        strcpy(path, path_of_page());
        cr_assert_eq(truncate(path, (off_t)left), 0);
        for (unsigned i = 0; i < 2; i++) {
            write_counted(i);
            live_writer_look(0, &look);
        }
        unlink(path);
    }
    cr_assert_eq(live_writer_open(folder, false, 1, &now), 0);
    cr_assert_eq(truncate(path_of_page(), 0), 0);
    write_counted(3);
    cr_expect_not(live_writer_is_open(), "what is not there cannot be written");
}

Test(live_page, that_has_no_room_is_not_made)
{
    struct rlimit limit = {4096, 4096};
    char name[LIVE_NAME_BYTES];

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(live_writer_open(folder, false, 1, &now), -EFBIG);
    cr_expect_not(live_writer_is_open());
    cr_expect_not(any_page(name));
    cr_expect_eq(live_writer_open("/proc/nowhere", false, 1, &now), -ENOENT);
}

Test(live_page, of_who_was_killed_says_so)
{
    int status, ends[2];
    pid_t child;

    now.devices = 1;
    cr_assert_eq(pipe(ends), 0);
    child = fork();
    if (!child) {
        cr_assert_eq(live_writer_open(folder, false, 1, &now), 0);
        write_counted(9);
        if (!fork()) { /* whoever is left of it does not hold the page */
            close(ends[1]);
            _exit((int)read(ends[0], &status, 1));
        }
        kill(getpid(), SIGKILL);
    }
    waitpid(child, &status, 0);
    cr_assert_eq(live_read_process(folder, child, &view, &state), 0);
    cr_expect_eq(state, LIVE_KILLED);
    cr_expect_eq(view.now.counts.evictions, 9);
    close(ends[1]); /* it ends */
}

/* A page of a process that is not there, last written so long ago. */
static void leave_page(int dir, unsigned pid, time_t age_s)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = time(NULL) - age_s}};
    char name[LIVE_NAME_BYTES];
    int file;

    snprintf(name, sizeof(name), "%u-1" LIVE_SUFFIX, pid);
    file = openat(dir, name, O_RDWR | O_CREAT, 0600);
    cr_assert_geq(file, 0);
    cr_assert_eq(futimens(file, times), 0);
    close(file);
}

static bool count_page(int dir, const char *name, void *arg)
{
    (void)dir, (void)name;
    ++*(unsigned *)arg;
    return true;
}

static unsigned count_pages(int dir)
{
    unsigned count = 0;

    live_folder_each(dir, count_page, &count);
    return count;
}

Test(live_page, of_the_dead_stay_a_day_or_until_there_are_many)
{
    int dir = open(folder, O_RDONLY | O_DIRECTORY), other;

    leave_page(dir, 1, 25 * 3600);
    leave_page(dir, 2, 26 * 3600);
    leave_page(dir, 3, 23 * 3600);
    live_folder_tidy(dir);
    cr_expect_eq(count_pages(dir), 1);
    for (unsigned pid = 10; pid < 10 + LIVE_PAGES + 3; pid++)
        leave_page(dir, pid, 3600);
    live_folder_tidy(dir);
    cr_expect_eq(count_pages(dir), LIVE_PAGES);
    cr_expect_neq(faccessat(dir, "3-1" LIVE_SUFFIX, F_OK, 0), 0, "the oldest go first");
    other = openat(dir, "999-x" LIVE_SUFFIX, O_CREAT | O_RDWR, 0600);
    cr_assert_geq(other, 0);
    close(other);
    cr_expect_eq(count_pages(dir), LIVE_PAGES, "what has another name is no page");
    unlinkat(dir, "999-x" LIVE_SUFFIX, 0);
    close(dir);
}

Test(live_page, of_the_living_stays_however_old_it_is)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 1000}};
    int dir = open(folder, O_RDONLY | O_DIRECTORY);

    open_page(1);
    cr_assert_eq(utimensat(AT_FDCWD, path_of_page(), times, 0), 0);
    leave_page(dir, 2, 26 * 3600);
    live_folder_tidy(dir);
    cr_expect_eq(count_pages(dir), 1);
    cr_expect_eq(read_page(), 0);
    close(dir);
}

Test(live_page, in_a_folder_of_somebody_else_is_not_made)
{
    char path[LIVE_PATH_BYTES];
    int dir;

    cr_assert_eq(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
    cr_assert(live_folder_path(1, "", path));
    cr_assert_eq(symlink("/tmp", path), 0);
    cr_expect_lt(live_folder_open(1, "", true), 0, "a link leads anywhere");
    unlink(path);
    cr_assert_eq(mkdir(path, 0777), 0);
    cr_assert_eq(chmod(path, 0777), 0);
    cr_expect_eq(live_folder_open(1, "", true), -ESTALE, "others may write there");
    cr_assert_eq(chmod(path, 0700), 0);
    dir = live_folder_open(1, "", true);
    cr_expect_geq(dir, 0);
    close(dir);
    rmdir(path);
}

Test(live_page, of_another_shape_is_refused)
{
    static struct live_page page;
    size_t bytes = live_page_bytes(1);

    page.head.devices = 1;
    live_seal_head(&page.head);
    page.now[0].now.devices = 1;
    live_seal_now(&page.now[0], 1);
    cr_assert_eq(live_view(&page, bytes, &view), 0);
    for (size_t length = 0; length < bytes; length += 7)
        cr_assert_lt(live_view(&page, length, &view), 0, "%zu bytes", length);
    page.head.devices = LIVE_DEVICES + 1;
    live_seal_head(&page.head);
    cr_expect_eq(live_view(&page, sizeof(page), &view), -EINVAL, "so many devices there are not");
    page.head.devices = 1;
    memset(page.head.who.command, 'x', sizeof(page.head.who.command));
    live_seal_head(&page.head);
    cr_expect_eq(live_view(&page, bytes, &view), -EINVAL, "a text without an end");
    page.head.who.command[10] = '\0';
    live_seal_head(&page.head);
    page.now[0].now.devices = 2;
    live_seal_now(&page.now[0], 1);
    cr_expect_eq(live_view(&page, bytes, &view), -ENODATA, "more devices than the page has");
    page.head.version++;
    cr_expect_eq(live_view(&page, bytes, &view), -EPROTONOSUPPORT);
}
