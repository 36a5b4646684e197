/* SPDX-License-Identifier: Apache-2.0 */
/* scan_kernel.ptx as text that ends with a zero, as cuModuleLoadData wants it. */
        .section .rodata
        .globl  scan_kernel_ptx
        .hidden scan_kernel_ptx
        .type   scan_kernel_ptx, %object
scan_kernel_ptx:
        .incbin "cuda/scan_kernel.ptx"
        .byte   0
        .size   scan_kernel_ptx, . - scan_kernel_ptx

        .section .note.GNU-stack, "", %progbits
