/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver sees of a disk: features and config space.  Control thread. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/barrier.h"
#include "dev/blk/private.h"
#include "spec/vhost_user.h"

#define BIT(name) VH_BIT(VIRTIO_BLK_F_##name)

uint64_t vh_blk_offer(struct vh_device *d)
{
	const struct blk *b = vh_device_priv(d);
	const struct vh_store_info *i = vh_store_info(b->store);
	uint64_t f = BIT(SIZE_MAX) | BIT(SEG_MAX) | BIT(BLK_SIZE) | BIT(TOPOLOGY) |
		     BIT(FLUSH) | BIT(CONFIG_WCE);

	if (b->n_queues > 1)
		f |= BIT(MQ);
	if (i->has_lifetime)
		f |= BIT(LIFETIME);
	if (i->readonly)
		return f | BIT(RO);
	if (i->discard)
		f |= BIT(DISCARD);
	if (i->write_zeroes)
		f |= BIT(WRITE_ZEROES);
	if (i->secure_erase)
		f |= BIT(SECURE_ERASE);
	return f;
}

static uint8_t log2_of(uint32_t power_of_two)
{
	return (uint8_t)__builtin_ctz(power_of_two);
}

static void fill_topology(const struct vh_store_info *i, struct virtio_blk_config *c)
{
	c->blk_size = i->block_size;
	c->physical_block_exp = log2_of(i->physical_block / i->block_size);
	c->min_io_size = (uint16_t)(i->physical_block / i->block_size);
	c->opt_io_size = i->optimal_io / i->block_size;
}

static void fill(const struct blk *b, struct virtio_blk_config *c)
{
	const struct vh_store_info *i = vh_store_info(b->store);
	const uint32_t unit = i->discard_unit / BLK_SECTOR;

	*c = (struct virtio_blk_config){
		.capacity = vh_load_relaxed(&b->capacity) / BLK_SECTOR,
		.size_max = BLK_SIZE_MAX,
		.seg_max = BLK_SEG_MAX,
		.wce = vh_load_relaxed(&b->wce) != 0,
		.num_queues = b->n_queues,
		.max_discard_sectors = BLK_MAX_SECTORS,
		.max_discard_seg = BLK_RANGES,
		.discard_sector_alignment = unit,
		.max_write_zeroes_sectors = BLK_MAX_SECTORS,
		.max_write_zeroes_seg = BLK_RANGES,
		.write_zeroes_may_unmap = 1,
		.max_secure_erase_sectors = BLK_MAX_SECTORS,
		.max_secure_erase_seg = BLK_RANGES,
		.secure_erase_sector_alignment = i->block_size / BLK_SECTOR,
	};
	fill_topology(i, c);
}

/*
 * Some front-ends read as much as their own, newer structure holds: behind ours there are
 * zeroes, which mean "not there" of all that was ever added.
 */
#define CONFIG_ROOM 256

int vh_blk_read_config(struct vh_device *d, size_t off, void *buf, size_t len)
{
	uint8_t room[CONFIG_ROOM] = {0};
	struct virtio_blk_config c;

	if (off > sizeof(room) || len > sizeof(room) - off)
		return -EINVAL;
	fill(vh_device_priv(d), &c);
	memcpy(room, &c, sizeof(c));
	memcpy(buf, room + off, len);
	return 0;
}

/*
 * A driver that turned the cache off does not flush, and does not say it again to a
 * device that takes over from one that died.
 */
enum { LASTING_CACHE = 0 }; /* of the lasting bytes; 0: as it was at first */
enum { CACHE_ON = 1, CACHE_OFF = 2 };

void vh_blk_lasting(struct vh_device *d, uint8_t *bytes)
{
	struct blk *b = vh_device_priv(d);
	const uint8_t cache = bytes ? bytes[LASTING_CACHE] : 0;

	b->lasting = bytes;
	if (cache == CACHE_ON || cache == CACHE_OFF)
		vh_store_relaxed(&b->wce, cache == CACHE_ON);
}

/* The cache mode is all that a driver may write. */
int vh_blk_write_config(struct vh_device *d, size_t off, const void *buf, size_t len)
{
	struct blk *b = vh_device_priv(d);
	const uint8_t *wce = buf;

	if (off != offsetof(struct virtio_blk_config, wce) || len != 1 || *wce > 1)
		return -EINVAL;
	vh_store_relaxed(&b->wce, *wce);
	if (b->lasting)
		b->lasting[LASTING_CACHE] = *wce ? CACHE_ON : CACHE_OFF;
	return 0;
}
