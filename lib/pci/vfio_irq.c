/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSI-X of a function of vfio.  How many vectors there are is fixed when they are
 * enabled (many kernels cannot add to them), but one that has no eventfd costs no
 * interrupt of the machine, and one can be given to it later without a gap for others.
 * So all that are wanted are enabled at once, and only what changes is set.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "pci/vfio_private.h"

/* 0; -errno; or how many there could have been. */
static int set_irqs(const struct vh_vfio *v, unsigned index, unsigned start,
		    const int *fd, unsigned n)
{
	const size_t bytes = n * sizeof(*fd);
	struct vfio_irq_set *set = calloc(1, sizeof(*set) + bytes);
	int got;

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)(sizeof(*set) + bytes);
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER |
		     (n ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = start;
	set->count = n;
	if (n)
		memcpy(set->data, fd, bytes);
	got = ioctl(v->device, VFIO_DEVICE_SET_IRQS, set);
	if (got < 0)
		got = -errno;
	free(set);
	return got;
}

int vh_vfio_watch_request(struct vh_vfio *v)
{
	struct vfio_irq_info info = {.argsz = sizeof(info),
				     .index = VFIO_PCI_REQ_IRQ_INDEX};

	v->requested = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->requested < 0)
		return vh_vfio_failed(v, "make an eventfd", -errno);
	if (ioctl(v->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count ||
	    set_irqs(v, VFIO_PCI_REQ_IRQ_INDEX, 0, &v->requested, 1) != 0)
		vh_fd_drop(&v->requested); /* an old kernel: nobody will tell */
	return 0;
}

static void disable(struct vh_vfio *v)
{
	if (v->n_vectors)
		set_irqs(v, VFIO_PCI_MSIX_IRQ_INDEX, 0, NULL, 0);
	free(v->vector);
	v->vector = NULL;
	v->n_vectors = 0;
}

static int enable(struct vh_vfio *v, const int *fd, unsigned n)
{
	int err;

	v->vector = malloc(n * sizeof(*fd));
	if (!v->vector)
		return -ENOMEM;
	err = set_irqs(v, VFIO_PCI_MSIX_IRQ_INDEX, 0, fd, n);
	if (err) {
		vh_log(&v->h, VH_LOG_WARN, "%s: %u interrupt vectors cannot be had: %s",
		       v->address, n, vh_strerror(err > 0 ? -ENOSPC : err));
		free(v->vector);
		v->vector = NULL;
		return err > 0 ? -ENOSPC : err;
	}
	memcpy(v->vector, fd, n * sizeof(*fd));
	v->n_vectors = n;
	return 0;
}

int vh_vfio_set_vectors(struct vh_pci_host *h, const int *fd, unsigned n)
{
	struct vh_vfio *v = vh_vfio_of(h);

	if (n != v->n_vectors)
		disable(v);
	if (!n)
		return 0;
	if (!v->n_vectors)
		return enable(v, fd, n);
	for (unsigned i = 0; i < n; i++) {
		int err = fd[i] == v->vector[i]
				  ? 0
				  : set_irqs(v, VFIO_PCI_MSIX_IRQ_INDEX, i, &fd[i], 1);

		if (err)
			return err > 0 ? -ENOSPC : err;
		v->vector[i] = fd[i];
	}
	return 0;
}
