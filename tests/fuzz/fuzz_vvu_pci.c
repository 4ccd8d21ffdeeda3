/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-vhost-user device, whose driver reads and writes registers, rings and
 * messages as it likes, while its VMM takes memory away and front-ends come and go.  The
 * VMM's server and the relay are played here.  Input: a byte for the profile, then a byte
 * an operation, each followed by what it needs.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>

#include <vhost/log.h>

#include "fuzz.h"
#include "spec/vvu.h"
#include "vvu/vvu_pci.h"
#include "wire/msg.h"

enum {
	MAX_LEN = 64,
	MEMORY = 0x10000,
	WINDOW = 0x100000,
	RING = 8,
	RING_BYTES = 0x1000,
	AVAIL = 0x80,
	USED = 0x100,
	CONFIG = 0x2000,
	NOTIFY = 0x3000,
	MAX_MESSAGE = sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD,
};

enum op {
	OP_READ,    /* region, offset (32 bits), length                            */
	OP_WRITE,   /* ... bytes                                                   */
	OP_BEGIN,   /* all that a good driver writes; features                     */
	OP_STATUS,  /* what to write to the status of the session                  */
	OP_MEMORY,  /* the guest's: offset (16 bits), length, bytes                */
	OP_BUFFER,  /* made available: queue, address, length (16 bits), flags     */
	OP_NOTIFY,  /* queue                                                       */
	OP_FRONT,   /* a front-end comes, or goes: why                             */
	OP_MESSAGE, /* of the front-end's: length (16 bits)                        */
	OP_KICK,    /* vring                                                       */
	OP_UNMAP,   /* the VMM takes memory away, ...                              */
	OP_MAP,	    /* ... and gives it back                                       */
	OP_RESET,
	OP_TURN, /* what is left for the end of the turn                          */
	OP_COUNT
};

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));

static void never(struct vh_mapping *m)
{
	(void)m;
	FUZZ_CHECK(!"a reference too few");
}

static struct vh_mapping mapping = {.len = MEMORY, .addr = memory, .unmap = never};

/* ---- The VMM's server ---- */

struct vh_vfu {
	struct vh_vfu_ops ops;
	void *arg;
	struct vh_vfu_shape shape;
	bool is_unmapped;
};

static struct vh_vfu vmm;

int vh_vfu_open(struct vh_reactor *r, const char *address, const char *tag,
		const struct vh_vfu_shape *shape, const struct vh_vfu_ops *ops, void *arg,
		struct vh_vfu **v)
{
	(void)r;
	(void)address;
	(void)tag;
	vmm = (struct vh_vfu){.ops = *ops, .arg = arg, .shape = *shape};
	*v = &vmm;
	return 0;
}

void vh_vfu_close(struct vh_vfu *v)
{
	FUZZ_CHECK(!v || v == &vmm);
}

void vh_vfu_interrupt(struct vh_vfu *v, unsigned vector)
{
	FUZZ_CHECK(vector < v->shape.n_vectors);
}

int vh_vfu_map(struct vh_vfu *v, struct vh_map **map)
{
	const struct vh_wire_region r = {.size = MEMORY};
	struct vh_mapping *const m = v->is_unmapped ? NULL : vh_mapping_get(&mapping);

	return vh_map_create(&r, &m, m != NULL, 1, map);
}

/* What is not there is not shared. */
void vh_vfu_dma_each(const struct vh_vfu *v,
		     void (*fn)(void *arg, const struct vh_vfu_dma *d), void *arg)
{
	const struct vh_vfu_dma d = {.size = MEMORY, .fd = -1};

	if (v->is_unmapped)
		fn(arg, &d);
}

void vh_vfu_read_stats(const struct vh_vfu *v, struct vh_vfu_stats *s)
{
	(void)v;
	memset(s, 0, sizeof(*s));
}

/* ---- The relay ---- */

struct vh_relay {
	const struct vh_relay_ops *ops;
	void *arg;
	bool is_there, ready, up;
	size_t waiting; /* bytes of a message that the driver has no room for */
};

static struct vh_relay relay;

int vh_relay_create(struct vh_reactor *r, const struct vh_relay_params *p,
		    struct vh_relay **out)
{
	(void)r;
	relay = (struct vh_relay){.ops = p->ops, .arg = p->arg};
	*out = &relay;
	return 0;
}

void vh_relay_destroy(struct vh_relay *r)
{
	FUZZ_CHECK(!r || r == &relay);
}

static void begin(struct vh_relay *r)
{
	r->up = true;
	r->ops->session(r->arg, true, VH_RELAY_NONE);
}

static void forget(struct vh_relay *r)
{
	r->up = r->ready = r->is_there = false;
	r->waiting = 0;
}

static void end(struct vh_relay *r, enum vh_relay_end why)
{
	const bool was = r->up;

	forget(r);
	if (was)
		r->ops->session(r->arg, false, why);
}

void vh_relay_set_driver(struct vh_relay *r, uint64_t features, size_t max_msg)
{
	FUZZ_CHECK(!r->up && features < 64 && max_msg >= 1024);
}

void vh_relay_set_ready(struct vh_relay *r, bool ready)
{
	if (ready == r->ready)
		return;
	if (!ready && r->up)
		forget(r);
	r->ready = ready;
	if (ready && r->is_there)
		begin(r);
}

void vh_relay_reset(struct vh_relay *r)
{
	vh_relay_set_ready(r, false);
}

void vh_relay_room(struct vh_relay *r)
{
	static const uint8_t message[MAX_MESSAGE];
	int err;

	if (!r->waiting)
		return;
	FUZZ_CHECK(r->up);
	err = r->ops->deliver(r->arg, message, r->waiting);
	FUZZ_CHECK(!err || err == -EAGAIN || err == -EMSGSIZE);
	if (err != -EAGAIN)
		r->waiting = 0;
	if (err == -EMSGSIZE)
		end(r, VH_RELAY_TOO_LARGE);
}

int vh_relay_send(struct vh_relay *r, const void *msg, size_t len)
{
	struct vh_wire_header h = {0};

	FUZZ_CHECK(len <= MAX_MESSAGE + 1);
	if (!r->up)
		return 0;
	memcpy(&h, msg, len < sizeof(h) ? len : sizeof(h));
	if (len >= sizeof(h) && h.size == len - sizeof(h))
		return 0;
	end(r, VH_RELAY_DRIVER_ERROR);
	return -EPROTO;
}

void vh_relay_ring(struct vh_relay *r, unsigned n)
{
	(void)r;
	FUZZ_CHECK(n < VH_VVU_N_DOORBELLS(VH_VVU_MAX_VRINGS));
}

void vh_relay_read_stats(const struct vh_relay *r, struct vh_relay_stats *s)
{
	(void)r;
	memset(s, 0, sizeof(*s));
}

/* ---- The window ---- */

static void window_read(struct vh_window *w, uint64_t offset, void *buf, size_t len)
{
	(void)w;
	FUZZ_CHECK(len <= WINDOW && offset <= WINDOW - len);
	memset(buf, 0, len);
}

static void window_write(struct vh_window *w, uint64_t offset, const void *buf,
			 size_t len)
{
	(void)w;
	(void)buf;
	FUZZ_CHECK(len <= WINDOW && offset <= WINDOW - len);
}

static const struct vh_window_ops window_ops = {.read = window_read,
						.write = window_write};
static struct vh_window window = {
	.ops = &window_ops, .size = WINDOW, .region = {.fd = -1}};

/* ---- The driver ---- */

static void put(unsigned region, uint64_t offset, uint64_t value, size_t len)
{
	vmm.ops.write(vmm.arg, region, offset, &value, len);
}

/* A server lets no access through that is not inside of its region. */
static void touch(struct fuzz_input *in, bool writes)
{
	const unsigned region = fuzz_u8(in) % (VH_VFU_REGION_CONFIG + 1);
	const uint64_t size = vmm.shape.region[region].size;
	uint64_t at = fuzz_u32(in);
	size_t len = fuzz_u8(in) % (MAX_LEN + 1);
	uint8_t bytes[MAX_LEN];

	if (writes)
		fuzz_bytes(in, bytes, len);
	if (!size)
		return;
	at %= size;
	if (len > size - at)
		len = (size_t)(size - at);
	if (writes)
		vmm.ops.write(vmm.arg, region, at, bytes, len);
	else
		vmm.ops.read(vmm.arg, region, at, bytes, len);
}

static void set_queue(unsigned q)
{
	const uint64_t at = (uint64_t)q * RING_BYTES;

	put(0, VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
	put(0, VIRTIO_PCI_COMMON_Q_SIZE, RING, 2);
	put(0, VIRTIO_PCI_COMMON_Q_MSIX, 1 + q, 2);
	put(0, VIRTIO_PCI_COMMON_Q_DESCLO, at, 8);
	put(0, VIRTIO_PCI_COMMON_Q_AVAILLO, at + AVAIL, 8);
	put(0, VIRTIO_PCI_COMMON_Q_USEDLO, at + USED, 8);
	put(0, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
}

static void begin_driver(uint32_t features)
{
	put(VH_VFU_REGION_CONFIG, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	put(0, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	put(0, VIRTIO_PCI_COMMON_GFSELECT, 0, 4);
	put(0, VIRTIO_PCI_COMMON_GF, features, 4);
	put(0, VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
	put(0, VIRTIO_PCI_COMMON_GF, 1, 4);
	put(0, VIRTIO_PCI_COMMON_STATUS, VIRTIO_CONFIG_S_FEATURES_OK, 1);
	put(0, VIRTIO_PCI_COMMON_MSIX, 0, 2);
	set_queue(VH_VVU_RXQ);
	set_queue(VH_VVU_TXQ);
	put(0, VIRTIO_PCI_COMMON_STATUS, VIRTIO_CONFIG_S_DRIVER_OK, 1);
}

static void add_buffer(struct fuzz_input *in)
{
	const unsigned q = fuzz_u8(in) % VH_VVU_QUEUES;
	uint8_t *ring = memory + (size_t)q * RING_BYTES;
	struct vring_desc d = {.addr = fuzz_u16(in)};
	uint16_t index, head;

	d.len = fuzz_u16(in);
	d.flags = fuzz_u8(in);
	memcpy(&index, ring + AVAIL + 2, sizeof(index));
	head = index % RING;
	d.next = (uint16_t)((head + 1) % RING);
	memcpy(ring + head * sizeof(d), &d, sizeof(d));
	memcpy(ring + AVAIL + 4 + head * sizeof(head), &head, sizeof(head));
	index++;
	memcpy(ring + AVAIL + 2, &index, sizeof(index));
	put(0, NOTIFY + 4 * q, 0, 2);
}

static void write_memory(struct fuzz_input *in)
{
	const uint16_t at = fuzz_u16(in);
	const size_t len = fuzz_u8(in) % (MAX_LEN + 1);
	const size_t room = (size_t)MEMORY - at;

	fuzz_bytes(in, memory + at, len < room ? len : room);
}

/* ---- The others ---- */

static void front_end(uint8_t why)
{
	if (relay.is_there) {
		end(&relay, why % 2 ? VH_RELAY_FRONTEND_CLOSED : VH_RELAY_FRONTEND_ERROR);
	} else {
		relay.is_there = true;
		if (relay.ready)
			begin(&relay);
	}
}

static void message(uint16_t len)
{
	if (!relay.up || relay.waiting)
		return;
	relay.waiting = sizeof(struct vh_wire_header) + len % VH_MAX_PAYLOAD;
	vh_relay_room(&relay);
}

/* When it was told, nobody has it any more. */
static void unmap(void)
{
	const struct vh_vfu_dma d = {.size = MEMORY, .fd = -1};

	vmm.is_unmapped = true;
	vmm.ops.dma_removed(vmm.arg, &d);
	FUZZ_CHECK(mapping.refs == 1);
}

static void map(void)
{
	const struct vh_vfu_dma d = {.size = MEMORY, .fd = -1};

	vmm.is_unmapped = false;
	vmm.ops.dma_added(vmm.arg, &d);
}

/* ---- One input ---- */

static void do_driver(struct fuzz_input *in, uint8_t op)
{
	switch (op) {
	case OP_BEGIN:
		return begin_driver(fuzz_u32(in));
	case OP_STATUS:
		return put(0, CONFIG, fuzz_u8(in), 4);
	case OP_MEMORY:
		return write_memory(in);
	case OP_BUFFER:
		return add_buffer(in);
	case OP_NOTIFY:
		return put(0, NOTIFY + 4 * (fuzz_u8(in) % VH_VVU_QUEUES), 0, 2);
	default:
		return touch(in, op == OP_WRITE);
	}
}

static void do_other(struct fuzz_input *in, uint8_t op, struct vh_reactor *reactor)
{
	switch (op) {
	case OP_FRONT:
		return front_end(fuzz_u8(in));
	case OP_MESSAGE:
		return message(fuzz_u16(in));
	case OP_KICK:
		return relay.up ? relay.ops->kick(relay.arg, fuzz_u8(in)) : (void)0;
	case OP_UNMAP:
		return unmap();
	case OP_MAP:
		return map();
	case OP_RESET:
		vmm.ops.reset(vmm.arg);
		return;
	default:
		FUZZ_CHECK(vh_reactor_poll(reactor, 0) >= 0);
		return;
	}
}

/* The driver is told of a session if and only if there is one. */
static void check(void)
{
	uint32_t status;

	vmm.ops.read(vmm.arg, 0, CONFIG, &status, sizeof(status));
	FUZZ_CHECK(status <= 3);
	FUZZ_CHECK(relay.up == (status == 3));
}

static struct vh_reactor *the_reactor(void)
{
	static struct vh_reactor *r;
	const struct vh_reactor_params p = {
		.size = sizeof(p), .name = "fuzz", .cpu = -1, .poll = VH_POLL_BUSY};

	if (!r)
		FUZZ_CHECK(vh_reactor_create(&p, &r) == 0);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct vh_reactor *reactor = the_reactor();
	const struct vh_vvu_pci_params p = {.pci = "",
					    .front = "",
					    .tag = "fuzz",
					    .profile = fuzz_u8(&in) % VH_VVU_PROFILES,
					    .window = &window};
	struct vh_vvu_pci *v;

	vh_log_set(VH_LOG_ERROR, NULL, NULL);
	memset(memory, 0, sizeof(memory));
	mapping.refs = 1;
	FUZZ_CHECK(vh_vvu_pci_open(reactor, &p, &v) == 0);
	while (in.left) {
		const uint8_t op = fuzz_u8(&in) % OP_COUNT;

		if (op <= OP_NOTIFY)
			do_driver(&in, op);
		else
			do_other(&in, op, reactor);
		check();
	}
	vh_vvu_pci_close(v);
	FUZZ_CHECK(mapping.refs == 1);
	return 0;
}
