/* SPDX-License-Identifier: Apache-2.0 */
/* disk_io.c - see disk_state.h. */
#include "tier/disk_state.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/pages.h"

/* The bytes of one call, with the direction. The memory is only written to when reading. */
struct piece {
    struct disk *disk;
    char *memory;
    uint64_t bytes;
    off_t offset;
    bool writing;
};

static int run(const struct piece *piece, int file)
{
    uint64_t done = 0;
    while (done < piece->bytes) {
        char *memory = piece->memory + done;
        size_t left = piece->bytes - done;
        off_t offset = piece->offset + (off_t)done;
        ssize_t moved = piece->writing ? piece->disk->pwrite(file, memory, left, offset)
                                       : piece->disk->pread(file, memory, left, offset);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0)
            return -errno;
        if (moved == 0)
            return -EIO;
        done += (uint64_t)moved;
    }
    return 0;
}

static int run_bounced(const struct piece *piece, int file, struct disk_bounce *bounce)
{
    if (!bounce->memory)
        bounce->memory = pages_take(DISK_PIECE_BYTES);
    if (!bounce->memory)
        return -ENOMEM;
    struct piece bounced = *piece;
    bounced.memory = bounce->memory;
    if (piece->writing)
        memcpy(bounced.memory, piece->memory, piece->bytes);
    int error = run(&bounced, file);
    if (error == 0 && !piece->writing)
        memcpy(piece->memory, bounced.memory, piece->bytes);
    return error;
}

static int run_direct(const struct piece *piece, int file, struct disk_bounce *bounce)
{
    int error = -EFAULT;
    if ((uintptr_t)piece->memory % DISK_ALIGN_BYTES == 0)
        error = run(piece, file);
    /* Pages that the kernel cannot pin, as a driver's may be: the CPU can copy them. */
    return error == -EFAULT ? run_bounced(piece, file, bounce) : error;
}

static int run_in(const struct piece *piece, struct disk_dir *dir, struct disk_bounce *bounce)
{
    if (dir->direct_file >= 0 && !atomic_load_explicit(&dir->buffered, memory_order_relaxed)) {
        int error =
            disk_dir_has(dir, dir->direct_file) ? run_direct(piece, dir->direct_file, bounce) : -EBADF;
        if (error != -EINVAL && error != -ENOMEM)
            return error;
        if (error == -EINVAL && !atomic_exchange(&dir->buffered, true))
            log_line(LOG_DEBUG, "direct i/o to the spill file was refused: buffered from now on");
    }
    return disk_dir_has(dir, dir->file) ? run(piece, dir->file) : -EBADF;
}

static int transfer(struct disk *disk, uint64_t slot, char *memory, uint64_t bytes, bool writing,
                    struct disk_bounce *bounce)
{
    const struct piece piece = {.disk = disk,
                                .memory = memory,
                                .bytes = bytes,
                                .offset = (off_t)disk_offset_of(slot),
                                .writing = writing};

    return run_in(&piece, disk_dir_of(disk, slot), bounce);
}

int disk_write(struct disk *disk, uint64_t slot, const void *memory, uint64_t bytes,
               struct disk_bounce *bounce)
{
    return transfer(disk, slot, (char *)(uintptr_t)memory, bytes, true, bounce);
}

int disk_read(struct disk *disk, uint64_t slot, void *memory, uint64_t bytes, struct disk_bounce *bounce)
{
    return transfer(disk, slot, memory, bytes, false, bounce);
}

void disk_bounce_finish(struct disk_bounce *bounce)
{
    pages_give(bounce->memory, DISK_PIECE_BYTES);
    bounce->memory = NULL;
}
