/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's queue: add, kick, get and wait.  The thread that uses the queue;
 * harvest, rewind and wake are the client's thread's, while nobody uses it.
 *
 * The eventfds are open at the back-end too, which can read them under our hands
 * and can make them blocking: so reads ask not to wait whatever the file says.
 */
#include <errno.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/log.h"
#include "session/client.h"

/* True if there was something to read. */
static bool eventfd_take(int fd)
{
	uint64_t n;
	const struct iovec iov = {.iov_base = &n, .iov_len = sizeof(n)};
	ssize_t got = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		got = read(fd, &n, sizeof(n)); /* before Linux 5.8 */
	return got == sizeof(n);
}

static void eventfd_add(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN: it is pending already */
}

/* 0, or -errno: why the queue is of no use now. */
static int queue_state(struct vh_client_queue *q)
{
	const char *why = vh_driver_ring_why(q->ring);

	if (why && !q->told)
		vh_log(q->client, VH_LOG_WARN,
		       "queue %u: the back-end broke the ring: %s", q->index, why);
	q->told = why;
	if (why)
		return -EPROTO;
	if (q->error)
		return q->error;
	return vh_load_relaxed(&q->gone) ? -EPIPE : 0;
}

/* The back-end's word that the queue is broken, if it came. */
static void look_at_err(struct vh_client_queue *q)
{
	if (q->error || !eventfd_take(q->err))
		return;
	vh_log(q->client, VH_LOG_WARN, "queue %u: the back-end reports an error",
	       q->index);
	q->error = -EIO;
}

/* ---- Chains ---- */

int vh_client_add(struct vh_client_queue *q, const struct iovec *iov, unsigned n_out,
		  unsigned n_in, void *cookie)
{
	/* What was harvested keeps its place in the ring, so that it cannot pile up. */
	if (q->n_done && vh_client_outstanding(q) >= q->num)
		return -ENOSPC;
	return vh_driver_ring_add(q->ring, iov, n_out, n_in, cookie);
}

void vh_client_kick(struct vh_client_queue *q)
{
	if (vh_driver_ring_publish(q->ring))
		eventfd_add(q->kick);
}

void vh_client_queue_kick(const struct vh_client_queue *q)
{
	eventfd_add(q->kick);
}

static void *get_harvested(struct vh_client_queue *q, uint32_t *len)
{
	const struct vh_client_done *d = &q->done[q->first_done++];

	q->n_done--;
	*len = d->len;
	return d->cookie;
}

void *vh_client_get(struct vh_client_queue *q, uint32_t *len)
{
	if (q->n_done)
		return get_harvested(q, len);
	return vh_driver_ring_get(q->ring, len);
}

unsigned vh_client_outstanding(const struct vh_client_queue *q)
{
	return q->n_done + vh_driver_ring_outstanding(q->ring);
}

void vh_client_queue_harvest(struct vh_client_queue *q)
{
	struct vh_client_done d;

	for (uint32_t i = 0; i < q->n_done; i++)
		q->done[i] = q->done[q->first_done + i];
	q->first_done = 0;
	while (q->n_done < q->num && (d.cookie = vh_driver_ring_get(q->ring, &d.len)))
		q->done[q->n_done++] = d;
}

void vh_client_queue_rewind(struct vh_client_queue *q, bool tracked)
{
	vh_client_queue_harvest(q);
	if (!tracked)
		vh_driver_ring_resubmit(q->ring);
	eventfd_take(q->err);
	q->error = 0;
	q->told = false;
	if (q->calls_wanted && vh_driver_ring_arm(q->ring))
		eventfd_add(q->call);
}

void vh_client_queue_wake(struct vh_client_queue *q, bool gone)
{
	vh_store_relaxed(&q->gone, gone);
	eventfd_add(q->call);
}

/* ---- Waiting ---- */

/*
 * The client's own thread has nobody else to look after the connection; from
 * another one it must not be touched.
 */
static bool is_clients_thread(const struct vh_client *c)
{
	return pthread_equal(vh_load_relaxed(&c->thread), pthread_self());
}

static void sleep_on(struct vh_client_queue *q, int timeout_ms)
{
	struct vh_client *c = q->client;
	struct pollfd p[] = {{.fd = q->call, .events = POLLIN},
			     {.fd = q->err, .events = POLLIN},
			     {.fd = -1, .events = POLLIN}};

	if (is_clients_thread(c))
		p[2].fd = vh_connector_poll_fd(c->conn);
	if (poll(p, 3, timeout_ms) <= 0)
		return;
	if (p[0].revents)
		eventfd_take(q->call);
	if (p[1].revents)
		look_at_err(q);
	if (p[2].revents)
		vh_client_listen(c);
}

static int nap(uint64_t deadline, int timeout_ms)
{
	const uint64_t now = vh_client_now();

	if (timeout_ms < 0)
		return -1;
	return now < deadline ? (int)(deadline - now) : 0;
}

/* 1: something is done; 0: go on waiting; -errno. */
static int look(struct vh_client_queue *q)
{
	if (q->n_done || vh_driver_ring_arm(q->ring)) {
		const int err = q->n_done ? 0 : queue_state(q);

		return err == -EPROTO ? err : 1;
	}
	return queue_state(q);
}

int vh_client_wait(struct vh_client_queue *q, int timeout_ms)
{
	const uint64_t deadline = vh_client_now() + (timeout_ms > 0 ? timeout_ms : 0);
	int found = look(q);

	while (!found) {
		const int left = nap(deadline, timeout_ms);

		if (left == 0 && timeout_ms >= 0)
			break;
		sleep_on(q, left);
		found = look(q);
	}
	if (!q->calls_wanted)
		vh_driver_ring_disarm(q->ring);
	return found;
}

void vh_client_want_calls(struct vh_client_queue *q, bool on)
{
	q->calls_wanted = on;
	if (!on)
		vh_driver_ring_disarm(q->ring);
	else if (vh_driver_ring_arm(q->ring))
		eventfd_add(q->call); /* it was done too early to be called for */
}

int vh_client_queue_fd(const struct vh_client_queue *q)
{
	return q->call;
}

int vh_client_queue_error(struct vh_client_queue *q)
{
	look_at_err(q);
	return queue_state(q);
}
