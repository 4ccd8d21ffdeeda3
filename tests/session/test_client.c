/* SPDX-License-Identifier: BSD-3-Clause */
/* The client and a back-end that means well: negotiation, memory and requests. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "fake_backend.h"

#define PF_BUT(bit) ((VH_BIT(VH_PF_COUNT) - 1) & ~VH_BIT(bit))

/* ---- Connecting ---- */

static void a_back_end_is_described_after_negotiation(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);
	struct vh_client_info info;

	vh_client_info(c, &info);
	assert_int_equal(info.offered_features, f->features);
	assert_int_equal(info.features, f->features);
	assert_int_equal(info.offered_protocol_features, f->protocol_features);
	assert_int_equal(info.protocol_features,
			 f->last_u64[VH_MSG_SET_PROTOCOL_FEATURES]);
	assert_int_equal(info.queue_num, 2);
	assert_int_equal(info.memory_slots, 32);
	vh_client_destroy(c);
}

static void nobody_to_talk_to_is_a_timeout(void **state)
{
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = "unix:/tmp/vhost-test-nobody",
					   .timeout_ms = 30};
	struct vh_client *c;

	assert_int_equal(vh_client_create(&p, &c), 0);
	assert_int_equal(vh_client_connect(c), -ETIMEDOUT);
	assert_int_equal(vh_client_connect(c), -ETIMEDOUT);
	assert_int_equal(vh_client_handle(c, NULL), -EPIPE);
	vh_client_destroy(c);
}

static void an_address_without_a_scheme_is_refused(void **state)
{
	const struct vh_client_params p = {.size = sizeof(p), .address = "nonsense"};
	struct vh_client *c;

	assert_int_equal(vh_client_create(&p, &c), 0);
	assert_int_equal(vh_client_connect(c), -EINVAL);
	assert_int_equal(vh_client_fd(c), -1);
	vh_client_destroy(c);
}

static void params_of_another_size_are_refused(void **state)
{
	const struct vh_client_params p = {.size = sizeof(p) + 8, .address = "unix:/x"};
	struct vh_client *c;

	assert_int_equal(vh_client_create(&p, &c), -EINVAL);
	assert_null(c);
}

static void a_back_end_that_hangs_up_at_first_is_tried_again(void **state)
{
	struct fake *f = *state;
	struct vh_client *c;

	f->at = VH_MSG_GET_FEATURES;
	f->deed = FAKE_HANG_UP;
	f->times = 1;
	c = fake_connected(f);
	assert_int_equal(f->n_lives, 2);
	vh_client_destroy(c);
}

static void a_back_end_that_breaks_the_protocol_at_first_is_not_tried_again(void **state)
{
	const enum fake_deed deeds[] = {FAKE_WRONG_ID, FAKE_WRONG_SIZE, FAKE_WRONG_FLAGS};
	struct fake *f = *state;

	f->at = VH_MSG_GET_FEATURES;
	for (unsigned i = 0; i < 3; i++) {
		struct vh_client *c = fake_client(f, 10000);

		f->deed = deeds[i];
		f->times = 1;
		assert_int_equal(vh_client_connect(c), -EPROTO);
		assert_int_equal(f->n_lives, i + 1);
		vh_client_destroy(c);
	}
}

static void
a_back_end_that_breaks_the_protocol_later_is_told_from_one_that_goes(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);
	uint8_t b;

	f->at = VH_MSG_GET_CONFIG;
	f->deed = FAKE_WRONG_SIZE;
	f->times = 1;
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), -EPROTO);
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), -EPIPE);
	assert_int_equal(vh_client_connect(c), 0);
	f->deed = FAKE_HANG_UP;
	f->times = 1;
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), -EPIPE);
	vh_client_destroy(c);
}

static void connecting_again_begins_from_the_start(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);

	assert_int_equal(vh_client_connect(c), 0);
	assert_int_equal(f->n_lives, 2);
	assert_int_equal(f->seen[0], VH_MSG_SET_OWNER);
	vh_client_destroy(c);
}

/* The client's side of the address listens; the fake comes to it. */
static void *come(void *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint32_t header[3] = {0};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", (const char *)path);
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		sched_yield();
	if (read(fd, header, sizeof(header)) != sizeof(header))
		header[0] = 0;
	close(fd);
	return (void *)(uintptr_t)header[0];
}

static void a_client_can_listen_for_its_back_end(void **state)
{
	struct fake *f = *state;
	char path[64], address[96];
	const struct vh_client_params p = {
		.size = sizeof(p), .address = address, .timeout_ms = 300};
	struct vh_client *c;
	pthread_t thread;
	void *first;

	snprintf(path, sizeof(path), "%s/back", f->dir);
	snprintf(address, sizeof(address), "unix:%s,server=on", path);
	assert_int_equal(vh_client_create(&p, &c), 0);
	assert_int_equal(pthread_create(&thread, NULL, come, path), 0);
	assert_int_equal(vh_client_connect(c), -EPIPE); /* it only listens a little */
	pthread_join(thread, &first);
	assert_int_equal((uintptr_t)first, VH_MSG_SET_OWNER);
	vh_client_destroy(c);
}

static void features_that_the_rings_cannot_have_are_not_taken(void **state)
{
	struct fake *f = *state;
	const struct vh_client_params p = {
		.size = sizeof(p), .address = f->address, .features = UINT64_MAX};
	struct vh_client_info info;
	struct vh_client *c;

	f->features = UINT64_MAX;
	assert_int_equal(vh_client_create(&p, &c), 0);
	assert_int_equal(vh_client_connect(c), 0);
	vh_client_info(c, &info);
	assert_false(info.features & VH_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_false(info.features & VH_BIT(35));
	assert_false(info.features & VH_BIT(VH_F_LOG_ALL));
	assert_true(info.features & VH_BIT(VIRTIO_F_VERSION_1));
	vh_client_destroy(c);
}

/* ---- Memory ---- */

static void memory_is_handed_out_aligned_until_it_is_used_up(void **state)
{
	struct vh_client *c = fake_client(*state, 1000);
	uint8_t *a = vh_client_alloc(c, 100, 1), *b = vh_client_alloc(c, 1, 4096);

	assert_non_null(a);
	assert_int_equal((uintptr_t)b % 4096, 0);
	assert_true(b >= a + 100);
	assert_int_equal(b[0], 0);
	assert_null(vh_client_alloc(c, 65536, 1));
	assert_null(vh_client_alloc(c, SIZE_MAX, 1));
	assert_null(vh_client_alloc(c, 1, 3));
	assert_null(vh_client_alloc(c, 1, 0));
	assert_non_null(vh_client_alloc(c, 65536 - 4097, 1));
	assert_null(vh_client_alloc(c, 1, 1));
	vh_client_destroy(c);
}

static void a_client_without_memory_has_none_to_hand_out(void **state)
{
	const struct vh_client_params p = {.size = sizeof(p), .address = "unix:/x"};
	struct vh_client *c;

	assert_int_equal(vh_client_create(&p, &c), 0);
	assert_null(vh_client_alloc(c, 1, 1));
	vh_client_destroy(c);
}

static void shared_memory_cannot_shrink(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);

	assert_int_equal(vh_client_start(c, 1, 8), 0);
	assert_int_equal(f->n_regions, 2);
	assert_true(f->seals & F_SEAL_SHRINK);
	assert_true(f->seals & F_SEAL_SEAL);
	vh_client_destroy(c);
}

static void one_slot_is_too_few_for_buffers_and_rings(void **state)
{
	struct fake *f = *state;
	struct vh_client *c;

	f->slots = 1;
	c = fake_connected(f);
	assert_int_equal(vh_client_start(c, 1, 8), -ENOSPC);
	vh_client_destroy(c);
}

/* ---- Config space ---- */

static void config_is_read_in_pieces_that_all_take(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);
	uint8_t buf[300];
	unsigned n = 0;

	assert_int_equal(vh_client_read_config(c, 8, buf, sizeof(buf)), 0);
	for (unsigned i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], (uint8_t)(8 + i));
	for (unsigned i = 0; i < f->n_seen; i++)
		n += f->seen[i] == VH_MSG_GET_CONFIG;
	assert_int_equal(n, 2);
	assert_int_equal(vh_client_write_config(c, 8, buf, sizeof(buf)), 0);
	assert_true(fake_saw(f, VH_MSG_SET_CONFIG));
	vh_client_destroy(c);
}

static void a_range_that_is_refused_does_not_end_the_connection(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);
	uint8_t b = 0;

	f->deed = FAKE_REFUSE;
	f->at = VH_MSG_GET_CONFIG;
	f->times = 1;
	assert_int_equal(vh_client_read_config(c, 4, &b, 1), -EINVAL);
	f->at = VH_MSG_SET_CONFIG;
	f->times = 1;
	assert_int_equal(vh_client_write_config(c, 4, &b, 1), -EINVAL);
	assert_int_equal(vh_client_read_config(c, 4, &b, 0), -EINVAL);
	assert_int_equal(vh_client_read_config(c, SIZE_MAX, &b, 1), -EINVAL);
	assert_int_equal(vh_client_read_config(c, 4, &b, 1), 0);
	assert_int_equal(b, 4);
	vh_client_destroy(c);
}

static void a_change_of_config_is_told_once(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);
	bool changed;
	uint8_t b;

	assert_int_equal(vh_client_handle(c, &changed), 0);
	assert_false(changed);
	f->at = VH_MSG_GET_CONFIG;
	f->deed = FAKE_NEWS;
	f->times = 1;
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), 0);
	assert_int_equal(vh_client_handle(c, NULL), 0);
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), 0);
	assert_int_equal(vh_client_handle(c, &changed), 0);
	assert_true(changed);
	assert_int_equal(vh_client_handle(c, &changed), 0);
	assert_false(changed);
	vh_client_destroy(c);
}

static void what_the_back_end_asks_beyond_that_is_refused(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);
	uint8_t b;

	f->at = VH_MSG_GET_CONFIG;
	f->deed = FAKE_QUESTION;
	f->times = 1;
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), 0);
	assert_int_equal(f->question_ack, 1);
	vh_client_destroy(c);
}

/* ---- Other requests ---- */

static void a_mac_and_an_mtu_arrive_as_they_were_given(void **state)
{
	const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);

	assert_int_equal(vh_client_send_rarp(c, mac), 0);
	assert_memory_equal(&f->last_u64[VH_MSG_SEND_RARP], mac, 6);
	assert_int_equal(vh_client_set_mtu(c, 9000), 0);
	assert_int_equal(f->last_u64[VH_MSG_NET_SET_MTU], 9000);
	vh_client_destroy(c);
}

static void what_was_not_negotiated_is_not_supported(void **state)
{
	const uint8_t mac[6] = {0};
	struct fake *f = *state;
	struct vh_client *c;
	uint8_t b;

	f->protocol_features = VH_BIT(VH_PF_REPLY_ACK);
	c = fake_connected(f);
	assert_int_equal(vh_client_read_config(c, 0, &b, 1), -ENOTSUP);
	assert_int_equal(vh_client_write_config(c, 0, &b, 1), -ENOTSUP);
	assert_int_equal(vh_client_send_rarp(c, mac), -ENOTSUP);
	assert_int_equal(vh_client_set_mtu(c, 1500), -ENOTSUP);
	assert_int_equal(vh_client_reset(c), -ENOTSUP);
	assert_int_equal(vh_client_enable(c, 0, true), -EINVAL);
	vh_client_destroy(c);
}

static void without_acks_a_request_is_handled_when_the_call_returns(void **state)
{
	struct fake *f = *state;
	struct vh_client *c;

	f->protocol_features = PF_BUT(VH_PF_REPLY_ACK);
	c = fake_connected(f);
	assert_int_equal(vh_client_start(c, 1, 8), 0);
	assert_true(f->ring[0].enabled);
	assert_int_equal(vh_client_enable(c, 0, false), 0);
	assert_false(f->ring[0].enabled);
	assert_int_equal(f->seen[f->n_seen - 1], VH_MSG_GET_FEATURES);
	vh_client_destroy(c);
}

static void queues_are_switched_off_and_on_one_by_one(void **state)
{
	struct fake *f = *state;
	struct vh_client *c = fake_connected(f);

	assert_int_equal(vh_client_start(c, 2, 8), 0);
	assert_int_equal(vh_client_enable(c, 1, false), 0);
	assert_true(f->ring[0].enabled);
	assert_false(f->ring[1].enabled);
	assert_int_equal(vh_client_enable(c, 1, true), 0);
	assert_true(f->ring[1].enabled);
	assert_int_equal(vh_client_enable(c, 2, true), -EINVAL);
	vh_client_destroy(c);
}

static void requests_without_a_connection_are_turned_down(void **state)
{
	struct vh_client *c = fake_client(*state, 1000);
	uint8_t b;

	assert_int_equal(vh_client_read_config(c, 0, &b, 1), -EPIPE);
	assert_int_equal(vh_client_start(c, 1, 8), -EPIPE);
	assert_int_equal(vh_client_stop(c), 0);
	assert_int_equal(vh_client_reset(c), -EPIPE);
	assert_int_equal(vh_client_handle(c, NULL), -EPIPE);
	assert_null(vh_client_queue(c, 0));
	vh_client_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(a_back_end_is_described_after_negotiation),
		FAKE_TEST(nobody_to_talk_to_is_a_timeout),
		FAKE_TEST(an_address_without_a_scheme_is_refused),
		FAKE_TEST(params_of_another_size_are_refused),
		FAKE_TEST(a_back_end_that_hangs_up_at_first_is_tried_again),
		FAKE_TEST(
			a_back_end_that_breaks_the_protocol_at_first_is_not_tried_again),
		FAKE_TEST(
			a_back_end_that_breaks_the_protocol_later_is_told_from_one_that_goes),
		FAKE_TEST(connecting_again_begins_from_the_start),
		FAKE_TEST(a_client_can_listen_for_its_back_end),
		FAKE_TEST(features_that_the_rings_cannot_have_are_not_taken),
		FAKE_TEST(memory_is_handed_out_aligned_until_it_is_used_up),
		FAKE_TEST(a_client_without_memory_has_none_to_hand_out),
		FAKE_TEST(shared_memory_cannot_shrink),
		FAKE_TEST(one_slot_is_too_few_for_buffers_and_rings),
		FAKE_TEST(config_is_read_in_pieces_that_all_take),
		FAKE_TEST(a_range_that_is_refused_does_not_end_the_connection),
		FAKE_TEST(a_change_of_config_is_told_once),
		FAKE_TEST(what_the_back_end_asks_beyond_that_is_refused),
		FAKE_TEST(a_mac_and_an_mtu_arrive_as_they_were_given),
		FAKE_TEST(what_was_not_negotiated_is_not_supported),
		FAKE_TEST(without_acks_a_request_is_handled_when_the_call_returns),
		FAKE_TEST(queues_are_switched_off_and_on_one_by_one),
		FAKE_TEST(requests_without_a_connection_are_turned_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
