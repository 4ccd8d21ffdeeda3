/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-pci device whose driver reads and writes configuration space and BARs as it
 * likes, while its owner goes on.  Input: a byte an operation, each followed by what it
 * needs.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdbool.h>

#include "fuzz.h"
#include "pci/virtio_pci.h"

enum {
	QUEUES = 4,
	QUEUE_SIZE = 64,
	VECTORS = 3,
	CONFIG_LEN = 10,
	MAX_LEN = 64,
};

#define FEATURES                                                    \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_RING_RESET | \
	 1ULL << VIRTIO_F_RING_PACKED | 0xf0)

enum op {
	OP_CONFIG_READ,	 /* offset, length                                     */
	OP_CONFIG_WRITE, /* ... bytes                                          */
	OP_BAR_READ,	 /* bar, offset (16 bits), length                      */
	OP_BAR_WRITE,	 /* ... bytes                                          */
	OP_BAR_FAR,	 /* bar, offset (64 bits), length                      */
	OP_REGISTER,	 /* which of common configuration, value               */
	OP_DRIVER,	 /* features: all that a good driver writes            */
	OP_ANSWERS,	 /* what the owner says to ...                         */
	OP_RESET,
	OP_RESET_DONE,
	OP_QUEUE_RESET_DONE, /* queue                                          */
	OP_CONFIG_CHANGED,
	OP_USED, /* queue                                                      */
	OP_NEEDS_RESET,
	OP_COUNT
};

struct state {
	struct vh_virtio_pci vp;
	uint8_t fresh[VH_PCI_CONFIG_SIZE];
	struct vh_virtio_pci_queue enabled[QUEUES]; /* as they were when they became so */
	uint8_t answers;			    /* a bit says: not now, or no       */
	bool started;				    /* .start was called, .reset not    */
};

enum { NO_FEATURES = 1, NO_ENABLE = 2, RESET_LATER = 4, QUEUE_RESET_LATER = 8 };

/* ---- The owner ---- */

static int on_features(void *arg)
{
	struct state *s = arg;

	FUZZ_CHECK(!(s->vp.driver_features & ~FEATURES));
	FUZZ_CHECK(s->vp.driver_features >> VIRTIO_F_VERSION_1 & 1);
	FUZZ_CHECK(!(s->vp.status & VIRTIO_CONFIG_S_FEATURES_OK));
	return s->answers & NO_FEATURES ? -EINVAL : 0;
}

static void on_start(void *arg)
{
	struct state *s = arg;

	FUZZ_CHECK(!s->started && vh_virtio_pci_is_running(&s->vp));
	FUZZ_CHECK(s->vp.status & VIRTIO_CONFIG_S_FEATURES_OK);
	s->started = true;
}

static int on_reset(void *arg)
{
	struct state *s = arg;

	FUZZ_CHECK(!s->vp.resetting);
	s->started = false;
	return s->answers & RESET_LATER ? -EINPROGRESS : 0;
}

static int on_enable(void *arg, unsigned q)
{
	struct state *s = arg;
	const struct vh_virtio_pci_queue *r = &s->vp.queue[q];

	FUZZ_CHECK(q < QUEUES && !s->vp.resetting && !r->reset);
	FUZZ_CHECK(s->vp.status & VIRTIO_CONFIG_S_FEATURES_OK);
	FUZZ_CHECK(r->size && r->size <= QUEUE_SIZE && r->desc % 16 == 0);
	s->enabled[q] = *r;
	return s->answers & NO_ENABLE ? -EINVAL : 0;
}

static int on_reset_queue(void *arg, unsigned q)
{
	struct state *s = arg;

	FUZZ_CHECK(q < QUEUES && s->vp.queue[q].enabled && !s->vp.resetting);
	return s->answers & QUEUE_RESET_LATER ? -EINPROGRESS : 0;
}

static void on_notify(void *arg, unsigned q)
{
	struct state *s = arg;

	FUZZ_CHECK(q < QUEUES && s->started && vh_virtio_pci_is_running(&s->vp));
	FUZZ_CHECK(s->vp.queue[q].enabled && !s->vp.queue[q].reset);
}

static void on_vector(void *arg, unsigned q)
{
	struct state *s = arg;

	FUZZ_CHECK(q < QUEUES && s->vp.queue[q].enabled);
}

static void on_read(void *arg, uint32_t offset, void *buf, size_t len)
{
	(void)arg;
	FUZZ_CHECK(len && offset < CONFIG_LEN && len <= CONFIG_LEN - offset);
	memset(buf, 0x5a, len);
}

static void on_write(void *arg, uint32_t offset, const void *buf, size_t len)
{
	(void)arg;
	(void)buf;
	FUZZ_CHECK(len && offset < CONFIG_LEN && len <= CONFIG_LEN - offset);
}

static const struct vh_virtio_pci_ops ops = {
	.set_features = on_features,
	.start = on_start,
	.reset = on_reset,
	.enable = on_enable,
	.reset_queue = on_reset_queue,
	.notify = on_notify,
	.vector_changed = on_vector,
	.read_config = on_read,
	.write_config = on_write,
};

/* ---- What must hold ---- */

static void check_queue(const struct state *s, unsigned i)
{
	const struct vh_virtio_pci_queue *q = &s->vp.queue[i], *was = &s->enabled[i];

	FUZZ_CHECK(q->vector < VECTORS || q->vector == VH_VIRTIO_PCI_NO_VECTOR);
	FUZZ_CHECK(q->size && q->size <= QUEUE_SIZE && q->max_size == QUEUE_SIZE);
	FUZZ_CHECK(!q->reset || q->enabled);
	if (q->enabled)
		FUZZ_CHECK(q->size == was->size && q->desc == was->desc &&
			   q->avail == was->avail && q->used == was->used);
}

static void check_config(const struct state *s)
{
	for (unsigned i = 0; i < VH_PCI_CONFIG_SIZE; i++)
		FUZZ_CHECK(!((s->vp.fn.config[i] ^ s->fresh[i]) & ~s->vp.fn.writable[i]));
}

static void check(const struct state *s)
{
	const uint16_t vector = s->vp.config_vector;

	check_config(s);
	for (unsigned q = 0; q < QUEUES; q++)
		check_queue(s, q);
	FUZZ_CHECK(vector < VECTORS || vector == VH_VIRTIO_PCI_NO_VECTOR);
	FUZZ_CHECK(!vh_virtio_pci_is_running(&s->vp) || s->started);
	if (s->vp.status & VIRTIO_CONFIG_S_FEATURES_OK)
		FUZZ_CHECK(!(s->vp.driver_features & ~FEATURES));
}

static void check_vector(const struct state *s, uint16_t vector)
{
	if (vector == VH_VIRTIO_PCI_NO_VECTOR)
		return;
	FUZZ_CHECK(vector < VECTORS && vh_pci_is_master(&s->vp.fn) && !s->vp.resetting);
	FUZZ_CHECK(s->vp.status & VIRTIO_CONFIG_S_DRIVER_OK);
}

/* ---- The driver ---- */

static void check_result(int err)
{
	FUZZ_CHECK(err == 0 || err == -EINVAL || err == -EINPROGRESS);
}

static void touch_config(struct state *s, struct fuzz_input *in, bool write)
{
	const uint16_t offset = fuzz_u16(in) % (VH_PCI_CONFIG_SIZE + 8);
	const size_t len = fuzz_u8(in) % MAX_LEN;
	uint8_t buf[MAX_LEN];

	if (write) {
		fuzz_bytes(in, buf, len);
		check_result(vh_pci_config_write(&s->vp.fn, offset, buf, len));
	} else {
		check_result(vh_pci_config_read(&s->vp.fn, offset, buf, len));
	}
}

static void touch_bar(struct state *s, struct fuzz_input *in, bool far, bool write)
{
	const unsigned bar = fuzz_u8(in) % 8;
	const uint64_t offset = far ? fuzz_u64(in) : fuzz_u16(in);
	const size_t len = fuzz_u8(in) % MAX_LEN;
	uint8_t buf[MAX_LEN];

	if (write) {
		fuzz_bytes(in, buf, len);
		check_result(vh_pci_bar_write(&s->vp.fn, bar, offset, buf, len));
	} else {
		check_result(vh_pci_bar_read(&s->vp.fn, bar, offset, buf, len));
	}
}

/* Width in bytes of the register at each offset that has one. */
static const uint8_t register_at[][2] = {
	{0, 4},	 {8, 4},  {12, 4}, {16, 2}, {20, 1}, {22, 2}, {24, 2}, {26, 2},
	{28, 2}, {32, 8}, {32, 4}, {36, 4}, {40, 8}, {48, 8}, {58, 2},
};

static void put(struct state *s, uint64_t offset, uint64_t v, size_t len)
{
	check_result(vh_pci_bar_write(&s->vp.fn, 0, offset, &v, len));
}

static void touch_register(struct state *s, struct fuzz_input *in)
{
	const uint8_t *r =
		register_at[fuzz_u8(in) % (sizeof(register_at) / sizeof(register_at[0]))];
	uint64_t v = 0, back = 0;

	fuzz_bytes(in, &v, r[1]);
	put(s, r[0], v, r[1]);
	FUZZ_CHECK(vh_pci_bar_read(&s->vp.fn, 0, r[0], &back, r[1]) == 0);
}

/* What a good driver does to get going; it may find the device in any state. */
static void drive(struct state *s, uint64_t features)
{
	static const uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	vh_pci_config_write(&s->vp.fn, PCI_COMMAND, &command, sizeof(command));
	for (unsigned half = 0; half < 2; half++) {
		put(s, VIRTIO_PCI_COMMON_GFSELECT, half, 4);
		put(s, VIRTIO_PCI_COMMON_GF, features >> (32 * half), 4);
	}
	put(s, VIRTIO_PCI_COMMON_STATUS, 0xb, 1);
	for (unsigned q = 0; q < QUEUES; q++) {
		put(s, VIRTIO_PCI_COMMON_Q_SELECT, q, 2);
		put(s, VIRTIO_PCI_COMMON_Q_MSIX, q, 2);
		put(s, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
	}
	put(s, VIRTIO_PCI_COMMON_STATUS, 0xf, 1);
}

/* ---- One input ---- */

static void driver(struct state *s, struct fuzz_input *in, uint8_t op)
{
	switch (op) {
	case OP_CONFIG_READ:
	case OP_CONFIG_WRITE:
		return touch_config(s, in, op == OP_CONFIG_WRITE);
	case OP_BAR_READ:
	case OP_BAR_WRITE:
		return touch_bar(s, in, false, op == OP_BAR_WRITE);
	case OP_BAR_FAR:
		return touch_bar(s, in, true, fuzz_u8(in) & 1);
	case OP_REGISTER:
		return touch_register(s, in);
	default:
		return drive(s, fuzz_u64(in) | 1ULL << VIRTIO_F_VERSION_1);
	}
}

static void owner(struct state *s, struct fuzz_input *in, uint8_t op)
{
	switch (op) {
	case OP_ANSWERS:
		s->answers = fuzz_u8(in);
		return;
	case OP_RESET:
		check_result(vh_virtio_pci_reset(&s->vp));
		FUZZ_CHECK(!vh_pci_is_master(&s->vp.fn));
		return;
	case OP_RESET_DONE:
		vh_virtio_pci_reset_done(&s->vp);
		FUZZ_CHECK(!s->vp.resetting);
		return;
	case OP_QUEUE_RESET_DONE:
		return vh_virtio_pci_queue_reset_done(&s->vp, fuzz_u8(in) % QUEUES);
	case OP_CONFIG_CHANGED:
		return check_vector(s, vh_virtio_pci_config_changed(&s->vp));
	case OP_USED:
		return check_vector(s, vh_virtio_pci_used(&s->vp, fuzz_u8(in) % QUEUES));
	default:
		check_vector(s, vh_virtio_pci_needs_reset(&s->vp));
		FUZZ_CHECK(!vh_virtio_pci_is_running(&s->vp));
		return;
	}
}

static void begin(struct state *s)
{
	const struct vh_virtio_pci_params p = {
		.ids = {.vendor = 0x1af4, .device = 0x1042, .revision = 1},
		.features = FEATURES,
		.n_queues = QUEUES,
		.queue_size = QUEUE_SIZE,
		.config_size = CONFIG_LEN,
		.n_vectors = VECTORS,
		.ops = &ops,
		.arg = s,
	};

	memset(s, 0, sizeof(*s));
	FUZZ_CHECK(vh_virtio_pci_init(&s->vp, &p) == 0);
	memcpy(s->fresh, s->vp.fn.config, sizeof(s->fresh));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state s;
	struct fuzz_input in = {data, size};

	begin(&s);
	while (in.left) {
		const uint8_t op = fuzz_u8(&in) % OP_COUNT;

		if (op <= OP_DRIVER)
			driver(&s, &in, op);
		else
			owner(&s, &in, op);
		check(&s);
	}
	vh_virtio_pci_reset_done(&s.vp);
	return 0;
}
