/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One exported symbol per row of entries.def. A thunk keeps the argument registers over the call of gate_enter and leaves
 * by a jump, so that arguments on the stack stay where the caller put them. No entry that is implemented takes a
 * floating-point argument.
 */
#ifndef __x86_64__
#error "the thunks are written for x86-64 only"
#endif

        .text

        .type gate_thunk, @function
        .p2align 4
gate_thunk:
        .cfi_startproc
        pushq %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq %rdi
        pushq %rsi
        pushq %rdx
        pushq %rcx
        pushq %r8
        pushq %r9
        movl %r11d, %edi
        movq 8(%rbp), %rsi
        call gate_enter
        movq %rdx, %r11
        popq %r9
        popq %r8
        popq %rcx
        popq %rdx
        popq %rsi
        popq %rdi
        popq %rbp
        .cfi_def_cfa %rsp, 8
        testq %rax, %rax
        jnz 1f
        jmp *%r11
1:      ret
        .cfi_endproc
        .size gate_thunk, . - gate_thunk

#define ENTRY(symbol, version, needs, stream, body) ENTRY_(symbol, __COUNTER__)
#define ENTRY_(symbol, index)                                                                                          \
        .globl symbol; .type symbol, @function; .globl thunk_##symbol; .hidden thunk_##symbol; .p2align 4;             \
thunk_##symbol: symbol: endbr64; movl $index, %r11d; jmp gate_thunk; .size symbol, . - symbol;

#include "driver/entries.def"

        .section .note.GNU-stack, "", @progbits
