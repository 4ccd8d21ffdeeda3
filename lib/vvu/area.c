/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file is sealed, so nobody who gets it can shrink it under the others.  Clearing
 * punches a hole, which gives the memory back and is seen as zeroes through all mappings
 * there are, the guest's among them.
 *
 * The log of the front-end cannot be shown to the guest in its place, since it comes long
 * after the guest's VMM has mapped what it maps; so the guest marks in ours, and the
 * marks are carried over.
 */
#include "vvu/area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory_fd.h"

struct vh_area {
	char tag[32];
	int fd;
	uint8_t *va;
};

static int area_make(struct vh_area *a)
{
	void *va;

	a->fd = memfd_create("vhost-vvu", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (a->fd < 0 || ftruncate(a->fd, (off_t)VH_AREA_SIZE) < 0 ||
	    fcntl(a->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	va = mmap(NULL, VH_AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	if (va == MAP_FAILED)
		return -errno;
	a->va = va;
	return 0;
}

int vh_area_create(const char *tag, struct vh_area **area)
{
	struct vh_area *a = calloc(1, sizeof(*a));
	int err;

	*area = NULL;
	if (!a)
		return -ENOMEM;
	a->fd = -1;
	snprintf(a->tag, sizeof(a->tag), "%s", tag);
	err = area_make(a);
	if (err < 0) {
		vh_log(a, VH_LOG_ERROR, "cannot make %llu bytes to share: %s",
		       VH_AREA_SIZE, vh_strerror(err));
		vh_area_destroy(a);
		return err;
	}
	*area = a;
	return 0;
}

void vh_area_destroy(struct vh_area *a)
{
	if (!a)
		return;
	if (a->va)
		munmap(a->va, VH_AREA_SIZE);
	vh_fd_drop(&a->fd);
	free(a);
}

int vh_area_fd(const struct vh_area *a)
{
	return a->fd;
}

uint8_t *vh_area_at(const struct vh_area *a, uint64_t offset)
{
	return a->va + offset;
}

int vh_area_dup(const struct vh_area *a)
{
	int fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
	int err = -errno;

	if (fd >= 0)
		return fd;
	vh_log(a, VH_LOG_ERROR, "cannot duplicate a descriptor: %s", vh_strerror(err));
	return err;
}

bool vh_area_is(const struct vh_area *a, int fd)
{
	struct stat ours, other;

	return vh_fd_is_memory(fd) && fstat(a->fd, &ours) == 0 &&
	       fstat(fd, &other) == 0 && ours.st_dev == other.st_dev &&
	       ours.st_ino == other.st_ino;
}

static void area_clear(struct vh_area *a, uint64_t offset)
{
	if (fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)VH_AREA_HALF) < 0)
		memset(a->va + offset, 0, VH_AREA_HALF);
}

void vh_area_clear_inflight(struct vh_area *a)
{
	area_clear(a, VH_AREA_INFLIGHT_OFFSET);
}

void vh_area_clear_log(struct vh_area *a)
{
	area_clear(a, VH_AREA_LOG_OFFSET);
}

/*
 * The guest marks what it has written, so who sees a mark sees the data; the exchange
 * keeps that order for the front-end, who sees the mark that is set after it.
 */
size_t vh_area_merge_log(struct vh_area *a, uint8_t *log, size_t len)
{
	uint8_t *ours = a->va + VH_AREA_LOG_OFFSET;
	size_t n = 0;

	for (size_t i = 0; i < len && i < VH_AREA_HALF; i++) {
		uint8_t marks;

		while (i % 8 == 0 && i + 8 <= len && i + 8 <= VH_AREA_HALF &&
		       !vh_guest_read64(ours + i))
			i += 8;
		if (i >= len || i >= VH_AREA_HALF || !vh_guest_read8(ours + i))
			continue;
		marks = vh_exchange(&ours[i], 0);
		vh_fetch_or_release(&log[i], marks);
		n++;
	}
	return n;
}
