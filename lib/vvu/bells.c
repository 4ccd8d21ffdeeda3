/* SPDX-License-Identifier: BSD-3-Clause */
#include "vvu/bells.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "spec/vvu.h"

struct vh_bell {
	struct vh_bells *bells;
	unsigned number;       /* of the doorbell */
	struct vh_event event; /* .fd -1: none */
};

static void bell_rung(struct vh_event *ev, uint32_t events)
{
	struct vh_bell *bell = vh_container_of(ev, struct vh_bell, event);
	struct vh_bells *b = bell->bells;
	uint64_t n;

	(void)events;
	if (read(ev->fd, &n, sizeof(n)) == sizeof(n))
		b->rung(b->arg, bell->number);
}

void vh_bells_forget(struct vh_bells *b)
{
	for (unsigned i = 0; i < b->n_bells; i++) {
		vh_event_remove(b->reactor, &b->bell[i].event);
		vh_fd_drop(&b->bell[i].event.fd);
	}
	free(b->bell);
	b->bell = NULL;
	b->n_bells = 0;
}

static int make_one(struct vh_bells *b, struct vh_bell *bell, unsigned number)
{
	int err;

	*bell = (struct vh_bell){
		.bells = b, .number = number, .event = {.fn = bell_rung}};
	bell->event.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (bell->event.fd < 0)
		return -errno;
	err = vh_event_add(b->reactor, &bell->event, EPOLLIN);
	if (err < 0)
		vh_fd_drop(&bell->event.fd);
	return err;
}

/* The @i-th in the order in which they are of use. */
static unsigned number_of(const struct vh_bells *b, unsigned i)
{
	if (!i)
		return VH_VVU_DOORBELL_LOG(b->n_vrings);
	i--;
	return i % 2 ? VH_VVU_DOORBELL_ERR(b->n_vrings, i / 2)
		     : VH_VVU_DOORBELL_CALL(i / 2);
}

static int make_all(struct vh_bells *b, unsigned n)
{
	int err = 0;

	b->bell = calloc(n, sizeof(*b->bell));
	if (!b->bell)
		return -ENOMEM;
	for (; b->n_bells < n && !err; b->n_bells += !err)
		err = make_one(b, &b->bell[b->n_bells], number_of(b, b->n_bells));
	if (err) {
		vh_log(b, VH_LOG_WARN, "no eventfds for doorbells: %s", vh_strerror(err));
		vh_bells_forget(b);
	}
	return err;
}

unsigned vh_bells_list(struct vh_bells *b, struct vh_vfu_io_fd *io, unsigned max)
{
	const unsigned all = VH_VVU_N_DOORBELLS(b->n_vrings);

	if (!b->bell && make_all(b, max < all ? max : all) < 0)
		return 0;
	for (unsigned i = 0; i < b->n_bells && i < max; i++)
		io[i] = (struct vh_vfu_io_fd){.offset = b->offset +
							b->bell[i].number * b->stride,
					      .fd = b->bell[i].event.fd};
	return b->n_bells < max ? b->n_bells : max;
}
