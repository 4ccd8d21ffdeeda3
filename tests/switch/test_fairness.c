/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No port can have the switch for itself.  The worker is held up while ports fill
 * their rings; then the order in which a third one receives shows whose turn came
 * when.
 */
#include "rig.h"

#include <semaphore.h>
#include <string.h>

#include "dev/net/packet.h"

#define GREEDY 1
#define MODEST 2
#define HEARER 3
#define HUGE   60000

static struct rig rig;
static struct card greedy, modest, hearer;

static int begin(void **state)
{
	rig_start(&rig, NULL);
	rig_add(&rig, "greedy=loop:g");
	rig_add(&rig, "modest=loop:m");
	rig_add(&rig, "hearer=loop:h");
	card_open(&greedy, "loop:g",
		  VH_BIT(VIRTIO_NET_F_CSUM) | VH_BIT(VIRTIO_NET_F_HOST_TSO4));
	card_open(&modest, "loop:m", 0);
	card_open(&hearer, "loop:h", 0);
	return 0;
}

static int end(void **state)
{
	card_close(&greedy);
	card_close(&modest);
	card_close(&hearer);
	rig_stop(&rig);
	return 0;
}

/* ---- The worker is held up ---- */

struct hold {
	sem_t held, go;
};

static void hold_on(void *arg)
{
	struct hold *h = arg;

	sem_post(&h->held);
	sem_wait(&h->go);
}

static void hold(struct hold *h)
{
	sem_init(&h->held, 0, 0);
	sem_init(&h->go, 0, 0);
	for (unsigned i = 0; i < rig.n; i++)
		assert_int_equal(vh_reactor_post(rig.reactor[i], hold_on, h), 0);
	for (unsigned i = 0; i < rig.n; i++)
		sem_wait(&h->held);
}

static void let_go(struct hold *h)
{
	for (unsigned i = 0; i < rig.n; i++)
		sem_post(&h->go);
	card_sync(&rig, &greedy);
	card_sync(&rig, &modest);
	sem_destroy(&h->held);
	sem_destroy(&h->go);
}

static void send_long(uint32_t len)
{
	static uint8_t frame[CARD_FRAME_MAX];

	frame_make(frame, HEARER, GREEDY, len, 0);
	card_send(&greedy, NULL, frame, len);
}

/* How many frames of the greedy one the hearer got before that of the modest one. */
static unsigned frames_before(void)
{
	static struct card_frame f;
	unsigned n = 0;

	for (; card_take(&hearer, &f); n++)
		if (f.data[11] == MODEST)
			return n;
	fail_msg("the frame is not there");
	return 0;
}

static void introduce(void)
{
	card_say(&hearer, EVERYBODY, HEARER, 0);
	card_sync(&rig, &hearer);
}

/*
 * Where the ports have a worker each, they do not share a turn but a receiver; the order
 * is then by chance.
 */
static bool is_one_worker(void)
{
	return rig.n <= 2;
}

static void a_port_with_many_frames_lets_others_in_between(void **state)
{
	struct hold h;

	introduce();
	card_fill(&hearer, 250, 2048, 2048);
	for (unsigned i = 0; i < 30; i++)
		send_long(60);
	card_sync(&rig, &greedy);
	card_drain(&hearer);
	hold(&h);
	for (unsigned i = 0; i < CARD_TX_SLOTS; i++)
		send_long(60);
	card_say(&modest, HEARER, MODEST, 0);
	let_go(&h);
	assert_in_range(frames_before(), 0, 64); /* a batch */
}

/* 256 KiB a turn, whatever the frames before were like. */
static void a_port_with_huge_frames_lets_others_in_between(void **state)
{
	struct hold h;

	introduce();
	card_fill(&hearer, 40, HUGE + 12, HUGE + 12);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 64; i++) /* they look small ... */
			send_long(60);
		card_sync(&rig, &greedy);
		card_drain(&hearer);
		hold(&h);
		for (unsigned i = 0; i < CARD_TX_SLOTS; i++) /* ... and are not */
			send_long(HUGE);
		card_say(&modest, HEARER, MODEST, round);
		let_go(&h);
		if (is_one_worker())
			assert_in_range(frames_before(), 0, 2 * (256 * 1024 / HUGE + 1));
		card_drain(&hearer);
	}
}

static void a_flood_lets_others_in_between(void **state)
{
	struct hold h;

	introduce();
	card_fill(&hearer, 200, 2048, 2048);
	hold(&h);
	for (unsigned i = 0; i < CARD_TX_SLOTS; i++) {
		static uint8_t frame[1500];

		frame_make(frame, EVERYBODY, GREEDY, 1500, i);
		card_send(&greedy, NULL, frame, 1500);
	}
	card_say(&modest, HEARER, MODEST, 0);
	let_go(&h);
	assert_in_range(frames_before(), 0, 64);
}

/* ---- Segmentation as a lever ---- */

static void send_segments(uint32_t payload, uint16_t gso_size)
{
	static struct packet p;
	struct virtio_net_hdr_v1 h;

	packet_make(&p, &(struct packet_params){.kind = TCP4, .payload = payload});
	memcpy(p.bytes, "\x02\0\0\0\0\x03", 6); /* to the hearer */
	h = packet_hdr(&p, gso_size);
	card_send(&greedy, &h, p.bytes, p.len);
	card_sync(&rig, &greedy);
}

/* A frame of 64 KiB would become as many frames, each with a sum. */
static void a_frame_is_not_cut_into_thousands(void **state)
{
	introduce();
	card_fill(&hearer, 8, 2048, 2048);
	for (uint16_t gso_size = 1; gso_size < 24; gso_size++)
		send_segments(50000, gso_size);
	assert_int_equal(rig_stats(&rig, "hearer").drop_offload, 23);
	card_hears_nothing(&hearer);
	send_segments(60000, 536);
	assert_int_equal(card_drain(&hearer), 8);
}

/* The rest of a frame is not cut for a ring that is full, but counted. */
static void all_segments_that_a_full_ring_misses_are_counted(void **state)
{
	struct vh_port_stats s;

	introduce();
	hearer.keep = true;
	card_fill(&hearer, 10, 2048, 2048);
	send_segments(50000, 1000);
	s = rig_stats(&rig, "hearer");
	assert_int_equal(s.tx_frames, 10);
	assert_int_equal(s.drop_full, 40);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_port_with_many_frames_lets_others_in_between),
		TEST(a_port_with_huge_frames_lets_others_in_between),
		TEST(a_flood_lets_others_in_between),
		TEST(a_frame_is_not_cut_into_thousands),
		TEST(all_segments_that_a_full_ring_misses_are_counted),
	};

	return RIG_RUN_CELLS(tests);
}
