/* SPDX-License-Identifier: Apache-2.0 */
/*
 * void fiber_swap(void **top, void *other): what a called function keeps goes onto the stack, whose top is written down, and
 * comes back from the other one. fiber_enter is where a new one begins: it calls an entry that never returns.
 */
        .text
        .globl fiber_swap, fiber_enter
        .hidden fiber_swap, fiber_enter

#if defined(__x86_64__)
        .type fiber_swap, @function
        .p2align 4
fiber_swap:
        pushq %rbp
        pushq %rbx
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        movq %rsp, (%rdi)
        movq %rsi, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        ret
        .size fiber_swap, . - fiber_swap

        .type fiber_enter, @function
        .p2align 4
fiber_enter:
        .cfi_startproc
        .cfi_undefined %rip
        movq %r12, %rdi
        pushq $0
        call *%r13
        ud2
        .cfi_endproc
        .size fiber_enter, . - fiber_enter

#elif defined(__aarch64__)
        .type fiber_swap, %function
        .p2align 4
fiber_swap:
        sub sp, sp, #160
        stp x19, x20, [sp]
        stp x21, x22, [sp, #16]
        stp x23, x24, [sp, #32]
        stp x25, x26, [sp, #48]
        stp x27, x28, [sp, #64]
        stp x29, x30, [sp, #80]
        stp d8, d9, [sp, #96]
        stp d10, d11, [sp, #112]
        stp d12, d13, [sp, #128]
        stp d14, d15, [sp, #144]
        mov x9, sp
        str x9, [x0]
        mov sp, x1
        ldp x19, x20, [sp]
        ldp x21, x22, [sp, #16]
        ldp x23, x24, [sp, #32]
        ldp x25, x26, [sp, #48]
        ldp x27, x28, [sp, #64]
        ldp x29, x30, [sp, #80]
        ldp d8, d9, [sp, #96]
        ldp d10, d11, [sp, #112]
        ldp d12, d13, [sp, #128]
        ldp d14, d15, [sp, #144]
        add sp, sp, #160
        ret
        .size fiber_swap, . - fiber_swap

        .type fiber_enter, %function
        .p2align 4
fiber_enter:
        .cfi_startproc
        .cfi_undefined x30
        mov x0, x19
        blr x20
        brk #1
        .cfi_endproc
        .size fiber_enter, . - fiber_enter
#else
#error "no fibers for this machine"
#endif

        .section .note.GNU-stack, "", %progbits
