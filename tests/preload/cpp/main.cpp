/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.cpp - a C++ program with work for its operators: each form, a new handler, and containers of the library's own.
 *
 * usage: main BYTES    of the forms' objects
 * With -DREPLACED it is linked to replace.cpp, and says how often that was asked.
 */
#include "forms.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <string>

namespace
{

char *spare;

/* A program that sets memory aside for bad days: the handler gives it up, the next try has it. */
void give_up_spare()
{
    if (!spare)
        std::set_new_handler(nullptr);
    delete[] spare;
    spare = nullptr;
    std::puts("the handler was called");
}

void try_handler(std::size_t bytes)
{
    spare = new char[1000];
    std::set_new_handler(give_up_spare);
    try {
        delete[] new char[bytes];
        std::puts("given");
    } catch (const std::bad_alloc &) {
        std::puts("refused");
    }
    std::set_new_handler(nullptr);
    delete[] spare;
}

std::string text(int i)
{
    return std::string(static_cast<std::size_t>(20 + i % 300), static_cast<char>('a' + i % 26));
}

long wrong_texts()
{
    std::map<int, std::string> texts;
    long wrong = 0;

    for (int round = 0; round < 5; round++)
        for (int i = 0; i < 2000; i++) {
            texts.erase((i * 7 + round) % 2000);
            texts[i] = text(i);
        }
    for (const auto &[i, found] : texts)
        wrong += found != text(i);
    return wrong;
}

} // namespace

int main(int argc, char **arguments)
{
    std::size_t bytes = argc > 1 ? std::strtoul(arguments[1], nullptr, 0) : 1000;

    std::setvbuf(stdout, nullptr, _IOLBF, 1024);
    forms_each(bytes);
    try_handler(bytes);
    std::printf("wrong texts: %ld\n", wrong_texts());
#ifdef REPLACED
    std::printf("replaced: %ld calls, %ld live\n", replaced_calls, replaced_live);
#endif
    return 0;
}
