/* SPDX-License-Identifier: Apache-2.0 */
/* image_copy.c - see image_copy.h. */
#include "base/image_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/elf_image.h"
#include "base/fat_binary.h"
#include "base/pages.h"

#define WRAPPER_MAGIC UINT32_C(0x466243b1)

#define MOST_BYTES ((size_t)4 << 30)

enum {
    PAGE_BYTES = 4096, /* the smallest there is */
    MORE_MAX = 4096,
    TEXT_BYTES = 256 << 10 /* copied of a text at a time */
};

/* What __cudaRegisterFatBinary is given. */
struct wrapper {
    uint32_t magic;
    uint32_t version;
    const void *data;
    const void *const *more; /* of version 2: further fat binaries, up to a NULL */
};

static bool is_elf(const void *magic)
{
    return memcmp(magic, "\177ELF", 4) == 0;
}

/* Copy up to `bytes`, as far as they can be read. */
static size_t copy_some(void *to, const void *from, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        uintptr_t at = (uintptr_t)from + done;
        size_t page = PAGE_BYTES - at % PAGE_BYTES, all = bytes - done;
        struct iovec local = {(char *)to + done, all}, remote = {(void *)at, all};
        ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

        if (got <= 0 && page < all) { /* perhaps of the next page */
            local.iov_len = remote.iov_len = page;
            got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
        }
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

static int copy_all(void *to, const void *from, size_t bytes)
{
    if (copy_some(to, from, bytes) == bytes)
        return 0;
    return errno == EPERM || errno == ENOSYS ? -ENOTSUP : -EFAULT;
}

static int visit_range(const void *image, size_t bytes, image_piece_fn visit, void *arg)
{
    void *copy = bytes <= MOST_BYTES ? pages_take(bytes) : NULL;
    int error;

    if (!copy)
        return -ENOMEM;
    error = copy_all(copy, image, bytes);
    if (!error)
        visit(copy, bytes, arg);
    pages_give(copy, bytes);
    return error;
}

/* As long as its sections say, whose table says where they are. */
static int visit_elf(const void *image, image_piece_fn visit, void *arg)
{
    struct elf_table at;
    size_t bytes;
    void *table;
    unsigned char head[ELF_IMAGE_HEAD_BYTES];
    int error = copy_all(head, image, sizeof(head));

    if (error)
        return error;
    if (!elf_image_table(head, &at))
        return -EFAULT;
    table = pages_take(at.bytes + 1);
    if (!table)
        return -ENOMEM;
    error = copy_all(table, (const char *)image + at.offset, at.bytes);
    bytes = error ? 0 : elf_image_bytes(&at, table);
    pages_give(table, at.bytes + 1);
    return error ? error : bytes ? visit_range(image, bytes, visit, arg) : -EFAULT;
}

static int visit_fat(const void *image, image_piece_fn visit, void *arg)
{
    unsigned char head[FAT_BINARY_HEAD_BYTES];
    int error = copy_all(head, image, sizeof(head));
    size_t bytes = error ? 0 : fat_binary_bytes(head);

    return error ? error : bytes ? visit_range(image, bytes, visit, arg) : -EFAULT;
}

/* Up to its 0. */
static int visit_text(const char *text, image_piece_fn visit, void *arg)
{
    char *part = pages_take(TEXT_BYTES);
    const char *end = NULL;
    size_t bytes = 0, got = TEXT_BYTES;

    if (!part)
        return -ENOMEM;
    while (!end && got == TEXT_BYTES && bytes < MOST_BYTES) {
        got = copy_some(part, text + bytes, TEXT_BYTES);
        end = memchr(part, 0, got);
        bytes += end ? (size_t)(end - part) + 1 : got;
    }
    pages_give(part, TEXT_BYTES);
    return end ? visit_range(text, bytes, visit, arg) : -EFAULT;
}

static int visit_wrapped(const struct wrapper *wrapper, image_piece_fn visit, void *arg)
{
    int error = visit_fat(wrapper->data, visit, arg);
    const void *more;

    for (unsigned i = 0; !error && wrapper->version == 2 && wrapper->more && i < MORE_MAX; i++) {
        error = copy_all(&more, wrapper->more + i, sizeof(more));
        if (error || !more)
            break;
        error = visit_fat(more, visit, arg);
    }
    return error;
}

int image_copy_memory(const void *image, image_piece_fn visit, void *arg)
{
    struct wrapper wrapper = {0};
    int error = copy_all(&wrapper.magic, image, sizeof(wrapper.magic));

    if (error)
        return error;
    if (is_elf(&wrapper.magic))
        return visit_elf(image, visit, arg);
    if (wrapper.magic != WRAPPER_MAGIC)
        return fat_binary_is(wrapper.magic) ? visit_fat(image, visit, arg) : visit_text(image, visit, arg);
    error = copy_all(&wrapper, image, sizeof(wrapper));
    return error ? error : visit_wrapped(&wrapper, visit, arg);
}

static int read_all(int fd, void *out, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t got = pread(fd, (char *)out + done, bytes - done, (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -EFAULT;
        done += (size_t)got;
    }
    return 0;
}

int image_copy_file(const void *path, image_piece_fn visit, void *arg)
{
    struct stat status = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error = -EFAULT;
    char *copy = NULL;
    size_t bytes = 0;

    if (fd < 0)
        return -EFAULT;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
        (uint64_t)status.st_size <= MOST_BYTES) {
        bytes = (size_t)status.st_size;
        copy = pages_take(bytes + 1);
        error = copy ? read_all(fd, copy, bytes) : -ENOMEM;
    }
    close(fd);
    if (!error)
        visit(copy, bytes + 1, arg);
    pages_give(copy, bytes + 1);
    return error;
}
