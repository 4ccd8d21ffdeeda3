/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A window in which files come and go while the guest runs, because its VMM can be asked
 * to show them.  Control thread.
 */
#ifndef VH_VVU_SHM_WINDOW_H
#define VH_VVU_SHM_WINDOW_H

#include "vvu/window.h"

struct vh_shm_window_ops {
	/*
	 * Show @len bytes of @fd (borrowed), or take exactly that away again.  0 and an
	 * answer to come (vh_shm_window_answered()), in order; or -errno.
	 */
	int (*map)(void *arg, uint64_t at, int fd, uint64_t offset, uint64_t len);
	int (*unmap)(void *arg, uint64_t at, uint64_t len);
};

int vh_shm_window_create(uint64_t size, const char *tag,
			 const struct vh_shm_window_ops *ops, void *arg,
			 struct vh_window **w);
void vh_shm_window_answered(struct vh_window *w, bool ok);
/* The guest's driver has stopped: what was shown is not asked for any more. */
void vh_shm_window_stop(struct vh_window *w);
/* The VMM is gone, nothing is answered any more. */
void vh_shm_window_lost(struct vh_window *w);

#endif
