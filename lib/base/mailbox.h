/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many threads post, one thread takes, in order.  Posting is lock-free and
 * makes a system call only when the taker sleeps (or is about to): the
 * handshake is modelled in tests/model/mailbox.pml.
 *
 *   taker: drain; vh_mailbox_arm() (false: more came, drain again); sleep on
 *          the fd; vh_mailbox_disarm(); drain.
 *   poster: push; full fence; if the taker is armed, write the eventfd.
 */
#ifndef VH_BASE_MAILBOX_H
#define VH_BASE_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

/* One message; embedded in what is sent, owned by the mailbox until fn runs. */
struct vh_post {
	struct vh_post *next;
	void (*fn)(struct vh_post *post);
};

struct vh_mailbox {
	/* any thread: */
	struct vh_post *newest; /* a stack, reversed by the taker */
	uint32_t armed;		/* the taker wants a write to fd  */
	int fd;			/* eventfd                        */
	/* the taker: */
	bool listening; /* armed, and not disarmed since              */
	uint64_t owed;	/* writes to fd that are promised or unread   */
};

int vh_mailbox_init(struct vh_mailbox *m); /* 0 or -errno */
void vh_mailbox_fini(struct vh_mailbox *m);

/* Any thread; the mailbox must outlive the call. */
void vh_mailbox_post(struct vh_mailbox *m, struct vh_post *post);

/*
 * The taker: run what is there, in the order of posting; how many that were.
 * What they post in turn is left for the next call.
 */
unsigned vh_mailbox_drain(struct vh_mailbox *m);

/* The taker: false when something came meanwhile (and it is disarmed again). */
bool vh_mailbox_arm(struct vh_mailbox *m);

/* Also empties the eventfd, with a system call only if somebody wrote or is about to. */
void vh_mailbox_disarm(struct vh_mailbox *m);

#endif
