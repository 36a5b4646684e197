/* SPDX-License-Identifier: Apache-2.0 */
/* Physical memory of device 0, mapped where the program says: counted as what it has asked for. */
#ifndef PROGRAMS_PHYSICAL_H
#define PROGRAMS_PHYSICAL_H

#include "driver.h"

#include <stdbool.h>

/* Addresses, and nothing behind them. */
CUdeviceptr physical_reserve(size_t bytes);
void physical_unreserve(CUdeviceptr address, size_t bytes);

/* Fresh memory there, for device 0 to read and write; its handle. `may_export`: another process may be given it. */
CUmemGenericAllocationHandle physical_map(CUdeviceptr address, size_t bytes, bool may_export);

/* Nothing is there any more, and the memory is given back. Whatever used it has ended. */
void physical_unmap(CUdeviceptr address, size_t bytes, CUmemGenericAllocationHandle handle);

#endif
