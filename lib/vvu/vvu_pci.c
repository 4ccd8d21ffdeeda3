/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device put together: what the VMM does (vfio-user), what the driver does (the
 * registers of virtio-pci) and what the front-end does (the relay) meet here.
 * See vvu_pci.h.
 *
 * Theory of operation.  One thread, one event at a time: what the driver wrote is done
 * before the next is looked at, so there is nothing to wait for at a reset.  An interrupt
 * is written after what it tells of: the status and the ISR before the first
 * message of a session, a message before its interrupt ("Order of events at connect").
 *
 * A driver that breaks a queue, or sends what is no message, has ended its session: the
 * front-end is cut off and the device wants a reset.  A front-end that does so ends
 * the session only; the driver may have another one at once.
 */
#include "vvu/vvu_pci.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "base/log.h"
#include "vvu/vvu_parts.h"

void vh_vvu_pci_interrupt(struct vh_vvu_pci *v, uint16_t vector)
{
	if (vector < VH_VVU_VECTORS)
		vh_vfu_interrupt(v->vfu, vector);
}

/* There is no session any more. */
static void wait_for_reset(struct vh_vvu_pci *v, const char *why)
{
	vh_log(v, VH_LOG_WARN, "%s; the device waits for a reset", why);
	v->broken++;
	v->config.status = 0;
	vh_vvu_pci_interrupt(v, vh_virtio_pci_needs_reset(&v->regs));
}

/* Once: a driver that goes on like that could fill the log. */
void vh_vvu_pci_break(struct vh_vvu_pci *v, const char *why)
{
	if (v->regs.status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	vh_relay_reset(v->relay);
	wait_for_reset(v, why);
}

/* ---- The driver, by registers ---- */

static int driver_features(void *arg)
{
	struct vh_vvu_pci *v = arg;
	const uint64_t f = v->regs.driver_features;
	const uint64_t own = VH_BIT(VH_VVU_F_DOORBELL_POLL + 1) - 1;
	const uint64_t known = v->profile->takes_kicks ? VH_BIT(VH_VVU_F_NOTIFY) : 0;

	vh_relay_set_driver(v->relay, (f & own) | known,
			    f & VH_BIT(VH_VVU_F_LONG_MSG) ? 4096 : 1024);
	return f & VH_BIT(VIRTIO_F_VERSION_1) ? 0 : -EINVAL;
}

/* Queues were notified before they might be looked at. */
static void driver_ok(void *arg)
{
	struct vh_vvu_pci *v = arg;

	if (vh_vvu_doorbells_start(v) < 0)
		vh_vvu_pci_break(v, "doorbells cannot be polled");
	vh_vvu_registers_start(v);
	vh_vvu_queues_look_again(v);
}

static int driver_reset(void *arg)
{
	struct vh_vvu_pci *v = arg;

	vh_relay_reset(v->relay);
	vh_vvu_doorbells_stop(v);
	vh_vvu_queues_stop(v);
	vh_vvu_registers_reset(v);
	return 0;
}

static int driver_enables(void *arg, unsigned q)
{
	return 0; /* its ring is made when there is something to do */
}

static int driver_resets_queue(void *arg, unsigned q)
{
	return -EINVAL; /* VIRTIO_F_RING_RESET is not offered */
}

static void driver_notifies(void *arg, unsigned q)
{
	vh_vvu_queue_notified(arg, q);
}

static const struct vh_virtio_pci_ops driver_ops = {
	.set_features = driver_features,
	.start = driver_ok,
	.reset = driver_reset,
	.enable = driver_enables,
	.reset_queue = driver_resets_queue,
	.notify = driver_notifies,
	.read_config = vh_vvu_read_config,
	.write_config = vh_vvu_write_config,
};

/* ---- The VMM ---- */

static int vmm_reads(void *arg, unsigned region, uint64_t offset, void *buf, size_t len)
{
	struct vh_vvu_pci *v = arg;

	if (region == VH_VFU_REGION_CONFIG)
		return vh_pci_config_read(&v->regs.fn, offset, buf, len);
	return vh_pci_bar_read(&v->regs.fn, region, offset, buf, len);
}

/* Queues that waited for the driver to allow memory accesses. */
static int vmm_writes_config(struct vh_vvu_pci *v, uint64_t offset, const void *buf,
			     size_t len)
{
	const bool was = vh_pci_is_master(&v->regs.fn);
	int err = vh_pci_config_write(&v->regs.fn, offset, buf, len);

	if (!was && vh_pci_is_master(&v->regs.fn))
		vh_vvu_queues_look_again(v);
	return err;
}

static int vmm_writes(void *arg, unsigned region, uint64_t offset, const void *buf,
		      size_t len)
{
	struct vh_vvu_pci *v = arg;

	if (region == VH_VFU_REGION_CONFIG)
		return vmm_writes_config(v, offset, buf, len);
	return vh_pci_bar_write(&v->regs.fn, region, offset, buf, len);
}

static int vmm_resets(void *arg)
{
	struct vh_vvu_pci *v = arg;

	return vh_virtio_pci_reset(&v->regs);
}

/* Perhaps that is where a queue is, which could not be reached. */
static int vmm_adds_memory(void *arg, const struct vh_vfu_dma *d)
{
	struct vh_vvu_pci *v = arg;

	vh_guestq_unmap(&v->queues);
	if (vh_virtio_pci_is_running(&v->regs))
		vh_vvu_queues_look_again(v);
	return 0;
}

static int vmm_removes_memory(void *arg, const struct vh_vfu_dma *d)
{
	struct vh_vvu_pci *v = arg;

	vh_guestq_unmap(&v->queues);
	return 0;
}

static unsigned vmm_wants_io_fds(void *arg, unsigned region, struct vh_vfu_io_fd *io,
				 unsigned max)
{
	struct vh_vvu_pci *v = arg;

	return region == VH_VVU_DOORBELL_BAR ? vh_bells_list(&v->doorbells.fds, io, max)
					     : 0;
}

static void vmm_is_here(void *arg, bool here)
{
	struct vh_vvu_pci *v = arg;

	vh_log(v, VH_LOG_INFO, "a VMM has %s", here ? "come" : "gone");
	if (!here)
		vh_bells_forget(&v->doorbells.fds);
}

static const struct vh_vfu_ops vmm_ops = {
	.read = vmm_reads,
	.write = vmm_writes,
	.reset = vmm_resets,
	.dma_added = vmm_adds_memory,
	.dma_removed = vmm_removes_memory,
	.io_fds = vmm_wants_io_fds,
	.client = vmm_is_here,
};

/* ---- The front-end ---- */

/* Why it ended, if only a reset mends that. */
static const char *why_broken(enum vh_relay_end why)
{
	switch (why) {
	case VH_RELAY_DRIVER_ERROR:
		return "its driver sent what is no message";
	case VH_RELAY_TOO_LARGE:
		return "its driver's buffers are smaller than a message";
	default:
		return NULL;
	}
}

static void session_changes(void *arg, bool up, enum vh_relay_end end)
{
	struct vh_vvu_pci *v = arg;
	const char *why = up ? NULL : why_broken(end);

	if (up)
		vh_vvu_set_status(v, VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP);
	else if (why)
		wait_for_reset(v, why);
	else
		vh_vvu_set_status(v, 0);
	if (!up && v->profile->empty_buffer)
		vh_vvu_send_empty(v);
}

static void front_end_kicks(void *arg, unsigned vring)
{
	struct vh_vvu_pci *v = arg;

	if (vh_virtio_pci_is_running(&v->regs) && vh_pci_is_master(&v->regs.fn))
		vh_vvu_pci_interrupt(v, v->vector[vring]);
}

/* The driver hears of areas by message, and knows where they are by capability. */
static void area_changes(void *arg, uint8_t shmid, uint64_t offset, uint64_t size)
{
}

static const struct vh_relay_ops front_end_ops = {
	.deliver = vh_vvu_deliver,
	.session = session_changes,
	.kick = front_end_kicks,
	.area = area_changes,
};

/* ---- Life ---- */

static uint64_t offered_features(const struct vh_vvu_pci *v)
{
	uint64_t f = VH_BIT(VIRTIO_F_VERSION_1) | VH_BIT(VIRTIO_F_ACCESS_PLATFORM) |
		     VH_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		     VH_BIT(VIRTIO_RING_F_EVENT_IDX) | VH_BIT(VH_VVU_F_BACKEND_REQ) |
		     VH_BIT(VH_VVU_F_NOTIFY) | VH_BIT(VH_VVU_F_LONG_MSG);

	if (v->area)
		f |= VH_BIT(VH_VVU_F_LOG) | VH_BIT(VH_VVU_F_INFLIGHT);
	if (v->doorbells.memory)
		f |= VH_BIT(VH_VVU_F_DOORBELL_POLL);
	return f;
}

static int make_registers(struct vh_vvu_pci *v, struct vh_vfu_shape *shape)
{
	const struct vh_virtio_pci_params p = {
		.ids = {.vendor = VH_VVU_PCI_VENDOR,
			.device = v->profile->device_id,
			.subsystem_vendor = VH_VVU_PCI_VENDOR,
			.subsystem = v->profile->virtio_id,
			.class = VH_VVU_PCI_CLASS,
			.revision = 1},
		.features = offered_features(v),
		.n_queues = VH_VVU_QUEUES,
		.queue_size = VH_VVU_QUEUE_SIZE,
		.config_size = sizeof(v->config),
		.n_vectors = VH_VVU_VECTORS,
		.ops = &driver_ops,
		.arg = v,
	};
	int err = vh_virtio_pci_init(&v->regs, &p);

	vh_vvu_registers_reset(v);
	return err ? err : vh_vvu_lay_out(v, shape);
}

static int make_relay(struct vh_vvu_pci *v, const struct vh_vvu_pci_params *p)
{
	const struct vh_relay_params relay = {
		.front = p->front,
		.tag = p->tag,
		.accept_early = p->accept_early,
		.max_vrings = VH_VVU_N,
		.pairs = 1,
		.layout = v->profile->layout,
		.window = v->window,
		.area = v->area,
		.ops = &front_end_ops,
		.arg = v,
	};

	return vh_relay_create(v->reactor, &relay, &v->relay);
}

/* The VMM comes last: it may look at everything at once. */
static int make_all(struct vh_vvu_pci *v, const struct vh_vvu_pci_params *p)
{
	struct vh_vfu_shape shape;
	int err = vh_vvu_doorbells_open(v, p->poll_doorbells);

	if (!err)
		err = make_registers(v, &shape);
	if (!err)
		err = make_relay(v, p);
	if (!err)
		err = vh_vfu_open(v->reactor, p->pci, p->tag, &shape, &vmm_ops, v,
				  &v->vfu);
	return err;
}

int vh_vvu_pci_open(struct vh_reactor *r, const struct vh_vvu_pci_params *p,
		    struct vh_vvu_pci **out)
{
	struct vh_vvu_pci *v = calloc(1, sizeof(*v));
	int err;

	*out = NULL;
	if (!v)
		return -ENOMEM;
	snprintf(v->tag, sizeof(v->tag), "%s", p->tag);
	v->reactor = r;
	v->profile = &vh_vvu_profiles[p->profile];
	v->window = p->window;
	v->area = p->area;
	v->config.max_vhost_queues = VH_VVU_N;
	memcpy(v->config.uuid, p->uuid, sizeof(v->config.uuid));
	v->doorbells.file = -1;
	vh_vvu_queues_init(v);
	err = make_all(v, p);
	if (err < 0) {
		vh_vvu_pci_close(v);
		return err;
	}
	v->queues.relay = v->relay;
	v->queues.vfu = v->vfu;
	*out = v;
	return 0;
}

void vh_vvu_pci_close(struct vh_vvu_pci *v)
{
	if (!v)
		return;
	vh_relay_destroy(v->relay);
	vh_vvu_queues_stop(v);
	vh_vvu_doorbells_close(v);
	vh_vfu_close(v->vfu);
	free(v);
}

void vh_vvu_pci_read_stats(const struct vh_vvu_pci *v, struct vh_vvu_pci_stats *s)
{
	*s = (struct vh_vvu_pci_stats){
		.driver_ok = vh_virtio_pci_is_running(&v->regs),
		.status = v->config.status,
		.broken = v->broken,
	};
	vh_relay_read_stats(v->relay, &s->relay);
	vh_vfu_read_stats(v->vfu, &s->vfu);
}
