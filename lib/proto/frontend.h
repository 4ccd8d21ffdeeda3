/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's protocol machine.  Pure: the shell sets a goal, sends the
 * messages that the machine yields and feeds it the answers, of which it
 * believes nothing.  The state is plain bytes and holds no fds: the shell knows
 * which fds go with which message.  One thread at a time.
 *
 *   vh_frontend_pursue(fe, VH_GOAL_CONNECTED);
 *   while (vh_frontend_next(fe, &m)) {
 *           send(&m);
 *           if (vh_frontend_waits(fe, &expect))
 *                   receive(&reply) and vh_frontend_reply(fe, &reply, &why);
 *   }
 *
 * It uses the protocol features of VH_FRONTEND_FEATURES where they are offered, with
 * @tracks INFLIGHT_SHMFD as well, and works without any of them.
 */
#ifndef VH_PROTO_FRONTEND_H
#define VH_PROTO_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/queue_set.h"
#include "wire/msg.h"

#define VH_FRONTEND_FEATURES                                                        \
	(VH_BIT(VH_PF_MQ) | VH_BIT(VH_PF_RARP) | VH_BIT(VH_PF_REPLY_ACK) |          \
	 VH_BIT(VH_PF_NET_MTU) | VH_BIT(VH_PF_BACKEND_REQ) | VH_BIT(VH_PF_CONFIG) | \
	 VH_BIT(VH_PF_RESET_DEVICE) | VH_BIT(VH_PF_CONFIGURE_MEM_SLOTS) |           \
	 VH_BIT(VH_PF_STATUS))

enum vh_goal {
	VH_GOAL_NONE, /* reached, given up, or never set                             */
	VH_GOAL_CONNECTED, /* negotiated, up to SET_FEATURES: once, first */
	/* The two parts of it, for a shell whose user chooses, and may choose again. */
	VH_GOAL_OFFERED,  /* what the back-end offers is known: once, first            */
	VH_GOAL_FEATURES, /* .features, which the shell may have reduced, are in force; no
			     vring is started                                          */
	VH_GOAL_MEMORY,	 /* the back-end has the regions that are wanted, and no others */
	VH_GOAL_RUNNING, /* vrings 0 to n_vrings - 1 are started and enabled; those that
			    are idle are stopped                                      */
	VH_GOAL_STOPPED, /* every started vring is stopped, its base known              */
	VH_GOAL_SETTLED, /* the back-end has handled all that was sent                  */
};

struct vh_frontend_vring {
	struct vh_wire_addr addr; /* set by the shell, with its index                 */
	uint32_t num;		  /* entries; set by the shell                        */
	uint32_t base;		  /* to start from; after a stop, the back-end's word */
	bool started;
	bool idle; /* set by the shell: nobody uses it                    */
};

struct vh_frontend_region {
	struct vh_wire_region region;
	bool wanted; /* the back-end is to have it */
	bool shared; /* the back-end has it        */
};

struct vh_frontend {
	/* What we are after; constant. */
	uint64_t wanted;   /* virtio features to take where they are offered          */
	uint64_t required; /* those of them without which there is no connection      */

	bool tracks; /* have the back-end note which requests it has; set by the shell */
	/*
	 * The area for that, which outlives a back-end; size 0: there is none yet.  Set
	 * by the shell, which holds its fd, and by the answer to GET_INFLIGHT_FD.
	 */
	struct vh_wire_inflight inflight;

	/* What was negotiated. */
	uint64_t offered_features, features;
	uint64_t offered_protocol_features, protocol_features;
	unsigned queue_num;    /* 0: not told                 */
	unsigned memory_slots; /* 8 when it was not told      */
	bool has_offer;	       /* GET_FEATURES was answered   */
	bool has_features;     /* SET_FEATURES is in force    */

	/* The goal, and the next step towards it. */
	uint8_t goal;  /* enum vh_goal                                    */
	uint8_t step;  /* in the goal's list                              */
	uint16_t item; /* which vring or region, for a step done for each */

	/* The request under way; id 0: none. */
	uint32_t request;
	uint32_t index;	   /* the vring or region that it is about       */
	uint32_t off, len; /* of GET_CONFIG                           */
	bool waits;	   /* for an answer                              */
	bool acked;	   /* which will be an ack                       */

	unsigned n_vrings; /* to start; set by the shell              */
	struct vh_frontend_vring vring[VH_MAX_VRINGS];
	struct vh_frontend_region region[VH_MAX_SLOTS];
};

void vh_frontend_init(struct vh_frontend *fe, uint64_t wanted, uint64_t required);

/* Is protocol feature @bit negotiated? */
bool vh_frontend_has(const struct vh_frontend *fe, enum vh_protocol_feature bit);

/* Have @r among the wanted regions.  0, or -ENOSPC: the back-end takes no more. */
int vh_frontend_want_region(struct vh_frontend *fe, const struct vh_wire_region *r);
/* No longer want the region at @gpa. */
void vh_frontend_drop_region(struct vh_frontend *fe, uint64_t gpa);
/* Is VH_GOAL_MEMORY reached? */
bool vh_frontend_has_memory(const struct vh_frontend *fe);

/* Set a goal; nothing may be under way. */
void vh_frontend_pursue(struct vh_frontend *fe, enum vh_goal goal);

/* The next message towards the goal; false: it is reached. */
bool vh_frontend_next(struct vh_frontend *fe, struct vh_msg *m);

/*
 * A request beside the goals, made by the shell: it is about to be sent.  0 and
 * @m as it is to go out, or -ENOTSUP when what it needs was not negotiated.
 */
int vh_frontend_ask(struct vh_frontend *fe, struct vh_msg *m);

/* Does the message just sent get an answer, and how is that to be read? */
bool vh_frontend_waits(const struct vh_frontend *fe, struct vh_expect *e);

/*
 * The answer.  0; -EREMOTEIO: the back-end refuses; -EPROTO: it broke the
 * protocol or offers less than we need.  After an error the goal is given up,
 * and *@why, a literal, names the cause.
 */
int vh_frontend_reply(struct vh_frontend *fe, const struct vh_msg *reply,
		      const char **why);

/* ---- Between frontend.c and frontend_reply.c ---- */

/* Those to acknowledge. */
uint64_t vh_frontend_protocol_features(const struct vh_frontend *fe);
/* The request under way is in force. */
void vh_frontend_commit(struct vh_frontend *fe);

#endif
