/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only way from one thread to another.  Posters push onto a stack with one
 * compare-and-swap; the taker takes the whole stack and reverses it, so nothing
 * is ever popped and a node that comes back at once (ABA) does no harm.  It
 * knows nothing of loops: whoever takes decides when to sleep.
 *
 * Theory of operation: a taker that sleeps must be woken, one that is awake
 * must not cost its posters a system call.  Each side writes its word (posters
 * the stack, the taker `armed`), fences, and only then reads the other's: of
 * two that cross, at least one sees the other.  Of many posters that see the
 * taker armed, the one that takes the mark away writes the eventfd.  It may do
 * so late, when the taker is long awake again; `owed` remembers that, so that a
 * late write is read once, and one that nobody promised costs no read.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "barrier.h"
#include "cleanup.h"
#include "mailbox.h"

int vh_mailbox_init(struct vh_mailbox *m)
{
	*m = (struct vh_mailbox){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	return m->fd < 0 ? -errno : 0;
}

void vh_mailbox_fini(struct vh_mailbox *m)
{
	vh_fd_drop(&m->fd);
}

static void wake_taker(const struct vh_mailbox *m)
{
	const uint64_t one = 1;

	/* It cannot be full: there is at most one write for each time it was armed. */
	while (write(m->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void vh_mailbox_post(struct vh_mailbox *m, struct vh_post *post)
{
	post->next = vh_load_relaxed(&m->newest);
	/* The taker that finds the post finds what it carries. */
	while (!vh_compare_exchange_release(&m->newest, &post->next, post))
		;
	/* The post is on the stack before we ask whether the taker sleeps. */
	vh_fence_full();
	if (vh_load_relaxed(&m->armed) && vh_exchange(&m->armed, 0))
		wake_taker(m);
}

static struct vh_post *reverse(struct vh_post *newest)
{
	struct vh_post *oldest = NULL;

	while (newest) {
		struct vh_post *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

unsigned vh_mailbox_drain(struct vh_mailbox *m)
{
	struct vh_post *post;
	unsigned n = 0;

	if (!vh_load_relaxed(&m->newest))
		return 0;
	for (post = reverse(vh_exchange(&m->newest, NULL)); post; n++) {
		struct vh_post *next = post->next;

		post->fn(post); /* may free it */
		post = next;
	}
	return n;
}

/* Take the mark back; if a poster was faster, its write is owed to us. */
static void stop_listening(struct vh_mailbox *m)
{
	if (m->listening && !vh_exchange(&m->armed, 0))
		m->owed++;
	m->listening = false;
}

bool vh_mailbox_arm(struct vh_mailbox *m)
{
	m->listening = true;
	vh_store_relaxed(&m->armed, 1);
	/* The mark is seen before we look: who posts later finds it. */
	vh_fence_full();
	if (!vh_load_relaxed(&m->newest))
		return true;
	stop_listening(m);
	return false;
}

void vh_mailbox_disarm(struct vh_mailbox *m)
{
	uint64_t n_writes;

	stop_listening(m);
	/* A write that is owed but has not come yet is read at a later turn. */
	if (m->owed && read(m->fd, &n_writes, sizeof(n_writes)) == sizeof(n_writes))
		m->owed -= n_writes;
}
