/* SPDX-License-Identifier: BSD-3-Clause */
/* A store as the command line makes it, a channel to it, and requests one at a time. */
#ifndef TESTS_STORE_RIG_H
#define TESTS_STORE_RIG_H

#include "reactor/drive.h"

#include <errno.h>

#include <stdlib.h>
#include <string.h>

#include "store/store.h"

/* Of "file=PATH", "aio=threads", ..., NULL: what vh_store_open() said. */
static inline int store_open(struct vh_store **s, const char *const *words)
{
	struct vh_store_params p = {0};
	char *copies[16];
	unsigned n = 0;
	int err = 0;

	for (; !err && words[n]; n++) {
		char *value;

		copies[n] = strdup(words[n]);
		value = strchr(copies[n], '=');
		*value++ = 0;
		err = vh_store_param(&p, "disk", copies[n], value);
		assert_int_not_equal(err, 0);
		err = err > 0 ? 0 : err;
	}
	if (!err)
		err = vh_store_open(&p, "disk", s);
	while (n)
		free(copies[--n]);
	return err;
}

#define STORE_OPEN(s, ...) store_open((s), (const char *const[]){__VA_ARGS__, NULL})

struct rig {
	struct vh_reactor *r;
	struct vh_store *s;
	struct vh_store_channel *ch;
};

static inline void rig_open_words(struct rig *rig, enum vh_poll_mode mode,
				  const char *const *words)
{
	rig->r = reactor_new(mode);
	assert_int_equal(store_open(&rig->s, words), 0);
	assert_int_equal(vh_store_channel_open(rig->s, rig->r, &rig->ch), 0);
}

#define rig_open(rig, ...) \
	rig_open_words((rig), VH_POLL_SLEEP, (const char *const[]){__VA_ARGS__, NULL})

static inline void rig_close(struct rig *rig)
{
	vh_store_channel_close(rig->ch);
	vh_store_close(rig->s);
	vh_reactor_destroy(rig->r);
}

/* ---- Requests ---- */

#define NOT_YET 1

struct request {
	struct vh_store_io io;
	struct iovec iov;
	int err; /* NOT_YET; then what it ended with */
	unsigned n_done;
};

static inline void request_done(struct vh_store_io *io, int err)
{
	struct request *q = vh_container_of(io, struct request, io);

	q->err = err;
	q->n_done++;
}

static inline void request_init(struct request *q, enum vh_store_op op, uint64_t off,
				void *buf, uint64_t len)
{
	*q = (struct request){
		.io = {.op = op, .off = off, .len = len, .done = request_done},
		.err = NOT_YET,
	};
	if (op == VH_STORE_READ || op == VH_STORE_WRITE) {
		q->iov = (struct iovec){.iov_base = buf, .iov_len = len};
		q->io.iov = &q->iov;
		q->io.n_iov = 1;
	}
}

static inline int finish(struct rig *rig, struct request *q)
{
	drive_until(rig->r, q->n_done);
	assert_int_equal(q->n_done, 1);
	return q->err;
}

static inline void begin(struct rig *rig, struct request *q)
{
	vh_store_submit(rig->ch, &q->io);
	vh_store_start(rig->ch);
}

static inline int do_flags(struct rig *rig, enum vh_store_op op, unsigned flags,
			   uint64_t off, void *buf, uint64_t len)
{
	struct request q;

	request_init(&q, op, off, buf, len);
	q.io.flags = flags;
	begin(rig, &q);
	return finish(rig, &q);
}

static inline int do_op(struct rig *rig, enum vh_store_op op, uint64_t off, void *buf,
			uint64_t len)
{
	return do_flags(rig, op, 0, off, buf, len);
}

static inline bool is_all(const void *buf, char c, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((const char *)buf)[i] != c)
			return false;
	return true;
}

#endif
