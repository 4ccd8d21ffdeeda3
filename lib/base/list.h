/* SPDX-License-Identifier: BSD-3-Clause */
/* A doubly linked list through a member; the head is a link of its own. */
#ifndef VH_BASE_LIST_H
#define VH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct vh_list {
	struct vh_list *next, *prev;
};

#define vh_container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

static inline void vh_list_init(struct vh_list *l)
{
	l->next = l->prev = l;
}

static inline bool vh_list_is_empty(const struct vh_list *l)
{
	return l->next == l;
}

static inline void vh_list_append(struct vh_list *head, struct vh_list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* @l is empty afterwards, so removing it again does nothing. */
static inline void vh_list_remove(struct vh_list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	vh_list_init(l);
}

/* The first, which must be there; it is empty afterwards. */
static inline struct vh_list *vh_list_take(struct vh_list *head)
{
	struct vh_list *l = head->next;

	head->next = l->next;
	l->next->prev = head;
	vh_list_init(l);
	return l;
}

/* @l itself may be removed in the body, not its neighbours. */
#define vh_list_for_each(l, head)                                                \
	for (struct vh_list *l = (head)->next, *l##_next = l->next; l != (head); \
	     l = l##_next, l##_next = l->next)

#endif
