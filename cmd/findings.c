/* SPDX-License-Identifier: BSD-3-Clause */
/* See findings.h. */
#include "findings.h"

#include <errno.h>
#include <linux/virtio_ids.h>

/* The protocol does not say what a device is; its feature bits nearly do. */
static unsigned guess_type(uint64_t features)
{
	/* MTU, GUEST_TSO6, CTRL_RX to CTRL_MAC_ADDR: a disk has none of these bits. */
	const uint64_t net_only = 1 << 3 | 1 << 8 | 0xfc0000;
	const uint64_t blk = 1 << 2 | 1 << 6 | 1 << 9; /* SEG_MAX, BLK_SIZE, FLUSH */
	const uint64_t net = 1 << 15 | 1 << 17;	       /* MRG_RXBUF, CTRL_VQ       */

	if (features & net_only)
		return VIRTIO_ID_NET;
	if (features & blk)
		return VIRTIO_ID_BLOCK;
	return features & net ? VIRTIO_ID_NET : 0;
}

/*
 * A read within the config space succeeds, one beyond it does not: find its end.
 * 0, or -errno when the peer has failed.
 */
static int read_config(struct vh_client *c, struct findings *f)
{
	size_t low = 0, high = FINDINGS_MAX_CONFIG;

	while (low < high) {
		size_t len = (low + high + 1) / 2;
		int err = vh_client_read_config(c, 0, f->config, len);

		if (err == 0)
			low = len;
		else if (err == -EINVAL)
			high = len - 1;
		else
			return err == -ENOTSUP ? 0 : err;
	}
	f->config_len = low;
	return low ? vh_client_read_config(c, 0, f->config, low) : 0;
}

int findings_read(const char *address, struct findings *f)
{
	const struct vh_client_params params = {
		.size = sizeof(params), .address = address, .features = 1ull << 32};
	struct vh_client *c;
	int err = vh_client_create(&params, &c);

	if (err)
		return err;
	err = vh_client_connect(c);
	if (!err) {
		f->address = address;
		vh_client_info(c, &f->info);
		f->virtio_id = guess_type(f->info.offered_features);
		err = read_config(c, f);
	}
	vh_client_destroy(c);
	return err;
}
