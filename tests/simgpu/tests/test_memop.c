/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that wait for words of memory and write them. */
#include "driver.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

/* Two streams, and two words: one in device memory, one in pinned host memory. */
struct setting {
    CUstream first, second;
    CUdeviceptr word;
    uint32_t *flag;
};

static struct setting begin(void)
{
    struct setting setting;

    start();
    must(cuStreamCreate(&setting.first, CU_STREAM_NON_BLOCKING));
    must(cuStreamCreate(&setting.second, CU_STREAM_NON_BLOCKING));
    must(cuMemAlloc(&setting.word, 4096));
    must(cuMemsetD8(setting.word, 0, 4096));
    must(cuCtxSynchronize());
    setting.flag = flags();
    return setting;
}

static CUdeviceptr on_device(const uint32_t *flag)
{
    return (CUdeviceptr)(uintptr_t)flag;
}

static uint32_t read_word(CUdeviceptr word)
{
    uint32_t value;

    must(cuMemcpyDtoH(&value, word, sizeof value));
    return value;
}

static void wait_while(const struct setting *setting, uint32_t found, uint32_t value, unsigned condition)
{
    __atomic_store_n(setting->flag, found, __ATOMIC_RELEASE);
    must(cuStreamWaitValue32(setting->first, on_device(setting->flag), value, condition));
}

/* The condition holds for what the word has: a wait is over, or this one never is. */
static void passes(const struct setting *setting, uint32_t found, uint32_t value, unsigned condition)
{
    wait_while(setting, found, value, condition);
    must(cuStreamSynchronize(setting->first));
}

/* It does not, and does for `then`. Another stream's round trips are time for a wait to be over that should not. */
static void blocks(const struct setting *setting, uint32_t found, uint32_t value, unsigned condition,
                   uint32_t then)
{
    wait_while(setting, found, value, condition);
    for (uint32_t i = 0; i < 20; i++) {
        must(cuStreamWriteValue32(setting->second, setting->word, i, 0));
        must(cuStreamSynchronize(setting->second));
    }
    cr_expect_eq(cuStreamQuery(setting->first), CUDA_ERROR_NOT_READY, "%#x, %#x, %u", found, value,
                 condition);
    __atomic_store_n(setting->flag, then, __ATOMIC_RELEASE);
    must(cuStreamSynchronize(setting->first));
}

Test(memop, what_comes_after_a_wait_waits_for_the_host)
{
    struct setting setting = begin();

    must(cuStreamWaitValue32(setting.first, on_device(setting.flag), 7, CU_STREAM_WAIT_VALUE_EQ));
    must(cuMemsetD32Async(setting.word, 5, 1, setting.first));
    must(cuStreamWriteValue32(setting.second, setting.word + 4, 1, 0));
    must(cuStreamSynchronize(setting.second));
    cr_expect_eq(read_word(setting.word), 0);
    cr_expect_eq(cuStreamQuery(setting.first), CUDA_ERROR_NOT_READY);
    __atomic_store_n(setting.flag, 7, __ATOMIC_RELEASE);
    must(cuStreamSynchronize(setting.first));
    cr_expect_eq(read_word(setting.word), 5);
}

Test(memop, a_write_comes_after_what_was_before_it)
{
    struct setting setting = begin();

    must(launch("wait", setting.first, (void *[]){&setting.flag}));
    must(cuStreamWriteValue32(setting.first, setting.word, 9, 0));
    cr_expect_eq(cuStreamQuery(setting.first), CUDA_ERROR_NOT_READY);
    must(cuStreamWriteValue32(setting.second, setting.word + 4, 1, 0));
    must(cuStreamSynchronize(setting.second));
    cr_expect_eq(read_word(setting.word), 0);
    let_go(setting.flag);
    must(cuStreamSynchronize(setting.first));
    cr_expect_eq(read_word(setting.word), 9);
}

Test(memop, one_stream_lets_another_go)
{
    struct setting setting = begin();

    must(cuStreamWaitValue64(setting.first, setting.word, 1ull << 40, CU_STREAM_WAIT_VALUE_GEQ));
    must(cuStreamWriteValue32(setting.first, setting.word + 8, 3, 0));
    must(cuStreamWriteValue64(setting.second, setting.word, (1ull << 40) + 1, 0));
    must(cuStreamSynchronize(setting.first));
    cr_expect_eq(read_word(setting.word + 8), 3);
    cr_expect_eq(read_word(setting.word + 4), 256);
}

Test(memop, the_host_sees_what_a_stream_writes_to_its_memory)
{
    struct setting setting = begin();

    must(cuStreamWriteValue32(setting.first, on_device(setting.flag), 11, 0));
    while (__atomic_load_n(setting.flag, __ATOMIC_ACQUIRE) != 11)
        sched_yield();
    must(cuStreamSynchronize(setting.first));
}

Test(memop, conditions_are_those_of_the_documentation)
{
    struct setting setting = begin();

    passes(&setting, 4, 4, CU_STREAM_WAIT_VALUE_EQ);
    passes(&setting, 4, 4, CU_STREAM_WAIT_VALUE_EQ | CU_STREAM_WAIT_VALUE_FLUSH);
    passes(&setting, 5, 4, CU_STREAM_WAIT_VALUE_GEQ);
    passes(&setting, 2, UINT32_MAX, CU_STREAM_WAIT_VALUE_GEQ); /* the comparison is cyclic */
    passes(&setting, 6, 2, CU_STREAM_WAIT_VALUE_AND);
    passes(&setting, 6, 2, CU_STREAM_WAIT_VALUE_NOR);
    blocks(&setting, 5, 4, CU_STREAM_WAIT_VALUE_EQ, 4);
    blocks(&setting, 3, 4, CU_STREAM_WAIT_VALUE_GEQ, 4);
    blocks(&setting, UINT32_MAX, 2, CU_STREAM_WAIT_VALUE_GEQ, 2);
    blocks(&setting, 4, 2, CU_STREAM_WAIT_VALUE_AND, 3);
    blocks(&setting, 0xffff0000, 0x0000ffff, CU_STREAM_WAIT_VALUE_NOR, 0);
}

Test(memop, a_batch_runs_in_its_order)
{
    struct setting setting = begin();
    CUstreamBatchMemOpParams batch[] = {
        {.writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_32, setting.word, {.value = 1}, 0, 0}},
        {.memoryBarrier = {CU_STREAM_MEM_OP_BARRIER, CU_STREAM_MEMORY_BARRIER_TYPE_SYS}},
        {.waitValue = {CU_STREAM_MEM_OP_WAIT_VALUE_32, on_device(setting.flag), {.value = 1}, 0, 0}},
        {.flushRemoteWrites = {CU_STREAM_MEM_OP_FLUSH_REMOTE_WRITES, 0}},
        {.writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_64, setting.word, {.value64 = 2}, 0, 0}},
    };

    must(cuStreamBatchMemOp(setting.first, 5, batch, 0));
    memset(batch, 0, sizeof batch); /* it has been read */
    must(cuStreamWaitValue32(setting.second, setting.word, 1, CU_STREAM_WAIT_VALUE_EQ));
    must(cuStreamSynchronize(setting.second));
    cr_expect_eq(cuStreamQuery(setting.first), CUDA_ERROR_NOT_READY);
    __atomic_store_n(setting.flag, 1, __ATOMIC_RELEASE);
    must(cuStreamSynchronize(setting.first));
    cr_expect_eq(read_word(setting.word), 2);
}

Test(memop, what_is_none_is_refused)
{
    struct setting setting = begin();
    CUstreamBatchMemOpParams unknown = {.operation = (CUstreamBatchMemOpType)99};
    CUdeviceptr managed;
    uint32_t pageable = 0;
    int can = 0;

    must(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
    cr_expect_eq(cuStreamWaitValue32(setting.first, setting.word + 2, 0, 0), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuStreamWriteValue64(setting.first, setting.word + 4, 0, 0), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuStreamWaitValue32(setting.first, setting.word, 0, 4), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuStreamWriteValue32(setting.first, setting.word, 0, 2), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(
        cuStreamWriteValue32(setting.first, setting.word, 0, CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER),
        CUDA_ERROR_NOT_SUPPORTED);
    cr_expect_eq(cuStreamWaitValue32(setting.first, managed, 0, 0), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuStreamWaitValue32(setting.first, on_device(&pageable), 0, 0), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuStreamBatchMemOp(setting.first, 1, &unknown, 0), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuStreamBatchMemOp(setting.first, 256, &unknown, 0), CUDA_ERROR_INVALID_VALUE);
    cr_expect_eq(cuStreamBatchMemOp(setting.first, 1, NULL, 0), CUDA_ERROR_INVALID_VALUE);
    must(cuDeviceGetAttribute(&can, CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 0));
    cr_expect_eq(can, 1);
}

/* Both versions, for either default stream, by name and version as a runtime asks. */
Test(memop, each_of_its_entries_writes)
{
    static const struct {
        int version;
        cuuint64_t flags;
    } asked[] = {{8000, CU_GET_PROC_ADDRESS_LEGACY_STREAM},
                 {8000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM},
                 {12000, CU_GET_PROC_ADDRESS_LEGACY_STREAM},
                 {12000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM}};
    struct setting setting = begin();

    for (uint32_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        CUresult (*write)(CUstream, CUdeviceptr, cuuint32_t, unsigned);
        CUresult (*wait)(CUstream, CUdeviceptr, cuuint32_t, unsigned);

        must(cuGetProcAddress("cuStreamWriteValue32", (void **)&write, asked[i].version, asked[i].flags,
                              NULL));
        must(cuGetProcAddress("cuStreamWaitValue32", (void **)&wait, asked[i].version, asked[i].flags, NULL));
        must(write(NULL, setting.word, i + 1, 0));
        must(wait(NULL, setting.word, i + 1, CU_STREAM_WAIT_VALUE_EQ));
        must(cuCtxSynchronize());
        cr_expect_eq(read_word(setting.word), i + 1);
    }
}

Test(memop, a_captured_one_runs_with_its_graph)
{
    struct setting setting = begin();
    CUDA_BATCH_MEM_OP_NODE_PARAMS params;
    CUgraph graph;
    CUgraphNode nodes[3];
    CUgraphNodeType type;
    CUgraphExec exec;
    size_t count = 3;

    must(cuStreamBeginCapture(setting.first, CU_STREAM_CAPTURE_MODE_GLOBAL));
    must(cuStreamWaitValue32(setting.first, on_device(setting.flag), 1, CU_STREAM_WAIT_VALUE_EQ));
    must(cuStreamWriteValue32(setting.first, setting.word, 4, 0));
    must(cuStreamEndCapture(setting.first, &graph));
    must(cuGraphGetNodes(graph, nodes, &count));
    cr_assert_eq(count, 2);
    must(cuGraphNodeGetType(nodes[1], &type));
    cr_assert_eq(type, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
    must(cuGraphBatchMemOpNodeGetParams(nodes[1], &params));
    cr_assert_eq(params.count, 1);
    cr_expect_eq(params.paramArray[0].writeValue.address, setting.word);
    params.paramArray[0].writeValue.value = 5;
    must(cuGraphAddBatchMemOpNode(&nodes[2], graph, &nodes[1], 1, &params));
    must(cuGraphInstantiateWithFlags(&exec, graph, 0));
    must(cuGraphLaunch(exec, setting.first));
    cr_expect_eq(cuStreamQuery(setting.first), CUDA_ERROR_NOT_READY);
    cr_expect_eq(read_word(setting.word), 0);
    __atomic_store_n(setting.flag, 1, __ATOMIC_RELEASE);
    must(cuStreamSynchronize(setting.first));
    cr_expect_eq(read_word(setting.word), 5);
    params.paramArray[0].writeValue.value = 6;
    must(cuGraphExecBatchMemOpNodeSetParams(exec, nodes[2], &params));
    must(cuGraphLaunch(exec, setting.first));
    must(cuStreamSynchronize(setting.first));
    cr_expect_eq(read_word(setting.word), 6);
}
