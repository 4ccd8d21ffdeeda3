/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The VMM's memory, as the back-end gets it: a region for each piece that has a file and
 * may be read, whose gpa and uva are both the VMM's address.  Others are holes.  What may
 * not be written to, as a guest's IOMMU has it of buffers that a device only reads, comes
 * as a file that is open for reading.
 *
 * While a guest boots, hundreds of pieces come and go, so the back-end gets none before
 * the driver is ready.  From then on the VMM is answered when the back-end has what came,
 * since a device may be told to use it at once.  It keeps what it has over resets; what
 * the VMM takes away is taken from it first.  Control thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/log.h"
#include "vpci/private.h"

static bool is_usable(const struct vh_vfu_dma *d)
{
	return d->fd >= 0 && d->readable;
}

static bool is_wanted(const struct vh_frontend *fe, uint64_t gpa)
{
	for (unsigned i = 0; i < sizeof(fe->region) / sizeof(fe->region[0]); i++)
		if (fe->region[i].wanted && fe->region[i].region.gpa == gpa)
			return true;
	return false;
}

/*
 * Without a vIOMMU there are a handful.  With one whose driver maps each buffer for
 * itself there may be as many as there are buffers.
 */
static void too_many(struct vh_vpci *v)
{
	if (!(v->vp.status & VIRTIO_CONFIG_S_NEEDS_RESET))
		vh_log(v, VH_LOG_ERROR,
		       "the VMM has more than %u pieces of memory: the guest's IOMMU "
		       "maps each buffer for itself (strict mode); boot the guest with "
		       "iommu=pt",
		       v->fe.memory_slots);
	vh_vpci_needs_reset(v, "too many pieces of memory");
}

static void want(void *arg, const struct vh_vfu_dma *d)
{
	struct vh_vpci *v = arg;
	const struct vh_wire_region r = {
		.gpa = d->iova, .size = d->size, .uva = d->iova, .offset = d->offset};

	if (!is_usable(d) || is_wanted(&v->fe, d->iova))
		return;
	if (vh_frontend_want_region(&v->fe, &r) < 0)
		too_many(v);
}

void vh_vpci_use_memory(struct vh_vpci *v)
{
	v->uses_memory = true;
	vh_vfu_dma_each(v->vfu, want, v);
}

int vh_vpci_dma_added(void *arg, const struct vh_vfu_dma *d)
{
	struct vh_vpci *v = arg;

	if (!v->uses_memory)
		return 0;
	want(v, d);
	vh_vpci_pump(v);
	return vh_vpci_wait(v, VPCI_WAITS_FOR_MAP);
}

/* One that the back-end never had is gone at once. */
int vh_vpci_dma_removed(void *arg, const struct vh_vfu_dma *d)
{
	struct vh_vpci *v = arg;

	vh_frontend_drop_region(&v->fe, d->iova);
	vh_vpci_pump(v);
	return vh_vpci_wait(v, VPCI_WAITS_FOR_UNMAP);
}

struct search {
	uint64_t gpa;
	const struct vh_vfu_dma *found;
};

static void look_at(void *arg, const struct vh_vfu_dma *d)
{
	struct search *s = arg;

	if (d->iova == s->gpa)
		s->found = d;
}

/* A file that is open for reading and writing, once more, for reading. */
static int open_to_read(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vh_vpci_memory_fd(const struct vh_vpci *v, uint64_t gpa)
{
	struct search s = {.gpa = gpa};

	vh_vfu_dma_each(v->vfu, look_at, &s);
	if (!s.found || s.found->fd < 0)
		return -EBADF;
	if (!s.found->writable)
		return open_to_read(s.found->fd);
	return fcntl(s.found->fd, F_DUPFD_CLOEXEC, 0);
}
