/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forms.h - every form of new and delete that C++ has, used once for an object of so many bytes, and what came of it.
 */
#ifndef EBB_TEST_FORMS_H
#define EBB_TEST_FORMS_H

#include <cstddef>

/** Print a line for each form: `given`, `refused` (std::bad_alloc) or `nothing` (NULL). */
extern "C" void forms_each(std::size_t bytes);

/** What replace.cpp has given out and not got back, and how often it was asked. */
extern long replaced_live, replaced_calls;

#endif
