/* SPDX-License-Identifier: BSD-3-Clause */
/* nbd=URI in a build without libnbd: says so.  Thread: the control thread. */
#include <errno.h>

#include "base/log.h"
#include "store/kind.h"

static int nbd_open(const struct vh_store_params *p, const char *rest, const char *tag,
		    struct vh_store *below, struct vh_store **s)
{
	const struct {
		const char *tag;
	} who = {tag};

	(void)p;
	(void)below;
	(void)s;
	vh_log(&who, VH_LOG_ERROR,
	       "nbd=%s: this build has no NBD: install libnbd-dev (libnbd's headers), "
	       "and "
	       "build again with meson's -Dnbd=enabled",
	       rest);
	return -EOPNOTSUPP;
}

const struct vh_store_kind vh_store_nbd = {.name = "nbd", .open = nbd_open};
