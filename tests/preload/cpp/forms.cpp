/* SPDX-License-Identifier: Apache-2.0 */
/* forms.cpp - see forms.h. */
#include "forms.h"

#include <cstdio>
#include <new>

namespace
{

constexpr std::align_val_t wide{64};

using give = void *(*)(std::size_t);
using take = void (*)(void *, std::size_t);

struct form {
    const char *name;
    give allocate;
    take free;
};

/* Each is freed by another form than it came by where the language allows that. */
const form forms[] = {
    {"new", [](std::size_t n) { return operator new(n); }, [](void *p, std::size_t n) { operator delete(p, n); }},
    {"new[]", [](std::size_t n) { return operator new[](n); },
     [](void *p, std::size_t n) { operator delete[](p, n); }},
    {"new, delete without a size", [](std::size_t n) { return operator new(n); },
     [](void *p, std::size_t) { operator delete(p); }},
    {"new[], delete[] without a size", [](std::size_t n) { return operator new[](n); },
     [](void *p, std::size_t) { operator delete[](p); }},
    {"nothrow new", [](std::size_t n) { return operator new(n, std::nothrow); },
     [](void *p, std::size_t) { operator delete(p, std::nothrow); }},
    {"nothrow new[]", [](std::size_t n) { return operator new[](n, std::nothrow); },
     [](void *p, std::size_t) { operator delete[](p, std::nothrow); }},
    {"aligned new", [](std::size_t n) { return operator new(n, wide); },
     [](void *p, std::size_t n) { operator delete(p, n, wide); }},
    {"aligned new[]", [](std::size_t n) { return operator new[](n, wide); },
     [](void *p, std::size_t n) { operator delete[](p, n, wide); }},
    {"aligned nothrow new", [](std::size_t n) { return operator new(n, wide, std::nothrow); },
     [](void *p, std::size_t) { operator delete(p, wide, std::nothrow); }},
    {"aligned nothrow new[]", [](std::size_t n) { return operator new[](n, wide, std::nothrow); },
     [](void *p, std::size_t) { operator delete[](p, wide); }},
};

/* A compiler may leave out a pair of new and delete whose memory nobody looks at. */
void *volatile seen;

} // namespace

extern "C" void forms_each(std::size_t bytes)
{
    for (const form &form : forms) {
        const char *what = "nothing";

        try {
            seen = form.allocate(bytes);
            if (seen) {
                static_cast<volatile char *>(seen)[bytes - 1] = 1;
                form.free(seen, bytes);
                what = "given";
            }
        } catch (const std::bad_alloc &) {
            what = "refused";
        }
        std::printf("%s: %s\n", form.name, what);
    }
    std::fflush(stdout);
}
