/* SPDX-License-Identifier: BSD-3-Clause */
/* See relay_rig.h. */
#include "vvu/relay_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* ---- The guest side ---- */

static void note(struct guest *g, char what)
{
	const size_t n = strlen(g->order);

	if (n + 1 < sizeof(g->order))
		g->order[n] = what;
}

static int guest_deliver(void *arg, const void *msg, size_t len)
{
	struct guest *g = &((struct relay_rig *)arg)->guest;
	struct delivered *d = &g->msg[g->n % MAX_DELIVERED];

	if (!g->buffers)
		return -EAGAIN;
	if (len > g->buffer_len)
		return -EMSGSIZE;
	if (g->buffers != UINT_MAX)
		g->buffers--;
	assert_true(len >= sizeof(d->header) &&
		    len <= sizeof(d->header) + sizeof(d->payload));
	memcpy(&d->header, msg, sizeof(d->header));
	memcpy(d->payload, (const uint8_t *)msg + sizeof(d->header),
	       len - sizeof(d->header));
	d->len = len;
	assert_int_equal(len, sizeof(d->header) + d->header.size);
	g->n++;
	note(g, 'M');
	return 0;
}

static void guest_session(void *arg, bool up, enum vh_relay_end why)
{
	struct guest *g = &((struct relay_rig *)arg)->guest;

	note(g, up ? 'U' : 'D');
	g->why = why;
}

static void guest_kick(void *arg, unsigned vring)
{
	((struct relay_rig *)arg)->guest.kicks[vring]++;
}

static void guest_memory(void *arg, const struct vh_window_table *table)
{
	struct guest *g = &((struct relay_rig *)arg)->guest;

	g->table = *table;
	note(g, 'T');
}

static void guest_area(void *arg, uint8_t shmid, uint64_t offset, uint64_t size)
{
	struct guest *g = &((struct relay_rig *)arg)->guest;

	assert_in_range(shmid, VH_VVU_SHM_LOG, VH_VVU_SHM_INFLIGHT);
	g->area[shmid].offset = offset;
	g->area[shmid].size = size;
}

static const struct vh_relay_ops guest_ops = {
	.deliver = guest_deliver,
	.session = guest_session,
	.kick = guest_kick,
	.memory = guest_memory,
	.area = guest_area,
};

/* ---- The window ---- */

static void fill_table(const struct fake_window *f, const struct vh_wire_mem *mem,
		       struct vh_window_table *table)
{
	*table = (struct vh_window_table){.n = mem->n};
	for (unsigned i = 0; i < mem->n; i++) {
		const struct vh_wire_region *r = &mem->region[i];

		table->region[i] =
			(struct vh_window_region){r->gpa, r->size, r->uva, f->at[i]};
	}
}

static int fake_place(struct vh_window *w, struct vh_msg *m,
		      struct vh_window_table *table, void (*done)(void *arg, int err),
		      void *arg)
{
	struct fake_window *f = vh_container_of(w, struct fake_window, w);

	assert_int_equal(m->n_fds, m->mem.n);
	f->n_placed++;
	f->mem = m->mem;
	f->table = table;
	f->done = done;
	f->arg = arg;
	if (!f->result)
		fill_table(f, &m->mem, table);
	return f->result;
}

static void fake_drop(struct vh_window *w)
{
	struct fake_window *f = vh_container_of(w, struct fake_window, w);

	f->n_dropped++;
	f->done = NULL;
}

static const struct vh_window_ops fake_ops = {.place = fake_place, .drop = fake_drop};

/* ---- Life ---- */

void relay_renew(struct relay_rig *x)
{
	vh_relay_destroy(x->relay);
	assert_int_equal(vh_relay_create(x->reactor, &x->params, &x->relay), 0);
}

static struct relay_rig *open_rig(void)
{
	struct relay_rig *x = calloc(1, sizeof(*x));
	void *rig;

	assert_non_null(x);
	assert_int_equal(rig_setup(&rig), 0);
	x->rig = rig;
	x->reactor = reactor_new(VH_POLL_SLEEP);
	x->fd = -1;
	x->memory = rig_memfd(MEMORY);
	x->window.w.ops = &fake_ops;
	x->guest.buffers = UINT_MAX;
	x->guest.buffer_len = sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD;
	assert_int_equal(vh_area_create("test", &x->area), 0);
	x->params = (struct vh_relay_params){
		.front = x->rig->address,
		.tag = "test",
		.accept_early = true,
		.max_vrings = N_VRINGS,
		.pairs = 1,
		.window = &x->window.w,
		.area = x->area,
		.ops = &guest_ops,
		.arg = x,
	};
	return x;
}

int relay_setup_old(void **state)
{
	struct relay_rig *x = open_rig();

	relay_renew(x);
	vh_relay_set_driver(x->relay, 0, 1024);
	*state = x;
	return 0;
}

int relay_setup(void **state)
{
	struct relay_rig *x = open_rig();

	relay_renew(x);
	vh_relay_set_driver(x->relay, ALL_FEATURES, 4096);
	vh_relay_set_ready(x->relay, true);
	*state = x;
	return 0;
}

int relay_teardown(void **state)
{
	struct relay_rig *x = *state;
	void *rig = x->rig;
	unsigned n_maps;

	relay_hang_up(x);
	vh_relay_destroy(x->relay);
	vh_area_destroy(x->area);
	vh_reactor_destroy(x->reactor);
	close(x->memory);
	free(x);
	n_maps = rig_count_memfd_maps();
	if (n_maps)
		print_error("%u mappings are left\n", n_maps);
	return rig_teardown(&rig) || n_maps ? -1 : 0;
}

void relay_drive(struct relay_rig *x)
{
	drive_until_idle(x->reactor);
}

/* ---- The front-end ---- */

void relay_connect(struct relay_rig *x)
{
	relay_hang_up(x);
	x->fd = peer_connect(x->rig->path);
	relay_drive(x);
}

void relay_hang_up(struct relay_rig *x)
{
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
	relay_drive(x);
}

void relay_say(struct relay_rig *x, uint32_t id, uint32_t flags, const void *payload,
	       uint32_t size, const int *fds, unsigned n_fds)
{
	peer_send(x->fd, id, flags, payload, size, fds, n_fds);
	relay_drive(x);
}

void relay_say_u64(struct relay_rig *x, uint32_t id, uint64_t v)
{
	relay_say(x, id, PLAIN, &v, sizeof(v), NULL, 0);
}

void relay_say_state(struct relay_rig *x, uint32_t id, uint32_t index, uint32_t num)
{
	const struct vh_wire_state s = {index, num};

	relay_say(x, id, PLAIN, &s, sizeof(s), NULL, 0);
}

void relay_say_fd(struct relay_rig *x, uint32_t id, unsigned vring, int fd)
{
	const uint64_t v = fd < 0 ? vring | VH_VRING_NO_FD : vring;

	relay_say(x, id, PLAIN, &v, sizeof(v), &fd, fd >= 0);
}

void relay_say_table(struct relay_rig *x, uint32_t flags, const struct vh_wire_region *r,
		     unsigned n, const int *fds)
{
	struct vh_wire_mem mem = {.n = n};
	int same[VH_MAX_TABLE_REGIONS];

	for (unsigned i = 0; i < n; i++) {
		mem.region[i] = r[i];
		same[i] = x->memory;
	}
	relay_say(x, VH_MSG_SET_MEM_TABLE, flags, &mem, 8 + n * sizeof(*r),
		  fds ? fds : same, n);
}

uint64_t relay_read_u64(struct relay_rig *x, uint32_t id)
{
	uint32_t got, flags;
	uint64_t v;

	assert_int_equal(peer_read(x->fd, &got, &flags, &v, sizeof(v), NULL, NULL), 8);
	assert_int_equal(got, id);
	assert_int_equal(flags, ANSWER);
	return v;
}

void relay_expect_silence(struct relay_rig *x)
{
	relay_drive(x);
	assert_false(fd_is_readable(x->fd, 0));
}

void relay_expect_closed(struct relay_rig *x, enum vh_relay_end why)
{
	struct vh_relay_stats stats;

	relay_drive(x);
	assert_true(peer_is_closed(x->fd));
	assert_false(vh_relay_is_up(x->relay));
	vh_relay_read_stats(x->relay, &stats);
	assert_int_equal(stats.last_end, why);
	assert_int_equal(x->guest.why, why);
}

void relay_expect_refused(struct relay_rig *x, enum vh_relay_end why)
{
	relay_expect_closed(x, why);
	relay_expect_nothing(x);
}

/* ---- The driver ---- */

const struct delivered *relay_next(struct relay_rig *x, uint32_t id)
{
	struct guest *g = &x->guest;
	const struct delivered *d = &g->msg[g->read % MAX_DELIVERED];

	relay_drive(x);
	assert_true(g->read < g->n);
	g->read++;
	assert_int_equal(d->header.request, id);
	return d;
}

void relay_expect_nothing(struct relay_rig *x)
{
	relay_drive(x);
	assert_int_equal(x->guest.n, x->guest.read);
}

int relay_answer(struct relay_rig *x, uint32_t id, uint32_t flags, const void *payload,
		 uint32_t size)
{
	const struct vh_wire_header h = {id, flags, size};
	uint8_t bytes[sizeof(h) + VH_MAX_PAYLOAD];

	memcpy(bytes, &h, sizeof(h));
	if (size)
		memcpy(bytes + sizeof(h), payload, size);
	return vh_relay_send(x->relay, bytes, sizeof(h) + size);
}

void relay_answer_u64(struct relay_rig *x, uint32_t id, uint64_t v)
{
	assert_int_equal(relay_answer(x, id, ANSWER, &v, sizeof(v)), 0);
}

void relay_negotiate(struct relay_rig *x, uint64_t protocol)
{
	relay_say(x, VH_MSG_GET_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_next(x, VH_MSG_GET_FEATURES);
	relay_answer_u64(x, VH_MSG_GET_FEATURES, UINT64_MAX);
	relay_read_u64(x, VH_MSG_GET_FEATURES);
	relay_say(x, VH_MSG_GET_PROTOCOL_FEATURES, PLAIN, NULL, 0, NULL, 0);
	relay_next(x, VH_MSG_GET_PROTOCOL_FEATURES);
	relay_answer_u64(x, VH_MSG_GET_PROTOCOL_FEATURES, UINT64_MAX);
	assert_int_equal(~relay_read_u64(x, VH_MSG_GET_PROTOCOL_FEATURES) & protocol, 0);
	relay_say_u64(x, VH_MSG_SET_PROTOCOL_FEATURES, protocol);
	relay_next(x, VH_MSG_SET_PROTOCOL_FEATURES);
	relay_say_u64(x, VH_MSG_SET_FEATURES, VH_BIT(VH_F_PROTOCOL_FEATURES));
	relay_next(x, VH_MSG_SET_FEATURES);
}
