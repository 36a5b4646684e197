/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replace.cpp - the two operators that programs have replaced since C++98, each object behind a header. All other forms
 * that do not align are to end in these two, by the standard and without anybody's help.
 */
#include "forms.h"

#include <cstdio>
#include <cstdlib>
#include <new>

long replaced_live, replaced_calls;

namespace
{

constexpr std::size_t mark = 0x5ca1ab1e;

struct header {
    std::size_t mark, unused;
};

} // namespace

void *operator new(std::size_t bytes)
{
    auto *memory = static_cast<header *>(std::malloc(sizeof(header) + bytes));

    if (!memory)
        throw std::bad_alloc();
    memory->mark = mark;
    replaced_live++;
    replaced_calls++;
    return memory + 1;
}

void operator delete(void *object) noexcept
{
    header *memory = static_cast<header *>(object) - 1;

    if (!object)
        return;
    if (memory->mark != mark) {
        std::puts("an object that was not given out here");
        std::fflush(stdout);
        std::abort();
    }
    memory->mark = 0;
    replaced_live--;
    std::free(memory);
}
