/*
 * SPDX-License-Identifier: Apache-2.0
 * rmm_work.cu - vectors that Thrust's algorithms make of each other, in memory that one of RMM's resources gives.
 */
#include <rmm/cuda_stream.hpp>
#include <rmm/detail/error.hpp>
#include <rmm/device_uvector.hpp>
#include <rmm/exec_policy.hpp>
#include <rmm/mr/device/arena_memory_resource.hpp>
#include <rmm/mr/device/binning_memory_resource.hpp>
#include <rmm/mr/device/cuda_async_memory_resource.hpp>
#include <rmm/mr/device/cuda_memory_resource.hpp>
#include <rmm/mr/device/fixed_size_memory_resource.hpp>
#include <rmm/mr/device/managed_memory_resource.hpp>
#include <rmm/mr/device/pool_memory_resource.hpp>
#include <rmm/mr/device/statistics_resource_adaptor.hpp>

#include <thrust/scan.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <thrust/transform.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <vector>

namespace
{

constexpr std::size_t mib = 1 << 20, count = mib / 2, vectors = 36, turns = 30;

using Vector = rmm::device_uvector<std::uint32_t>;

struct Mix {
    std::uint32_t turn;

    __device__ std::uint32_t operator()(std::uint32_t left, std::uint32_t right) const
    {
        return (left ^ right >> 1) + turn * 2654435761u;
    }
};

/* The results are all vectors. */
void run(rmm::mr::device_memory_resource *upstream, std::uint32_t *results)
{
    rmm::mr::statistics_resource_adaptor<rmm::mr::device_memory_resource> resource(upstream);
    rmm::cuda_stream stream;
    auto policy = rmm::exec_policy(stream, &resource);
    std::vector<Vector> all;

    for (std::uint32_t i = 0; i < vectors; i++) {
        all.emplace_back(count, stream, &resource);
        thrust::sequence(policy, all[i].begin(), all[i].end(), i, i * 2 + 1);
    }
    for (std::uint32_t turn = 0; turn < turns; turn++) {
        const Vector &left = all[turn % vectors], &right = all[(turn * 7 + 3) % vectors];
        Vector out(count, stream, &resource);

        thrust::transform(policy, left.begin(), left.end(), right.begin(), out.begin(), Mix{turn});
        if (turn % 10 == 0)
            thrust::sort(policy, out.begin(), out.end());
        if (turn % 5 == 0)
            thrust::inclusive_scan(policy, out.begin(), out.end(), out.begin());
        all[(turn * 11 + 5) % vectors] = std::move(out);
    }
    for (const Vector &vector : all) {
        RMM_CUDA_TRY(cudaMemcpyAsync(results, vector.data(), count * sizeof *results, cudaMemcpyDeviceToHost,
                                     stream.value()));
        results += count;
    }
    stream.synchronize();
}

void run_with(const char *name, std::uint32_t *results)
{
    rmm::mr::cuda_memory_resource cuda;

    if (!std::strcmp(name, "cuda")) {
        run(&cuda, results);
    } else if (!std::strcmp(name, "async")) {
        rmm::mr::cuda_async_memory_resource async(16 * mib);
        run(&async, results);
    } else if (!std::strcmp(name, "managed")) {
        rmm::mr::managed_memory_resource managed;
        run(&managed, results);
    } else if (!std::strcmp(name, "arena")) {
        rmm::mr::arena_memory_resource<rmm::mr::device_memory_resource> arena(&cuda, 96 * mib);
        run(&arena, results);
    } else if (!std::strcmp(name, "pool")) {
        rmm::mr::pool_memory_resource<rmm::mr::device_memory_resource> pool(&cuda, 16 * mib);
        run(&pool, results);
    } else if (!std::strcmp(name, "binning")) {
        rmm::mr::pool_memory_resource<rmm::mr::device_memory_resource> pool(&cuda, 16 * mib);
        rmm::mr::fixed_size_memory_resource<rmm::mr::device_memory_resource> fixed(&cuda, 2 * mib, 8);
        rmm::mr::binning_memory_resource<rmm::mr::device_memory_resource> binning(&pool);
        binning.add_bin(2 * mib, &fixed);
        run(&binning, results);
    } else {
        throw std::invalid_argument(name);
    }
}

} // namespace

/* Returns whether it failed; prints why. */
extern "C" int work(const char *resource, std::uint32_t *results)
try {
    run_with(resource, results);
    return 0;
} catch (const std::exception &error) {
    std::cerr << "Error: " << error.what() << std::endl;
    return 1;
}
