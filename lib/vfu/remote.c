/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that a client keeps to itself, read and written by messages: DMA_READ and
 * DMA_WRITE, which are the server's to send.
 *
 * Theory of operation.  Requests wait in a row, and of the first one piece at a time is
 * with the client: it may answer late, or other than it was asked, and then there is only
 * one that this can be about.  What the client says to us meanwhile is served as ever,
 * but for a command that the owner takes its time for: nothing of the client is read
 * until that is done, so neither is an answer.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "vfu/private.h"

#define MAX_REQUESTS 64u
#define MAX_LEN	     (1u << 20)

struct vh_vfu_request {
	struct vh_list link;
	uint64_t iova;
	uint8_t *buf; /* the owner's; of a write it is only read */
	size_t len, done;
	bool writes;
	void (*fn)(void *arg, int err);
	void *arg;
};

static struct vh_vfu_request *first_of(struct vh_vfu_remote *r)
{
	return vh_list_is_empty(&r->requests)
		       ? NULL
		       : vh_container_of(r->requests.next, struct vh_vfu_request, link);
}

/* It must be there. */
static struct vh_vfu_request *take_first(struct vh_vfu_remote *r)
{
	r->n--;
	return vh_container_of(vh_list_take(&r->requests), struct vh_vfu_request, link);
}

/* ---- Is it the client's memory? ---- */

struct walk {
	uint64_t at, end; /* [at, end) was not found yet */
	bool writes;
};

/* Pieces come in order of iova. */
static void look_at(void *arg, const struct vh_vfu_dma *d)
{
	struct walk *w = arg;

	if (w->at >= d->iova && w->at - d->iova < d->size && w->at < w->end &&
	    (w->writes ? d->writable : d->readable))
		w->at = d->size - (w->at - d->iova) < w->end - w->at ? d->iova + d->size
								     : w->end;
}

static bool is_allowed(const struct vh_vfu *v, uint64_t iova, size_t len, bool writes)
{
	struct walk w = {.at = iova, .writes = writes};

	if (!vh_add_u64(iova, len, &w.end))
		return false;
	vh_vfu_dma_each(v, look_at, &w);
	return w.at == w.end;
}

/* ---- Requests ---- */

static void end_first(struct vh_vfu *v, int err)
{
	struct vh_vfu_request *q = take_first(&v->remote);

	v->remote.asked = 0;
	q->fn(q->arg, err);
	free(q);
}

static void send_piece(struct vh_vfu *v, struct vh_vfu_request *q)
{
	struct vh_vfu_remote *r = &v->remote;
	const size_t left = q->len - q->done;
	struct vh_vfu_dma_access a = {.iova = q->iova + q->done};

	r->asked = left < v->max_data ? (uint32_t)left : v->max_data;
	a.count = r->asked;
	r->id++;
	vh_vfu_link_command(
		&v->link, r->id, q->writes ? VH_VFU_DMA_WRITE : VH_VFU_DMA_READ, &a,
		sizeof(a), q->writes ? q->buf + q->done : NULL, q->writes ? r->asked : 0);
}

static void go_on(struct vh_vfu *v)
{
	struct vh_vfu_request *q;

	while (!v->remote.asked && (q = first_of(&v->remote))) {
		/* Memory may have gone while it waited. */
		if (is_allowed(v, q->iova + q->done, q->len - q->done, q->writes))
			send_piece(v, q);
		else
			end_first(v, -EFAULT);
	}
}

static int add(struct vh_vfu *v, const struct vh_vfu_request *init)
{
	struct vh_vfu_request *q;

	if (v->phase != VH_VFU_SERVING || v->cut)
		return -ENOTCONN;
	if (!init->len || init->len > MAX_LEN)
		return -EINVAL;
	if (!v->max_data)
		return -ENOTSUP;
	if (!is_allowed(v, init->iova, init->len, init->writes))
		return -EFAULT;
	if (v->remote.n == MAX_REQUESTS)
		return -ENOBUFS;
	q = malloc(sizeof(*q));
	if (!q)
		return -ENOMEM;
	*q = *init;
	vh_list_append(&v->remote.requests, &q->link);
	v->remote.n++;
	vh_reactor_defer(v->reactor, &v->remote.later);
	return 0;
}

int vh_vfu_dma_read(struct vh_vfu *v, uint64_t iova, void *buf, size_t len,
		    void (*done)(void *arg, int err), void *arg)
{
	return add(v,
		   &(struct vh_vfu_request){
			   .iova = iova, .buf = buf, .len = len, .fn = done, .arg = arg});
}

int vh_vfu_dma_write(struct vh_vfu *v, uint64_t iova, const void *buf, size_t len,
		     void (*done)(void *arg, int err), void *arg)
{
	return add(v, &(struct vh_vfu_request){.iova = iova,
					       .buf = (uint8_t *)buf,
					       .len = len,
					       .writes = true,
					       .fn = done,
					       .arg = arg});
}

/* ---- Answers ---- */

static const char *check_answer(const struct vh_vfu *v, const struct vh_vfu_request *q)
{
	const size_t len = vh_vfu_payload_len(&v->link.header);
	const size_t want =
		sizeof(struct vh_vfu_dma_access) + (q->writes ? 0 : v->remote.asked);
	struct vh_vfu_dma_access a;

	if (len == want - sizeof(uint32_t))
		return "it speaks an older kind of DMA_READ and DMA_WRITE, with a count "
		       "of 32 bits";
	if (len != want)
		return "it has a wrong size";
	memcpy(&a, vh_vfu_link_payload(&v->link), sizeof(a));
	if (a.iova != q->iova + q->done || a.count != v->remote.asked)
		return "it is about other memory than was asked for";
	return NULL;
}

static void take_piece(struct vh_vfu *v, struct vh_vfu_request *q)
{
	if (!q->writes)
		memcpy(q->buf + q->done,
		       vh_vfu_link_payload(&v->link) + sizeof(struct vh_vfu_dma_access),
		       v->remote.asked);
	q->done += v->remote.asked;
	v->remote.asked = 0;
	if (q->done == q->len)
		end_first(v, 0);
}

void vh_vfu_remote_answer(struct vh_vfu *v)
{
	const struct vh_vfu_header *h = &v->link.header;
	struct vh_vfu_request *q = v->remote.asked ? first_of(&v->remote) : NULL;
	const char *wrong;

	/* To nothing, or to what was given up. */
	if (!q || h->id != v->remote.id ||
	    h->command != (q->writes ? VH_VFU_DMA_WRITE : VH_VFU_DMA_READ))
		return;
	if (h->flags & VH_VFU_ERROR) {
		end_first(v, h->error && h->error < 4096 ? -(int)h->error : -EIO);
	} else if ((wrong = check_answer(v, q))) {
		vh_log(v, VH_LOG_WARN,
		       "an answer of the client, for memory at %#" PRIx64 ": %s", q->iova,
		       wrong);
		end_first(v, -EPROTO);
	} else {
		take_piece(v, q);
	}
	go_on(v);
}

/* ---- Life ---- */

static void later(struct vh_deferred *d)
{
	struct vh_vfu *v = vh_container_of(d, struct vh_vfu, remote.later);

	go_on(v);
	vh_vfu_watch(v);
}

void vh_vfu_remote_init(struct vh_vfu *v)
{
	vh_list_init(&v->remote.requests);
	v->remote.later.fn = later;
	vh_list_init(&v->remote.later.link);
}

void vh_vfu_remote_fail(struct vh_vfu *v)
{
	vh_reactor_undefer(&v->remote.later);
	while (first_of(&v->remote))
		end_first(v, -EPIPE);
}

void vh_vfu_remote_fini(struct vh_vfu *v)
{
	vh_reactor_undefer(&v->remote.later);
	while (first_of(&v->remote))
		free(take_first(&v->remote));
}
