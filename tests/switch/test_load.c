/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two workers under load, so that receive queues are borrowed and found busy, while
 * control changes things: run it under TSan, too.
 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/barrier.h"

#define GUESTS	  4
#define ROUNDS	  2000
#define BROADCAST 16 /* one frame of so many goes to everybody */
#define STATION	  1  /* of the first guest */
#define PASSING	  99 /* one that comes and goes */

struct guest {
	unsigned number;
	struct card card;
	struct card_frame frame;
	uint32_t next[GUESTS]; /* least sequence number that may come from there */
	uint64_t unicasts, broadcasts, received, damaged, reordered;
	pthread_t thread;
};

static struct rig rig;
static struct guest *guest[GUESTS];
static uint32_t go_on; /* guests send until it is 0 */

static void add_guest(unsigned i, uint64_t features)
{
	char port[64], address[32];

	guest[i] = calloc(1, sizeof(*guest[i]));
	assert_non_null(guest[i]);
	guest[i]->number = i;
	snprintf(address, sizeof(address), "loop:%u", i);
	snprintf(port, sizeof(port), "p%u=%s", i, address);
	rig_add(&rig, port);
	card_open(&guest[i]->card, address, features);
	card_fill(&guest[i]->card, 128, 2048, 2048);
}

static int begin(void **state)
{
	rig_start(&rig, &(struct vh_switch_params){.flood_per_s = 100000000});
	for (unsigned i = 0; i < GUESTS; i++)
		add_guest(i, i % 2 ? VH_BIT(VIRTIO_NET_F_MRG_RXBUF) : 0);
	for (unsigned i = 0; i < GUESTS; i++) {
		card_say(&guest[i]->card, EVERYBODY, STATION + i, 0);
		card_sync(&rig, &guest[i]->card);
	}
	for (unsigned i = 0; i < GUESTS; i++)
		assert_int_equal(card_drain(&guest[i]->card), GUESTS - 1);
	return 0;
}

static int end(void **state)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		card_close(&guest[i]->card);
		free(guest[i]);
	}
	rig_stop(&rig);
	return 0;
}

/* ---- A guest's thread ---- */

/* The sequence number stands behind the Ethernet header. */
static uint32_t make(uint8_t *frame, unsigned to, unsigned from, uint32_t seq)
{
	const uint32_t len = 60 + seq * 37 % 1400;

	frame_make(frame, to, STATION + from, len, seq);
	memcpy(frame + 14, &seq, sizeof(seq));
	return len;
}

static void judge(struct guest *g)
{
	const struct card_frame *f = &g->frame;
	const unsigned from = f->data[11] - STATION;
	uint8_t wanted[2048];
	uint32_t seq;

	if (from == PASSING - STATION)
		return;
	memcpy(&seq, f->data + 14, sizeof(seq));
	g->received++;
	if (from >= GUESTS || f->len < 60 ||
	    make(wanted, f->data[5], from, seq) != f->len ||
	    memcmp(f->data, wanted, f->len) != 0) {
		g->damaged++;
		return;
	}
	g->reordered += seq < g->next[from];
	g->next[from] = seq + 1;
}

static void receive(struct guest *g)
{
	while (card_take(&g->card, &g->frame))
		judge(g);
}

static void send_one(struct guest *g, uint32_t seq)
{
	unsigned to = (g->number + 1 + seq % (GUESTS - 1)) % GUESTS;
	uint8_t frame[2048];
	uint32_t len;

	if (seq % BROADCAST == 0)
		to = EVERYBODY;
	else
		to += STATION;
	len = make(frame, to, g->number, seq);
	if (!card_try_send(&g->card, frame, len)) {
		receive(g);
		card_send(&g->card, NULL, frame, len);
	}
	if (to == EVERYBODY)
		g->broadcasts++;
	else
		g->unicasts++;
}

static void *be_guest(void *arg)
{
	struct guest *g = arg;

	for (uint32_t seq = 1; seq <= ROUNDS || vh_load_acquire(&go_on); seq++) {
		send_one(g, seq);
		if (seq % 8 == 0)
			receive(g);
	}
	card_flush(&g->card);
	return NULL;
}

static void run_guests(void)
{
	for (unsigned i = 0; i < GUESTS; i++)
		assert_int_equal(
			pthread_create(&guest[i]->thread, NULL, be_guest, guest[i]), 0);
}

static void join_guests(void)
{
	vh_store_release(&go_on, 0);
	for (unsigned i = 0; i < GUESTS; i++)
		pthread_join(guest[i]->thread, NULL);
	rig_settle(&rig);
	for (unsigned i = 0; i < GUESTS; i++)
		receive(guest[i]);
}

static void nothing_was_damaged(void)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		assert_int_equal(guest[i]->damaged, 0);
		assert_int_equal(guest[i]->reordered, 0);
		assert_true(guest[i]->received > 0);
	}
}

/* ---- */

static struct vh_port_stats stats_of(unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "p%u", i);
	return rig_stats(&rig, name);
}

static void every_frame_arrives_or_is_counted_as_dropped(void **state)
{
	const unsigned first = GUESTS * (GUESTS - 1); /* to say who is where */
	uint64_t sent = first, arrived = 0;

	run_guests();
	join_guests();
	nothing_was_damaged();
	for (unsigned i = 0; i < GUESTS; i++) {
		const struct vh_port_stats s = stats_of(i);

		assert_int_equal(s.rx_frames,
				 1 + guest[i]->unicasts + guest[i]->broadcasts);
		assert_int_equal(s.tx_frames, GUESTS - 1 + guest[i]->received);
		sent += guest[i]->unicasts + (GUESTS - 1) * guest[i]->broadcasts;
		arrived += s.tx_frames + s.drop_full + s.drop_busy;
	}
	assert_int_equal(arrived, sent);
}

static void ports_and_cards_come_and_go_under_load(void **state)
{
	static struct card extra;

	go_on = 1;
	run_guests();
	for (unsigned i = 0; i < 30; i++) {
		rig_add(&rig, "extra=loop:extra,queues=2");
		card_open_pairs(&extra, "loop:extra", 0, 2);
		card_fill(&extra, 16, 2048, 2048);
		for (unsigned k = 0; k < 10; k++)
			card_say(&extra, EVERYBODY, PASSING, k);
		if (i % 3 == 0)
			card_close(&extra);
		rig_remove(&rig, "extra");
		if (i % 3)
			card_close(&extra);
	}
	join_guests();
	nothing_was_damaged();
}

static void queues_are_stopped_and_started_under_load(void **state)
{
	static struct card extra;

	rig_add(&rig, "extra=loop:extra,queues=2");
	card_open_pairs(&extra, "loop:extra", 0, 2);
	for (unsigned pair = 0; pair < 2; pair++) {
		card_use(&extra, pair);
		card_fill(&extra, 64, 2048, 2048);
	}
	go_on = 1;
	run_guests();
	for (unsigned i = 0; i < 60; i++) {
		const unsigned pair = i / 2 % 2;

		assert_int_equal(vh_client_enable(extra.client, 2 * pair, i % 2), 0);
		card_use(&extra, pair);
		card_drain(&extra);
		if (i % 10 == 9) {
			assert_int_equal(vh_client_stop(extra.client), 0);
			assert_int_equal(vh_client_start(extra.client, 4, CARD_RING), 0);
		}
		stats_of(i % GUESTS);
	}
	join_guests();
	nothing_was_damaged();
	card_close(&extra);
}

/* What a worker just looks at is not freed under its eyes. */
static void a_switch_may_stop_in_the_middle_of_it(void **state)
{
	for (unsigned round = 0; round < 5; round++) {
		for (uint32_t seq = 0; seq < CARD_TX_SLOTS * GUESTS; seq++) {
			struct guest *g = guest[seq % GUESTS];
			uint8_t frame[2048];

			card_try_send(&g->card, frame,
				      make(frame, EVERYBODY, g->number, seq));
		}
		rig_stop(&rig);
		for (unsigned i = 0; i < GUESTS; i++) {
			card_close(&guest[i]->card);
			free(guest[i]);
		}
		begin(state);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_frame_arrives_or_is_counted_as_dropped),
		TEST(ports_and_cards_come_and_go_under_load),
		TEST(queues_are_stopped_and_started_under_load),
		TEST(a_switch_may_stop_in_the_middle_of_it),
	};

	return rig_run_threaded_cells(tests, sizeof(tests) / sizeof(tests[0]));
}
