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
    PATIENCE_MS = 5000, /* of an importer, and with peers that say nothing when there is no place for more */
    DEAF_MS = 100,      /* without a descriptor for one more peer */
    PEERS_MAX = 64
};

static const char magic[8] = {'e', 'b', 'b', 't', 'i', 'd', 'e', '3'};

static struct lock lock = LOCK_INIT(LOCK_IPC); /* start and stop */
static pthread_t thread;
static int listener = -1;
static uint64_t token, number; /* a secret; the socket's */
static ipc_share_fn share_piece;
static bool has_exported, has_served;

struct request {
    struct ipc_name name;
    uint64_t piece; /* its index */
};

/* Message with the descriptor; bytes 0: there is none, and why in `error`. */
struct answer {
    uint64_t bytes;
    int32_t error;
    uint32_t reserved;
};

static socklen_t address_of(int32_t pid, uint64_t which, struct sockaddr_un *out)
{
    size_t length;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    length = log_print(out->sun_path + 1, sizeof(out->sun_path) - 1, "ebbtide-%d-%llx", (int)pid,
                       (unsigned long long)which);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static bool is_own_user(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
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
    return sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*answer);
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

    struct pollfd answered = {.fd = from, .events = POLLIN};

    *out_fd = -1;
    if (poll(&answered, 1, PATIENCE_MS) != 1 ||
        recvmsg(from, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*out))
        return -EIO;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(out_fd, CMSG_DATA(header), sizeof(*out_fd));
    return 0;
}

/* One request of a peer. False: it has gone, or does not keep to the rules. */
static bool serve(int peer)
{
    struct request request;
    struct ipc_piece piece = {.fd = -1};

    if (recv(peer, &request, sizeof(request), MSG_DONTWAIT) != (ssize_t)sizeof(request))
        return false;
    int error = request.name.token != token ? -EPERM : 0;

    if (!error)
        error = share_piece(&request.name, (unsigned)request.piece, &piece);
    const struct answer answer = {.bytes = error ? 0 : piece.bytes, .error = error};
    bool is_sent = send_answer(peer, &answer, error ? -1 : piece.fd);

    if (error)
        return is_sent;
    has_served = true;
    close(piece.fd);
    return is_sent;
}

/* Serve whoever has said something. With `drop` those who have not are not waited for any longer. */
static unsigned serve_all(struct pollfd *peer, unsigned count, bool drop)
{
    for (unsigned i = count; i-- > 0;)
        if (peer[i].revents ? !serve(peer[i].fd) : drop) {
            close(peer[i].fd);
            peer[i] = peer[--count];
        }
    return count;
}

static void *work(void *unused)
{
    struct pollfd open[1 + PEERS_MAX] = {{.fd = listener}};
    unsigned peers = 0;
    bool is_deaf = false;

    for (;;) {
        bool is_full = peers == PEERS_MAX;

        open[0].events = is_full || is_deaf ? 0 : POLLIN;
        int ready = poll(open, 1 + peers, is_deaf ? DEAF_MS : is_full ? PATIENCE_MS : -1);

        if (ready < 0)
            continue; /* a debugger's signal */
        if (open[0].revents & (POLLHUP | POLLERR | POLLNVAL))
            break; /* shut down */
        peers = serve_all(open + 1, peers, is_full && ready == 0);
        is_deaf = false;
        if (!(open[0].revents & POLLIN))
            continue;
        int peer = accept4(open[0].fd, NULL, NULL, SOCK_CLOEXEC);

        is_deaf = peer < 0 && errno != EINTR && errno != ECONNABORTED;
        if (peer >= 0 && !is_own_user(peer))
            close(peer);
        else if (peer >= 0)
            open[1 + peers++] = (struct pollfd){.fd = peer, .events = POLLIN};
    }
    serve_all(open + 1, peers, true);
    return unused;
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
    if (getrandom(&token, sizeof(token), 0) != (ssize_t)sizeof(token) ||
        getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
        error = -EAGAIN;
    socklen_t length = address_of(getpid(), number, &address);

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
    *out = (struct ipc_name){
        .pid = getpid(), .token = token, .address = address, .id = id, .bytes = bytes, .socket = number};
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

/* Connected to the exporter, or negative. Its name may be anybody's once it is gone. */
static int connect_to(const struct ipc_name *name)
{
    struct sockaddr_un address;
    socklen_t length = address_of(name->pid, name->socket, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int error = connect(fd, (struct sockaddr *)&address, length) < 0 ? -ECONNREFUSED : 0;

    if (!error && !is_own_user(fd))
        error = -EPERM;
    if (!error)
        return fd;
    close(fd);
    return error;
}

/* Ask for one piece. */
static int ask(int fd, const struct request *request, struct ipc_piece *out)
{
    struct answer answer;

    if (send(fd, request, sizeof(*request), MSG_NOSIGNAL) != (ssize_t)sizeof(*request))
        return -EIO;
    int error = receive_answer(fd, &answer, &out->fd);

    if (!error && answer.error < 0)
        error = answer.error;
    if (!error && (out->fd < 0 || !answer.bytes))
        error = -EIO; /* no descriptor was left for it here, say */
    if (error && out->fd >= 0)
        close(out->fd);
    out->bytes = answer.bytes;
    return error;
}

int ipc_import(const struct ipc_name *name, ipc_take_fn take, void *arg)
{
    struct request request = {.name = *name};
    struct ipc_piece piece;
    int more = 1;
    int fd = connect_to(name);

    if (fd < 0)
        return fd;
    for (; more > 0; request.piece++) {
        int error = ask(fd, &request, &piece);

        more = error ? error : take(&piece, arg);
    }
    close(fd);
    return more;
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
