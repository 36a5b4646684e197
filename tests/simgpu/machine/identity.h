/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tells a device of the machine from the others, the same in every process and run. A device is named by its
 * index, its place on the bus. A process's ordinals are its own, by CUDA_VISIBLE_DEVICES.
 */
#ifndef SIMGPU_IDENTITY_H
#define SIMGPU_IDENTITY_H

enum {
    UUID_BYTES = 16,
    UUID_TEXT = 41 /* with its end */
};

void identity_uuid(int index, unsigned char uuid[UUID_BYTES]);

/* As nvidia-smi writes it: GPU-, and hexadecimal digits in groups. */
void identity_text(int index, char text[UUID_TEXT]);

/* The number of its bus; domain, device and function are 0. */
unsigned identity_bus(int index);

/*
 * Which devices a list as in CUDA_VISIBLE_DEVICES names, of so many, in its order; NULL: all. Returns how many.
 * What names no device ends the list; what names one twice makes it empty.
 */
int identity_visible(const char *list, int count, int *indexes);

#endif
