/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all stores share: their parameters, how wrappers are stacked, and who is asked.
 * Nothing here knows how blocks are kept.  Threads: see store.h.
 */
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "store/kind.h"
#include "store/size.h"
#include "store/words.h"

static const struct vh_store_kind *const kinds[] = {
	&vh_store_file, &vh_store_memory, &vh_store_nbd, &vh_store_null, &vh_store_rbd};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* The nearest to the disk first. */
static const struct wrapper {
	const struct vh_store_kind *kind;
	size_t param; /* where its words are in struct vh_store_params */
} wrappers[] = {
	{&vh_store_volatile, offsetof(struct vh_store_params, volatile_)},
	{&vh_store_delay, offsetof(struct vh_store_params, delay)},
	{&vh_store_error, offsetof(struct vh_store_params, error)},
	{&vh_store_limit, offsetof(struct vh_store_params, limit)},
};

#define N_WRAPPERS (sizeof(wrappers) / sizeof(wrappers[0]))

struct speaker {
	const char *tag;
};

/* ---- Parameters ---- */

static int parse_switch(const char *tag, const char *key, const char *value, bool *on)
{
	*on = !strcmp(value, "on");
	return *on || !strcmp(value, "off")
		       ? 1
		       : vh_store_wrong(tag, key, value, "on or off");
}

/* For what is on unless it is said to be off. */
static int parse_off_switch(const char *tag, const char *key, const char *value,
			    bool *off)
{
	bool on;
	int rc = parse_switch(tag, key, value, &on);

	*off = !on;
	return rc;
}

static int parse_aio(struct vh_store_params *p, const char *tag, const char *value)
{
	if (!strcmp(value, "uring"))
		p->aio = VH_STORE_AIO_URING;
	else if (!strcmp(value, "threads"))
		p->aio = VH_STORE_AIO_THREADS;
	else
		return vh_store_wrong(tag, "aio", value, "uring or threads");
	return 1;
}

static int parse_block_size(struct vh_store_params *p, const char *tag, const char *value)
{
	uint64_t n;

	if (!vh_parse_size(value, &n) || (n != 512 && n != 4096))
		return vh_store_wrong(tag, "block-size", value, "512 or 4096");
	p->block_size = (uint32_t)n;
	return 1;
}

static int name_kind(struct vh_store_params *p, const char *tag,
		     const struct vh_store_kind *kind, const char *value)
{
	if (p->kind)
		return vh_store_wrong(tag, kind->name, value,
				      "one store for a disk, and this is another");
	p->kind = kind->name;
	p->rest = value;
	return 1;
}

static const char **words_of(const struct vh_store_params *p, const struct wrapper *w)
{
	return (const char **)((char *)p + w->param);
}

int vh_store_param(struct vh_store_params *p, const char *tag, const char *key,
		   const char *value)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (!strcmp(kinds[i]->name, key))
			return name_kind(p, tag, kinds[i], value);
	for (size_t i = 0; i < N_WRAPPERS; i++)
		if (!strcmp(wrappers[i].kind->name, key)) {
			*words_of(p, &wrappers[i]) = strcmp(value, "off") ? value : NULL;
			return 1;
		}
	if (!strcmp(key, "readonly"))
		return parse_switch(tag, key, value, &p->readonly);
	if (!strcmp(key, "direct"))
		return parse_off_switch(tag, key, value, &p->no_direct);
	if (!strcmp(key, "register"))
		return parse_switch(tag, key, value, &p->register_);
	if (!strcmp(key, "lock"))
		return parse_off_switch(tag, key, value, &p->no_lock);
	if (!strcmp(key, "aio"))
		return parse_aio(p, tag, value);
	if (!strcmp(key, "block-size"))
		return parse_block_size(p, tag, value);
	return 0;
}

/* ---- Stores ---- */

static const struct vh_store_kind *find_kind(const char *name)
{
	for (size_t i = 0; name && i < N_KINDS; i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

static int open_one(const struct vh_store_params *p, const struct vh_store_kind *kind,
		    const char *rest, const char *tag, struct vh_store *below,
		    struct vh_store **s)
{
	int err = kind->open(p, rest, tag, below, s);

	if (err)
		return err;
	snprintf((*s)->tag, sizeof((*s)->tag), "%s", tag);
	(*s)->kind = kind;
	(*s)->below = below;
	if (below)
		(*s)->info = below->info;
	return 0;
}

/* What was asked for may be stricter than what the store can, not laxer. */
static int apply_params(const struct vh_store_params *p, struct vh_store *s)
{
	struct vh_store_info *i = &s->info;

	if (p->block_size && p->block_size < i->block_size) {
		vh_log(s, VH_LOG_ERROR,
		       "block-size=%u: this store is read and written in blocks of %u "
		       "bytes",
		       p->block_size, i->block_size);
		return -EINVAL;
	}
	if (p->block_size)
		i->block_size = p->block_size;
	if (i->physical_block < i->block_size)
		i->physical_block = i->block_size;
	if (i->discard_unit < i->block_size)
		i->discard_unit = i->block_size;
	i->readonly |= p->readonly;
	i->capacity -= i->capacity % i->block_size;
	return 0;
}

/* *@top becomes the topmost. */
static int open_wrappers(const struct vh_store_params *p, const char *tag,
			 struct vh_store **top)
{
	int err = 0;

	for (size_t i = 0; !err && i < N_WRAPPERS; i++) {
		const char *rest = *words_of(p, &wrappers[i]);

		if (rest)
			err = open_one(p, wrappers[i].kind, rest, tag, *top, top);
	}
	return err;
}

int vh_store_open(const struct vh_store_params *p, const char *tag,
		  struct vh_store **store)
{
	const struct vh_store_kind *kind = find_kind(p->kind);
	const struct speaker who = {tag};
	struct vh_store *top = NULL;
	int err;

	if (!kind) {
		vh_log(&who, VH_LOG_ERROR,
		       "a disk needs a store: file=PATH, memory=SIZE, ...");
		return -EINVAL;
	}
	err = open_one(p, kind, p->rest, tag, NULL, &top);
	if (!err)
		err = apply_params(p, top);
	if (!err)
		err = open_wrappers(p, tag, &top);
	if (err)
		vh_store_close(top);
	else
		*store = top;
	return err;
}

void vh_store_close(struct vh_store *s)
{
	while (s) {
		struct vh_store *below = s->below;

		s->kind->close(s);
		s = below;
	}
}

const struct vh_store_info *vh_store_info(const struct vh_store *s)
{
	return &s->info;
}

int vh_store_refresh(struct vh_store *s)
{
	const uint64_t was = s->info.capacity;
	int err = 0;

	if (s->below)
		err = vh_store_refresh(s->below);
	if (s->below)
		s->info.capacity = s->below->info.capacity;
	else if (s->kind->refresh)
		err = s->kind->refresh(s);
	s->info.capacity -= s->info.capacity % s->info.block_size;
	return err < 0 ? err : s->info.capacity != was;
}

/* ---- Channels ---- */

int vh_store_channel_open(struct vh_store *s, struct vh_reactor *r,
			  struct vh_store_channel **ch)
{
	struct vh_store_channel *below = NULL;
	int err = s->below ? vh_store_channel_open(s->below, r, &below) : 0;

	if (!err)
		err = s->kind->channel_open(s, r, below, ch);
	if (err) {
		vh_store_channel_close(below);
		return err;
	}
	(*ch)->tag = s->tag;
	if (!(*ch)->kind)
		(*ch)->kind = s->kind;
	(*ch)->store = s;
	(*ch)->reactor = r;
	(*ch)->below = below;
	return 0;
}

void vh_store_channel_close(struct vh_store_channel *ch)
{
	while (ch) {
		struct vh_store_channel *below = ch->below;

		ch->kind->channel_close(ch);
		ch = below;
	}
}

void vh_store_channel_memory(struct vh_store_channel *ch, const struct iovec *region,
			     unsigned n)
{
	for (; ch; ch = ch->below)
		if (ch->kind->memory)
			ch->kind->memory(ch, region, n);
}

void vh_store_submit(struct vh_store_channel *ch, struct vh_store_io *io)
{
	io->channel = ch;
	ch->kind->submit(ch, io);
}

void vh_store_start(struct vh_store_channel *ch)
{
	for (; ch; ch = ch->below)
		if (ch->kind->start)
			ch->kind->start(ch);
}

void vh_store_cancel(struct vh_store_channel *ch)
{
	for (; ch; ch = ch->below)
		if (ch->kind->cancel)
			ch->kind->cancel(ch);
}
