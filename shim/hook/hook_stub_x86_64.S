/* SPDX-License-Identifier: Apache-2.0 */
/* dlsym, dlopen and dlmopen for x86-64. See hook_loader.c. */
        .macro  entry name
        .globl  \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        endbr64
        .endm

        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        .macro  save register
        pushq   \register
        .cfi_adjust_cfa_offset 8
        .endm

        .macro  restore register
        popq    \register
        .cfi_adjust_cfa_offset -8
        .endm

        .text

/* Entered with the stack 8 off its alignment: two pushes and 8 bytes more put it right. */
        entry   dlsym
        save    %rsi
        save    %rdi
        movq    %rsp, %rdi
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    loader_dlsym
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        restore %rdi
        restore %rsi
        testq   %rax, %rax
        je      1f
        jmp     *%rax
1:      movq    %rdx, %rax
        ret
        end     dlsym

        entry   dlopen
        save    %rdi
        movl    %esi, %edi
        call    loader_dlopen
        restore %rdi
        movl    %edx, %esi
        jmp     *%rax
        end     dlopen

        entry   dlmopen
        save    %rdi
        save    %rsi
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movl    %edx, %edi
        call    loader_dlmopen
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        restore %rsi
        restore %rdi
        jmp     *%rax                   /* the mode is in edx already */
        end     dlmopen

        .section .note.GNU-stack, "", @progbits
