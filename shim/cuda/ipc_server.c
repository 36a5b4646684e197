/* SPDX-License-Identifier: Apache-2.0 */
/* ipc_server.c - see ipc_server.h. */
#include "cuda/ipc_server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"

enum {
    PATIENCE_MS = 5000 /* for a peer that connects and says nothing */
};

static const char magic[8] = {'e', 'b', 'b', 't', 'i', 'd', 'e', '1'};

static struct lock lock = LOCK_INIT(LOCK_IPC); /* start and stop */
static pthread_t thread;
static int listener = -1;
static uint64_t token;
static ipc_share_fn share_piece;
static bool has_exported, has_served;

/* Message with each descriptor; bytes 0: the end, and why in `error`. */
struct answer {
    uint64_t bytes;
    int32_t error;
    uint32_t reserved;
};

static socklen_t address_of(int32_t pid, uint64_t number, struct sockaddr_un *out)
{
    size_t length;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    length = log_print(out->sun_path + 1, sizeof(out->sun_path) - 1, "ebbtide-%d-%llx", (int)pid,
                       (unsigned long long)number);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static bool is_own_user(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static bool is_ready(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    return poll(&poll_fd, 1, PATIENCE_MS) == 1;
}

/* One answer, with a descriptor when fd is not -1. */
static bool send_answer(int to, const struct answer *answer, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)answer, sizeof(*answer)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control.space);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);

        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    }
    return is_ready(to, POLLOUT) && sendmsg(to, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(*answer);
}

static int receive_answer(int from, struct answer *out, int *out_fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {out, sizeof(*out)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};

    *out_fd = -1;
    if (!is_ready(from, POLLIN) || recvmsg(from, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*out))
        return -EIO;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(out_fd, CMSG_DATA(header), sizeof(*out_fd));
    return 0;
}

static void serve(int peer)
{
    struct ipc_name name;
    struct ipc_piece piece;
    int error = 0;

    if (!is_ready(peer, POLLIN) || recv(peer, &name, sizeof(name), 0) != (ssize_t)sizeof(name))
        return;
    error = !is_own_user(peer) || name.token != token ? -EPERM : 0;
    for (unsigned i = 0; !error && i < IPC_PIECES_MAX; i++) {
        error = share_piece(&name, i, &piece);
        if (error)
            break;
        const struct answer answer = {.bytes = piece.bytes};

        has_served = true;
        error = send_answer(peer, &answer, piece.fd) ? 0 : -EIO;
        close(piece.fd);
    }
    const struct answer end = {.error = error};

    send_answer(peer, &end, -1);
}

static void *work(void *unused)
{
    int fd = listener;

    for (;;) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        if (peer < 0 && errno != EINTR && errno != ECONNABORTED)
            return unused; /* shut down */
        if (peer < 0)
            continue;
        serve(peer);
        close(peer);
    }
}

/* lock held. */
static int start(ipc_share_fn share)
{
    struct sockaddr_un address;
    static const struct thread server = {.name = "ebbtide-ipc", .run = work};
    int error = 0;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (getrandom(&token, sizeof(token), 0) != (ssize_t)sizeof(token))
        error = -EAGAIN;
    socklen_t length = address_of(getpid(), token, &address);

    if (!error && (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 64) < 0))
        error = -errno;
    share_piece = share;
    listener = fd;
    if (!error)
        error = thread_start(&server, &thread);
    if (error) {
        close(fd);
        listener = -1;
    }
    return error;
}

int ipc_export(uint64_t address, uint64_t id, uint64_t bytes, ipc_share_fn share, struct ipc_name *out)
{
    int error = 0;

    lock_acquire(&lock);
    if (listener < 0)
        error = start(share);
    lock_release(&lock);
    if (error)
        return error;
    has_exported = true;
    *out = (struct ipc_name){.pid = getpid(), .token = token, .address = address, .id = id, .bytes = bytes};
    memcpy(out->magic, magic, sizeof(magic));
    return 0;
}

bool ipc_is_name(const void *handle, struct ipc_name *out)
{
    if (memcmp(handle, magic, sizeof(magic)) != 0)
        return false;
    memcpy(out, handle, sizeof(*out));
    return true;
}

/* Connected to the exporter, or negative. */
static int connect_to(const struct ipc_name *name)
{
    struct sockaddr_un address;
    socklen_t length = address_of(name->pid, name->token, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, length) == 0 &&
        send(fd, name, sizeof(*name), MSG_NOSIGNAL) == (ssize_t)sizeof(*name))
        return fd;
    close(fd);
    return -ECONNREFUSED;
}

int ipc_import(const struct ipc_name *name, struct ipc_piece *out, unsigned room)
{
    unsigned count = 0;
    int error = 0;
    int fd = connect_to(name);

    if (fd < 0)
        return fd;
    while (!error) {
        struct answer answer;
        int piece;

        error = receive_answer(fd, &answer, &piece);
        if (!error && !answer.bytes) {
            error = count && answer.error == -ENOENT ? 0 : answer.error;
            break;
        }
        if (!error && (piece < 0 || count == room))
            error = piece < 0 ? -EIO : -ENOMEM;
        if (!error)
            out[count++] = (struct ipc_piece){answer.bytes, piece};
        else if (piece >= 0)
            close(piece);
    }
    close(fd);
    while (error && count)
        close(out[--count].fd);
    return error ? error : (int)count;
}

bool ipc_was_in_vain(void)
{
    return has_exported && !has_served;
}

void ipc_stop(void)
{
    lock_acquire(&lock);
    if (listener >= 0) {
        shutdown(listener, SHUT_RDWR);
        pthread_join(thread, NULL);
        close(listener);
        listener = -1;
    }
    lock_release(&lock);
}

static void forked(void)
{
    if (listener >= 0)
        close(listener);
    listener = -1;
    has_exported = false;
    lock_init(&lock, LOCK_IPC);
}

FORK_HANDLERS(.turn = FORK_CUDA, .child = forked);
