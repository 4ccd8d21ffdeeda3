/* SPDX-License-Identifier: BSD-3-Clause */
/* How a request becomes commands of the NBD protocol.  Thread: the link's. */
#ifndef VH_STORE_NBD_COMMAND_H
#define VH_STORE_NBD_COMMAND_H

#include "store/nbd_link.h"

struct vh_nbd_command {
	struct vh_list link;
	struct vh_nbd_link *owner;
	struct vh_store_io *io;
	int err;     /* an errno: of the answer */
	bool copied; /* through @copy           */
	uint64_t at; /* where in the request    */
	size_t len;
	char copy[];
};

/* Can the server that we have do this request at all?  0 or -errno. */
int vh_nbd_request_check(const struct vh_nbd_caps *caps, const struct vh_store_io *io);

/*
 * Has it another command to be sent now?  Not while enough are under way; and the flush
 * that ends it only when all others are done.
 */
bool vh_nbd_request_is_due(const struct vh_nbd_caps *caps, const struct vh_store_io *io);

/* Send the next command of @io.  0 or -errno; -ENOTCONN: the connection has failed. */
int vh_nbd_request_send(struct vh_nbd_link *l, struct vh_store_io *io);

/* An answer came without error: the data go where they belong. */
void vh_nbd_command_deliver(const struct vh_nbd_command *c);

#endif
