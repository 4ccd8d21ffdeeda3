/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * limit=WORD,...: a disk that does no more than was paid for.
 *
 *	iops=N     requests a second
 *	bps=SIZE   bytes a second, like 100M, of what is read and written
 *	burst=N    seconds' worth of both that a disk that was idle may do at once (1)
 *
 * Flushes are free.
 *
 * Theory of operation: a bucket is one number, the time at which all that was let in
 * until now will have been paid for.  A request adds its own price to it, and begins
 * when what came before it is paid, less the burst.  So requests queue up in the order
 * in which they took their number, whatever reactor they come from; a channel only waits
 * for the time that is its own, nobody has to be woken, and nobody can overtake.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/barrier.h"
#include "store/hold.h"
#include "store/size.h"
#include "store/words.h"

#define SECOND	  1000000000ull
#define FAR_NS	  (1000ull * 24 * 3600 * SECOND) /* nobody waits longer */
#define MAX_BURST 3600

struct bucket {
	uint64_t rate;	  /* a second; 0: no limit   */
	uint64_t paid_at; /* ns; any thread          */
};

struct limit {
	struct vh_store store;
	uint64_t burst; /* ns */
	struct bucket requests, bytes;
};

static struct limit *limit_of(struct vh_store *s)
{
	return vh_container_of(s, struct limit, store);
}

/* ---- Words ---- */

static bool parse_burst(const char *text, uint64_t *ns)
{
	uint64_t n = 0;

	if ((text[0] != '0' || text[1]) && !vh_parse_count(text, &n))
		return false;
	*ns = n * SECOND;
	return n <= MAX_BURST;
}

static bool parse_word(struct limit *l, const char *word)
{
	const char *value;

	if (vh_word_begins(word, "iops=", &value))
		return vh_parse_count(value, &l->requests.rate);
	if (vh_word_begins(word, "bps=", &value))
		return vh_parse_size(value, &l->bytes.rate) && l->bytes.rate;
	return vh_word_begins(word, "burst=", &value) && parse_burst(value, &l->burst);
}

static int parse(struct limit *l, const char *rest, const char *tag)
{
	const char *at = rest;
	char word[VH_WORD_MAX];

	while (vh_word_next(&at, ',', word))
		if (!parse_word(l, word))
			break;
		else if (!at && (l->requests.rate || l->bytes.rate))
			return 0;
	return vh_store_wrong(tag, "limit", rest,
			      "iops=N or bps=SIZE or both, and perhaps burst=SECONDS, "
			      "like iops=1000,bps=100M,burst=2");
}

static int limit_open(const struct vh_store_params *p, const char *rest, const char *tag,
		      struct vh_store *below, struct vh_store **s)
{
	struct limit *l = calloc(1, sizeof(*l));
	int err;

	(void)p;
	(void)below;
	if (!l)
		return -ENOMEM;
	l->burst = SECOND;
	err = parse(l, rest, tag);
	if (err)
		free(l);
	else
		*s = &l->store;
	return err;
}

static void limit_close(struct vh_store *s)
{
	free(limit_of(s));
}

/* ---- Requests ---- */

static uint64_t price(const struct bucket *b, uint64_t n)
{
	const unsigned __int128 ns = (unsigned __int128)n * SECOND / b->rate;

	return ns < FAR_NS ? (uint64_t)ns : FAR_NS;
}

/* When may it begin? */
static uint64_t take(struct bucket *b, uint64_t n, uint64_t now, uint64_t burst)
{
	uint64_t paid_at, mine;

	if (!b->rate || !n)
		return 0;
	paid_at = vh_load_relaxed(&b->paid_at);
	do {
		const uint64_t from = paid_at > now ? paid_at : now;

		mine = from + price(b, n);
		if (mine > now + FAR_NS)
			mine = now + FAR_NS;
	} while (!vh_compare_exchange_release(&b->paid_at, &paid_at, mine));
	return paid_at > burst ? paid_at - burst : 0;
}

static void limit_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	struct limit *l = limit_of(ch->store);
	const bool moves = io->op == VH_STORE_READ || io->op == VH_STORE_WRITE;
	uint64_t now, a, b;

	if (io->op == VH_STORE_FLUSH) {
		vh_store_submit(ch->below, io);
		return;
	}
	now = vh_reactor_now(ch->reactor);
	a = take(&l->requests, 1, now, l->burst);
	b = take(&l->bytes, moves ? io->len : 0, now, l->burst);
	vh_hold_until(ch, io, a > b ? a : b);
}

const struct vh_store_kind vh_store_limit = {
	.name = "limit",
	.open = limit_open,
	.close = limit_close,
	.channel_open = vh_hold_channel_open,
	.channel_close = vh_hold_channel_close,
	.submit = limit_submit,
	.cancel = vh_hold_cancel,
};
