/* SPDX-License-Identifier: Apache-2.0 */
/* All parts, in the order in which the driver has them as text. */
/* clang-format off */
#include "ptx/device/thread.h"
#include "ptx/device/integer.h"
#include "ptx/device/packed.h"
#include "ptx/device/video.h"
#include "ptx/device/float.h"
#include "ptx/device/half.h"
#include "ptx/device/approximate.h"
#include "ptx/device/convert.h"
#include "ptx/device/compare.h"
#include "ptx/device/atomic.h"
#include "ptx/device/warp.h"
#include "ptx/device/matrix.h"
#include "ptx/device/sparse.h"
#include "ptx/device/wmma.h"
#include "ptx/device/mbarrier.h"
#include "ptx/device/texture.h"
