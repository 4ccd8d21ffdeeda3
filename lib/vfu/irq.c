/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's interrupts: who gets a signal for which vector, and the level of
 * INTx, which is told once and then not again until the client has unmasked it.
 *
 * MSI-X vectors have no mask of ours: a client that masks one keeps what is pending
 * itself, so one that is masked is signalled all the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "vfu/private.h"

/*
 * How often a level that stays is told again because the client's eventfd says so.  It
 * might be the one that we signal, and we would be busy with ourselves for ever.
 */
#define MAX_RESAMPLED 10000u

/* ---- Signals ---- */

static void replace(struct vh_signal **old, struct vh_signal *s)
{
	vh_signal_put(*old);
	*old = s;
}

static void intx_update(struct vh_vfu *v)
{
	struct vh_vfu_irqs *q = &v->irqs;

	if (!q->level || q->masked || !q->intx || q->n_resampled > MAX_RESAMPLED)
		return;
	q->masked = true;
	v->stats.interrupts++;
	vh_signal_fire(q->intx);
}

void vh_vfu_set_intx(struct vh_vfu *v, bool level)
{
	v->irqs.level = level;
	v->irqs.n_resampled = 0;
	intx_update(v);
}

void vh_vfu_interrupt(struct vh_vfu *v, unsigned vector)
{
	struct vh_signal *s = vector < v->shape.n_vectors ? v->irqs.vector[vector] : NULL;

	if (!s)
		return;
	v->stats.interrupts++;
	vh_signal_fire(s);
}

int vh_vfu_vector_fd(const struct vh_vfu *v, unsigned vector)
{
	const struct vh_signal *s = vector < v->shape.n_vectors ? v->irqs.vector[vector]
								: NULL;

	return s ? s->fd : -1;
}

static void vectors_changed(struct vh_vfu *v, unsigned first, unsigned n)
{
	if (n && v->ops.vectors_changed)
		v->ops.vectors_changed(v->arg, first, n);
}

/* ---- What there is ---- */

static unsigned count_of(const struct vh_vfu *v, uint32_t index)
{
	switch ((enum vh_vfu_irq_index)index) {
	case VH_VFU_IRQ_INTX:
		return v->shape.intx;
	case VH_VFU_IRQ_MSIX:
		return v->shape.n_vectors;
	case VH_VFU_IRQ_ERR:
		return 1; /* QEMU warns where there is none; it is never signalled */
	default:
		return 0;
	}
}

void vh_vfu_irqs_info(const struct vh_vfu *v, struct vh_vfu_irq_info *info)
{
	info->argsz = sizeof(*info);
	info->flags = VH_VFU_IRQ_EVENTFD;
	if (info->index == VH_VFU_IRQ_INTX)
		info->flags |= VH_VFU_IRQ_MASKABLE | VH_VFU_IRQ_AUTOMASKED;
	info->count = count_of(v, info->index);
}

/* ---- SET_IRQS ---- */

static struct vh_signal **slot_of(struct vh_vfu *v, uint32_t index, unsigned i)
{
	if (index == VH_VFU_IRQ_INTX)
		return &v->irqs.intx;
	return index == VH_VFU_IRQ_MSIX ? &v->irqs.vector[i] : &v->irqs.err;
}

static void after_change(struct vh_vfu *v, uint32_t index, unsigned first, unsigned n)
{
	if (index == VH_VFU_IRQ_MSIX)
		vectors_changed(v, first, n);
	else if (index == VH_VFU_IRQ_INTX)
		intx_update(v);
}

/* All of the message's fds as signals, or none of them. */
static int take_signals(struct vh_vfu *v, struct vh_signal **s, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const int err =
			vh_signal_from_eventfd(vh_vfu_link_take_fd(&v->link, i), &s[i]);

		if (err) {
			while (i-- > 0)
				vh_signal_put(s[i]);
			return err;
		}
	}
	return 0;
}

static int assign(struct vh_vfu *v, const struct vh_vfu_cmd *c)
{
	struct vh_signal *s[VH_VFU_MAX_FDS];
	const int err = take_signals(v, s, c->n_fds);

	if (err)
		return err;
	for (unsigned i = 0; i < c->set.count; i++)
		replace(slot_of(v, c->set.index, c->set.start + i),
			c->n_fds ? s[i] : NULL);
	after_change(v, c->set.index, c->set.start, c->set.count);
	return 0;
}

static void disable(struct vh_vfu *v, uint32_t index)
{
	const unsigned n = count_of(v, index);

	for (unsigned i = 0; i < n; i++)
		replace(slot_of(v, index, i), NULL);
	if (index == VH_VFU_IRQ_INTX)
		v->irqs.masked = false;
	after_change(v, index, 0, n);
}

/* As if the device had raised them. */
static void loop_back(struct vh_vfu *v, const struct vh_vfu_cmd *c)
{
	for (unsigned i = 0; i < c->set.count; i++) {
		const struct vh_signal *s = *slot_of(v, c->set.index, c->set.start + i);

		if (s && (!c->set.bools || c->set.bools[i]))
			vh_signal_fire(s);
	}
}

static void unmask(struct vh_vfu *v)
{
	v->irqs.masked = false;
	intx_update(v);
}

/* Never read, which could block: the client has it, too.  Each write is an edge. */
static void resampled(struct vh_event *ev, uint32_t events)
{
	struct vh_vfu *v = vh_container_of(ev, struct vh_vfu, irqs.resampled);

	(void)events;
	if (++v->irqs.n_resampled == MAX_RESAMPLED)
		vh_log(v, VH_LOG_WARN,
		       "the client unmasks its pin again and again and does nothing "
		       "about it: it is not told any more until that changes");
	unmask(v);
}

static void drop_resample(struct vh_vfu *v)
{
	if (v->irqs.resample)
		vh_event_remove(v->reactor, &v->irqs.resampled);
	replace(&v->irqs.resample, NULL);
}

/* The client (KVM) unmasks by this eventfd from now on. */
static int set_resample(struct vh_vfu *v, const struct vh_vfu_cmd *c)
{
	struct vh_signal *s = NULL;
	int err = take_signals(v, &s, c->n_fds);

	if (err)
		return err;
	drop_resample(v);
	if (!s)
		return 0;
	v->irqs.resampled = (struct vh_event){.fd = s->fd, .fn = resampled};
	err = vh_event_add(v->reactor, &v->irqs.resampled, EPOLLIN | EPOLLET);
	if (err)
		vh_signal_put(s);
	else
		v->irqs.resample = s;
	return err;
}

/* MASK or UNMASK. */
static int set_mask(struct vh_vfu *v, const struct vh_vfu_cmd *c)
{
	const bool on = c->set.flags & VH_VFU_SET_MASK;

	if (c->set.index != VH_VFU_IRQ_INTX)
		return 0;
	if (c->set.flags & VH_VFU_SET_EVENTFD)
		return on ? -EINVAL : set_resample(v, c);
	if (c->set.bools && !c->set.bools[0])
		return 0;
	if (on)
		v->irqs.masked = true;
	else
		unmask(v);
	return 0;
}

static int check(const struct vh_vfu *v, const struct vh_vfu_cmd *c)
{
	const unsigned n = count_of(v, c->set.index);
	const bool triggers = c->set.flags & VH_VFU_SET_TRIGGER;

	if (c->set.index >= VH_VFU_IRQ_ERR && !triggers)
		return -EINVAL;
	/* Disabling what there is none of is what a client does to be sure. */
	if (!c->set.count)
		return 0;
	return c->set.start >= n || c->set.count > n - c->set.start ? -EINVAL : 0;
}

int vh_vfu_irqs_set(struct vh_vfu *v, const struct vh_vfu_cmd *c)
{
	const int err = check(v, c);

	if (err)
		return err;
	if (!(c->set.flags & VH_VFU_SET_TRIGGER))
		return set_mask(v, c);
	if (c->set.flags & VH_VFU_SET_EVENTFD)
		return assign(v, c);
	if (c->set.count)
		loop_back(v, c);
	else
		disable(v, c->set.index);
	return 0;
}

/* ---- Life ---- */

int vh_vfu_irqs_init(struct vh_vfu *v)
{
	v->irqs.vector = calloc(v->shape.n_vectors + 1, sizeof(v->irqs.vector[0]));
	return v->irqs.vector ? 0 : -ENOMEM;
}

void vh_vfu_irqs_clear(struct vh_vfu *v)
{
	if (!v->irqs.vector)
		return;
	drop_resample(v);
	replace(&v->irqs.intx, NULL);
	replace(&v->irqs.err, NULL);
	v->irqs.masked = false;
	for (unsigned i = 0; i < v->shape.n_vectors; i++)
		replace(&v->irqs.vector[i], NULL);
}

void vh_vfu_irqs_fini(struct vh_vfu *v)
{
	vh_vfu_irqs_clear(v);
	free(v->irqs.vector);
	v->irqs.vector = NULL;
}
