/* SPDX-License-Identifier: BSD-3-Clause */
/* A frame in pieces of memory of their own, so that ASan sees who reads beyond one. */
#ifndef TESTS_DEV_NET_CUT_FRAME_H
#define TESTS_DEV_NET_CUT_FRAME_H

#include <stdlib.h>
#include <string.h>

#include "packet.h"

struct cut_frame {
	struct vh_frame frame;
	unsigned n;
	struct vh_seg *seg;
};

/* @skip bytes of something else, then @bytes, all in pieces of @piece bytes. */
static inline void cut_frame_make(struct cut_frame *c, const uint8_t *bytes, uint32_t len,
				  uint32_t skip, uint32_t piece)
{
	const uint32_t all = skip + len;

	c->n = (all + piece - 1) / piece;
	c->seg = calloc(c->n, sizeof(*c->seg));
	assert_non_null(c->seg);
	for (uint32_t off = 0, i = 0; off < all; off += piece, i++) {
		const uint32_t here = all - off < piece ? all - off : piece;

		c->seg[i] = (struct vh_seg){.va = malloc(here), .len = here};
		assert_non_null(c->seg[i].va);
		for (uint32_t k = 0; k < here; k++)
			c->seg[i].va[k] = off + k < skip ? 0xaa : bytes[off + k - skip];
	}
	c->frame =
		(struct vh_frame){.seg = c->seg, .n_seg = c->n, .skip = skip, .len = len};
}

static inline void cut_frame_free(struct cut_frame *c)
{
	for (unsigned i = 0; i < c->n; i++)
		free(c->seg[i].va);
	free(c->seg);
}

#endif
