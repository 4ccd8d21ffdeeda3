/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes and any fds, as a message.  Input: a byte of switches, the number
 * of the request that a reply is for, a header, a payload.
 *
 * Holds for every input: no fd is lost, a refusal names its cause, and what was
 * let through encodes to bytes that decode to the same message, all of which
 * are ours (memory that nobody set never shows in them).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "fuzz.h"
#include "wire/msg.h"

enum { SWITCH_BACKEND = 1, SWITCH_NO_FDS = 2, SWITCH_EXPECT = 4, SWITCH_ACKED = 8 };
#define SWITCH_N_FDS_SHIFT 4

#define MAX_ENCODED (sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD)

struct reader {
	enum vh_channel channel;
	bool carries_fds;
	unsigned n_fds;
	struct vh_expect expect;
	const struct vh_expect *expecting;
};

/* ---- fds ---- */

static int any_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		FUZZ_CHECK((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0);
	return fd;
}

/* The lowest free descriptor: it moves up when one is lost. */
static int lowest_fd(void)
{
	const int fd = dup(any_fd());

	FUZZ_CHECK(fd >= 0);
	close(fd);
	return fd;
}

static void make_fds(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		FUZZ_CHECK((fds[i] = dup(any_fd())) >= 0);
}

/* ---- What must hold ---- */

static unsigned expected_request_fds(const struct vh_msg *m, const struct vh_rule *rule)
{
	switch (rule->fds) {
	case VH_FDS_1:
		return 1;
	case VH_FDS_REGIONS:
		return m->mem.n;
	case VH_FDS_NOFD_BIT:
		return m->payload != VH_PAYLOAD_NONE && m->u64 & VH_VRING_NO_FD ? 0 : 1;
	case VH_FDS_LOG:
	case VH_FDS_OPTIONAL:
		return m->n_fds ? 1 : 0;
	default:
		return 0;
	}
}

static void check_request(const struct vh_msg *m, const struct reader *r)
{
	const struct vh_rule *rule = vh_rule_of(m->channel, m->id);

	FUZZ_CHECK(!m->is_reply && !m->empty);
	if (!rule) {
		FUZZ_CHECK(m->payload == VH_PAYLOAD_OPAQUE);
		return;
	}
	if (r->carries_fds)
		FUZZ_CHECK(m->n_fds == expected_request_fds(m, rule));
	else
		FUZZ_CHECK(m->n_fds == 0);
	if (m->payload == VH_PAYLOAD_MEM)
		FUZZ_CHECK(m->mem.n <= VH_MAX_TABLE_REGIONS && m->mem.pad == 0);
	if (m->payload == VH_PAYLOAD_CONFIG)
		FUZZ_CHECK(m->config.size <= VH_MAX_CONFIG);
	if (m->payload == VH_PAYLOAD_VRING_FD)
		FUZZ_CHECK(m->u64 <= (VH_VRING_NO_FD | VH_VRING_INDEX_MASK));
}

static void check_reply(const struct vh_msg *m, const struct reader *r)
{
	FUZZ_CHECK(m->is_reply && !m->need_reply);
	FUZZ_CHECK(r->expecting && m->id == r->expect.id);
	FUZZ_CHECK(m->n_fds <= 1);
	FUZZ_CHECK(!m->empty || m->payload == VH_PAYLOAD_CONFIG);
}

static void check_print(const struct vh_msg *m)
{
	char whole[2048], part[16];

	memset(part, 'x', sizeof(part));
	vh_msg_print(m, whole, sizeof(whole));
	vh_msg_print(m, part, sizeof(part) - 1);
	FUZZ_CHECK(strlen(whole) > 0 && strlen(whole) < sizeof(whole) - 1);
	FUZZ_CHECK(strlen(part) < sizeof(part) - 1 && part[sizeof(part) - 1] == 'x');
	FUZZ_CHECK(strncmp(whole, part, strlen(part)) == 0);
	FUZZ_CHECK(!strchr(whole, '\n'));
}

static int decode(struct vh_msg *m, const struct reader *r,
		  const struct vh_wire_header *h, const uint8_t *payload, int poison)
{
	int fds[16];
	const char *why = NULL;

	make_fds(fds, r->n_fds);
	memset(m, poison, sizeof(*m));
	const int rc = vh_msg_decode(m, r->channel, h, payload, fds, r->n_fds,
				     r->expecting, r->carries_fds, &why);

	FUZZ_CHECK(rc == 0 || rc == -EPROTO);
	FUZZ_CHECK((rc != 0) == (why != NULL));
	return rc;
}

/* Encode @m, read that back, and get the same again. */
static void check_round_trip(const struct vh_msg *m, const struct reader *r,
			     const struct vh_wire_header *h)
{
	static uint8_t first[MAX_ENCODED], second[MAX_ENCODED];
	struct vh_wire_header again;
	struct vh_msg n;
	const char *why;

	memset(first, 0xa5, sizeof(first));
	memset(second, 0x5a, sizeof(second));
	const int len = vh_msg_encode(m, first, sizeof(first));

	if (m->payload == VH_PAYLOAD_OPAQUE) {
		FUZZ_CHECK(len == -EINVAL);
		return;
	}
	FUZZ_CHECK(len >= (int)sizeof(again));
	FUZZ_CHECK(vh_msg_encode(m, second, len - 1) == -EMSGSIZE);
	FUZZ_CHECK(vh_header_decode(first, &again, &why) == 0);
	FUZZ_CHECK(again.request == h->request && again.flags == h->flags);
	FUZZ_CHECK(again.size == len - sizeof(again));
	FUZZ_CHECK(decode(&n, r, &again, first + sizeof(again), 0x5a) == 0);
	FUZZ_CHECK(n.payload == m->payload && n.empty == m->empty && n.n_fds == m->n_fds);
	FUZZ_CHECK(vh_msg_encode(&n, second, sizeof(second)) == len);
	FUZZ_CHECK(memcmp(first, second, len) == 0);
	vh_msg_close(&n);
}

/* Padding apart, a message of the same size has the same bytes. */
static void check_content(const struct vh_msg *m, const struct vh_wire_header *h,
			  const uint8_t *payload)
{
	static uint8_t sent[MAX_ENCODED], got[VH_MAX_PAYLOAD];
	const struct {
		unsigned at, len;
	} padding[VH_PAYLOAD_COUNT] = {
		[VH_PAYLOAD_MEM] = {4, 4},    [VH_PAYLOAD_MEM_REG] = {0, 8},
		[VH_PAYLOAD_IOTLB] = {26, 6}, [VH_PAYLOAD_INFLIGHT] = {20, 4},
		[VH_PAYLOAD_MMAP] = {1, 7},
	};
	const int len = vh_msg_encode(m, sent, sizeof(sent));

	if (len != (int)(sizeof(*h) + h->size))
		return;
	memcpy(got, payload, h->size);
	if (h->size)
		memset(got + padding[m->payload].at, 0, padding[m->payload].len);
	FUZZ_CHECK(memcmp(sent + sizeof(*h), got, h->size) == 0);
}

static void one_message(const struct reader *r, const struct vh_wire_header *h,
			const uint8_t *payload)
{
	struct vh_msg m;

	if (decode(&m, r, h, payload, 0xa5) == 0) {
		FUZZ_CHECK(m.channel == r->channel && m.id == h->request);
		FUZZ_CHECK(m.n_fds == r->n_fds);
		if (m.is_reply)
			check_reply(&m, r);
		else
			check_request(&m, r);
		check_print(&m);
		check_round_trip(&m, r, h);
		check_content(&m, h, payload);
		const int fd = vh_msg_take_fd(&m, 0);

		FUZZ_CHECK((fd >= 0) == (m.n_fds > 0));
		FUZZ_CHECK(vh_msg_take_fd(&m, 0) == -1);
		if (fd >= 0)
			close(fd);
	}
	vh_msg_close(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	const uint8_t switches = fuzz_u8(&in);
	struct reader r = {
		.channel = switches & SWITCH_BACKEND ? VH_CHANNEL_BACKEND
						     : VH_CHANNEL_MAIN,
		.carries_fds = !(switches & SWITCH_NO_FDS),
		.n_fds = switches >> SWITCH_N_FDS_SHIFT,
		.expect = {.id = fuzz_u8(&in), .acked = switches & SWITCH_ACKED},
	};
	uint8_t header[sizeof(struct vh_wire_header)];
	struct vh_wire_header h;
	const char *why = NULL;

	r.expecting = switches & SWITCH_EXPECT ? &r.expect : NULL;
	fuzz_bytes(&in, header, sizeof(header));
	if (vh_header_decode(header, &h, &why) < 0) {
		FUZZ_CHECK(why);
		return 0;
	}
	if (h.size > in.left) /* a connector would wait for the rest */
		return 0;
	const int before = lowest_fd();

	one_message(&r, &h, in.at);
	FUZZ_CHECK(lowest_fd() == before);
	return 0;
}
