/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * delay=TIME, or delay=OP:TIME,...: a slow disk.  Each request (or each of those kinds)
 * is held back that long before the store below gets it.  TIME is in ms, or has a unit:
 * 200us, 5ms, 1s.  OP: read, write, flush, discard, write-zeroes, secure-erase.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/hold.h"
#include "store/words.h"

struct delay {
	struct vh_store store;
	uint64_t ns[VH_STORE_OPS];
};

static struct delay *delay_of(struct vh_store *s)
{
	return vh_container_of(s, struct delay, store);
}

/* "5" or "read:5". */
static bool parse_word(struct delay *d, const char *word)
{
	char name[VH_WORD_MAX];
	const char *at = word;
	enum vh_store_op op;
	uint64_t ns;

	if (vh_parse_time(word, &ns)) {
		for (unsigned i = 0; i < VH_STORE_OPS; i++)
			d->ns[i] = ns;
		return true;
	}
	return vh_word_next(&at, ':', name) && at && vh_store_parse_op(name, &op) &&
	       vh_parse_time(at, &d->ns[op]);
}

static int parse(struct delay *d, const char *rest, const char *tag)
{
	const char *at = rest;
	char word[VH_WORD_MAX];

	while (vh_word_next(&at, ',', word))
		if (!parse_word(d, word))
			break;
		else if (!at)
			return 0;
	return vh_store_wrong(
		tag, "delay", rest,
		"a time, like 5 (ms) or 200us, or read:5,write:10,flush:50");
}

static int delay_open(const struct vh_store_params *p, const char *rest, const char *tag,
		      struct vh_store *below, struct vh_store **s)
{
	struct delay *d = calloc(1, sizeof(*d));
	int err = d ? parse(d, rest, tag) : -ENOMEM;

	(void)p;
	(void)below;
	if (err)
		free(d);
	else
		*s = &d->store;
	return err;
}

static void delay_close(struct vh_store *s)
{
	free(delay_of(s));
}

static void delay_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	const uint64_t ns = delay_of(ch->store)->ns[io->op];

	if (ns)
		vh_hold_until(ch, io, vh_reactor_now(ch->reactor) + ns);
	else
		vh_store_submit(ch->below, io);
}

const struct vh_store_kind vh_store_delay = {
	.name = "delay",
	.open = delay_open,
	.close = delay_close,
	.channel_open = vh_hold_channel_open,
	.channel_close = vh_hold_channel_close,
	.submit = delay_submit,
	.cancel = vh_hold_cancel,
};
