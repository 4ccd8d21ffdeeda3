/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that shrinks under a mapping raises SIGBUS at the next touch.  The
 * handler puts zero pages over the rest of that mapping, so that the access
 * goes on harmlessly, and tells the owner, who faults its session.  A fault
 * outside of guarded ranges goes to the handler that was there before us.
 *
 * The only place in the core with a signal handler, a system call and state of
 * the process.
 */
#ifndef VH_MEM_GUARD_H
#define VH_MEM_GUARD_H

#include <stddef.h>

/*
 * Guard [addr, addr + len), which is all of one mapping, or what is used of it.
 * @fd, a non-blocking eventfd that is borrowed until vh_guard_remove(), is
 * written by the handler, once.  Installs the handler at the first call.
 * 0 and *@slot; -ENOSPC: 4096 ranges are guarded already; -errno.
 */
int vh_guard_add(void *addr, size_t len, int fd, unsigned *slot);
/* Before the range is unmapped, when nobody touches it any more. */
void vh_guard_remove(unsigned slot);

/* Was it hit? */
int vh_guard_hit(unsigned slot);

#endif
