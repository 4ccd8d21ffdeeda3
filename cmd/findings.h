/* SPDX-License-Identifier: BSD-3-Clause */
/* What a front-end can find out about a back-end without using it. */
#ifndef CMD_FINDINGS_H
#define CMD_FINDINGS_H

#include <stddef.h>
#include <stdint.h>

#include <vhost/client.h>

#define FINDINGS_MAX_CONFIG 256 /* QEMU's limit, and what everybody answers */

struct findings {
	const char *address;
	unsigned virtio_id; /* a guess by the feature bits; 0: none */
	struct vh_client_info info;
	uint8_t config[FINDINGS_MAX_CONFIG];
	size_t config_len;
};

/* Connect to @address and ask.  0 or -errno (logged). */
int findings_read(const char *address, struct findings *f);

#endif
