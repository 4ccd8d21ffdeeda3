/* SPDX-License-Identifier: BSD-3-Clause */
/* The search itself: an array of states, which is the queue too, and a hash of it. */
#include "explorer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

struct node {
	struct state state;
	uint32_t parent;
	uint16_t letter; /* that led here from the parent */
	uint16_t depth;
};

struct visited {
	struct node *node;
	size_t n, room;
	uint32_t *slot; /* open addressing; n_slots is a power of two */
	size_t n_slots;
};

/* ---- The set of states ---- */

static uint64_t hash(const struct state *s)
{
	const uint64_t *w = (const uint64_t *)s;
	uint64_t h = 0x9e3779b97f4a7c15;

	_Static_assert(sizeof(*s) % sizeof(*w) == 0, "a state is hashed by words");
	for (size_t i = 0; i < sizeof(*s) / sizeof(*w); i++) {
		h = (h ^ w[i]) * 0xff51afd7ed558ccd;
		h ^= h >> 32;
	}
	return h;
}

static size_t slot_of(const struct visited *v, const struct state *s)
{
	size_t i = hash(s) & (v->n_slots - 1);

	while (v->slot[i] != NOBODY &&
	       memcmp(&v->node[v->slot[i]].state, s, sizeof(*s)) != 0)
		i = (i + 1) & (v->n_slots - 1);
	return i;
}

static int visited_grow(struct visited *v)
{
	const size_t room = v->room ? 2 * v->room : 4096;
	struct node *node = realloc(v->node, room * sizeof(*node));
	uint32_t *slot = realloc(v->slot, 2 * room * sizeof(*slot));

	v->node = node ? node : v->node;
	v->slot = slot ? slot : v->slot;
	if (!node || !slot)
		return -ENOMEM;
	v->room = room;
	v->n_slots = 2 * room;
	memset(slot, 0xff, v->n_slots * sizeof(*slot));
	for (size_t i = 0; i < v->n; i++)
		slot[slot_of(v, &node[i].state)] = i;
	return 0;
}

/* 0, or -ENOMEM; @s may be known already. */
static int visited_add(struct visited *v, const struct state *s, uint32_t parent,
		       unsigned l)
{
	struct node *node;
	size_t slot;

	if (v->n == v->room && visited_grow(v) < 0)
		return -ENOMEM;
	slot = slot_of(v, s);
	if (v->slot[slot] != NOBODY)
		return 0;
	v->slot[slot] = v->n;
	node = &v->node[v->n++];
	node->state = *s;
	node->parent = parent;
	node->letter = l;
	node->depth = parent == NOBODY ? 0 : v->node[parent].depth + 1;
	return 0;
}

/* ---- Traces ---- */

static void trace_line(struct exploration *e, const char *name)
{
	const size_t len = strlen(e->trace);

	snprintf(e->trace + len, sizeof(e->trace) - len, "  %s\n", name);
	e->trace_len++;
}

static void trace_to(struct exploration *e, const struct visited *v, uint32_t n)
{
	if (v->node[n].parent == NOBODY)
		return;
	trace_to(e, v, v->node[n].parent);
	trace_line(e, letters[v->node[n].letter].name);
}

/* ---- The search ---- */

static const char *take(const struct exploration *e, const struct state *before,
			const struct letter *l, struct state *after)
{
	static struct vh_msg msg;
	struct vh_backend_event ev;
	struct vh_effects fx;

	*after = *before;
	letter_event(l, &before->b, &msg, &ev);
	e->step(&after->b, &ev, &fx);
	state_follow(after, &ev, &fx);
	return step_check(&(struct step){before, &ev, &fx, after});
}

static bool waits(const struct vh_backend *b)
{
	return b->phase == VH_PHASE_ACTION || b->phase == VH_PHASE_VIEWS;
}

/*
 * What the shell owes to a state that waits.  There is always something: rules
 * see to it that only queues that exist are waited for.
 */
static const struct letter *letter_owed(const struct vh_backend *b)
{
	const enum vh_event_type type = b->phase == VH_PHASE_ACTION ? VH_EV_DONE
								    : VH_EV_SETTLED;

	for (unsigned i = 0; i < n_letters; i++) {
		const struct letter *l = &letters[i];

		if (l->type == type && !l->stale && l->result == 0 &&
		    (type == VH_EV_DONE || vh_queue_set_has(&b->waiting, l->index)))
			return l;
	}
	return NULL;
}

/*
 * Whatever waits comes to an end, if the shell does its part and nothing else
 * comes: an action, its views, and the views of a fault that came meanwhile.
 */
static void check_ends_in_time(struct exploration *e, const struct visited *v, uint32_t n)
{
	const struct letter *owed[1 + 2 * VH_MAX_VRINGS];
	struct state s = v->node[n].state, next;
	unsigned len = 0;

	while (waits(&s.b) && !e->violation) {
		if (len == sizeof(owed) / sizeof(owed[0])) {
			e->violation = "does not come to an end";
			break;
		}
		owed[len] = letter_owed(&s.b);
		e->violation = take(e, &s, owed[len++], &next);
		s = next;
	}
	if (!e->violation)
		return;
	trace_to(e, v, n);
	for (unsigned i = 0; i < len; i++)
		trace_line(e, owed[i]->name);
}

/*
 * While it waits, the machine reads no message, whichever that is; so one of
 * them is enough, which differs from state to state.
 */
static bool is_given(const struct exploration *e, const struct state *s, uint32_t n,
		     unsigned l)
{
	if (!(letters[l].worlds & e->world))
		return false;
	return letters[l].type != VH_EV_MESSAGE || s->b.phase == VH_PHASE_IDLE ||
	       l % 16 == n % 16;
}

static int visit(struct exploration *e, struct visited *v, uint32_t n)
{
	struct state before = v->node[n].state, after;

	e->depth = v->node[n].depth;
	check_ends_in_time(e, v, n);
	for (unsigned i = 0; i < n_letters && !e->violation; i++) {
		if (!is_given(e, &before, n, i))
			continue;
		e->n_steps++;
		e->violation = take(e, &before, &letters[i], &after);
		state_normalise(&after);
		if (e->violation) {
			trace_to(e, v, n);
			trace_line(e, letters[i].name);
			return 0;
		}
		if (visited_add(v, &after, n, i) < 0)
			return -ENOMEM;
	}
	return 0;
}

int explore(struct exploration *e)
{
	struct visited v = {NULL};
	struct state start;
	int err;

	e->n_states = e->n_steps = e->trace_len = 0;
	e->violation = NULL;
	e->trace[0] = '\0';
	state_init(&start);
	err = visited_add(&v, &start, NOBODY, 0);
	for (size_t i = 0; !err && !e->violation && i < v.n; i++) {
		if (e->limit && i == e->limit)
			break;
		err = visit(e, &v, i);
	}
	e->n_states = v.n;
	free(v.node);
	free(v.slot);
	return err;
}
