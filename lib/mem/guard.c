/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Surviving a file that shrinks under a mapping.  It repairs the mapping and
 * leaves a note; what becomes of the session is for others.  Slots are taken
 * and given back on control threads; the handler runs on whatever thread
 * touched the page.
 *
 * Theory of operation.  A handler can interrupt any code, also that which
 * changes the table, so it can take no lock.  Each slot has a sequence number
 * that is odd while the slot holds a range; the handler reads it before and
 * after the rest, and looks elsewhere when it changed.  A range is given back
 * only when nobody uses its memory any more, so a fault never belongs to a slot
 * that is on its way out.
 *
 * The zero pages go from the page that faulted to the end: what is behind it in
 * the file is gone too, and what is before may still be there.  In a mapping of
 * huge pages the kernel refuses that (EINVAL) unless both ends are on a border
 * of huge pages, and nobody tells us their size; so the whole range is tried,
 * with its ends rounded out to ever bigger pages.  Both ends lie in that
 * mapping, so the smallest page size that is accepted reaches no further than
 * the mapping does.
 */
#include "mem/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/barrier.h"

#define GUARD_SLOTS    4096
#define PAGE_SHIFT_MIN 12
#define PAGE_SHIFT_MAX 34 /* 16 GiB, the biggest page of any processor */

struct guard_slot {
	uint32_t seq;	/* odd: the slot holds a range             */
	uint32_t taken; /* by a control thread, before it is filled */
	uint32_t hit;
	int fd;
	uintptr_t start, len;
};

struct guard_range {
	struct guard_slot *slot;
	uintptr_t start, len;
	int fd;
};

static struct guard_slot guard_table[GUARD_SLOTS];
static uint32_t guard_used; /* slots from here on have never been taken */
static struct sigaction guard_before;
static int guard_error;

/* ---- In the handler ---- */

static bool slot_read(struct guard_slot *s, struct guard_range *r)
{
	uint32_t seq = vh_load_acquire(&s->seq);

	if (!(seq & 1))
		return false;
	*r = (struct guard_range){
		.slot = s,
		.start = vh_load_acquire(&s->start),
		.len = vh_load_acquire(&s->len),
		.fd = vh_load_acquire(&s->fd),
	};
	return vh_load_relaxed(&s->seq) == seq;
}

static bool guard_find(uintptr_t address, struct guard_range *r)
{
	uint32_t used = vh_load_acquire(&guard_used);

	for (uint32_t i = 0; i < used; i++)
		if (slot_read(&guard_table[i], r) && address - r->start < r->len)
			return true;
	return false;
}

/* Zero pages over [start, end), rounded out to whole pages of 1 << @shift bytes. */
static bool pages_replace(uintptr_t start, uintptr_t end, unsigned shift)
{
	uintptr_t mask = ((uintptr_t)1 << shift) - 1;
	uintptr_t first = start & ~mask;

	return mmap((void *)first, ((end + mask) & ~mask) - first, PROT_READ | PROT_WRITE,
		    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0) != MAP_FAILED;
}

static bool guard_repair(const struct guard_range *r, uintptr_t address)
{
	uintptr_t end = r->start + r->len;

	if (pages_replace(address, end, PAGE_SHIFT_MIN))
		return true;
	for (unsigned shift = PAGE_SHIFT_MIN; shift <= PAGE_SHIFT_MAX && errno == EINVAL;
	     shift++)
		if (pages_replace(r->start, end, shift))
			return true;
	return false;
}

static void guard_tell(const struct guard_range *r)
{
	const uint64_t one = 1;

	if (!vh_exchange(&r->slot->hit, 1) && write(r->fd, &one, sizeof(one)) < 0)
		return; /* full: it is told already */
}

/* A fault that is not ours: do what would have happened without us. */
static void guard_pass_on(int sig, siginfo_t *info, void *context)
{
	bool sent = info->si_code <= 0; /* by kill(), not by a touch of memory */

	if (guard_before.sa_flags & SA_SIGINFO) {
		guard_before.sa_sigaction(sig, info, context);
	} else if (guard_before.sa_handler != SIG_DFL &&
		   guard_before.sa_handler != SIG_IGN) {
		guard_before.sa_handler(sig);
	} else if (!sent || guard_before.sa_handler == SIG_DFL) {
		/* The access is repeated, or the signal comes again, without us. */
		sigaction(sig, &guard_before, NULL);
		if (sent)
			raise(sig);
	}
}

static void guard_handler(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	uintptr_t address = (uintptr_t)info->si_addr;
	struct guard_range r;

	if (info->si_code > 0 && guard_find(address, &r) && guard_repair(&r, address))
		guard_tell(&r);
	else
		guard_pass_on(sig, info, context);
	errno = saved;
}

/* ---- On control threads ---- */

static void guard_install(void)
{
	struct sigaction act = {.sa_sigaction = guard_handler,
				.sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&act.sa_mask);
	/* In two steps: the handler must not run before it knows what to pass on to. */
	if (sigaction(SIGBUS, NULL, &guard_before) < 0 ||
	    sigaction(SIGBUS, &act, NULL) < 0)
		guard_error = -errno;
}

static struct guard_slot *guard_take(void)
{
	for (uint32_t i = 0; i < GUARD_SLOTS; i++) {
		if (!vh_try_lock(&guard_table[i].taken))
			continue;
		for (uint32_t used = vh_load_relaxed(&guard_used); used <= i;)
			if (vh_compare_exchange_release(&guard_used, &used, i + 1))
				break;
		return &guard_table[i];
	}
	return NULL;
}

int vh_guard_add(void *addr, size_t len, int fd, unsigned *slot)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct guard_slot *s;

	pthread_once(&once, guard_install);
	if (guard_error)
		return guard_error;
	s = guard_take();
	if (!s)
		return -ENOSPC;
	/* Who sees one of these sees that seq is no longer what it was with the last
	 * range. */
	vh_store_release(&s->start, (uintptr_t)addr);
	vh_store_release(&s->len, len);
	vh_store_release(&s->fd, fd);
	vh_store_release(&s->hit, 0);
	vh_store_release(&s->seq, s->seq + 1); /* and who sees this sees them */
	*slot = (unsigned)(s - guard_table);
	return 0;
}

void vh_guard_remove(unsigned slot)
{
	struct guard_slot *s = &guard_table[slot];

	vh_store_release(&s->seq, s->seq + 1);
	vh_unlock(&s->taken);
}

int vh_guard_hit(unsigned slot)
{
	return (int)vh_load_acquire(&guard_table[slot].hit);
}
