/* SPDX-License-Identifier: BSD-3-Clause */
/* See small_machine.h.  These definitions take the place of the library's. */
#include "small_machine.h"

#include "../../../lib/proto/backend.c"
#include "../../../lib/proto/backend_check.c"
#include "../../../lib/proto/backend_device.c"
#include "../../../lib/proto/backend_features.c"
#include "../../../lib/proto/backend_handlers.c"
#include "../../../lib/proto/backend_inflight.c"
#include "../../../lib/proto/backend_memory.c"
#include "../../../lib/proto/backend_ring.c"
#include "../../../lib/proto/backend_vring.c"
