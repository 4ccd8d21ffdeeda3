/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end's protocol machine.  Pure: events in, effects out, the state is
 * plain bytes that can be copied, compared and hashed, so that a test can visit
 * all of it.  It runs on the control thread; the shell around it is session/.
 *
 * Life of a request.  A message comes in (VH_EV_MESSAGE).  Either it is refused
 * at once, or it goes through up to three phases, each of which the shell ends
 * with an event:
 *
 *   action   something that can fail: map memory, adopt an fd, ask the device
 *            -> VH_EV_DONE(result); on failure nothing has changed
 *   views    queues get a new view and settle at the level of messages.def
 *            -> VH_EV_SETTLED for each queue in @views
 *   finish   the new state is committed, the reply goes out, what only old
 *            views used is released, and the shell reads the next request
 *
 * While a request is in one of these phases the shell reads no other one; only
 * VH_EV_BROKEN, VH_EV_CONFIG_CHANGED and VH_EV_GONE may come between.  A fault
 * (VH_EV_BROKEN) is a hand-over of the machine's own: the shell gives it a
 * message only while @phase is VH_PHASE_IDLE; in any other one it has no effects.
 */
#ifndef VH_PROTO_BACKEND_H
#define VH_PROTO_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/queue_set.h"
#include "wire/msg.h"

/* What device and library offer; constant for a connection. */
struct vh_offer {
	uint64_t features;	    /* GET_FEATURES, with bits 26 and 30         */
	uint64_t protocol_features; /* GET_PROTOCOL_FEATURES                     */
	uint16_t n_vrings;	    /* vrings that exist                         */
	uint16_t queue_num;	    /* GET_QUEUE_NUM: pairs for net, else vrings */
	uint64_t shmem; /* bytes of shared memory 1; 0: there is none           */
	bool strict;	/* close on every violation                  */
};

struct vh_vring {
	struct vh_wire_addr addr;
	uint32_t num;  /* entries; 0: SET_VRING_NUM has not come               */
	uint32_t base; /* for the next start: of SET_VRING_BASE, or of the stop */
	bool has_addr;
	bool kicked;  /* SET_VRING_KICK came: start as soon as it is complete */
	bool started; /* a queue has (or is just being given) a view of it    */
	bool parked;  /* started, but its ring memory is not there now        */
	bool enabled; /* SET_VRING_ENABLE                                     */
	bool broken;  /* the driver broke the rules: not run until it is stopped */
	bool fresh;   /* it was reset: it starts at 0, base is only to be told  */
};

enum vh_phase {
	VH_PHASE_IDLE,	  /* ready for a request               */
	VH_PHASE_ACTION,  /* waits for VH_EV_DONE              */
	VH_PHASE_VIEWS,	  /* waits for VH_EV_SETTLED           */
	VH_PHASE_CLOSING, /* said @close, waits for VH_EV_GONE */
	VH_PHASE_GONE,	  /* after VH_EV_GONE was settled      */
};

struct vh_backend {
	struct vh_offer offer;
	uint64_t features, protocol_features;
	uint64_t features_before; /* in force again if the device refuses          */
	uint64_t status;	  /* SET_STATUS                                    */
	bool has_features, has_protocol_features, has_gated; /* which messages came  */
	bool has_channel; /* SET_BACKEND_REQ_FD                            */
	bool has_log;
	bool config_changed;	  /* to be told when the front-end may be told     */
	bool fault_due, gone_due; /* came while a request was under way            */
	uint64_t warned;	  /* requests that were ignored or refused before: a
				     peer cannot fill the log with them            */

	/* The request under way. */
	uint8_t phase;	/* enum vh_phase       */
	uint8_t ticket; /* of this hand-over; events with another one are late */
	uint8_t settle; /* enum vh_settle      */
	bool need_reply;
	uint32_t request;     /* enum vh_msg_id; 0: the machine's own (fault, gone)  */
	uint32_t vring_index; /* that it names                                   */
	struct vh_queue_set waiting; /* queues that have not settled yet                */

	/* The inflight area: vrings that it tracks (0: none), and entries of each. */
	uint16_t inflight_queues, inflight_size;
	uint16_t inflight_queues_next, inflight_size_next; /* being mapped         */

	/*
	 * Memory: the table in force and, while a request changes it, the next
	 * one.  Sorted by gpa, disjoint in gpa and in uva.
	 */
	unsigned n_regions, n_next;
	struct vh_wire_region region[VH_MAX_SLOTS];
	struct vh_wire_region next[VH_MAX_SLOTS];
	/*
	 * Grows each time a region goes or changes: chains fetched under an
	 * older epoch may hold pointers that are no longer wanted.
	 */
	uint32_t memory_epoch;

	struct vh_vring vring[VH_MAX_VRINGS];
};

enum vh_event_type {
	VH_EV_MESSAGE,	      /* @msg                                             */
	VH_EV_DONE,	      /* the action ended with @result                    */
	VH_EV_SETTLED,	      /* queue @vring settled for hand-over @ticket; @base is its
				 base when it was stopped                         */
	VH_EV_BROKEN,	      /* the ring or a request of @vring broke the rules  */
	VH_EV_CONFIG_CHANGED, /* the device changed its config space              */
	VH_EV_GONE,	      /* the link is down, or we took it down             */
};

struct vh_backend_event {
	enum vh_event_type type;
	const struct vh_msg *msg;
	int result;
	unsigned vring;
	uint8_t ticket;
	uint32_t base;
};

/* Something the shell does at once or later, and ends with VH_EV_DONE. */
enum vh_action {
	VH_ACTION_NONE,
	VH_ACTION_MAP,	   /* be->next[0 .. n_next), with the message's fds     */
	VH_ACTION_MAP_LOG, /* the message's fd as the dirty log                 */
	/*
	 * The message's fd, or none, becomes be->vring_index's kick, call or
	 * err, the log's, or the back-end channel: by its id.
	 */
	VH_ACTION_TAKE_FD,
	VH_ACTION_MAKE_INFLIGHT, /* make an area as the message says; fd and size go into
				   the reply; size 0 when it cannot be made             */
	VH_ACTION_MAP_INFLIGHT,	 /* map the message's fd as the inflight area  */
	VH_ACTION_SET_FEATURES,	 /* tell the device be->features */
	VH_ACTION_READ_CONFIG,	 /* into the message's own config payload  */
	VH_ACTION_WRITE_CONFIG,
	VH_ACTION_SEND_RARP,
	VH_ACTION_SET_MTU,
};

/*
 * What the shell does, in the order of the members.  @reply_* is for the
 * request that is being answered.
 */
struct vh_effects {
	const char *warn; /* log it: a literal that names what was wrong; or NULL */
	enum vh_action action;
	/*
	 * Give each queue in @views a view made of be->vring[] (none for one that
	 * is not started), be->features and the memory and log in force, and have
	 * it settle at @settle.
	 */
	struct vh_queue_set views;
	enum vh_settle settle;
	struct vh_queue_set call; /* signal once: their call fd is new          */
	struct vh_queue_set err;  /* signal their error fd                      */
	bool reset_device;
	bool reply;
	bool reply_empty; /* with no payload: SET_LOG_BASE's, or a refused GET_CONFIG */
	uint8_t reply_payload; /* enum vh_payload; CONFIG: the message's own */
	uint64_t reply_u64;    /* U64 and ACK                                */
	struct vh_wire_state reply_state;
	bool release;	    /* nothing uses the old map, log and fds any more */
	bool notify_config; /* send CONFIG_CHANGE on the back-end channel */
	bool next;	    /* read the next request                      */
	bool close;	    /* take the link down (then VH_EV_GONE)       */
	bool gone;	    /* after VH_EV_GONE: every queue has stopped  */
};

void vh_backend_init(struct vh_backend *b, const struct vh_offer *offer);

/* @fx is overwritten.  An event that is late or makes no sense has no effects. */
void vh_backend_step(struct vh_backend *b, const struct vh_backend_event *ev,
		     struct vh_effects *fx);

/* Does queue @q's view have a ring (started and not parked)? */
bool vh_backend_runs(const struct vh_backend *b, unsigned q);

/* Are the requests of vring @q tracked in the inflight area? */
bool vh_backend_tracks(const struct vh_backend *b, unsigned q);

/*
 * What must hold in every state; the explorer and the fuzzers call it.
 * NULL, or a literal that says what does not hold.
 */
const char *vh_backend_check(const struct vh_backend *b);

#endif
