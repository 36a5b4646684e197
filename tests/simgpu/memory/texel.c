/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/texel.h"

size_t channel_bytes(CUarray_format format)
{
    switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
        return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
        return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
        return 4;
    default:
        return 0;
    }
}

bool channel_is_float(CUarray_format format)
{
    return format == CU_AD_FORMAT_FLOAT || format == CU_AD_FORMAT_HALF;
}

bool channel_is_small(CUarray_format format)
{
    return channel_bytes(format) && channel_bytes(format) < 4 && format != CU_AD_FORMAT_HALF;
}

bool texel_is_known(CUarray_format format, unsigned channels)
{
    return channel_bytes(format) && (channels == 1 || channels == 2 || channels == 4);
}
