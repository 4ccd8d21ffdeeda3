/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port whose rings are broken, or change while the switch looks, is stopped; all
 * others go on.
 */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/barrier.h"
#include "ring/drv.h"
#include "session/client.h"

static struct rig rig;
static struct card bad, good[2];

static void open_bad(void)
{
	card_open(&bad, "loop:bad",
		  VH_BIT(VIRTIO_NET_F_CSUM) | VH_BIT(VIRTIO_NET_F_HOST_TSO4));
	card_fill(&bad, 64, 2048, 2048);
	rig_settle(&rig);
}

static int begin(void **state)
{
	rig_start(&rig, NULL);
	rig_add(&rig, "bad=loop:bad");
	rig_add(&rig, "good0=loop:good0");
	rig_add(&rig, "good1=loop:good1");
	for (unsigned i = 0; i < 2; i++) {
		card_open(&good[i], i ? "loop:good1" : "loop:good0", 0);
		card_fill(&good[i], 100, 2048, 2048);
	}
	open_bad();
	return 0;
}

static int end(void **state)
{
	card_close(&bad);
	card_close(&good[0]);
	card_close(&good[1]);
	rig_stop(&rig);
	return 0;
}

/* Frames between the good ones pass, also such as the bad one would get. */
static void others_go_on(void)
{
	for (uint32_t i = 0; i < 20; i++) {
		card_say(&good[i % 2], EVERYBODY, 1 + i % 2, i);
		card_sync(&rig, &good[i % 2]);
		card_hears(&good[!(i % 2)], EVERYBODY, 1 + i % 2, i);
	}
}

static void is_stopped(struct vh_client_queue *q)
{
	uint32_t len;

	while (vh_client_get(q, &len))
		;
	while (vh_client_wait(q, 20000) == 1)
		while (vh_client_get(q, &len))
			;
	assert_int_equal(vh_client_queue_error(q), -EIO);
}

static void comes_again(void)
{
	card_close(&bad);
	open_bad();
	card_say(&good[0], EVERYBODY, 1, 7);
	card_sync(&rig, &good[0]);
	card_hears(&bad, EVERYBODY, 1, 7);
	card_hears(&good[1], EVERYBODY, 1, 7);
	card_say(&bad, 1, 99, 8);
	card_sync(&rig, &bad);
	card_hears(&good[0], 1, 99, 8);
}

/* ---- Ways to break a ring ---- */

static void kick(struct vh_client_queue *q)
{
	vh_client_queue_kick(q);
}

static uint16_t *avail(struct vh_driver_ring *r)
{
	return (uint16_t *)r->avail; /* flags, index, entries */
}

static void jump_index(struct vh_driver_ring *r)
{
	avail(r)[1] = (uint16_t)(avail(r)[1] + r->num + 1);
}

static void name_no_descriptor(struct vh_driver_ring *r)
{
	for (unsigned i = 0; i < r->num; i++)
		avail(r)[2 + i] = (uint16_t)r->num;
	avail(r)[1]++;
}

static void point_outside(struct vh_driver_ring *r)
{
	for (unsigned i = 0; i < r->num; i++)
		r->desc[i] = (struct vring_desc){.addr = 1ull << 40, .len = 1000};
	avail(r)[1]++;
}

static void wrap_around(struct vh_driver_ring *r)
{
	for (unsigned i = 0; i < r->num; i++)
		r->desc[i] = (struct vring_desc){.addr = ~0ull - 10, .len = 1000};
	avail(r)[1]++;
}

static void make_loops(struct vh_driver_ring *r)
{
	for (unsigned i = 0; i < r->num; i++)
		r->desc[i] = (struct vring_desc){.addr = VH_CLIENT_GPA,
						 .len = 1,
						 .flags = VRING_DESC_F_NEXT,
						 .next = (uint16_t)i};
	avail(r)[1]++;
}

static void nest_tables(struct vh_driver_ring *r)
{
	for (unsigned i = 0; i < r->num; i++)
		r->desc[i] = (struct vring_desc){
			.addr = VH_CLIENT_GPA, .len = 17, .flags = VRING_DESC_F_INDIRECT};
	avail(r)[1]++;
}

static void (*const ways[])(struct vh_driver_ring *r) = {
	jump_index,  name_no_descriptor, point_outside,
	wrap_around, make_loops,	 nest_tables};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void a_port_that_breaks_its_transmit_ring_stops_alone(void **state)
{
	for (unsigned i = 0; i < WAYS; i++) {
		ways[i](bad.tx->ring);
		kick(bad.tx);
		is_stopped(bad.tx);
		others_go_on();
		card_drain(&bad);
		comes_again();
	}
}

/* It is found out by whoever sends to it, once the buffers fetched before are used. */
static void a_port_that_breaks_its_receive_ring_stops_alone(void **state)
{
	for (unsigned i = 0; i < WAYS; i++) {
		ways[i](bad.rx->ring);
		for (unsigned k = 0; k < 5; k++)
			others_go_on();
		is_stopped(bad.rx);
		others_go_on();
		assert_true(rig_stats(&rig, "bad").drop_full > 0);
		comes_again();
	}
}

/* ---- Memory that changes while it is read ---- */

struct scribbler {
	uint8_t *at;
	size_t len;
	uint32_t stop;
	pthread_t thread;
};

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	uint64_t random = 88172645463325252u;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		vh_guest_write16(s->at + (random >> 16) % s->len / 2 * 2,
				 (uint16_t)random);
	}
	return NULL;
}

static void start(struct scribbler *s, void *at, size_t len)
{
	*s = (struct scribbler){.at = at, .len = len};
	assert_int_equal(pthread_create(&s->thread, NULL, scribble, s), 0);
}

static void stop(struct scribbler *s)
{
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	pthread_join(s->thread, NULL);
}

/* The virtio-net, Ethernet, IP and TCP headers. */
static void headers_that_change_while_they_are_read_do_no_harm(void **state)
{
	struct scribbler s;
	uint8_t *slot = bad.tx_slot[bad.n_tx_free - 1], frame[1000];

	start(&s, slot, 80);
	frame_make(frame, EVERYBODY, 99, sizeof(frame), 0);
	for (unsigned i = 0; i < 300; i++) {
		card_send(&bad, NULL, frame, sizeof(frame));
		card_flush(&bad);
		if (i % 50 == 0) {
			card_drain(&good[0]);
			card_drain(&good[1]);
		}
	}
	stop(&s);
	rig_settle(&rig);
	card_drain(&good[0]);
	card_drain(&good[1]);
	others_go_on();
}

static void descriptors_that_change_while_they_are_read_do_no_harm(void **state)
{
	for (unsigned round = 0; round < 10; round++) {
		struct vh_client_queue *q = round % 2 ? bad.tx : bad.rx;
		struct scribbler s;

		start(&s, q->ring->desc, 64 * sizeof(struct vring_desc));
		for (unsigned i = 0; i < 20; i++) {
			uint8_t frame[FRAME_LEN];

			frame_make(frame, EVERYBODY, 99, FRAME_LEN, i);
			if (round % 2)
				card_try_send(&bad, frame, FRAME_LEN);
			card_say(&good[0], EVERYBODY, 1, i);
			card_flush(&good[0]);
		}
		stop(&s);
		rig_settle(&rig);
		card_drain(&good[0]);
		card_drain(&good[1]);
		others_go_on();
		comes_again();
	}
}

/* ---- Ports that go ---- */

static void a_card_that_goes_in_the_middle_of_traffic_stops_nobody(void **state)
{
	for (unsigned round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 30; i++) {
			card_say(&bad, EVERYBODY, 99, i);
			card_say(&good[0], 99, 1, i);
		}
		card_close(&bad);
		card_sync(&rig, &good[0]);
		card_drain(&good[0]);
		card_drain(&good[1]);
		open_bad();
	}
	others_go_on();
}

static void a_port_that_is_removed_in_the_middle_of_traffic_stops_nobody(void **state)
{
	for (unsigned round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < 30; i++) {
			card_say(&bad, EVERYBODY, 99, i);
			card_say(&good[0], 99, 1, i);
		}
		rig_remove(&rig, "bad");
		card_close(&bad);
		card_sync(&rig, &good[0]);
		card_drain(&good[0]);
		card_drain(&good[1]);
		rig_add(&rig, "bad=loop:bad");
		open_bad();
	}
	others_go_on();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void forget(void *arg, enum vh_log_level level, const char *tag, const char *text)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_port_that_breaks_its_transmit_ring_stops_alone),
		TEST(a_port_that_breaks_its_receive_ring_stops_alone),
		TEST(headers_that_change_while_they_are_read_do_no_harm),
		TEST(descriptors_that_change_while_they_are_read_do_no_harm),
		TEST(a_card_that_goes_in_the_middle_of_traffic_stops_nobody),
		TEST(a_port_that_is_removed_in_the_middle_of_traffic_stops_nobody),
	};

	vh_log_set(VH_LOG_ERROR, forget, NULL); /* a line for each ring broken */
	return RIG_RUN_CELLS(tests);
}
