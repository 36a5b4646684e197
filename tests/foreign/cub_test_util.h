/*
 * SPDX-License-Identifier: Apache-2.0
 * cub_test_util.h - the helpers that CUB's examples include from the tests of its source, which Debian leaves out: the same
 * names, only as much as they use.
 *
 * Each comparison of results prints their checksum; with FOREIGN_REFERENCE in the environment that of the reference, which the
 * example has computed on the processor, and the device's are not looked at.
 */
#ifndef CUB_TEST_UTIL_H
#define CUB_TEST_UTIL_H

#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <cub/util_debug.cuh>
#include <cuda_runtime.h>

class CommandLineArgs
{
    std::vector<std::string> words;

  public:
    CommandLineArgs(int count, char **given) : words(given, given + count) {}

    bool CheckCmdLineFlag(const char *name) const
    {
        for (const std::string &word : words)
            if (word == std::string("--") + name)
                return true;
        return false;
    }

    /* The value stays where the word is not there. */
    template <typename Value> void GetCmdLineArgument(const char *name, Value &value) const
    {
        const std::string start = std::string("--") + name + "=";

        for (const std::string &word : words)
            if (word.compare(0, start.size(), start) == 0)
                std::istringstream(word.substr(start.size())) >> value;
    }

    cudaError_t DeviceInit() const
    {
        return cudaSetDevice(0);
    }
};

class GpuTimer
{
  public:
    void Start() {}

    void Stop() {}

    float ElapsedMillis() const
    {
        return 0;
    }
};

/* The same bits in every run. */
template <typename Bits> void RandomBits(Bits &bits)
{
    static std::mt19937 engine(20240229);

    bits = static_cast<Bits>(engine());
}

template <typename To, typename From> To SafeBitCast(const From &from)
{
    To to{};

    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <typename Item> void DisplayResults(const Item *items, size_t count)
{
    for (size_t at = 0; at < count; at++)
        std::cout << items[at] << ' ';
}

template <typename One, typename Other> void AssertEquals(const One &one, const Other &other)
{
    if (one != other) {
        std::fprintf(stderr, "Error: an example finds its results wrong\n");
        std::exit(1);
    }
}

inline unsigned long long ChecksumOf(const void *bytes, size_t count)
{
    const unsigned char *at = static_cast<const unsigned char *>(bytes);
    uint64_t sum = 0xcbf29ce484222325; /* FNV-1a */

    for (size_t i = 0; i < count; i++)
        sum = (sum ^ at[i]) * 0x100000001b3;
    return sum;
}

/* Returns whether they differ. */
template <typename Item, typename Found>
int CompareDeviceResults(const Item *reference, const Found *found, size_t count, bool, bool)
{
    const size_t bytes = count * sizeof(Item);
    std::vector<Item> items(reference, reference + count);

    if (!std::getenv("FOREIGN_REFERENCE"))
        CubDebugExit(cudaMemcpy(items.data(), found, bytes, cudaMemcpyDeviceToHost));
    std::printf("%zu items, %016llx ", count, ChecksumOf(items.data(), bytes));
    return std::memcmp(items.data(), reference, bytes) != 0;
}

#endif
