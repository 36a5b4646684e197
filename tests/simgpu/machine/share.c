/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/share.h"

#include "machine/options.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    UNIT = 64 << 10,
    USERS = LEDGER_ACCOUNTS
};
static const uint64_t layout = 0x73696d6770750002; /* "simgpu" and a version */

/* A user's lock is on the byte of its number. */
struct share_table {
    uint64_t layout, memory_bytes, devices; /* the last is one more; 0: not said yet */
    struct {
        uint32_t pid;
        uint32_t contexts; /* bit n: on device n */
        struct {
            uint64_t since_ns, total_ns;
        } busy[DEVICES_MAX][SHARE_WORK];
    } users[USERS];
    struct ledger ledgers[DEVICES_MAX];
};

/* A child of fork must not have the descriptor that the lock is taken through: it would keep the lock. */
static pthread_mutex_t joining = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void)
{
    pthread_mutex_lock(&joining);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&joining);
}

static struct flock lock_of(unsigned user)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = user, .l_len = 1};
}

static bool is_anybodys(const void *file, unsigned user)
{
    struct flock lock = lock_of(user);

    return fcntl(*(const int *)file, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

static bool is_nobodys(const void *file, unsigned user)
{
    return !is_anybodys(file, user);
}

static bool is_ours(const void *nothing, unsigned user)
{
    (void)nothing, (void)user;
    return true;
}

/* A descriptor through which locks can be asked for, or -1 where the path leads elsewhere by now. */
static int open_again(const struct share *share)
{
    int file = open(share->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;

    if (file >= 0 &&
        (fstat(file, &status) != 0 || status.st_ino != share->file || status.st_dev != share->file_system)) {
        close(file);
        return -1;
    }
    return file;
}

/* What users hold who are no more is taken back. Where that cannot be asked, it stays. */
static void reap(const struct share *share, int device)
{
    int file = open_again(share);

    for (unsigned user = 0; file >= 0 && user < USERS; user++)
        if (ledger_held(&share->table->ledgers[device], user))
            ledger_clear(&share->table->ledgers[device], user, is_nobodys, &file);
    if (file >= 0)
        close(file);
}

/* The value is what the first said. */
static bool agree(uint64_t *with, uint64_t value)
{
    uint64_t said = 0;

    return __atomic_compare_exchange_n(with, &said, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
           said == value;
}

static const char *judge(struct share_table *table)
{
    if (!agree(&table->layout, layout))
        return "the file is something else";
    if (!agree(&table->memory_bytes, options.memory_bytes))
        return "the others have devices of another capacity";
    if (!agree(&table->devices, (uint64_t)options.devices + 1))
        return "the others have another number of devices";
    return NULL;
}

/* Gives the file its size, and memory or disk that is certain to be there. */
static const char *extend(int file)
{
    if (ftruncate(file, sizeof(struct share_table)) != 0)
        return strerror(errno);
    if (fallocate(file, 0, 0, sizeof(struct share_table)) != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        return strerror(errno);
    return NULL;
}

static const char *map(struct share *share, int file, bool join)
{
    struct stat status;
    const char *reason = NULL;
    void *table;

    if (fstat(file, &status) != 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode) || (status.st_size && status.st_size != sizeof(struct share_table)))
        return "the file is something else";
    if (!status.st_size)
        reason = join ? extend(file) : "";
    if (reason)
        return reason;
    table = mmap(NULL, sizeof(struct share_table), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (table == MAP_FAILED)
        return strerror(errno);
    if (madvise(table, sizeof(struct share_table), MADV_DONTFORK) != 0)
        reason = strerror(errno);
    else
        reason = judge(table);
    if (reason) {
        munmap(table, sizeof(struct share_table));
        return reason;
    }
    share->table = table;
    share->file_system = status.st_dev;
    share->file = status.st_ino;
    return NULL;
}

static const char *become_user(struct share *share, int file)
{
    for (unsigned user = 0; user < USERS; user++) {
        struct flock lock = lock_of(user);

        if (fcntl(file, F_OFD_SETLK, &lock) != 0) {
            if (errno == EAGAIN || errno == EACCES)
                continue;
            return strerror(errno);
        }
        __atomic_store_n(&share->table->users[user].contexts, 0, __ATOMIC_SEQ_CST);
        for (int device = 0; device < DEVICES_MAX; device++)
            ledger_clear(&share->table->ledgers[device], user, is_ours, NULL);
        memset(share->table->users[user].busy, 0, sizeof share->table->users[user].busy);
        __atomic_store_n(&share->table->users[user].pid, (uint32_t)getpid(), __ATOMIC_SEQ_CST);
        share->user = user;
        return NULL;
    }
    return "too many processes have it";
}

/* Whether the lock is still there without the descriptor; in the upper layer of some file systems it is not. */
static const char *check_lock(const struct share *share)
{
    int file = open_again(share);
    bool held = file >= 0 && is_anybodys(&file, share->user);

    if (file >= 0)
        close(file);
    return held ? NULL : "locks end too early in this file system: put it into another, as /dev/shm";
}

static const char *open_and_map(struct share *share, const char *path, bool join)
{
    int file = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
    const char *reason;

    /* In two steps: a folder like /tmp may refuse the creation of what is there and somebody else's. */
    if (file < 0 && errno == ENOENT && join)
        file = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_CREAT, 0600);
    if (file < 0)
        return errno == ENOENT && !join ? "" : strerror(errno);
    share->path = realpath(path, NULL);
    reason = share->path ? map(share, file, join) : strerror(errno);
    if (!reason && join)
        reason = become_user(share, file);
    close(file);
    return reason;
}

const char *share_open(struct share *share, const char *path, bool join)
{
    static bool guarded;
    const char *reason = NULL;

    *share = (struct share){.table = NULL};
    if (join && !guarded && pthread_atfork(before_fork, after_fork, after_fork) != 0)
        return strerror(ENOMEM);
    guarded |= join;
    if (options.memory_bytes / UNIT > LEDGER_UNITS_MAX)
        return "devices are too large for it";
    /* Who only looks takes no lock that a fork could leave taken. */
    if (join)
        pthread_mutex_lock(&joining);
    reason = open_and_map(share, path, join);
    if (join)
        pthread_mutex_unlock(&joining);
    if (!reason && join)
        reason = check_lock(share);
    if (reason)
        share_close(share);
    return reason;
}

void share_close(struct share *share)
{
    if (share->table)
        munmap(share->table, sizeof *share->table);
    free(share->path);
    *share = (struct share){.table = NULL};
}

bool share_hold(struct share *share, int device, size_t bytes)
{
    struct ledger *ledger = &share->table->ledgers[device];
    uint64_t limit = options.memory_bytes / UNIT;
    int64_t units = (int64_t)((bytes + UNIT - 1) / UNIT) - (int64_t)ledger_held(ledger, share->user);

    if (!units || ledger_move(ledger, share->user, units, limit))
        return true;
    reap(share, device);
    return ledger_move(ledger, share->user, units, limit);
}

void share_note_context(struct share *share, int device, bool has)
{
    uint32_t *contexts = &share->table->users[share->user].contexts, bit = 1u << device;

    if (has)
        __atomic_or_fetch(contexts, bit, __ATOMIC_SEQ_CST);
    else
        __atomic_and_fetch(contexts, ~bit, __ATOMIC_SEQ_CST);
}

void share_note_busy(struct share *share, int device, int work, uint64_t since_ns, uint64_t total_ns)
{
    uint64_t *since = &share->table->users[share->user].busy[device][work].since_ns;
    uint64_t *total = &share->table->users[share->user].busy[device][work].total_ns;

    /* Who reads in between takes less for granted, never more. */
    if (!since_ns)
        __atomic_store_n(since, since_ns, __ATOMIC_SEQ_CST);
    __atomic_store_n(total, total_ns, __ATOMIC_SEQ_CST);
    if (since_ns)
        __atomic_store_n(since, since_ns, __ATOMIC_SEQ_CST);
}

/* How long a user has kept a device at work. */
static uint64_t read_busy(const struct share_table *table, unsigned user, int device, int work,
                          uint64_t at_ns)
{
    uint64_t total = __atomic_load_n(&table->users[user].busy[device][work].total_ns, __ATOMIC_SEQ_CST);
    uint64_t since = __atomic_load_n(&table->users[user].busy[device][work].since_ns, __ATOMIC_SEQ_CST);

    return total + (since && since < at_ns ? at_ns - since : 0);
}

size_t share_used(const struct share *share, int device)
{
    reap(share, device);
    return ledger_total(&share->table->ledgers[device]) * UNIT;
}

size_t share_peak(const struct share *share, int device)
{
    return ledger_peak(&share->table->ledgers[device]) * UNIT;
}

unsigned share_users(const struct share *share, int device, uint64_t at_ns, struct share_user *users,
                     unsigned room)
{
    const struct share_table *table = share->table;
    int file = open_again(share);
    unsigned count = 0;

    for (unsigned user = 0; file >= 0 && user < USERS; user++) {
        uint32_t pid = __atomic_load_n(&table->users[user].pid, __ATOMIC_SEQ_CST);

        if (!(__atomic_load_n(&table->users[user].contexts, __ATOMIC_SEQ_CST) >> device & 1) ||
            is_nobodys(&file, user))
            continue;
        if (count < room) {
            users[count] = (struct share_user){pid, ledger_held(&table->ledgers[device], user) * UNIT, {0}};
            for (int work = 0; work < SHARE_WORK; work++)
                users[count].busy_ns[work] = read_busy(table, user, device, work, at_ns);
        }
        count++;
    }
    if (file >= 0)
        close(file);
    return count;
}
