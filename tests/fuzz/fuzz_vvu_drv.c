/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver of virtio-vhost-user against a device that says anything: capabilities
 * that are not quite right, registers that are memory, used rings and messages that the
 * input makes.  Whatever comes, what is mapped lies in a BAR, and all is given back.
 */
#include "fuzz.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <vhost/log.h>

#include "conn/connector.h"
#include "pci/host.h"
#include "spec/vvu.h"

#define BAR0	 0x8000u
#define BAR2	 0x4000u
#define BAR4	 0x40000u
#define CONFIG	 0x2000u /* places in BAR 0 */
#define NOTIFY	 0x3000u
#define SELECT	 0x4000u
#define VECTORS	 8u
#define IOVA	 0x10000000u
#define MAX_MAPS 64u

static struct device {
	struct vh_pci_host h;
	uint8_t config[256], bar0[BAR0];
	unsigned queue; /* selected */
	struct {
		uint64_t part[3]; /* desc, avail, used */
		uint16_t avail, used;
	} q[2];
	struct vh_pci_dma dma;
	int irq[VECTORS];
	unsigned n_maps;
	bool is_open, is_gone;
} d;

/* ---- The bus ---- */

static bool fuzz_has(const char *address)
{
	return !strcmp(address, "fuzz:");
}

static int fuzz_find(uint16_t vendor, uint16_t device, unsigned n,
		     char address[VH_PCI_ADDRESS_SIZE])
{
	return -ENOENT;
}

static int fuzz_open(const char *address, const char *tag, struct vh_pci_host **h)
{
	d.is_open = true;
	*h = &d.h;
	return 0;
}

static void fuzz_close(struct vh_pci_host *h)
{
	d.is_open = false;
}

static uint64_t fuzz_bar_size(struct vh_pci_host *h, unsigned bar)
{
	static const uint64_t size[6] = {BAR0, 0, BAR2, 0, BAR4, 0};

	FUZZ_CHECK(bar < 6);
	return size[bar];
}

static int fuzz_config_read(struct vh_pci_host *h, unsigned offset, void *buf, size_t len)
{
	FUZZ_CHECK(offset <= 256 && len <= 256 - offset);
	memcpy(buf, d.config + offset, len);
	return 0;
}

static int fuzz_config_write(struct vh_pci_host *h, unsigned offset, const void *buf,
			     size_t len)
{
	return 0;
}

static bool is_register(unsigned bar, uint64_t offset, unsigned width)
{
	const uint64_t size = fuzz_bar_size(&d.h, bar);

	FUZZ_CHECK(width == 1 || width == 2 || width == 4 || width == 8);
	FUZZ_CHECK(offset <= size && width <= size - offset);
	return bar == 0;
}

static int fuzz_read(struct vh_pci_host *h, unsigned bar, uint64_t offset, unsigned width,
		     uint64_t *value)
{
	*value = d.is_gone ? UINT64_MAX : 0;
	if (is_register(bar, offset, width) && !d.is_gone)
		memcpy(value, d.bar0 + offset, width);
	return 0;
}

/* Where the queues are is kept, all else is memory. */
static int fuzz_write(struct vh_pci_host *h, unsigned bar, uint64_t offset,
		      unsigned width, uint64_t value)
{
	if (!is_register(bar, offset, width) || d.is_gone)
		return 0;
	memcpy(d.bar0 + offset, &value, width);
	if (offset == VIRTIO_PCI_COMMON_Q_SELECT)
		d.queue = value & 1;
	if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset + width <= 0x38)
		memcpy(d.q[d.queue].part, d.bar0 + VIRTIO_PCI_COMMON_Q_DESCLO, 24);
	return 0;
}

static int fuzz_map(struct vh_pci_host *h, unsigned bar, uint64_t offset, size_t len,
		    void **va)
{
	const uint64_t size = fuzz_bar_size(h, bar);

	FUZZ_CHECK(len && offset % 4096 == 0 && len % 4096 == 0);
	FUZZ_CHECK(offset <= size && len <= size - offset);
	if (bar == 0 || d.n_maps == MAX_MAPS)
		return -ENOTSUP;
	*va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FUZZ_CHECK(*va != MAP_FAILED);
	d.n_maps++;
	return 0;
}

static void fuzz_unmap(struct vh_pci_host *h, void *va, size_t len)
{
	FUZZ_CHECK(d.n_maps-- > 0);
	munmap(va, len);
}

static int fuzz_signal(struct vh_pci_host *h, unsigned bar, uint64_t offset,
		       unsigned width, uint32_t value, struct vh_signal **s)
{
	static uint32_t anywhere;

	is_register(bar, offset, width);
	return vh_signal_from_register(&anywhere, (uint8_t)width, value, s);
}

static int fuzz_dma_alloc(struct vh_pci_host *h, size_t len, struct vh_pci_dma *dma)
{
	FUZZ_CHECK(!d.dma.va);
	d.dma = (struct vh_pci_dma){.va = aligned_alloc(4096, (len + 4095) / 4096 * 4096),
				    .len = len,
				    .iova = IOVA};
	FUZZ_CHECK(d.dma.va);
	memset(d.dma.va, 0, len);
	*dma = d.dma;
	return 0;
}

static void fuzz_dma_free(struct vh_pci_host *h, struct vh_pci_dma *dma)
{
	FUZZ_CHECK(dma->va == d.dma.va);
	free(d.dma.va);
	d.dma.va = NULL;
}

static int fuzz_set_vectors(struct vh_pci_host *h, const int *fd, unsigned n)
{
	for (unsigned i = 0; i < VECTORS; i++)
		d.irq[i] = i < n ? fd[i] : -1;
	return n <= VECTORS ? 0 : -ENOSPC;
}

static int fuzz_reset(struct vh_pci_host *h)
{
	return -ENOTSUP;
}

static int fuzz_gone_fd(const struct vh_pci_host *h)
{
	return -1;
}

static const struct vh_pci_bus bus = {
	.has = fuzz_has,
	.find = fuzz_find,
	.open = fuzz_open,
	.close = fuzz_close,
	.config_read = fuzz_config_read,
	.config_write = fuzz_config_write,
	.read = fuzz_read,
	.write = fuzz_write,
	.bar_size = fuzz_bar_size,
	.map = fuzz_map,
	.unmap = fuzz_unmap,
	.signal = fuzz_signal,
	.dma_alloc = fuzz_dma_alloc,
	.dma_free = fuzz_dma_free,
	.set_vectors = fuzz_set_vectors,
	.reset = fuzz_reset,
	.gone_fd = fuzz_gone_fd,
};

/* ---- A device that is almost right ---- */

static uint8_t add_cap(uint8_t at, uint8_t type, uint8_t bar, uint8_t id, uint32_t offset,
		       uint32_t length, uint32_t more)
{
	uint8_t *c = d.config + at;

	c[0] = PCI_CAP_ID_VNDR;
	c[1] = (uint8_t)(at + 20);
	c[2] = 20;
	c[3] = type;
	c[4] = bar;
	c[5] = id;
	memcpy(c + 8, &offset, 4);
	memcpy(c + 12, &length, 4);
	memcpy(c + 16, &more, 4);
	return c[1];
}

static void put32(uint32_t offset, uint32_t value)
{
	memcpy(d.bar0 + offset, &value, 4);
}

static void make_device(struct fuzz_input *in)
{
	uint8_t at = 0x40;

	memset(&d, 0, sizeof(d));
	d.h.bus = &bus;
	d.config[PCI_CAPABILITY_LIST] = at;
	at = add_cap(at, VIRTIO_PCI_CAP_COMMON_CFG, 0, 0, 0, 0x38, 0);
	at = add_cap(at, VIRTIO_PCI_CAP_DEVICE_CFG, 0, 0, CONFIG, 24, 0);
	at = add_cap(at, VIRTIO_PCI_CAP_NOTIFY_CFG, 0, 0, NOTIFY, 0x1000, 4);
	at = add_cap(at, VH_VVU_CAP_DOORBELL, 2, 0, 0, 0x1000, 4);
	at = add_cap(at, VH_VVU_CAP_NOTIFICATION, 0, 0, SELECT, 4, 0);
	at = add_cap(at, VH_VVU_CAP_MEMORY, 2, VH_VVU_SHM_LOG, 0x3000, 0x1000, 0);
	at = add_cap(at, VH_VVU_CAP_MEMORY, 4, VH_VVU_SHM_MEMORY, 0, BAR4, 0);
	d.config[at] = PCI_CAP_ID_MSIX;
	d.config[at + 2] = VECTORS - 1;
	put32(VIRTIO_PCI_COMMON_DF, UINT32_MAX);
	d.bar0[VIRTIO_PCI_COMMON_Q_SIZE] = 16;
	put32(CONFIG + 4, 4);
	for (unsigned n = fuzz_u8(in) & 15; n; n--) {
		const uint8_t where = fuzz_u8(in);

		d.config[where] = fuzz_u8(in);
	}
}

/* ---- What it does ---- */

static void interrupt(unsigned vector)
{
	if (vector < VECTORS && d.irq[vector] >= 0)
		eventfd_write(d.irq[vector], 1);
}

/* @len bytes at that address of the device's, or NULL. */
static uint8_t *at_iova(uint64_t iova, size_t len)
{
	if (!d.dma.va || iova < IOVA || iova - IOVA > d.dma.len ||
	    len > d.dma.len - (iova - IOVA))
		return NULL;
	return d.dma.va + (iova - IOVA);
}

/* A message of the input's into the next buffer; used as the input likes. */
static void put_message(struct fuzz_input *in, bool rightly)
{
	const uint16_t num = d.bar0[VIRTIO_PCI_COMMON_Q_SIZE];
	struct vring_desc *desc = (void *)at_iova(d.q[0].part[0], 16u * num);
	struct vring_avail *avail = (void *)at_iova(d.q[0].part[1], 6u + 2 * num);
	struct vring_used *used = (void *)at_iova(d.q[0].part[2], 6u + 8 * num);
	uint32_t id, len = fuzz_u16(in) & 1023;
	uint8_t *buf;

	if (!desc || !avail || !used || !num || avail->idx == d.q[0].avail)
		return;
	id = avail->ring[d.q[0].avail++ % num] % num;
	buf = at_iova(desc[id].addr, desc[id].len);
	if (!buf || len > desc[id].len)
		return;
	len = (uint32_t)fuzz_bytes(in, buf, len);
	if (!rightly) {
		id = fuzz_u32(in);
		len = fuzz_u32(in);
	}
	used->ring[d.q[0].used++ % num] = (struct vring_used_elem){.id = id, .len = len};
	used->idx = d.q[0].used;
	interrupt(1);
}

static void scribble(struct fuzz_input *in)
{
	const uint32_t at = fuzz_u32(in);

	if (d.dma.va)
		d.dma.va[at % d.dma.len] = fuzz_u8(in);
}

/* ---- What its driver's session does ---- */

static void use_memory(struct vh_connector *c, struct vh_msg *m)
{
	struct vh_mapping *mapping[VH_MAX_SLOTS];
	bool changed;

	if (m->payload != VH_PAYLOAD_MEM ||
	    vh_connector_map(c, m->mem.region, m->mem.n, m, NULL, mapping, &changed) < 0)
		return;
	for (unsigned i = 0; i < m->mem.n; i++) {
		mapping[i]->addr[0] = 1;
		mapping[i]->addr[mapping[i]->len - 1] = 1;
		vh_mapping_put(mapping[i]);
	}
}

static void use_area(struct vh_connector *c, struct vh_msg *m)
{
	struct vh_mapping *mapping;

	if (vh_connector_map_area(c, m, &mapping) < 0)
		return;
	mapping->addr[mapping->len - 1] = 1;
	vh_mapping_put(mapping);
}

static void use_message(struct vh_connector *c, struct vh_msg *m)
{
	struct vh_signal *s = NULL;
	struct vh_msg reply;

	if (m->channel != VH_CHANNEL_MAIN)
		return;
	switch (m->id) {
	case VH_MSG_SET_MEM_TABLE:
		use_memory(c, m);
		break;
	case VH_MSG_SET_LOG_BASE:
	case VH_MSG_SET_INFLIGHT_FD:
		if (m->payload == VH_PAYLOAD_LOG || m->payload == VH_PAYLOAD_INFLIGHT)
			use_area(c, m);
		break;
	case VH_MSG_SET_VRING_KICK:
	case VH_MSG_SET_VRING_CALL:
	case VH_MSG_SET_VRING_ERR:
	case VH_MSG_SET_LOG_FD:
		if (vh_connector_signal(c, m, &s) == 0 && s)
			vh_signal_fire(s);
		vh_signal_put(s);
		break;
	case VH_MSG_SET_BACKEND_REQ_FD:
		vh_connector_set_channel(c, -1);
		break;
	}
	vh_msg_init_reply(&reply, m, VH_PAYLOAD_U64);
	vh_connector_send(c, &reply);
}

static void use_news(struct vh_connector *c)
{
	enum vh_news news = VH_NEWS_UP;
	struct vh_msg m;

	for (unsigned i = 0; i < 40 && news != VH_NEWS_NOTHING; i++) {
		if (vh_connector_recv(c, &m, &news) < 0)
			return;
		if (news != VH_NEWS_MESSAGE)
			continue;
		use_message(c, &m);
		vh_msg_close(&m);
	}
}

/* ---- Both ---- */

static void step(struct vh_connector *c, struct fuzz_input *in)
{
	const uint8_t op = fuzz_u8(in);

	switch (op & 15) {
	case 0:
		put32(CONFIG, fuzz_u8(in));
		interrupt(0);
		break;
	case 1:
		put32(CONFIG, VH_VVU_BACKEND_UP | VH_VVU_FRONTEND_UP);
		interrupt(0);
		break;
	case 2:
		put_message(in, false);
		break;
	case 3:
		scribble(in);
		break;
	case 4:
		d.bar0[fuzz_u16(in) % BAR0] = fuzz_u8(in);
		break;
	case 5:
		vh_connector_hold(c, op & 16);
		break;
	case 6:
		vh_connector_disconnect(c);
		break;
	case 7:
		d.is_gone = op == 7;
		interrupt(0);
		break;
	case 8:
		interrupt(fuzz_u8(in));
		break;
	default:
		put_message(in, true);
	}
	if (op & 0xc0)
		use_news(c);
}

static void be_quiet(void *arg, enum vh_log_level level, const char *tag,
		     const char *text)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct vh_connector *c;

	vh_log_set(VH_LOG_DEBUG, be_quiet, NULL);
	vh_pci_add_bus(&bus);
	make_device(&in);
	if (vh_connector_open("vvu:fuzz:", VH_ROLE_BACKEND, "fuzz", &c) == 0) {
		use_news(c);
		while (in.left)
			step(c, &in);
		use_news(c);
		vh_connector_close(c);
	}
	FUZZ_CHECK(!d.is_open && !d.n_maps && !d.dma.va);
	return 0;
}
