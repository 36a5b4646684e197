/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel with what a cubin says of its parameters: three of eight bytes. */
#include "kernels.c"

#define PARAMETER(number)                                                                                    \
    "\n.byte 4, 0x17, 12, 0\n.long 0\n.short " #number ", 8 * " #number "\n.long 8 << 18 | 0x1f000"

__asm__(".pushsection .nv.info.add, \"\", @progbits"
        "\n.byte 3, 0x19, 24, 0" PARAMETER(2) PARAMETER(1) PARAMETER(0) "\n.popsection");
