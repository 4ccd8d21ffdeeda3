/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk and a driver that asks it for anything, in front of a store that checks what it
 * is asked for.  Input: a byte for the store, one for the features, then a byte an
 * operation, each followed by what it needs.  blk_guest.c has the driver.
 *
 * Every chain is done once, or the device is broken; no byte changes but in the writable
 * part of a chain that the disk has; the store gets whole blocks inside of it, and no
 * change when it is read-only.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include <vhost/log.h>

#include "blk_guest.h"
#include "dev/blk/private.h"
#include "session/device.h"
#include "store/kind.h"

enum { STORE_READONLY = 1, STORE_4K = 2, STORE_SMALL = 4, STORE_LESS = 8 };

/* Behind those of the guest. */
enum op {
	OP_RUN = OP_GUEST_COUNT,
	OP_HOLD, /* a bit for each kind of request: the store keeps them */
	OP_DONE, /* which, and how it ends                               */
	OP_COUNT
};

static const uint8_t feature_bits[8] = {
	VIRTIO_BLK_F_FLUSH,	   VIRTIO_BLK_F_CONFIG_WCE,
	VIRTIO_BLK_F_DISCARD,	   VIRTIO_BLK_F_WRITE_ZEROES,
	VIRTIO_BLK_F_SECURE_ERASE, VIRTIO_BLK_F_LIFETIME,
	VIRTIO_BLK_F_RO,	   VIRTIO_BLK_F_MQ};

static const int results[] = {0, -EIO, -EOPNOTSUPP, -ENOSPC, -ECANCELED};

/* Made once; what an input changes of it is set when the next one begins. */
static struct {
	struct vh_reactor *reactor;
	struct vh_device device;
	struct vh_queue queue __attribute__((aligned(64)));
	struct vh_store store;
	struct vh_store_io *held[BLK_GUEST_NUM];
	unsigned n_held;
	uint8_t holds;
} disk;

static struct blk_guest guest;

/* ---- The store ---- */

static bool has(unsigned feature)
{
	return vh_queue_features(&disk.queue) & VH_BIT(feature);
}

static bool was_offered(enum vh_store_op op)
{
	switch (op) {
	case VH_STORE_DISCARD:
		return has(VIRTIO_BLK_F_DISCARD);
	case VH_STORE_WRITE_ZEROES:
		return has(VIRTIO_BLK_F_WRITE_ZEROES);
	case VH_STORE_SECURE_ERASE:
		return has(VIRTIO_BLK_F_SECURE_ERASE);
	default:
		return op < VH_STORE_OPS;
	}
}

static void check_range(const struct vh_store_io *io)
{
	const struct vh_store_info *i = &disk.store.info;

	if (io->op == VH_STORE_FLUSH) {
		FUZZ_CHECK(!io->off && !io->len && !io->n_iov);
		return;
	}
	FUZZ_CHECK(io->len && io->len <= i->capacity);
	FUZZ_CHECK(io->off <= i->capacity - io->len);
	FUZZ_CHECK(io->off % i->block_size == 0 && io->len % i->block_size == 0);
}

static void check_flags(const struct vh_store_io *io)
{
	const bool changes = io->op != VH_STORE_READ && io->op != VH_STORE_FLUSH;

	FUZZ_CHECK(!changes || !disk.store.info.readonly);
	FUZZ_CHECK(was_offered(io->op));
	FUZZ_CHECK(!(io->flags & VH_STORE_UNMAP) || io->op == VH_STORE_WRITE_ZEROES);
	if (changes && !has(VIRTIO_BLK_F_FLUSH))
		FUZZ_CHECK(io->flags & VH_STORE_FUA);
}

/* What a store does with the guest's memory: it reads, or it writes, all of it. */
static void use_iov(const struct vh_store_io *io)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < io->n_iov; i++) {
		volatile uint8_t *at = io->iov[i].iov_base;

		FUZZ_CHECK(io->iov[i].iov_len);
		for (size_t k = 0; k < io->iov[i].iov_len; k++)
			if (io->op == VH_STORE_READ)
				at[k] = 0xa5;
			else
				(void)at[k];
		sum += io->iov[i].iov_len;
	}
	FUZZ_CHECK(sum == (io->op <= VH_STORE_WRITE ? io->len : 0));
}

static void finish(unsigned i, int err)
{
	struct vh_store_io *io = disk.held[i];

	disk.held[i] = disk.held[--disk.n_held];
	if (!err)
		use_iov(io);
	io->done(io, err);
}

static void check_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	(void)ch;
	check_range(io);
	check_flags(io);
	for (unsigned i = 0; i < disk.n_held; i++)
		FUZZ_CHECK(disk.held[i] != io);
	FUZZ_CHECK(disk.n_held < BLK_GUEST_NUM);
	disk.held[disk.n_held++] = io;
	if (!(disk.holds >> io->op & 1))
		finish(disk.n_held - 1, 0);
}

static int check_channel_open(struct vh_store *s, struct vh_reactor *r,
			      struct vh_store_channel *below,
			      struct vh_store_channel **ch)
{
	(void)s;
	(void)r;
	(void)below;
	*ch = calloc(1, sizeof(**ch));
	return *ch ? 0 : -ENOMEM;
}

static void check_channel_close(struct vh_store_channel *ch)
{
	FUZZ_CHECK(!disk.n_held);
	free(ch);
}

static const struct vh_store_kind check_kind = {
	.name = "check",
	.channel_open = check_channel_open,
	.channel_close = check_channel_close,
	.submit = check_submit,
};

/* ---- The disk ---- */

static void be_quiet(void *arg, enum vh_log_level level, const char *tag,
		     const char *text)
{
	(void)arg;
	(void)level;
	(void)tag;
	(void)text;
}

static void make_disk(void)
{
	const struct vh_reactor_params p = {
		.size = sizeof(p), .name = "fuzz", .cpu = -1, .poll = VH_POLL_SLEEP};
	struct vh_device *d = &disk.device;

	if (disk.reactor)
		return;
	vh_log_set(VH_LOG_ERROR, be_quiet, NULL);
	FUZZ_CHECK(vh_reactor_create(&p, &disk.reactor) == 0);
	d->ops = vh_blk;
	FUZZ_CHECK(d->priv = calloc(1, vh_blk.priv_size));
	vh_queue_init(&disk.queue, d, 0, disk.reactor, disk.reactor);
	d->queue = &disk.queue;
	FUZZ_CHECK(d->ops.config(d, "null", "1M") == 0);
	FUZZ_CHECK(d->ops.config(d, "num-queues", "1") == 0);
	d->ops.queues = d->ops.n_queues(d);
	FUZZ_CHECK(d->ops.open(d) == 0);
}

static void set_store(uint8_t how)
{
	struct blk *b = disk.device.priv;

	disk.store =
		(struct vh_store){.tag = "fuzz",
				  .kind = &check_kind,
				  .info = {.capacity = how & STORE_SMALL ? 8192 : 1 << 20,
					   .block_size = how & STORE_4K ? 4096 : 512,
					   .physical_block = 4096,
					   .discard_unit = 4096,
					   .readonly = how & STORE_READONLY,
					   .discard = !(how & STORE_LESS),
					   .write_zeroes = !(how & STORE_LESS),
					   .secure_erase = true,
					   .has_lifetime = true}};
	if (b->store->kind != &check_kind)
		vh_store_close(b->store);
	b->store = &disk.store;
	b->capacity = disk.store.info.capacity;
	b->wce = how >> 7;
	disk.n_held = disk.holds = 0;
}

static uint64_t any_features(uint8_t bits)
{
	uint64_t f = VH_BIT(VIRTIO_F_VERSION_1) | VH_BIT(VIRTIO_RING_F_INDIRECT_DESC);

	for (unsigned i = 0; i < 8; i++)
		if (bits >> i & 1)
			f |= VH_BIT(feature_bits[i]) &
			     disk.device.ops.offer(&disk.device);
	return f;
}

/* ---- Its queue ---- */

static void turn(void)
{
	vh_queue_wake(&disk.queue);
	for (unsigned i = 0; i < 32 && vh_reactor_poll(disk.reactor, 0) > 0; i++)
		;
	blk_guest_reap(&guest);
}

static void hand_over(struct vh_view *v)
{
	struct vh_handover *h = &disk.queue.handover[VH_HANDOVER_REQUEST];

	h->view = v;
	h->settle = v ? VH_SETTLE_PAUSED : VH_SETTLE_DRAINED;
	vh_queue_hand_over(h);
	for (unsigned i = 0; i < 1000 && h->under_way; i++) {
		turn();
		while (!v && disk.n_held)
			finish(0, 0);
	}
	FUZZ_CHECK(!h->under_way);
}

static void start(uint64_t features)
{
	struct vh_view *v = calloc(1, sizeof(*v));

	FUZZ_CHECK(v);
	blk_guest_make(&guest);
	v->map = guest.map;
	v->features = features;
	v->enabled = true;
	v->layout = guest.layout;
	FUZZ_CHECK(!vh_ring_create(&disk.queue, BLK_GUEST_NUM, features, &v->start));
	hand_over(v);
	FUZZ_CHECK(disk.queue.view == v);
}

static void stop(void)
{
	const struct blk_lane *l = ((struct blk *)disk.device.priv)->lane[0];

	disk.holds = 0;
	while (disk.n_held)
		finish(0, 0);
	turn();
	while (disk.n_held) /* of chains that were read only now */
		finish(0, 0);
	turn();
	blk_guest_expect_done(&guest, disk.queue.broken);
	hand_over(NULL);
	FUZZ_CHECK(!disk.queue.view && !l->channel && !l->n_out[0] && !l->draining);
	blk_guest_free(&guest);
}

/* ---- One input ---- */

static void step(struct fuzz_input *in)
{
	const uint8_t op = fuzz_u8(in) % OP_COUNT;
	unsigned i;

	if (op < OP_GUEST_COUNT) {
		blk_guest_op(&guest, in, (enum blk_guest_op)op);
	} else if (op == OP_HOLD) {
		disk.holds = fuzz_u8(in);
	} else if (op == OP_DONE) {
		i = fuzz_u8(in);
		if (disk.n_held)
			finish(i % disk.n_held,
			       results[i / 16 % (sizeof(results) / sizeof(results[0]))]);
		turn();
	} else {
		turn();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	make_disk();
	set_store(fuzz_u8(&in));
	start(any_features(fuzz_u8(&in)));
	while (in.left)
		step(&in);
	stop();
	return 0;
}
