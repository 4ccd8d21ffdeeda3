/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the VMM does (vfio-user), what the driver does (the registers) and what the
 * front-end does (the relay) meet here.  See adapter.h.
 *
 * One thread, one event at a time: what the driver wrote is done before the next is
 * looked at, so a reset is over when its write is.
 */
#include "vvu/adapter.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "spec/vvu.h"
#include "vvu/adapter_regs.h"
#include "vvu/bells.h"
#include "vvu/blocks.h"
#include "vvu/filter.h"
#include "vvu/guestq.h"

struct vh_adapter {
	char tag[32];
	struct vh_reactor *reactor;
	struct vh_window *window;
	struct vh_area *area;
	struct vh_pci_function fn;
	struct vh_adapter_regs regs;
	struct vh_guestq queues;
	struct vh_bells bells;
	struct vh_vfu *vfu;
	struct vh_relay *relay;
};

/* Something that only a reset mends. */
static void fail(struct vh_adapter *a, const char *why)
{
	vh_log(a, VH_LOG_WARN, "%s; the device waits for a reset", why);
	vh_relay_reset(a->relay);
	vh_guestq_stop(&a->queues);
	vh_adapter_fail(&a->regs, VH_RELAY_BAD_QUEUE);
}

/* ---- Features ---- */

static bool has(uint64_t features, unsigned bit)
{
	return features & VH_BIT(bit);
}

static uint64_t offered_features(const struct vh_adapter *a)
{
	uint64_t f = VH_BIT(VH_ADAPTER_F_VERSION_1) | VH_BIT(VH_ADAPTER_F_EVENT_IDX) |
		     VH_BIT(VH_ADAPTER_F_BACKEND_REQ);

	if (a->area)
		f |= VH_BIT(VH_ADAPTER_F_LOG) | VH_BIT(VH_ADAPTER_F_INFLIGHT);
	if (a->window->region.fd >= 0)
		f |= VH_BIT(VH_ADAPTER_F_STABLE_WINDOW);
	return f;
}

/* In the relay's words.  Kicks, and messages of MAX_MSG, are for every driver. */
static uint64_t relay_features(uint64_t features)
{
	uint64_t f = VH_BIT(VH_VVU_F_NOTIFY) | VH_BIT(VH_VVU_F_LONG_MSG);

	if (has(features, VH_ADAPTER_F_BACKEND_REQ))
		f |= VH_BIT(VH_VVU_F_BACKEND_REQ);
	if (has(features, VH_ADAPTER_F_LOG))
		f |= VH_BIT(VH_VVU_F_LOG);
	if (has(features, VH_ADAPTER_F_INFLIGHT))
		f |= VH_BIT(VH_VVU_F_INFLIGHT);
	return f;
}

static uint64_t proto_mask(uint64_t features)
{
	struct vh_filter filter;

	vh_filter_init(&filter, relay_features(features), VH_ADAPTER_MAX_MSG);
	return filter.protocol;
}

/* ---- The driver, by registers ---- */

static void driver_resets(void *arg)
{
	struct vh_adapter *a = arg;

	if (a->relay)
		vh_relay_reset(a->relay);
	vh_guestq_stop(&a->queues);
	a->regs.proto_mask = proto_mask(a->regs.dev_features);
}

static void driver_features(void *arg)
{
	struct vh_adapter *a = arg;
	const uint64_t f = a->regs.drv_features;

	a->regs.proto_mask = proto_mask(f);
	vh_relay_set_driver(a->relay, relay_features(f), VH_ADAPTER_MAX_MSG);
}

static int driver_has_queues(void *arg)
{
	struct vh_adapter *a = arg;
	const int err = vh_guestq_check(&a->queues);

	if (err)
		vh_log(a, VH_LOG_WARN, "its driver's queues cannot be used: %s",
		       vh_strerror(err));
	return err;
}

/* What is in the queues already was told of too early, or never. */
static void driver_is_ready(void *arg, bool ready)
{
	struct vh_adapter *a = arg;

	if (ready)
		vh_guestq_driver_is_ready(&a->queues);
	vh_relay_set_ready(a->relay, ready);
}

static void driver_notifies(void *arg, unsigned q)
{
	struct vh_adapter *a = arg;

	vh_guestq_notified(&a->queues, q);
}

static void driver_rings(void *arg, unsigned n)
{
	struct vh_adapter *a = arg;

	vh_relay_ring(a->relay, n);
}

static void driver_rings_by_eventfd(void *arg, unsigned n)
{
	struct vh_adapter *a = arg;

	if (vh_adapter_is_live(&a->regs))
		vh_relay_ring(a->relay, n);
}

static uint16_t driver_sees_wires(void *arg, unsigned vring)
{
	const struct vh_adapter *a = arg;
	struct vh_relay_wires w;

	vh_relay_wires(a->relay, vring, &w);
	return (uint16_t)((w.kick ? VH_ADAPTER_VR_KICK : 0) |
			  (w.call ? VH_ADAPTER_VR_CALL : 0) |
			  (w.err ? VH_ADAPTER_VR_ERR : 0) |
			  (w.kick_polled ? VH_ADAPTER_VR_KICK_POLLED : 0) |
			  (w.call_polled ? VH_ADAPTER_VR_CALL_POLLED : 0));
}

static bool driver_hears(void *arg, uint16_t vector)
{
	const struct vh_adapter *a = arg;

	if (!vh_pci_is_master(&a->fn) || vh_vfu_vector_fd(a->vfu, vector) < 0)
		return false;
	vh_vfu_interrupt(a->vfu, vector);
	return true;
}

static const struct vh_adapter_regs_ops driver_ops = {
	.reset = driver_resets,
	.features = driver_features,
	.check = driver_has_queues,
	.ready = driver_is_ready,
	.notify = driver_notifies,
	.doorbell = driver_rings,
	.wires = driver_sees_wires,
	.interrupt = driver_hears,
};

/* ---- The driver, by queues ---- */

static bool queue_where(void *arg, unsigned q, struct vh_guestq_place *p)
{
	const struct vh_adapter *a = arg;
	const struct vh_adapter_bank *b = &a->regs.bank[q];

	if (!a->regs.ready || !b->enabled || !vh_pci_is_master(&a->fn))
		return false;
	*p = (struct vh_guestq_place){
		.size = b->size, .desc = b->desc, .avail = b->avail, .used = b->used};
	if (has(a->regs.drv_features, VH_ADAPTER_F_EVENT_IDX))
		p->features = VH_BIT(VIRTIO_RING_F_EVENT_IDX);
	return true;
}

static void queue_used(void *arg, unsigned q)
{
	struct vh_adapter *a = arg;

	vh_adapter_used(&a->regs, q);
}

/* Of a message that is none the relay has told, and the session has ended. */
static void queue_broken(void *arg, const char *why)
{
	if (why)
		fail(arg, why);
}

static void queue_lost(void *arg)
{
	fail(arg, "its driver's queues are not in its memory any more");
}

static const struct vh_guestq_ops queue_ops = {
	.where = queue_where,
	.used = queue_used,
	.broken = queue_broken,
	.lost = queue_lost,
};

/* ---- The VMM ---- */

static int vmm_reads(void *arg, unsigned region, uint64_t offset, void *buf, size_t len)
{
	struct vh_adapter *a = arg;

	if (region == VH_VFU_REGION_CONFIG)
		return vh_pci_config_read(&a->fn, offset, buf, len);
	return vh_pci_bar_read(&a->fn, region, offset, buf, len);
}

/* Queues that waited for the driver to allow memory accesses. */
static int vmm_writes_config(struct vh_adapter *a, uint64_t offset, const void *buf,
			     size_t len)
{
	const bool was = vh_pci_is_master(&a->fn);
	const int err = vh_pci_config_write(&a->fn, offset, buf, len);

	if (!was && vh_pci_is_master(&a->fn) && vh_adapter_is_live(&a->regs))
		vh_guestq_look_again(&a->queues);
	return err;
}

static int vmm_writes(void *arg, unsigned region, uint64_t offset, const void *buf,
		      size_t len)
{
	struct vh_adapter *a = arg;

	if (region == VH_VFU_REGION_CONFIG)
		return vmm_writes_config(a, offset, buf, len);
	return vh_pci_bar_write(&a->fn, region, offset, buf, len);
}

static int vmm_resets(void *arg)
{
	struct vh_adapter *a = arg;

	vh_pci_reset(&a->fn);
	vh_adapter_regs_reset(&a->regs);
	return 0;
}

static int vmm_changes_memory(void *arg, const struct vh_vfu_dma *d)
{
	struct vh_adapter *a = arg;

	(void)d;
	vh_guestq_unmap(&a->queues);
	return 0;
}

static unsigned vmm_wants_io_fds(void *arg, unsigned region, struct vh_vfu_io_fd *io,
				 unsigned max)
{
	struct vh_adapter *a = arg;

	return region == VH_ADAPTER_BAR ? vh_bells_list(&a->bells, io, max) : 0;
}

static void vmm_is_here(void *arg, bool here)
{
	struct vh_adapter *a = arg;

	vh_log(a, VH_LOG_INFO, "a VMM has %s", here ? "come" : "gone");
	if (!here)
		vh_bells_forget(&a->bells);
}

static const struct vh_vfu_ops vmm_ops = {
	.read = vmm_reads,
	.write = vmm_writes,
	.reset = vmm_resets,
	.dma_added = vmm_changes_memory,
	.dma_removed = vmm_changes_memory,
	.io_fds = vmm_wants_io_fds,
	.client = vmm_is_here,
};

/* ---- The front-end ---- */

static int front_end_says(void *arg, const void *msg, size_t len)
{
	struct vh_adapter *a = arg;

	if (len > VH_ADAPTER_MAX_MSG)
		return -EMSGSIZE;
	return vh_guestq_deliver(&a->queues, msg, len);
}

static void session_changes(void *arg, bool up, enum vh_relay_end why)
{
	struct vh_adapter *a = arg;

	if (up)
		vh_adapter_session_begins(&a->regs);
	else
		vh_adapter_session_ends(&a->regs, why);
}

static void front_end_kicks(void *arg, unsigned vring)
{
	struct vh_adapter *a = arg;

	vh_adapter_kicked(&a->regs, vring);
}

static void memory_changes(void *arg, const struct vh_window_table *table)
{
	struct vh_adapter *a = arg;

	vh_adapter_set_memory(&a->regs, table);
}

static void area_changes(void *arg, uint8_t shmid, uint64_t offset, uint64_t size)
{
	struct vh_adapter *a = arg;

	vh_adapter_set_area(&a->regs, shmid, offset, size);
}

static const struct vh_relay_ops front_end_ops = {
	.deliver = front_end_says,
	.session = session_changes,
	.kick = front_end_kicks,
	.memory = memory_changes,
	.area = area_changes,
};

/* ---- BARs of memory ---- */

static int add_memory_bars(struct vh_adapter *a)
{
	const unsigned flags = VH_PCI_BAR_64BIT | VH_PCI_BAR_PREFETCH;
	int err = vh_pci_add_bar(&a->fn, VH_ADAPTER_WINDOW_BAR, a->window->size, flags);

	if (!err)
		err = vh_add_window_block(&a->fn, VH_ADAPTER_WINDOW_BAR, 0, a->window);
	if (err || !a->area)
		return err;
	err = vh_pci_add_bar(&a->fn, VH_ADAPTER_AREA_BAR, VH_AREA_SIZE, flags);
	return err ? err : vh_add_area_block(&a->fn, VH_ADAPTER_AREA_BAR, a->area);
}

/* ---- Life ---- */

static int make_registers(struct vh_adapter *a, const struct vh_adapter_params *p)
{
	const uint64_t features = offered_features(a);
	const struct vh_adapter_regs_params params = {
		.features = features,
		.proto_mask = proto_mask(features),
		.window_size = a->window->size,
		.device_id = p->device_id,
		.uuid = p->uuid,
		.ops = &driver_ops,
		.arg = a,
	};
	const int err = vh_adapter_regs_init(&a->regs, &a->fn, &params);

	return err ? err : add_memory_bars(a);
}

static int make_relay(struct vh_adapter *a, const struct vh_adapter_params *p)
{
	const struct vh_relay_params relay = {
		.front = p->front,
		.tag = p->tag,
		.accept_early = p->accept_early,
		.max_vrings = VH_ADAPTER_MAX_VRINGS,
		.pairs = 1,
		.layout = VH_LAYOUT_OFFSET,
		.window = a->window,
		.area = a->area,
		.ops = &front_end_ops,
		.arg = a,
	};

	return vh_relay_create(a->reactor, &relay, &a->relay);
}

static void make_shape(const struct vh_adapter *a, struct vh_vfu_shape *shape)
{
	*shape = (struct vh_vfu_shape){.n_vectors = VH_ADAPTER_VECTORS};
	for (unsigned i = 0; i < VH_VFU_REGIONS; i++)
		shape->region[i].fd = -1;
	shape->region[VH_ADAPTER_WINDOW_BAR] = a->window->region;
	if (a->area)
		shape->region[VH_ADAPTER_AREA_BAR] = (struct vh_vfu_region){
			.fd = vh_area_fd(a->area),
			.n_areas = 1,
			.area = {{.offset = 0, .size = VH_AREA_SIZE}}};
	for (unsigned i = 0; i < VH_PCI_BARS; i++)
		shape->region[i].size = a->fn.bar[i].size;
	shape->region[VH_VFU_REGION_CONFIG].size = VH_PCI_CONFIG_SIZE;
}

/* The VMM comes last: it may look at everything at once. */
static int make_all(struct vh_adapter *a, const struct vh_adapter_params *p)
{
	struct vh_vfu_shape shape;
	int err = make_registers(a, p);

	if (!err)
		err = make_relay(a, p);
	if (err)
		return err;
	make_shape(a, &shape);
	err = vh_vfu_open(a->reactor, p->pci, p->tag, &shape, &vmm_ops, a, &a->vfu);
	a->queues.relay = a->relay;
	a->queues.vfu = a->vfu;
	return err;
}

int vh_adapter_open(struct vh_reactor *r, const struct vh_adapter_params *p,
		    struct vh_adapter **out)
{
	struct vh_adapter *a;
	int err;

	*out = NULL;
	if (!p->window->size) {
		vh_log_line(p->tag, VH_LOG_ERROR,
			    "the vhost-pci adapter has its window in a BAR of its own: "
			    "give --memory, not --window hotplug");
		return -EOPNOTSUPP;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	snprintf(a->tag, sizeof(a->tag), "%s", p->tag);
	a->reactor = r;
	a->window = p->window;
	a->area = p->area;
	vh_guestq_init(&a->queues, r, a->tag, &queue_ops, a);
	a->bells = (struct vh_bells){.tag = a->tag,
				     .reactor = r,
				     .n_vrings = VH_ADAPTER_MAX_VRINGS,
				     .offset = VH_ADAPTER_DOORBELLS,
				     .stride = VH_ADAPTER_STRIDE,
				     .rung = driver_rings_by_eventfd,
				     .arg = a};
	err = make_all(a, p);
	if (err < 0)
		vh_adapter_close(a);
	else
		*out = a;
	return err;
}

void vh_adapter_close(struct vh_adapter *a)
{
	if (!a)
		return;
	vh_relay_destroy(a->relay);
	vh_guestq_stop(&a->queues);
	vh_vfu_close(a->vfu);
	vh_bells_forget(&a->bells);
	free(a);
}

void vh_adapter_read_stats(const struct vh_adapter *a, struct vh_adapter_stats *s)
{
	*s = (struct vh_adapter_stats){.live = vh_adapter_is_live(&a->regs),
				       .connected = vh_relay_is_up(a->relay),
				       .status = a->regs.status,
				       .error = a->regs.error,
				       .session = a->regs.session,
				       .failed = a->regs.failed};
	vh_relay_read_stats(a->relay, &s->relay);
	vh_vfu_read_stats(a->vfu, &s->vfu);
}
