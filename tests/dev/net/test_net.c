/* SPDX-License-Identifier: BSD-3-Clause */
/* The device model as a front-end sees it: features, config space, MTU, queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <string.h>

#include <vhost/vhost.h>

#include "dev/net/net.h"
#include "spec/vhost_user.h"
#include "spec/virtio_net.h"

#define CONFIG_LEN sizeof(struct virtio_net_config)

static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5};

/* An owner that remembers what it was told. */
struct owner {
	struct vh_net net;
	struct vh_device_ops ops;
	uint8_t rarp[6];
	uint64_t features;
	struct vh_reactor *reactor;
	struct vh_server *server;
	pthread_t thread;
};

static struct owner owner;

static void transmit(struct vh_net *n, struct vh_queue *q)
{
}

static int remember_rarp(struct vh_net *n, const uint8_t address[6])
{
	memcpy(owner.rarp, address, 6);
	return 0;
}

static void remember_features(struct vh_net *n, uint64_t features)
{
	owner.features |= features;
}

static const struct vh_net_owner with_all = {
	.transmit = transmit, .rarp = remember_rarp, .features = remember_features};

static void *run(void *server)
{
	return (void *)(intptr_t)vh_server_run(server);
}

static void serve(uint16_t pairs, uint16_t mtu, bool has_mac)
{
	const struct vh_reactor_params p = {
		.size = sizeof(p), .name = "test", .cpu = -1, .poll = VH_POLL_SLEEP};

	owner = (struct owner){
		.net = {.owner = &with_all,
			.max_pairs = pairs,
			.mtu = mtu,
			.has_mac = has_mac},
		.ops = vh_net_ops,
	};
	if (has_mac)
		memcpy(owner.net.mac, mac, 6);
	owner.ops.queues = (uint16_t)(2 * pairs);
	assert_int_equal(vh_reactor_create(&p, &owner.reactor), 0);
	assert_int_equal(vh_server_create(&owner.reactor, 1, &owner.server), 0);
	assert_int_equal(vh_server_add(owner.server, &owner.ops, &owner.net, "loop:net",
				       NULL, 0, NULL),
			 0);
	assert_int_equal(pthread_create(&owner.thread, NULL, run, owner.server), 0);
}

static void stop_serving(void)
{
	vh_server_stop(owner.server);
	assert_int_equal(pthread_join(owner.thread, NULL), 0);
	vh_server_destroy(owner.server);
	vh_reactor_destroy(owner.reactor);
}

static struct vh_client *drive(uint64_t features, struct vh_client_info *info)
{
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = "loop:net",
					   .features = features |
						       VH_BIT(VIRTIO_F_VERSION_1),
					   .memory = 1 << 20};
	struct vh_client *c;

	assert_int_equal(vh_client_create(&p, &c), 0);
	assert_int_equal(vh_client_connect(c), 0);
	vh_client_info(c, info);
	return c;
}

static struct virtio_net_config config_of(struct vh_client *c)
{
	struct virtio_net_config config;

	assert_int_equal(vh_client_read_config(c, 0, &config, sizeof(config)), 0);
	return config;
}

static void config_space_says_what_the_owner_said(void **state)
{
	struct vh_client_info info;
	struct virtio_net_config config;
	struct vh_client *c;

	serve(4, 9000, true);
	c = drive(0, &info);
	config = config_of(c);
	assert_memory_equal(config.mac, mac, 6);
	assert_int_equal(config.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(config.max_virtqueue_pairs, 4);
	assert_int_equal(config.mtu, 9000);
	assert_int_equal(info.queue_num, 4);
	vh_client_destroy(c);
	stop_serving();
}

static void without_an_mtu_it_is_that_of_ethernet(void **state)
{
	struct vh_client_info info;
	struct vh_client *c;

	serve(1, 0, false);
	c = drive(0, &info);
	assert_int_equal(config_of(c).mtu, 1500);
	vh_client_destroy(c);
	stop_serving();
}

static void any_part_of_config_space_is_read_and_nothing_behind_it(void **state)
{
	struct vh_client_info info;
	struct virtio_net_config whole;
	uint8_t part[CONFIG_LEN + 1];
	struct vh_client *c;

	serve(2, 9000, true);
	c = drive(0, &info);
	whole = config_of(c);
	for (size_t off = 0; off < CONFIG_LEN; off++) {
		const size_t len = CONFIG_LEN - off;

		assert_int_equal(vh_client_read_config(c, off, part, len), 0);
		assert_memory_equal(part, (uint8_t *)&whole + off, len);
		assert_int_not_equal(vh_client_read_config(c, off, part, len + 1), 0);
	}
	assert_int_not_equal(vh_client_read_config(c, CONFIG_LEN + 1, part, 1), 0);
	assert_int_equal(config_of(c).mtu, 9000); /* and the connection lives on */
	vh_client_destroy(c);
	stop_serving();
}

static void a_front_end_cannot_write_config_space(void **state)
{
	const uint8_t other[6] = {2, 9, 9, 9, 9, 9};
	struct vh_client_info info;
	struct vh_client *c;

	serve(1, 0, true);
	c = drive(0, &info);
	assert_int_not_equal(vh_client_write_config(c, 0, other, 6), 0);
	assert_memory_equal(config_of(c).mac, mac, 6);
	vh_client_destroy(c);
	stop_serving();
}

static void several_pairs_and_an_address_are_offered_when_there_are(void **state)
{
	const uint64_t both = VH_BIT(VIRTIO_NET_F_MQ) | VH_BIT(VIRTIO_NET_F_MAC);
	struct vh_client_info info;

	for (unsigned i = 0; i < 2; i++) {
		serve(i ? 2 : 1, 0, i);
		vh_client_destroy(drive(0, &info));
		assert_int_equal(info.offered_features & both, i ? both : 0);
		stop_serving();
	}
}

static void every_offload_is_offered_and_no_control_queue(void **state)
{
	static const unsigned offered[] = {
		VIRTIO_NET_F_CSUM,	 VIRTIO_NET_F_GUEST_CSUM,
		VIRTIO_NET_F_HOST_TSO4,	 VIRTIO_NET_F_HOST_TSO6,
		VIRTIO_NET_F_HOST_ECN,	 VIRTIO_NET_F_HOST_USO,
		VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
		VIRTIO_NET_F_GUEST_ECN,	 VIRTIO_NET_F_GUEST_USO4,
		VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_MRG_RXBUF,
		VIRTIO_NET_F_STATUS,	 VIRTIO_NET_F_GUEST_ANNOUNCE,
		VIRTIO_NET_F_MTU};
	struct vh_client_info info;

	serve(1, 0, false);
	vh_client_destroy(drive(0, &info));
	for (unsigned i = 0; i < sizeof(offered) / sizeof(offered[0]); i++)
		assert_true(info.offered_features >> offered[i] & 1);
	assert_false(info.offered_features >> VIRTIO_NET_F_CTRL_VQ & 1);
	assert_false(info.offered_features >> VIRTIO_NET_F_HOST_UFO & 1);
	assert_false(info.offered_features >> VIRTIO_NET_F_RSC_EXT & 1);
	stop_serving();
}

static void an_mtu_below_the_least_is_refused(void **state)
{
	struct vh_client_info info;
	struct vh_client *c;

	serve(1, 0, false);
	c = drive(VH_BIT(VIRTIO_NET_F_MTU), &info);
	assert_int_equal(vh_client_set_mtu(c, 1500), 0);
	assert_int_equal(vh_client_set_mtu(c, 65535), 0);
	assert_int_equal(vh_client_set_mtu(c, 68), 0);
	assert_int_not_equal(vh_client_set_mtu(c, 67), 0);
	assert_int_not_equal(vh_client_set_mtu(c, 0), 0);
	assert_int_equal(vh_client_set_mtu(c, 9000), 0);
	vh_client_destroy(c);
	stop_serving();
}

static void the_owner_hears_of_features_and_of_rarp(void **state)
{
	struct vh_client_info info;
	struct vh_client *c;

	serve(1, 0, false);
	c = drive(VH_BIT(VIRTIO_NET_F_CSUM), &info);
	assert_int_equal(vh_client_send_rarp(c, mac), 0);
	vh_client_destroy(c);
	stop_serving();
	assert_memory_equal(owner.rarp, mac, 6);
	assert_true(owner.features >> VIRTIO_NET_F_CSUM & 1);
}

static void the_header_has_two_lengths(void **state)
{
	const uint64_t one = VH_BIT(VIRTIO_F_VERSION_1),
		       merge = VH_BIT(VIRTIO_NET_F_MRG_RXBUF);

	assert_int_equal(vh_net_header_len(0), 10);
	assert_int_equal(vh_net_header_len(~(one | merge)), 10);
	assert_int_equal(vh_net_header_len(one), 12);
	assert_int_equal(vh_net_header_len(merge), 12);
	assert_int_equal(vh_net_header_len(one | merge), 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config_space_says_what_the_owner_said),
		cmocka_unit_test(without_an_mtu_it_is_that_of_ethernet),
		cmocka_unit_test(any_part_of_config_space_is_read_and_nothing_behind_it),
		cmocka_unit_test(a_front_end_cannot_write_config_space),
		cmocka_unit_test(several_pairs_and_an_address_are_offered_when_there_are),
		cmocka_unit_test(every_offload_is_offered_and_no_control_queue),
		cmocka_unit_test(an_mtu_below_the_least_is_refused),
		cmocka_unit_test(the_owner_hears_of_features_and_of_rarp),
		cmocka_unit_test(the_header_has_two_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
