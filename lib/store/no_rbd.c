/* SPDX-License-Identifier: BSD-3-Clause */
/* rbd=POOL/IMAGE in a build without librbd: says so.  Thread: the control thread. */
#include <errno.h>

#include "base/log.h"
#include "store/kind.h"

static int rbd_open(const struct vh_store_params *p, const char *rest, const char *tag,
		    struct vh_store *below, struct vh_store **s)
{
	const struct {
		const char *tag;
	} who = {tag};

	(void)p;
	(void)below;
	(void)s;
	vh_log(&who, VH_LOG_ERROR,
	       "rbd=%s: this build has no RBD: install librbd-dev, and build again with "
	       "meson's -Drbd=enabled",
	       rest);
	return -EOPNOTSUPP;
}

const struct vh_store_kind vh_store_rbd = {.name = "rbd", .open = rbd_open};
