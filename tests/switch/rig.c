/* SPDX-License-Identifier: BSD-3-Clause */
/* See rig.h. */
#include "rig.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "reactor/reactor.h"

#define FOR_EVER_MS 20000 /* what does not happen by then never does */
#define LOOK_NS	    2000000

#define BOTH (VH_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VH_BIT(VIRTIO_RING_F_EVENT_IDX))

static const struct rig_cell cells[] = {
	{"sleep 1", VH_POLL_SLEEP, 1, 0},
	{"sleep 1 indirect", VH_POLL_SLEEP, 1, VH_BIT(VIRTIO_RING_F_INDIRECT_DESC)},
	{"sleep 1 event", VH_POLL_SLEEP, 1, VH_BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"sleep 1 indirect event", VH_POLL_SLEEP, 1, BOTH},
	{"sleep 2", VH_POLL_SLEEP, 2, 0},
	{"sleep 2 indirect", VH_POLL_SLEEP, 2, VH_BIT(VIRTIO_RING_F_INDIRECT_DESC)},
	{"sleep 2 event", VH_POLL_SLEEP, 2, VH_BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"sleep 2 indirect event", VH_POLL_SLEEP, 2, BOTH},
	{"busy 1", VH_POLL_BUSY, 1, 0},
	{"busy 1 indirect", VH_POLL_BUSY, 1, VH_BIT(VIRTIO_RING_F_INDIRECT_DESC)},
	{"busy 1 event", VH_POLL_BUSY, 1, VH_BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"busy 1 indirect event", VH_POLL_BUSY, 1, BOTH},
	{"busy 2", VH_POLL_BUSY, 2, 0},
	{"busy 2 indirect", VH_POLL_BUSY, 2, VH_BIT(VIRTIO_RING_F_INDIRECT_DESC)},
	{"busy 2 event", VH_POLL_BUSY, 2, VH_BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"busy 2 indirect event", VH_POLL_BUSY, 2, BOTH},
	/* Two that move data, so queues are borrowed. */
	{"sleep 3 indirect event", VH_POLL_SLEEP, 3, BOTH},
	{"adaptive 3", VH_POLL_ADAPTIVE, 3, 0},
};

const struct rig_cell *rig_cell = &cells[0];

static int run_cells(const struct CMUnitTest *tests, size_t n, unsigned reactors)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		rig_cell = &cells[i];
		if (rig_cell->reactors >= reactors)
			failed += _cmocka_run_group_tests(rig_cell->name, tests, n, NULL,
							  NULL);
	}
	return failed;
}

int rig_run_cells(const struct CMUnitTest *tests, size_t n)
{
	return run_cells(tests, n, 1);
}

int rig_run_threaded_cells(const struct CMUnitTest *tests, size_t n)
{
	return run_cells(tests, n, 3);
}

/* ---- The switch ---- */

static void *run(void *server)
{
	return (void *)(intptr_t)vh_server_run(server);
}

void rig_start(struct rig *r, const struct vh_switch_params *params)
{
	const struct vh_reactor_params p = {
		.size = sizeof(p), .name = "test", .cpu = -1, .poll = rig_cell->poll};

	*r = (struct rig){.n = rig_cell->reactors};
	for (unsigned i = 0; i < r->n; i++)
		assert_int_equal(vh_reactor_create(&p, &r->reactor[i]), 0);
	assert_int_equal(vh_server_create(r->reactor, r->n, &r->server), 0);
	assert_int_equal(vh_switch_create(r->server, r->reactor, r->n, params, &r->sw),
			 0);
	assert_int_equal(pthread_create(&r->thread, NULL, run, r->server), 0);
}

void rig_stop(struct rig *r)
{
	void *result;

	vh_server_stop(r->server);
	assert_int_equal(pthread_join(r->thread, &result), 0);
	assert_null(result);
	vh_server_destroy(r->server);
	vh_switch_destroy(r->sw);
	for (unsigned i = 0; i < r->n; i++)
		vh_reactor_destroy(r->reactor[i]);
}

struct call {
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void do_call(void *arg)
{
	struct call *c = arg;

	c->fn(c->arg);
	sem_post(&c->done);
}

static void wait_for(sem_t *s)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += FOR_EVER_MS / 1000;
	assert_int_equal(sem_timedwait(s, &end), 0);
	sem_destroy(s);
}

void rig_call(struct rig *r, unsigned reactor, void (*fn)(void *arg), void *arg)
{
	struct call c = {.fn = fn, .arg = arg};

	sem_init(&c.done, 0, 0);
	assert_int_equal(vh_reactor_post(r->reactor[reactor], do_call, &c), 0);
	wait_for(&c.done);
}

static void do_nothing(void *arg)
{
	(void)arg;
}

/* Twice: what is posted runs in the middle of a turn, and deferred work at its end. */
void rig_settle(struct rig *r)
{
	for (unsigned i = 0; i < 2 * r->n; i++)
		rig_call(r, i % r->n, do_nothing, NULL);
}

struct look {
	struct rig *rig;
	bool (*is_true)(void *arg);
	void *arg;
	struct vh_timer timer;
	sem_t done;
};

static void look_again(struct vh_timer *t)
{
	struct look *l = vh_container_of(t, struct look, timer);

	if (l->is_true(l->arg))
		sem_post(&l->done);
	else
		vh_timer_arm(l->rig->reactor[0], t, LOOK_NS);
}

static void begin_to_look(void *arg)
{
	struct look *l = arg;

	vh_timer_init(&l->timer, look_again);
	look_again(&l->timer);
}

void rig_until(struct rig *r, bool (*is_true)(void *arg), void *arg)
{
	struct look l = {.rig = r, .is_true = is_true, .arg = arg};

	sem_init(&l.done, 0, 0);
	rig_call(r, 0, begin_to_look, &l);
	wait_for(&l.done);
}

/* ---- Ports ---- */

struct addition {
	struct rig *rig;
	const char *text;
	int err;
};

static void add_on_control(void *arg)
{
	struct addition *a = arg;
	struct vh_port_params p;

	a->err = vh_port_params_parse(&p, a->text);
	if (a->err)
		return;
	a->err = vh_switch_add(a->rig->sw, &p);
	vh_port_params_fini(&p);
}

void rig_add(struct rig *r, const char *port)
{
	struct addition a = {.rig = r, .text = port};

	rig_call(r, 0, add_on_control, &a);
	assert_int_equal(a.err, 0);
}

struct removal {
	struct rig *rig;
	const char *name;
	int err;
	sem_t done;
};

static void is_removed(void *arg)
{
	sem_post(arg);
}

static void remove_on_control(void *arg)
{
	struct removal *m = arg;

	m->err = vh_switch_remove(m->rig->sw, m->name, is_removed, &m->done);
}

void rig_remove(struct rig *r, const char *name)
{
	struct removal m = {.rig = r, .name = name};

	sem_init(&m.done, 0, 0);
	rig_call(r, 0, remove_on_control, &m);
	assert_int_equal(m.err, 0);
	wait_for(&m.done);
}

struct query {
	struct rig *rig;
	const char *name;
	struct vh_port_info info;
};

static void keep_if_named(void *arg, const struct vh_port_info *info)
{
	struct query *q = arg;

	if (!strcmp(info->name, q->name))
		q->info = *info;
}

struct vh_port_info rig_info(struct rig *r, const char *name)
{
	struct query q = {.rig = r, .name = name};

	vh_switch_each(r->sw, keep_if_named, &q);
	return q.info;
}

static void ask_on_control(void *arg)
{
	struct query *q = arg;

	q->info = rig_info(q->rig, q->name);
}

struct vh_port_stats rig_stats(struct rig *r, const char *name)
{
	struct query q = {.rig = r, .name = name};

	rig_call(r, 0, ask_on_control, &q);
	return q.info.stats;
}

unsigned rig_macs(struct rig *r, const char *name)
{
	struct query q = {.rig = r, .name = name};

	rig_call(r, 0, ask_on_control, &q);
	return q.info.macs;
}
