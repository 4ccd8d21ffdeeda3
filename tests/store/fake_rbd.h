/* SPDX-License-Identifier: BSD-3-Clause */
/* Instead of librbd and librados: an image in memory, and threads that call back. */
#ifndef TESTS_STORE_FAKE_RBD_H
#define TESTS_STORE_FAKE_RBD_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_IMAGE (1u << 20)

/* Set before the store is opened; zeroed by fake_rbd_reset(). */
struct fake_rbd {
	const char *fail_at; /* the name of the function that fails       */
	int fail_with;	     /* how: -errno                               */
	bool fail_answers;   /* calls start, their answers are fail_with  */
	bool backwards;	     /* the last call is answered first           */
	uint64_t size;
	/* What happened: */
	char history[512];  /* "writev flush " */
	unsigned max_iov;   /* most pieces in a call */
	unsigned n_objects; /* clusters, pools, images and completions alive */
	bool readonly;
};

extern struct fake_rbd fake_rbd;
extern char fake_image[FAKE_IMAGE];

void fake_rbd_reset(void);

/* Calls wait until it is released again. */
void fake_rbd_hold(bool hold);

#endif
