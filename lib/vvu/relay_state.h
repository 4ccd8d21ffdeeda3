/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the relay share:
 *
 *	relay.c		life: sessions, flow
 *	front.c		where front-ends come
 *	intercept.c	what a message of the front-end means on the host
 *	reply.c		messages of the driver
 *	doorbell.c	eventfds of vrings
 *	dirty.c		the dirty log
 *
 * Control thread.
 */
#ifndef VH_VVU_RELAY_STATE_H
#define VH_VVU_RELAY_STATE_H

#include "base/signal.h"
#include "mem/map.h"
#include "vvu/filter.h"
#include "vvu/relay.h"

/* What is wired to one vring of the front-end's. */
struct vh_relay_vring {
	struct vh_relay *relay;
	struct vh_signal *kick, *call, *err;
	struct vh_event kicked; /* on kick's fd, while .watched */
	bool watched;
	bool kick_polled, call_polled; /* the front-end said that there is no fd */
};

/* A request of the front-end's that is to be answered. */
struct vh_relay_asked {
	uint32_t id;
	uint8_t vring; /* of GET_VRING_BASE */
	bool need_reply;
	bool ours; /* by the relay itself, when its turn comes, with this: */
	uint64_t answer;
};

#define VH_RELAY_MAX_ASKED 64u

/* The front-end's answer to a request of the driver's. */
struct vh_relay_ack {
	uint32_t id;
	uint64_t value;
};

#define VH_RELAY_MAX_ACKS 64u

struct vh_relay {
	char tag[32];
	struct vh_reactor *reactor;
	const struct vh_relay_ops *ops;
	void *arg;
	struct vh_window *window;
	struct vh_area *area;
	bool accept_early;
	unsigned max_vrings, group; /* @group vrings are one of GET_QUEUE_NUM */
	enum vh_relay_layout layout;

	/* ---- Life ---- */
	char *address;
	struct vh_connector *front; /* NULL: nobody may come               */
	struct vh_event readable;
	struct vh_deferred leave; /* close .front                          */
	bool watched;		  /* .readable is                                       */
	bool broken;		  /* the endpoint, for good                             */
	bool is_there;		  /* a front-end is connected                           */
	bool ready;		  /* the driver                                         */
	bool up;		  /* both, and it is a session                          */
	bool in_use;		  /* the window has a table, or is about to get one     */
	uint64_t driver;	  /* VH_BIT(VH_VVU_F_...), and the largest message      */
	size_t max_msg;		  /* that the driver takes                              */
	uint64_t granted;	  /* ... those of them that this session has            */
	struct vh_filter filter;  /* of this session                             */
	uint64_t protocol;	  /* features of the protocol in force           */

	/* ---- To the driver ---- */
	bool no_room; /* it had no buffer; whatever comes waits             */
	size_t n_held;
	uint8_t held[sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD];
	bool placing; /* a table is being placed: */
	struct vh_wire_mem sent;
	bool sent_need_reply;
	struct vh_window_table table;
	/* Two rings: acks that wait for a buffer, requests that wait for an ack. */
	unsigned n_acks, first_ack, n_requests, first_request;
	struct vh_relay_ack acks[VH_RELAY_MAX_ACKS];
	uint32_t requests[VH_RELAY_MAX_ACKS];

	/* ---- To the front-end ---- */
	unsigned n_asked; /* in order */
	struct vh_relay_asked asked[VH_RELAY_MAX_ASKED];
	uint32_t stray; /* may be answered, too; 0: none                        */

	/* ---- The dirty log ---- */
	struct vh_signal *log_call;
	struct vh_mapping *log; /* the front-end's; NULL: none */
	struct vh_timer log_timer;
	struct vh_event shrunk; /* of mem/guard.h */

	struct vh_relay_stats stats;
	struct vh_relay_vring vring[VH_VVU_MAX_VRINGS];
};

/* ---- relay.c ---- */

/* The session ends; who knows why has logged it.  The guest side is told. */
void vh_relay_end(struct vh_relay *r, enum vh_relay_end why);

/* A message of @who's, for who looks on. */
void vh_relay_log(const struct vh_relay *r, const char *who, const struct vh_msg *m);

/* There may be room again, here or at the driver's: deliver what waits, read on. */
void vh_relay_go_on(struct vh_relay *r);
/* The driver's request @id is to be answered, or is answered; there is room for it. */
void vh_relay_put_request(struct vh_relay *r, uint32_t id);
void vh_relay_put_ack(struct vh_relay *r, uint32_t id, uint64_t value);

static inline bool vh_relay_granted(const struct vh_relay *r, unsigned feature)
{
	return r->granted & VH_BIT(feature);
}

/* ---- front.c ---- */

/* 0 or -errno (logged). */
int vh_relay_open_front(struct vh_relay *r, const char *address,
			void (*readable)(struct vh_event *ev, uint32_t events));
void vh_relay_close_front(struct vh_relay *r);
/* The driver became ready, or is not any more; a front-end went. */
void vh_relay_update_front(struct vh_relay *r);

/* ---- intercept.c ---- */

enum vh_verdict {
	VH_PASS,	 /* as it came                                          */
	VH_PASS_CHANGED, /* as it is in the message now                         */
	VH_SWALLOW,	 /* done; nothing for the driver                        */
	VH_REFUSE,	 /* nack it if it asked for that, else the session ends */
	VH_WAIT,	 /* vh_relay_placed() follows                           */
	VH_BREACH,	 /* the session ends                                    */
};

/* Do on the host what @m is about.  *@why: for REFUSE and BREACH. */
enum vh_verdict vh_relay_intercept(struct vh_relay *r, struct vh_msg *m,
				   enum vh_relay_end *why);
/* Act on what was found; the message was placed, or came just now. */
void vh_relay_conclude(struct vh_relay *r, struct vh_msg *m, enum vh_verdict verdict,
		       enum vh_relay_end why);

/* ---- reply.c ---- */

/* @m goes to the driver: what it will be answered. */
void vh_relay_expect(struct vh_relay *r, const struct vh_msg *m);
/* The relay itself answers @m, behind what was asked before it. */
void vh_relay_answer(struct vh_relay *r, const struct vh_msg *m, uint64_t value);

/* ---- doorbell.c ---- */

void vh_relay_init_vrings(struct vh_relay *r);
/* @m is SET_VRING_KICK, CALL, ERR or SET_LOG_FD.  0 or -errno (logged). */
int vh_relay_wire(struct vh_relay *r, struct vh_msg *m);
void vh_relay_unwire_kick(struct vh_relay *r, unsigned vring);
void vh_relay_unwire_all(struct vh_relay *r);
/* Watch kicks or do not, as the driver's features are now. */
void vh_relay_watch_kicks(struct vh_relay *r);

/* ---- dirty.c ---- */

int vh_relay_init_log(struct vh_relay *r);
void vh_relay_fini_log(struct vh_relay *r);
/* SET_LOG_BASE: 0, or -errno (logged) and the old log stays. */
int vh_relay_set_log(struct vh_relay *r, struct vh_msg *m);
/* Look for marks now and then; a front-end that has given up keeps its log. */
void vh_relay_run_log(struct vh_relay *r, bool on);
/* Carry the driver's marks over to the front-end. */
void vh_relay_merge_log(struct vh_relay *r);
void vh_relay_drop_log(struct vh_relay *r);

#endif
