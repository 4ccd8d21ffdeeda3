/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hand-over: the only crossing between control and a queue.  See adopt.c for
 * how it goes.
 */
#ifndef VH_SESSION_ADOPT_H
#define VH_SESSION_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mailbox.h"
#include "wire/msg.h"

struct vh_queue;
struct vh_ring;
struct vh_view;

struct vh_handover {
	struct vh_post post;
	struct vh_queue *queue;
	bool under_way; /* control: it has not come back         */
	uint8_t ticket; /* the machine's                         */
	enum vh_settle settle;
	struct vh_view *view; /* there: the new view, NULL to stop; back: the old one  */
	bool abandons;	      /* nobody waits for what a predecessor left undone        */
	bool drains;	      /* the queue stops fetching before it takes the view     */
	/* Back: */
	uint32_t base;	      /* where a queue that stopped stands     */
	struct vh_ring *ring; /* of a queue that stopped, to be freed  */
};

/*
 * Control thread: have @h->queue adopt @h->view and settle at @h->settle; then
 * vh_queue_settled(@h) is called on the control thread.
 */
void vh_queue_hand_over(struct vh_handover *h);

/* Control thread: the session's, called when @h comes back. */
void vh_queue_settled(struct vh_handover *h);

/* Home reactor: whoever waits for chains may have got them all. */
void vh_queue_settle(struct vh_queue *q);

#endif
