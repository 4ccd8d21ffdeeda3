/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * A protocol machine has too many orders of events for tests written by hand,
 * but not too many states: it is plain bytes, and with two vrings and two memory
 * slots there are some hundred thousand.  So visit all of them: begin with a new
 * connection, give every event of an alphabet to every state, and look after
 * each step at what must hold.  The first time something does not, the chain of
 * events that led there is the shortest one, since the search is breadth first.
 *
 * What must hold is in rules.c.  It is told from the outside, from states,
 * events and effects, and not how the machine comes to do it.
 *
 * Numbers that only grow (ticket, memory epoch) and what is only for the log are
 * set to zero between steps; rules look at how they change within one.
 */
#ifndef TESTS_PROTO_EXPLORER_EXPLORER_H
#define TESTS_PROTO_EXPLORER_EXPLORER_H

#include "small_machine.h"

/* What a queue's view was made of when the queue last got one. */
struct seen {
	uint64_t features, regions, log_address;
	bool started, parked, enabled, logged, has_log;
};

/* The machine, and what the shell around it would know. */
struct state {
	struct vh_backend b;
	struct seen seen[VH_MAX_VRINGS];
	uint64_t features; /* when no request was under way                   */
	uint64_t broken;   /* a ring broke, and some ring has run ever since  */
};

struct step {
	const struct state *before;
	const struct vh_backend_event *ev;
	const struct vh_effects *fx;
	const struct state *after;
};

typedef void step_fn(struct vh_backend *b, const struct vh_backend_event *ev,
		     struct vh_effects *fx);

/* One letter of the alphabet. */
struct letter {
	const char *name;
	unsigned worlds; /* enum world_bit: in which ones it is used */
	enum vh_event_type type;
	uint32_t id; /* of the message                           */
	uint32_t index;
	uint64_t value; /* u64 or num; of memory: bit 0 is A, 1 is B */
	int result;
	bool stale; /* of another hand-over                     */
};

/*
 * All letters at once give many millions of states, so there are worlds: one
 * for what rings and memory do to each other, one for negotiation, log, config
 * and status with simpler rings, and one with all letters that is not visited to
 * its end.
 */
enum world_bit { WORLD_RINGS = 1, WORLD_DEVICE = 2, WORLD_ALL = 4 };

struct exploration {
	step_fn *step;
	unsigned world;
	size_t limit; /* of states; 0: none                     */
	/* What came out. */
	size_t n_states, n_steps;
	unsigned depth;	       /* of the state visited last              */
	const char *violation; /* NULL: none                             */
	unsigned trace_len;
	char trace[4096]; /* the events that lead to it, a line each */
};

extern const struct letter letters[];
extern const unsigned n_letters;

/* alphabet.c: the event of @l in state @b; its message is built in @m. */
void letter_event(const struct letter *l, const struct vh_backend *b, struct vh_msg *m,
		  struct vh_backend_event *ev);

/* rules.c */
void state_init(struct state *s);
/* The shell's part of a step, and what is left out of states. */
void state_follow(struct state *s, const struct vh_backend_event *ev,
		  const struct vh_effects *fx);
void state_normalise(struct state *s);
/* NULL, or what does not hold. */
const char *step_check(const struct step *step);

/* mutations.c: machines with a fault. */
struct mutation {
	const char *name;
	step_fn *step;
};

extern const struct mutation mutations[];
extern const unsigned n_mutations;

/* explorer.c: visit; 0, or -ENOMEM. */
int explore(struct exploration *e);

#endif
