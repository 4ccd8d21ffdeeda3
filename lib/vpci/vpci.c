/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's life, and what the VMM does with it: accesses, resets, interrupts.  Its
 * memory is in memory.c; private.h says how all of it fits together.  Control thread.
 */
#include "vpci/vpci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "vpci/private.h"

/* VMMs wait for 5 s. */
#define LATE_NS 4000000000ull

#define NOTIFY_OFFSET 0x3000u /* in BAR 0: see pci/virtio_pci.h */
#define NOTIFY_STRIDE 4u

/* ---- What is answered later ---- */

/* Who has waited in vain for a write does not wait for the next one. */
int vh_vpci_wait(struct vh_vpci *v, enum vpci_wait what)
{
	const bool is_worth_it = !v->is_late || what == VPCI_WAITS_FOR_RESET ||
				 what == VPCI_WAITS_FOR_UNMAP;

	if (!vh_vpci_is_busy(v) || !is_worth_it)
		return 0;
	v->waits = what;
	vh_timer_arm(v->reactor, &v->late, LATE_NS);
	return -EINPROGRESS;
}

static void resume(struct vh_vpci *v, int err)
{
	v->waits = VPCI_WAITS_FOR_NOTHING;
	vh_timer_disarm(v->reactor, &v->late);
	vh_vfu_resume(v->vfu, err);
}

void vh_vpci_settled(struct vh_vpci *v)
{
	v->is_late = false;
	if (v->waits != VPCI_WAITS_FOR_NOTHING)
		resume(v, 0);
}

/*
 * The device still has requests of the driver, as a slow disk may.  Registers show that
 * it is not done.  Memory that was to go is still used, so the VMM has to hear of that.
 */
static void on_late(struct vh_timer *t)
{
	static const int result[] = {[VPCI_WAITS_FOR_WRITE] = 0,
				     [VPCI_WAITS_FOR_MAP] = 0,
				     [VPCI_WAITS_FOR_RESET] = -ETIMEDOUT,
				     [VPCI_WAITS_FOR_UNMAP] = -EBUSY};
	struct vh_vpci *v = vh_container_of(t, struct vh_vpci, late);
	const enum vpci_wait waits = v->waits;

	if (waits == VPCI_WAITS_FOR_NOTHING)
		return;
	v->is_late = true;
	vh_log(v, VH_LOG_WARN,
	       "the device has not come to rest within %llu s: the VMM goes on without "
	       "waiting",
	       LATE_NS / 1000000000);
	if (waits == VPCI_WAITS_FOR_UNMAP)
		vh_vpci_needs_reset(v, "it does not let go of memory");
	resume(v, result[waits]);
}

/* ---- Accesses ---- */

static int on_read(void *arg, unsigned region, uint64_t offset, void *buf, size_t len)
{
	struct vh_vpci *v = arg;

	if (region == VH_VFU_REGION_CONFIG)
		return vh_pci_config_read(&v->vp.fn, offset, buf, len);
	if (region < VH_PCI_BARS)
		return vh_pci_bar_read(&v->vp.fn, region, offset, buf, len);
	return -EINVAL;
}

/* Whatever the driver wrote is in force when it reads the next register. */
static int on_write(void *arg, unsigned region, uint64_t offset, const void *buf,
		    size_t len)
{
	struct vh_vpci *v = arg;
	int err = -EINVAL;

	if (region == VH_VFU_REGION_CONFIG)
		err = vh_pci_config_write(&v->vp.fn, offset, buf, len);
	else if (region < VH_PCI_BARS)
		err = vh_pci_bar_write(&v->vp.fn, region, offset, buf, len);
	if (err && err != -EINPROGRESS)
		return err;
	vh_vpci_pump(v); /* the function may have become master, or no longer be one */
	return vh_vpci_wait(v, VPCI_WAITS_FOR_WRITE);
}

static int on_reset(void *arg)
{
	struct vh_vpci *v = arg;

	vh_virtio_pci_reset(&v->vp);
	return vh_vpci_wait(v, VPCI_WAITS_FOR_RESET);
}

/* ---- Doorbells ---- */

static void on_vectors(void *arg, unsigned first, unsigned n)
{
	struct vh_vpci *v = arg;

	for (unsigned q = 0; q < v->vp.n_queues; q++) {
		const unsigned vector = v->vp.queue[q].vector;

		if (vector >= first && vector - first < n)
			vh_queue_set_add(&v->new_call, q);
	}
	vh_vpci_pump(v);
}

static unsigned io_fds(void *arg, unsigned region, struct vh_vfu_io_fd *io, unsigned max)
{
	const struct vh_vpci *v = arg;
	const unsigned n = region == 0 ? v->vp.n_queues : 0;

	for (unsigned q = 0; q < n && q < max; q++)
		io[q] = (struct vh_vfu_io_fd){.offset = NOTIFY_OFFSET + q * NOTIFY_STRIDE,
					      .fd = v->kick[q]};
	return n;
}

static void on_client(void *arg, bool here)
{
	struct vh_vpci *v = arg;

	v->has_client = here;
}

/* ---- Life ---- */

static const struct vh_vfu_ops ops = {
	.read = on_read,
	.write = on_write,
	.reset = on_reset,
	.dma_added = vh_vpci_dma_added,
	.dma_removed = vh_vpci_dma_removed,
	.vectors_changed = on_vectors,
	.io_fds = io_fds,
	.client = on_client,
};

static int offer(struct vh_vpci *v, const char *address)
{
	struct vh_vfu_shape shape = {.n_vectors = v->vp.n_queues + 1};

	for (unsigned i = 0; i < VH_VFU_REGIONS; i++)
		shape.region[i].fd = -1;
	for (unsigned i = 0; i < VH_PCI_BARS; i++)
		shape.region[i].size = v->vp.fn.bar[i].size;
	shape.region[VH_VFU_REGION_CONFIG].size = VH_PCI_CONFIG_SIZE;
	return vh_vfu_open(v->reactor, address, v->tag, &shape, &ops, v, &v->vfu);
}

static int make_kicks(struct vh_vpci *v)
{
	for (unsigned q = 0; q < v->vp.n_queues; q++) {
		v->kick[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->kick[q] < 0)
			return -errno;
	}
	return 0;
}

static int check(const struct vh_vpci_params *p)
{
	if (p->virtio_id != VIRTIO_ID_NET)
		return 0;
	vh_log_line(p->tag, VH_LOG_ERROR,
		    "a network device needs a VMM that speaks vhost-user: its control "
		    "queue and its configuration are the VMM's there; use unix:PATH");
	return -ENOTSUP;
}

static int set_up(struct vh_vpci *v, const struct vh_vpci_params *p)
{
	int err = vh_vpci_registers_init(v, p);

	if (!err)
		err = make_kicks(v);
	if (!err)
		err = offer(v, p->address);
	return err ? err : vh_vpci_connect(v, p->backend);
}

int vh_vpci_open(struct vh_reactor *r, const struct vh_vpci_params *p,
		 struct vh_vpci **out)
{
	struct vh_vpci *v;
	int err = check(p);

	if (err)
		return err;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	snprintf(v->tag, sizeof(v->tag), "%s", p->tag);
	v->reactor = r;
	v->broken.fd = -1;
	vh_timer_init(&v->late, on_late);
	for (unsigned q = 0; q < VH_MAX_VRINGS; q++)
		v->kick[q] = -1;
	err = set_up(v, p);
	if (err)
		vh_vpci_close(v);
	else
		*out = v;
	return err;
}

void vh_vpci_close(struct vh_vpci *v)
{
	if (!v)
		return;
	vh_vfu_close(v->vfu);
	vh_timer_disarm(v->reactor, &v->late);
	vh_vpci_disconnect(v);
	for (unsigned q = 0; q < VH_MAX_VRINGS; q++)
		vh_fd_drop(&v->kick[q]);
	free(v);
}

void vh_vpci_read_stats(const struct vh_vpci *v, struct vh_vpci_stats *s)
{
	struct vh_vfu_stats vfu;

	vh_vfu_read_stats(v->vfu, &vfu);
	*s = (struct vh_vpci_stats){
		.connected = v->has_client, .clients = vfu.clients, .faults = vfu.faults};
}
