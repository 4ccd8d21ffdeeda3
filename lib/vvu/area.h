/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of the device's own that a guest's driver and the front-end get at: the state
 * of requests in flight, and the dirty log.  One sealed file, the first half for the one,
 * the second for the other; whoever offers it to the guest does it with the fd.  It knows
 * nothing of what stands in there.  Control thread.
 */
#ifndef VH_VVU_AREA_H
#define VH_VVU_AREA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VH_AREA_SIZE (16ull << 20)
#define VH_AREA_HALF (VH_AREA_SIZE / 2)

/* Where the parts are in the file; each has VH_AREA_HALF bytes. */
#define VH_AREA_INFLIGHT_OFFSET 0ull
#define VH_AREA_LOG_OFFSET	VH_AREA_HALF

struct vh_area;

/* All zeroes.  0 or -errno (logged); @tag is copied. */
int vh_area_create(const char *tag, struct vh_area **a);
void vh_area_destroy(struct vh_area *a); /* NULL is fine */

int vh_area_fd(const struct vh_area *a); /* borrowed */
uint8_t *vh_area_at(const struct vh_area *a, uint64_t offset);

/* A descriptor for the reply to GET_INFLIGHT_FD, the caller's; or -errno (logged). */
int vh_area_dup(const struct vh_area *a);
/* Is @fd our file, come back? */
bool vh_area_is(const struct vh_area *a, int fd);

/* Zeroes again; what the guest and the front-end have mapped stays mapped. */
void vh_area_clear_inflight(struct vh_area *a);
void vh_area_clear_log(struct vh_area *a);

/*
 * Take the marks of the first @len bytes of our log and set them in @log, which is a
 * front-end's.  A mark of the guest's that comes meanwhile is taken now or next time.
 * How many bytes had marks.
 */
size_t vh_area_merge_log(struct vh_area *a, uint8_t *log, size_t len);

#endif
