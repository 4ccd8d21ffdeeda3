/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * error=RULE,...: a disk that fails.  The first rule that says so fails a request before
 * the store below gets it.
 *
 *	RULE  = ERRNO[:WORD]...		EIO:read:every=100
 *	ERRNO = EIO | ENOSPC | ...	the names are in a table below
 *	WORD  = OP			only these (several may stand); none: all
 *	      | at=FROM-TO		only what touches the bytes from FROM to before TO
 *	      | after=N			not the first N of them
 *	      | every=N			each Nth of the others
 *	      | once			one, then never again
 *	OP    = read | write | flush | discard | write-zeroes | secure-erase
 *
 * The disk counts, not each of its channels.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "base/log.h"
#include "store/kind.h"
#include "store/size.h"
#include "store/words.h"

#define RULES_MAX 16

struct rule {
	int err;
	unsigned ops; /* a bit for each; 0: all */
	uint64_t from, len;
	uint64_t after, every;
	bool once;
	/* Any thread. */
	uint64_t n_seen;
	uint32_t n_failed;
};

struct error {
	struct vh_store store;
	unsigned n_rules;
	struct rule rule[RULES_MAX];
};

static struct error *error_of(struct vh_store *s)
{
	return vh_container_of(s, struct error, store);
}

/* ---- Words ---- */

static const struct {
	const char *name;
	int err;
} errors[] = {
	{"EIO", -EIO},	       {"ENOSPC", -ENOSPC},   {"EROFS", -EROFS},
	{"ENOMEM", -ENOMEM},   {"EAGAIN", -EAGAIN},   {"EBUSY", -EBUSY},
	{"EINVAL", -EINVAL},   {"ENODEV", -ENODEV},   {"ETIMEDOUT", -ETIMEDOUT},
	{"EPERM", -EPERM},     {"EACCES", -EACCES},   {"EOPNOTSUPP", -EOPNOTSUPP},
	{"EILSEQ", -EILSEQ},   {"ENXIO", -ENXIO},     {"EREMOTEIO", -EREMOTEIO},
	{"ENODATA", -ENODATA}, {"EBADMSG", -EBADMSG}, {"ECONNRESET", -ECONNRESET},
};

static bool parse_errno(struct rule *r, const char *name)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strcmp(errors[i].name, name)) {
			r->err = errors[i].err;
			return true;
		}
	return false;
}

static bool parse_range(struct rule *r, const char *text)
{
	char from[VH_WORD_MAX];
	uint64_t to;

	if (!vh_word_next(&text, '-', from) || !text || !vh_parse_size(from, &r->from) ||
	    !vh_parse_size(text, &to) || to <= r->from)
		return false;
	r->len = to - r->from;
	return true;
}

static bool parse_word(struct rule *r, const char *word)
{
	enum vh_store_op op;
	const char *value;

	if (vh_store_parse_op(word, &op)) {
		r->ops |= 1u << op;
		return true;
	}
	if (!strcmp(word, "once"))
		return r->once = true;
	if (vh_word_begins(word, "at=", &value))
		return parse_range(r, value);
	if (vh_word_begins(word, "after=", &value))
		return vh_parse_count(value, &r->after);
	return vh_word_begins(word, "every=", &value) && vh_parse_count(value, &r->every);
}

/* Up to the next comma, or the end: *@at becomes NULL. */
static bool parse_rule(struct rule *r, const char **at)
{
	const char *comma = strchrnul(*at, ',');
	char text[256], word[VH_WORD_MAX];
	const char *in = text;

	if ((size_t)(comma - *at) >= sizeof(text))
		return false;
	memcpy(text, *at, (size_t)(comma - *at));
	text[comma - *at] = 0;
	*at = *comma ? comma + 1 : NULL;
	*r = (struct rule){.len = UINT64_MAX, .every = 1};
	if (!vh_word_next(&in, ':', word) || !parse_errno(r, word))
		return false;
	while (vh_word_next(&in, ':', word))
		if (!parse_word(r, word))
			return false;
	return !in;
}

static int parse(struct error *e, const char *rest, const char *tag)
{
	const char *at = rest;

	while (at && e->n_rules < RULES_MAX)
		if (!parse_rule(&e->rule[e->n_rules++], &at))
			break;
		else if (!at)
			return 0;
	return vh_store_wrong(tag, "error", rest,
			      "rules like EIO:read:every=100,ENOSPC:write:after=1000 or "
			      "EIO:at=1M-2M:once");
}

static int error_open(const struct vh_store_params *p, const char *rest, const char *tag,
		      struct vh_store *below, struct vh_store **s)
{
	struct error *e = calloc(1, sizeof(*e));
	int err = e ? parse(e, rest, tag) : -ENOMEM;

	(void)p;
	(void)below;
	if (err)
		free(e);
	else
		*s = &e->store;
	return err;
}

static void error_close(struct vh_store *s)
{
	free(error_of(s));
}

/* ---- Requests ---- */

static bool is_meant(const struct rule *r, const struct vh_store_io *io)
{
	if (r->ops && !(r->ops & 1u << io->op))
		return false;
	return r->len == UINT64_MAX ||
	       vh_range_overlaps(r->from, r->len, io->off, io->len);
}

static bool fails(struct rule *r, const struct vh_store_io *io)
{
	uint64_t n;

	if (!is_meant(r, io))
		return false;
	n = vh_fetch_add(&r->n_seen, 1) + 1;
	if (n <= r->after || (n - r->after) % r->every)
		return false;
	return !r->once || !vh_fetch_add(&r->n_failed, 1);
}

static void error_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	struct error *e = error_of(ch->store);

	for (unsigned i = 0; i < e->n_rules; i++)
		if (fails(&e->rule[i], io)) {
			io->done(io, e->rule[i].err);
			return;
		}
	vh_store_submit(ch->below, io);
}

static int error_channel_open(struct vh_store *s, struct vh_reactor *r,
			      struct vh_store_channel *below,
			      struct vh_store_channel **ch)
{
	(void)s;
	(void)r;
	(void)below;
	*ch = calloc(1, sizeof(**ch));
	return *ch ? 0 : -ENOMEM;
}

static void error_channel_close(struct vh_store_channel *ch)
{
	free(ch);
}

const struct vh_store_kind vh_store_error = {
	.name = "error",
	.open = error_open,
	.close = error_close,
	.channel_open = error_channel_open,
	.channel_close = error_channel_close,
	.submit = error_submit,
};
