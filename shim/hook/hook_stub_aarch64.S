/* SPDX-License-Identifier: Apache-2.0 */
/* dlsym, dlopen and dlmopen for AArch64. See hook_loader.c. */
        .macro  entry name              /* with room for two registers */
        .globl  \name
        .type   \name, %function
        .p2align 4
\name:
        .cfi_startproc
        hint    #34                     /* bti c */
        stp     x29, x30, [sp, #-32]!
        .cfi_def_cfa_offset 32
        .cfi_offset 29, -32
        .cfi_offset 30, -24
        mov     x29, sp
        .endm

        .macro  leave
        ldp     x29, x30, [sp], #32
        .cfi_restore 29
        .cfi_restore 30
        .cfi_def_cfa_offset 0
        .endm

        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        .text

        entry   dlsym
        stp     x0, x1, [sp, #16]
        add     x0, sp, #16
        bl      loader_dlsym
        mov     x16, x0
        mov     x17, x1
        ldp     x0, x1, [sp, #16]
        leave
        cbz     x16, 1f
        br      x16
1:      mov     x0, x17
        ret
        end     dlsym

        entry   dlopen
        str     x0, [sp, #16]
        mov     w0, w1
        bl      loader_dlopen
        mov     x16, x0                 /* the mode is in x1 already */
        ldr     x0, [sp, #16]
        leave
        br      x16
        end     dlopen

        entry   dlmopen
        stp     x0, x1, [sp, #16]
        mov     w0, w2
        bl      loader_dlmopen
        mov     x16, x0
        mov     x2, x1
        ldp     x0, x1, [sp, #16]
        leave
        br      x16
        end     dlmopen

        .section .note.GNU-stack, "", %progbits
