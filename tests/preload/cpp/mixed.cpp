/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mixed.cpp - a program that is linked to an allocator of its own (allocator.c), and mixes new with malloc as that allows.
 * Prints "kept" as the last thing.
 */
#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <string>

namespace
{

/* A compiler may know what cannot be right by the standard. */
template <class T> T *hide(T *object)
{
    T *volatile hidden = object;

    return hidden;
}

void mix(std::size_t bytes)
{
    char *memory = hide(new char[bytes]);

    memory[0] = 7;
    if (malloc_usable_size(memory) < bytes)
        std::puts("too small");
    memory = hide(static_cast<char *>(std::realloc(memory, 3 * bytes)));
    if (memory[0] != 7)
        std::puts("lost");
    delete[] memory;
    std::free(hide(new char[bytes]));
    delete[] hide(static_cast<char *>(std::malloc(bytes)));
    delete[] hide(static_cast<char *>(std::calloc(2, bytes)));
}

} // namespace

int main()
{
    for (std::size_t bytes : {10, 5000, 100000, 3000000})
        mix(bytes);
    std::puts(std::string(1000, 'x').size() == 1000 ? "kept" : "wrong");
    return 0;
}
