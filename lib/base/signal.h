/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One doorbell, either way: an eventfd, a device register, or a counter in
 * memory that the device looks at.  Counted, and the
 * count belongs to the control thread; firing is for any thread that holds it.
 */
#ifndef VH_BASE_SIGNAL_H
#define VH_BASE_SIGNAL_H

#include <stdint.h>

struct vh_signal {
	unsigned refs;
	int fd;		    /* eventfd, owned; or -1                    */
	volatile void *reg; /* else a register to write                 */
	uint8_t width;	    /* of it: 1, 2 or 4 bytes; 0: a counter     */
	uint32_t value;	    /* to write there                           */
};

/*
 * Takes @fd, also on failure.  Only an eventfd is taken (the peer could block a
 * write of ours for ever with anything else), and it is made non-blocking.
 * 0 and *@s, or -EINVAL (no eventfd), -ENOMEM, ...
 */
int vh_signal_from_eventfd(int fd, struct vh_signal **s);
int vh_signal_from_register(volatile void *reg, uint8_t width, uint32_t value,
			    struct vh_signal **s);
/* @counter, which others may add to, too, becomes 1 more. */
int vh_signal_from_counter(volatile uint32_t *counter, struct vh_signal **s);

struct vh_signal *vh_signal_get(struct vh_signal *s); /* NULL is fine */
void vh_signal_put(struct vh_signal *s);	      /* NULL is fine */

/* Any thread; never blocks: a counter that is full is a signal that is pending. */
void vh_signal_fire(const struct vh_signal *s);

#endif
