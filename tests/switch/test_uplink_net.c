/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TAP and packet uplinks in a network namespace of our own: a card at a port, the
 * switch, an interface, and behind it the "host", which is a packet socket.  It skips
 * where it may not make a namespace.
 */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dev/net/packet.h"

#define SKIP 77
#define CARD 1
#define HOST 2
#define OFFLOADS                                                            \
	(VH_BIT(VIRTIO_NET_F_CSUM) | VH_BIT(VIRTIO_NET_F_HOST_TSO4) |       \
	 VH_BIT(VIRTIO_NET_F_HOST_TSO6) | VH_BIT(VIRTIO_NET_F_GUEST_CSUM) | \
	 VH_BIT(VIRTIO_NET_F_GUEST_TSO4) | VH_BIT(VIRTIO_NET_F_GUEST_TSO6))
#define MSS  1000
#define LONG 20500

static struct rig rig;
static struct card card;
static struct card_frame frame; /* as the host receives one, too */
static struct packet packet;
static int host = -1;
static unsigned vlan_heard; /* with frame */

/* ---- The namespace ---- */

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static bool enter_namespace(void)
{
	char map[64];

	if (unshare(CLONE_NEWNET) == 0)
		return true;
	snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
	       write_file("/proc/self/uid_map", map);
}

static bool run(const char *command)
{
	return system(command) == 0;
}

/* NULL, or what is missing. */
static const char *what_is_missing(void)
{
	if (!enter_namespace())
		return "the right to make a network namespace";
	/* Or the kernel says things of its own on every interface. */
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	if (!run("ip link set lo up 2>/dev/null"))
		return "ip (of iproute2)";
	if (access("/dev/net/tun", R_OK | W_OK) < 0)
		return "/dev/net/tun";
	if (!run("ip tuntap add mode tap try0 2>/dev/null && ip link del try0"))
		return "TAP interfaces";
	if (!run("ip link add try0 type veth peer name try1 2>/dev/null && "
		 "ip link del try0"))
		return "veth interfaces";
	return NULL;
}

/* ---- The host ---- */

static void open_host(const char *ifname)
{
	const int on = 1;
	const struct timeval patience = {.tv_sec = 5};
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex(ifname)};

	host = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	assert_true(host >= 0);
	assert_int_not_equal(at.sll_ifindex, 0);
	assert_int_equal(setsockopt(host, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)),
			 0);
	assert_int_equal(
		setsockopt(host, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(host, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)),
			 0);
	assert_int_equal(
		setsockopt(host, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
		0);
	assert_int_equal(bind(host, (struct sockaddr *)&at, sizeof(at)), 0);
}

static void host_sends(const struct virtio_net_hdr_v1 *hdr, const void *bytes,
		       uint32_t len)
{
	struct virtio_net_hdr_v1 h = {0};
	const struct iovec iov[] = {{&h, sizeof(struct virtio_net_hdr)},
				    {(void *)bytes, len}};

	if (hdr)
		h = *hdr;
	assert_int_equal(writev(host, iov, 2), sizeof(struct virtio_net_hdr) + len);
}

static void host_says(unsigned to, uint32_t seq)
{
	uint8_t bytes[FRAME_LEN];

	frame_make(bytes, to, HOST, FRAME_LEN, seq);
	host_sends(NULL, bytes, FRAME_LEN);
}

static void host_sends_packet(void)
{
	const struct virtio_net_hdr_v1 h = packet_hdr(&packet, MSS);

	memcpy(packet.bytes, "\2\0\0\0\0\1\2\0\0\0\0\2", 12); /* to the card */
	host_sends(&h, packet.bytes, packet.len);
}

/* Into frame.  The kernel takes its tag off and says so beside it. */
static void host_receives(void)
{
	uint8_t control[256] __attribute__((aligned(8)));
	struct iovec iov[] = {{&frame.hdr, sizeof(struct virtio_net_hdr)},
			      {frame.bytes, sizeof(frame.bytes)}};
	struct msghdr m = {.msg_iov = iov,
			   .msg_iovlen = 2,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(host, &m, 0);
	const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct tpacket_auxdata aux;

	assert_true(n > (ssize_t)sizeof(struct virtio_net_hdr));
	assert_non_null(c);
	memcpy(&aux, CMSG_DATA(c), sizeof(aux));
	vlan_heard = aux.tp_status & TP_STATUS_VLAN_VALID ? aux.tp_vlan_tci : 0;
	frame.data = frame.bytes;
	frame.len = (uint32_t)n - sizeof(struct virtio_net_hdr);
}

static void host_hears(unsigned to, uint32_t seq)
{
	uint8_t bytes[FRAME_LEN];

	frame_make(bytes, to, CARD, FRAME_LEN, seq);
	host_receives();
	assert_int_equal(frame.len, FRAME_LEN);
	assert_memory_equal(frame.data, bytes, FRAME_LEN);
}

static void card_waits(void)
{
	assert_int_equal(vh_client_wait(card.rx, 5000), 1);
}

/* ---- Uplinks of both kinds ---- */

struct kind {
	const char *make, *port, *host;
};

static const struct kind kinds[] = {
	{"true", "up=tap:vhtap", "vhtap"},
	{"ip link add vh0 type veth peer name vh1 && ip link set vh0 up && "
	 "ip link set vh1 up",
	 "up=packet:vh0", "vh1"},
};

static const struct kind *kind;

static bool is_up(void *arg)
{
	return rig_info(&rig, "up").up;
}

static bool is_down(void *arg)
{
	return !is_up(arg);
}

static void open_card(uint64_t features)
{
	card_open(&card, "loop:a", features);
	if (features)
		card_fill(&card, 64, 40000, 40000);
	else
		card_fill(&card, 64, 2048, 2048);
}

static bool host_hears_within(int ms)
{
	struct pollfd p = {.fd = host, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

/* With a tag of priority 1; it is FRAME_LEN + 4 bytes long. */
static void host_says_tagged(unsigned vlan, uint32_t seq)
{
	uint8_t plain[FRAME_LEN], tagged[FRAME_LEN + 4];

	frame_make(plain, EVERYBODY, HOST, FRAME_LEN, seq);
	memcpy(tagged, plain, 12);
	memcpy(tagged + 12, "\x81\0\x20", 3);
	tagged[15] = (uint8_t)vlan;
	memcpy(tagged + 16, plain + 12, FRAME_LEN - 12);
	host_sends(NULL, tagged, sizeof(tagged));
}

/*
 * A veth takes frames some time after it is up, and loses them until then: say something
 * until it is heard.
 */
static void meet(bool is_tagged)
{
	do
		card_say(&card, EVERYBODY, CARD, 0);
	while (!host_hears_within(10));
	do
		is_tagged ? host_says_tagged(10, 0) : host_says(EVERYBODY, 0);
	while (vh_client_wait(card.rx, 10) != 1);
	card_sync(&rig, &card);
	while (host_hears_within(0))
		host_receives();
	card_drain(&card);
}

static int begin_with(const char *card_port, const char *options, uint64_t features)
{
	char port[64];

	rig_start(&rig, NULL);
	assert_true(run(kind->make));
	rig_add(&rig, card_port);
	snprintf(port, sizeof(port), "%s%s", kind->port, options);
	rig_add(&rig, port);
	rig_until(&rig, is_up, NULL);
	open_host(kind->host);
	open_card(features);
	meet(options[0]);
	return 0;
}

static int begin(void **state)
{
	return begin_with("a=loop:a", "", 0);
}

static int begin_with_offloads(void **state)
{
	return begin_with("a=loop:a", "", OFFLOADS);
}

static int begin_with_vlans(void **state)
{
	return begin_with("a=loop:a,vlan=10", ",trunk=10:20", 0);
}

static int end(void **state)
{
	close(host);
	card_close(&card);
	rig_stop(&rig);
	run("ip link del vh0 2>/dev/null");
	return 0;
}

static void frames_pass_both_ways(void **state)
{
	const struct vh_port_stats before = rig_stats(&rig, "up");
	struct vh_port_stats after;

	for (uint32_t i = 0; i < 50; i++) {
		card_say(&card, i ? HOST : EVERYBODY, CARD, i);
		host_hears(i ? HOST : EVERYBODY, i);
		host_says(CARD, i);
		card_waits();
		card_hears(&card, CARD, HOST, i);
	}
	rig_settle(&rig);
	after = rig_stats(&rig, "up");
	assert_int_equal(after.tx_frames - before.tx_frames, 50);
	assert_int_equal(after.rx_frames - before.rx_frames, 50);
}

static void a_burst_passes_in_order(void **state)
{
	for (uint32_t i = 0; i < 60; i++)
		host_says(EVERYBODY, i);
	for (uint32_t i = 0; i < 60; i++) {
		card_waits();
		card_hears(&card, EVERYBODY, HOST, i);
	}
	for (uint32_t i = 0; i < 200; i++)
		card_say(&card, EVERYBODY, CARD, i);
	for (uint32_t i = 0; i < 200; i++)
		host_hears(EVERYBODY, i);
	card_hears_nothing(&card); /* nothing came back */
}

/* Whole, with their headers, since the kernel takes them. */
static void segments_pass_whole_to_the_host(void **state)
{
	for (unsigned k = TCP4; k <= TCP6; k++) {
		struct virtio_net_hdr_v1 h;

		packet_make(&packet, &(struct packet_params){.kind = k,
							     .payload = LONG,
							     .tcp_flags = 0x10});
		h = packet_hdr(&packet, MSS);
		card_send(&card, &h, packet.bytes, packet.len);
		host_receives();
		assert_int_equal(frame.len, packet.len);
		assert_memory_equal(frame.data, packet.bytes, packet.len);
		assert_int_equal(frame.hdr.gso_type, h.gso_type);
		assert_int_equal(frame.hdr.gso_size, MSS);
		assert_int_equal(frame.hdr.csum_start, h.csum_start);
	}
	assert_int_equal(rig_stats(&rig, "up").software, 0);
}

static void segments_pass_whole_to_the_card(void **state)
{
	for (unsigned k = TCP4; k <= TCP6; k++) {
		packet_make(&packet, &(struct packet_params){.kind = k,
							     .payload = LONG,
							     .tcp_flags = 0x10});
		host_sends_packet();
		card_waits();
		assert_true(card_take(&card, &frame));
		assert_int_equal(frame.len, packet.len);
		assert_memory_equal(frame.data, packet.bytes, packet.len);
		assert_int_equal(frame.hdr.gso_type, packet_hdr(&packet, MSS).gso_type);
		assert_int_equal(frame.hdr.gso_size, MSS);
	}
}

static void segments_are_cut_for_a_card_that_did_not_take_them(void **state)
{
	struct packet_judge j = {.p = &packet, .step = MSS, .sum = SUM_COMPLETE};

	packet_make(&packet, &(struct packet_params){
				     .kind = TCP4, .payload = LONG, .tcp_flags = 0x18});
	host_sends_packet();
	while (j.done < LONG) {
		card_waits();
		assert_true(card_take(&card, &frame));
		packet_judge_segment(&j, frame.data, frame.len);
	}
	packet_judge_end(&j);
}

/* The kernel takes the tag off a packet socket's frames, and we put it in again. */
static void tags_survive_both_ways(void **state)
{
	host_says_tagged(10, 1);
	card_waits();
	card_hears(&card, EVERYBODY, HOST, 1);
	host_says_tagged(20, 2); /* nobody is there */
	host_says(EVERYBODY, 3); /* nor is anybody here */
	host_says_tagged(10, 4);
	card_waits();
	card_hears(&card, EVERYBODY, HOST, 4);
	card_say(&card, EVERYBODY, CARD, 5);
	host_hears(EVERYBODY, 5);
	assert_int_equal(vlan_heard, 10);
	rig_settle(&rig);
	card_hears_nothing(&card);
	assert_int_equal(rig_stats(&rig, "up").drop_vlan, 1);
}

/* ---- Up and down ---- */

static void set_link(const char *what)
{
	char command[64];

	snprintf(command, sizeof(command), "ip link set %s %s",
		 strchr(kind->port, ':') + 1, what);
	assert_true(run(command));
}

static void drops_are_counted_while_it_is_down_and_it_comes_up_again(void **state)
{
	const struct vh_port_stats before = rig_stats(&rig, "up");

	set_link("down");
	/* It is noticed when a frame is refused, or when epoll says so. */
	card_say(&card, EVERYBODY, CARD, 1);
	card_sync(&rig, &card);
	rig_until(&rig, is_down, NULL);
	card_say(&card, EVERYBODY, CARD, 2);
	card_sync(&rig, &card);
	assert_int_equal(rig_stats(&rig, "up").tx_frames, before.tx_frames);
	assert_int_equal(rig_stats(&rig, "up").drop_full, before.drop_full + 2);
	set_link("up");
	rig_until(&rig, is_up, NULL);
	close(host); /* a packet socket remembers that its interface was down */
	open_host(kind->host);
	meet(false);
	card_say(&card, EVERYBODY, CARD, 3);
	host_hears(EVERYBODY, 3);
	host_says(CARD, 4);
	card_waits();
	card_hears(&card, CARD, HOST, 4);
}

static void one_that_was_deleted_is_found_when_it_is_there_again(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "ip link del %s", strchr(kind->port, ':') + 1);
	assert_true(run(command));
	card_say(&card, EVERYBODY, CARD, 1);
	card_sync(&rig, &card);
	rig_until(&rig, is_down, NULL);
	close(host);
	assert_true(run(kind->make));
	rig_until(&rig, is_up, NULL);
	open_host(kind->host);
	meet(false);
	card_say(&card, EVERYBODY, CARD, 2);
	host_hears(EVERYBODY, 2);
	host_says(CARD, 3);
	card_waits();
	card_hears(&card, CARD, HOST, 3);
}

static void an_uplink_may_be_removed_under_traffic(void **state)
{
	for (unsigned i = 0; i < 10; i++) {
		for (uint32_t k = 0; k < 30; k++) {
			card_say(&card, EVERYBODY, CARD, k);
			host_says(EVERYBODY, k);
		}
		rig_remove(&rig, "up");
		card_sync(&rig, &card);
		card_drain(&card);
		close(host);
		rig_add(&rig, kind->port);
		rig_until(&rig, is_up, NULL);
		open_host(kind->host);
	}
	meet(false);
	card_say(&card, EVERYBODY, CARD, 100);
	host_hears(EVERYBODY, 100);
}

#define TEST(name, begin) cmocka_unit_test_setup_teardown(name, begin, end)

static void forget(void *arg, enum vh_log_level level, const char *tag, const char *text)
{
}

#define N_TESTS 9
#define N_SLOW	2 /* the last ones: an interface is looked at once a second */

int main(void)
{
	const struct CMUnitTest tests[N_TESTS] = {
		TEST(frames_pass_both_ways, begin),
		TEST(a_burst_passes_in_order, begin),
		TEST(segments_pass_whole_to_the_host, begin_with_offloads),
		TEST(segments_pass_whole_to_the_card, begin_with_offloads),
		TEST(segments_are_cut_for_a_card_that_did_not_take_them, begin),
		TEST(tags_survive_both_ways, begin_with_vlans),
		TEST(an_uplink_may_be_removed_under_traffic, begin),
		TEST(drops_are_counted_while_it_is_down_and_it_comes_up_again, begin),
		TEST(one_that_was_deleted_is_found_when_it_is_there_again, begin),
	};
	const char *missing = what_is_missing();
	int failed = 0;

	if (missing) {
		printf("skipped: %s is missing\n", missing);
		return SKIP;
	}
	vh_log_set(VH_LOG_ERROR, forget, NULL);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		kind = &kinds[i];
		failed += _cmocka_run_group_tests(kind->port, tests, N_TESTS, NULL, NULL);
		failed += rig_run_threaded_cells(tests, N_TESTS - N_SLOW);
	}
	return failed;
}
