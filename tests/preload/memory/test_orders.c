/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random steps on four streams with memory that is allocated and freed in their order, and with the events that a right program
 * needs, no more: a step waits for another stream only where nothing else has ordered it behind. Every word that is read is the
 * one that was written last, and the simulated device sees no hazard. A program that leaves out one wait is caught.
 */
#include "../world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    STREAMS = 4,
    BLOCKS = 14,
    READS = 512,
    WORDS = 4096 /* of each block are written and read at most: its first */
};

struct block {
    CUdeviceptr address; /* 0: none */
    size_t bytes;
    uint32_t word;
    uint64_t used[STREAMS]; /* by each stream, last */
};

/* What is asked to be read, checked once the host has waited. */
struct reading {
    uint32_t word;
};

struct program {
    struct world world;
    uint64_t random;
    CUstream stream[STREAMS];
    CUevent event[STREAMS];
    uint64_t known[STREAMS][STREAMS]; /* how far in the other streams each is behind them */
    struct block block[BLOCKS];
    CUmemoryPool pool[2];
    struct reading reading[READS];
    uint32_t *read; /* pinned */
    unsigned reads;
    uint32_t word;
    uint64_t uses, drops_at; /* a use that waits for nobody; 0: none */
    bool drops;
    uint64_t wrong;
};

static FILE *errors;

static unsigned hazards(void)
{
    unsigned count = 0;
    char line[1024];

    rewind(errors);
    while (fgets(line, sizeof(line), errors))
        count += strncmp(line, "simgpu: hazard", 14) == 0;
    return count;
}

static uint64_t draw(struct program *program, uint64_t below)
{
    program->random = program->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (program->random >> 33) % below;
}

static CUmemoryPool make_pool(void)
{
    const CUmemPoolProps properties = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                                       .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}};
    CUmemoryPool pool;

    OK(cuMemPoolCreate(&pool, &properties));
    return pool;
}

static struct program *begin(uint64_t seed)
{
    static struct program program;

    errors = tmpfile();
    cr_assert(errors);
    cr_assert_geq(dup2(fileno(errors), STDERR_FILENO), 0);
    program = (struct program){.world = world_make(), .random = seed};
    OK(cuDeviceGetMemPool(&program.pool[0], program.world.device));
    program.pool[1] = make_pool();
    for (unsigned i = 0; i < STREAMS; i++) {
        OK(cuStreamCreate(&program.stream[i], CU_STREAM_NON_BLOCKING));
        OK(cuEventCreate(&program.event[i], CU_EVENT_DISABLE_TIMING));
    }
    OK(cuMemHostAlloc((void **)&program.read, sizeof(uint32_t) * READS, 0));
    return &program;
}

static void learn(struct program *program, unsigned stream, unsigned of)
{
    for (unsigned i = 0; i < STREAMS; i++)
        if (program->known[stream][i] < program->known[of][i])
            program->known[stream][i] = program->known[of][i];
}

/* The stream comes behind all that the other has now. */
static void wait_for(struct program *program, unsigned stream, unsigned other)
{
    if (!program->drops) {
        OK(cuEventRecord(program->event[other], program->stream[other]));
        OK(cuStreamWaitEvent(program->stream[stream], program->event[other], 0));
    }
    learn(program, stream, other);
}

/* Behind every use of the block, and one itself. */
static void use(struct program *program, unsigned stream, struct block *block)
{
    for (unsigned i = 0; i < STREAMS; i++)
        if (program->known[stream][i] < block->used[i]) {
            program->drops = ++program->uses == program->drops_at;
            wait_for(program, stream, i);
            program->drops = false;
        }
    block->used[stream] = ++program->known[stream][stream];
}

/* The host has waited: whatever it starts from now on comes behind. */
static void host_waited(struct program *program, unsigned of)
{
    for (unsigned i = 0; i < STREAMS; i++)
        learn(program, i, of);
}

static void wait_for_all(struct program *program)
{
    OK(cuCtxSynchronize());
    for (unsigned i = 0; i < STREAMS; i++)
        host_waited(program, i);
    for (unsigned i = 0; i < program->reads; i++)
        program->wrong += program->read[i] != program->reading[i].word;
    program->reads = 0;
}

static size_t words_of(const struct block *block)
{
    return block->bytes < 4 * WORDS ? block->bytes / 4 : WORDS;
}

static void write_words(struct program *program, unsigned stream, struct block *block)
{
    use(program, stream, block);
    block->word = ++program->word;
    OK(cuMemsetD32Async(block->address, block->word, words_of(block), program->stream[stream]));
}

static void read_word(struct program *program, unsigned stream, struct block *block)
{
    if (program->reads == READS)
        wait_for_all(program);
    use(program, stream, block);
    program->reading[program->reads].word = block->word;
    OK(cuMemcpyDtoHAsync(&program->read[program->reads++],
                         block->address + 4 * draw(program, words_of(block)), 4, program->stream[stream]));
}

/* Many of one size, which are reused, and some of any. */
static size_t draw_small(struct program *program)
{
    return 4 * (draw(program, 4) ? 100 * draw(program, 3) + 1 : draw(program, MIB / 4) + 1);
}

static void make(struct program *program, unsigned stream, struct block *block)
{
    unsigned pool = (unsigned)draw(program, 3);

    *block =
        (struct block){.bytes = draw(program, 3) ? (1 + draw(program, 3)) * 2 * MIB : draw_small(program)};
    if (pool)
        OK(cuMemAllocFromPoolAsync(&block->address, block->bytes, program->pool[pool - 1],
                                   program->stream[stream]));
    else
        OK(cuMemAllocAsync(&block->address, block->bytes, program->stream[stream]));
    block->used[stream] = ++program->known[stream][stream];
    write_words(program, stream, block);
}

static void free_block(struct program *program, unsigned stream, struct block *block)
{
    use(program, stream, block);
    OK(cuMemFreeAsync(block->address, program->stream[stream]));
    *block = (struct block){0};
}

/* Something about pools, streams or the host. */
static void change(struct program *program, unsigned stream)
{
    CUmemoryPool pool = program->pool[draw(program, 2)];
    CUmemPool_attribute policy =
        (CUmemPool_attribute)(CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES + draw(program, 3));
    cuuint64_t threshold = draw(program, 2) ? UINT64_MAX : draw(program, 20) * MIB;
    int allowed = (int)draw(program, 2);

    switch (draw(program, 12)) {
    case 0:
        OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
        break;
    case 1:
        OK(cuMemPoolSetAttribute(pool, policy, &allowed));
        break;
    case 2:
        OK(cuMemPoolTrimTo(pool, draw(program, 20) * MIB));
        break;
    case 3: /* what is out of it lives on */
        OK(cuMemPoolDestroy(program->pool[1]));
        program->pool[1] = make_pool();
        break;
    case 4: /* its work goes on, and nobody can wait for it any more */
        wait_for(program, (stream + 1) % STREAMS, stream);
        OK(cuStreamDestroy(program->stream[stream]));
        OK(cuStreamCreate(&program->stream[stream], CU_STREAM_NON_BLOCKING));
        wait_for(program, stream, (stream + 1) % STREAMS);
        break;
    case 5:
        wait_for_all(program);
        break;
    case 6:
    case 7:
        OK(cuStreamSynchronize(program->stream[stream]));
        host_waited(program, stream);
        break;
    default:
        wait_for(program, stream, (unsigned)draw(program, STREAMS));
    }
}

static void step(struct program *program)
{
    unsigned stream = (unsigned)draw(program, STREAMS);
    struct block *block = &program->block[draw(program, BLOCKS)];

    if (!draw(program, 12))
        change(program, stream);
    else if (!block->address)
        make(program, stream, block);
    else if (draw(program, 3))
        free_block(program, stream, block);
    else if (draw(program, 2))
        write_words(program, stream, block);
    else
        read_word(program, stream, block);
}

static void run(struct program *program, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++)
        step(program);
    wait_for_all(program);
}

static void end(struct program *program)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        if (program->block[i].address)
            OK(cuMemFree(program->block[i].address));
    OK(cuMemFreeHost(program->read));
    OK(cuMemPoolDestroy(program->pool[1]));
    OK(cuCtxSynchronize());
    world_end(&program->world);
}

Test(orders, every_word_is_the_last_that_was_written, .timeout = 3600)
{
    struct program *program = begin(17);
    cuuint64_t bytes;

    run(program, getenv("EBBTIDE_TEST_LONG") ? 100000 : 10000);
    cr_expect_eq(program->wrong, 0);
    cr_expect_eq(hazards(), 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        if (program->block[i].address)
            free_block(program, (unsigned)draw(program, STREAMS), &program->block[i]);
    wait_for_all(program);
    for (unsigned i = 0; i < 2; i++) {
        OK(cuMemPoolTrimTo(program->pool[i], 0));
        OK(cuMemPoolGetAttribute(program->pool[i], CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &bytes));
        cr_expect_eq(bytes, 0);
        OK(cuMemPoolGetAttribute(program->pool[i], CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes));
        cr_expect_eq(bytes, 0);
    }
    end(program);
    cr_expect_eq(hazards(), 0);
}

/* Without pressure: where the library waits for the device to move something, all is in order, and some are between two uses
 * of which neither writes. */
Test(orders_dropped, a_program_that_leaves_out_a_wait_is_caught, .timeout = 600)
{
    unsigned caught = 0;

    for (uint64_t seed = 1; seed <= 4 && !caught; seed++) {
        struct program *program = begin(seed);

        program->drops_at = 40 + seed;
        run(program, 400);
        caught = hazards() + (unsigned)program->wrong;
        end(program);
    }
    cr_expect_gt(caught, 0);
}
