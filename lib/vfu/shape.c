/* SPDX-License-Identifier: BSD-3-Clause */
/* Can a VMM map what a function says that it can?  Asked once, when it is offered. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/log.h"
#include "vfu/private.h"

static bool area_is_good(const struct vh_vfu_region *r, const struct vh_vfu_area *a)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct stat st;

	return a->offset % page == 0 && a->size % page == 0 &&
	       vh_range_inside(a->offset, a->size, 0, r->size) &&
	       fstat(r->fd, &st) == 0 &&
	       vh_range_inside(a->offset, a->size, 0, (uint64_t)st.st_size);
}

/* A VMM that maps what is not in the file takes its guest down with SIGBUS. */
int vh_vfu_shape_check(const struct vh_vfu *v)
{
	for (unsigned i = 0; i < VH_VFU_REGIONS; i++) {
		const struct vh_vfu_region *r = &v->shape.region[i];

		for (unsigned a = 0; r->fd >= 0 && a < r->n_areas; a++)
			if (!area_is_good(r, &r->area[a])) {
				vh_log(v, VH_LOG_ERROR,
				       "region %u cannot be mapped: an area is not whole "
				       "pages of its file",
				       i);
				return -EINVAL;
			}
	}
	return 0;
}
