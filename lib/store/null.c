/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * null=SIZE: takes every write and forgets it, reads what the buffer holds.  To measure
 * all that is not the store.  Thread: see store.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/kind.h"
#include "store/size.h"

static int null_open(const struct vh_store_params *p, const char *rest, const char *tag,
		     struct vh_store *below, struct vh_store **out)
{
	struct vh_store *s = calloc(1, sizeof(*s));
	int err = s ? vh_store_parse_capacity(tag, "null", rest, &s->info.capacity)
		    : -ENOMEM;

	(void)p;
	(void)below;
	if (err) {
		free(s);
		return err;
	}
	s->info.block_size = s->info.physical_block = s->info.discard_unit = 512;
	s->info.discard = s->info.write_zeroes = true;
	*out = s;
	return 0;
}

static void null_close(struct vh_store *s)
{
	free(s);
}

static int null_channel_open(struct vh_store *s, struct vh_reactor *r,
			     struct vh_store_channel *below, struct vh_store_channel **ch)
{
	(void)s;
	(void)r;
	(void)below;
	*ch = calloc(1, sizeof(**ch));
	return *ch ? 0 : -ENOMEM;
}

static void null_channel_close(struct vh_store_channel *ch)
{
	free(ch);
}

static void null_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	(void)ch;
	io->done(io, 0);
}

const struct vh_store_kind vh_store_null = {
	.name = "null",
	.open = null_open,
	.close = null_close,
	.channel_open = null_channel_open,
	.channel_close = null_channel_close,
	.submit = null_submit,
};
