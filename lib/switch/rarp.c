/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After a live migration the front-end asks us to announce its guest's address
 * (SEND_RARP), for guests that cannot do so themselves.
 *
 * Thread: control makes the frame; the port's home reactor has the switch see it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "switch/forward.h"

#define RARP_LEN 60

struct rarp {
	struct vh_post post;
	struct vh_fabric *fabric;
	uint16_t index, generation;
	struct vh_seg seg;
	uint8_t frame[RARP_LEN];
};

/* A request "who has this hardware address", RFC 903, which nobody need answer. */
static void fill_frame(uint8_t frame[RARP_LEN], const uint8_t mac[6])
{
	static const uint8_t type_and_header[] = {
		0x80, 0x35,	     /* RARP                    */
		0,    1,    0x08, 0, /* Ethernet, IPv4          */
		6,    4,	     /* lengths of their addresses */
		0,    3,	     /* reverse request         */
	};

	memset(frame, 0, RARP_LEN);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, type_and_header, sizeof(type_and_header));
	memcpy(frame + 22, mac, 6); /* the sender's ...            */
	memcpy(frame + 32, mac, 6); /* ... and the wanted hardware address */
}

static void send_on_home(struct vh_post *post)
{
	struct rarp *r = vh_container_of(post, struct rarp, post);
	const struct vh_frame f = {.seg = &r->seg, .n_seg = 1, .len = RARP_LEN};
	struct vh_port *p = vh_fabric_port(r->fabric, r->index);
	/* To the end, come what may: the frame lives no longer. */
	struct vh_turn turn = {.copies = INT64_MAX, .bytes = INT64_MAX};
	struct vh_ingress in;

	if (p && p->generation == r->generation) {
		struct vh_source *s = &p->source[0];

		vh_ingress_begin(&in, s, s->worker->batch, 0);
		vh_ingress_frame(&in, &f);
		vh_ingress_end(&in);
		vh_forward(s, &turn);
	}
	free(r);
}

int vh_rarp_send(const struct vh_port *p, const uint8_t mac[6])
{
	struct rarp *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct rarp){
		.post.fn = send_on_home,
		.fabric = p->fabric,
		.index = p->index,
		.generation = p->generation,
		.seg = {.va = r->frame, .len = RARP_LEN},
	};
	fill_frame(r->frame, mac);
	vh_reactor_post_node(p->source[0].worker->reactor, &r->post);
	return 0;
}
