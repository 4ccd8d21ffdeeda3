/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes the first corpus of fuzz_decode into a folder: every message that can
 * be encoded, and every reply of the table, valid, and a few near misses.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "wire/msg.h"

/* As fuzz_decode.c reads them. */
enum { SWITCH_BACKEND = 1, SWITCH_EXPECT = 4, SWITCH_ACKED = 8 };

static const char *folder;
static unsigned n_failed;

static void write_file(const char *name, uint8_t switches, uint8_t expect,
		       const uint8_t *bytes, size_t len)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");

	if (!f || fputc(switches, f) == EOF || fputc(expect, f) == EOF ||
	    fwrite(bytes, 1, len, f) != len || fclose(f) != 0) {
		perror(path);
		n_failed++;
	}
}

static void fill(struct vh_msg *m)
{
	switch (m->payload) {
	case VH_PAYLOAD_MEM:
		m->mem.n = 2;
		m->mem.region[0] = (struct vh_wire_region){0, 0x1000, 0x7f0000000000, 0};
		m->mem.region[1] =
			(struct vh_wire_region){0x100000, 0x2000, 0x7f0000100000, 4096};
		break;
	case VH_PAYLOAD_CONFIG:
		m->config.size = 8;
		break;
	case VH_PAYLOAD_ADDR:
		m->addr.flags = VH_VRING_F_LOG;
		break;
	case VH_PAYLOAD_IOTLB:
		m->iotlb.perm = VH_IOTLB_READ | VH_IOTLB_WRITE;
		m->iotlb.type = VH_IOTLB_UPDATE;
		break;
	case VH_PAYLOAD_INFLIGHT:
		m->inflight = (struct vh_wire_inflight){4096, 0, 2, 128, 0};
		break;
	default:
		break;
	}
}

static unsigned fds_of(const struct vh_msg *m, unsigned rule)
{
	switch (rule) {
	case VH_FDS_0:
	case VH_FDS_OPTIONAL:
		return 0;
	case VH_FDS_REGIONS:
		return m->mem.n;
	default:
		return 1;
	}
}

static void write_msg(struct vh_msg *m, const char *prefix, unsigned n_fds,
		      uint8_t switches, uint8_t expect)
{
	uint8_t buf[sizeof(struct vh_wire_header) + VH_MAX_PAYLOAD];
	const int len = vh_msg_encode(m, buf, sizeof(buf));
	char name[64];

	if (len < 0)
		return;
	if (m->channel == VH_CHANNEL_BACKEND)
		switches |= SWITCH_BACKEND;
	snprintf(name, sizeof(name), "%s%s", prefix, vh_msg_name(m->channel, m->id));
	write_file(name, switches | n_fds << 4, expect, buf, len);
}

static void write_row(enum vh_channel channel, uint32_t id)
{
	const struct vh_rule *rule = vh_rule_of(channel, id);
	struct vh_msg m, r;

	vh_msg_init(&m, channel, id);
	fill(&m);
	m.need_reply = id & 1;
	write_msg(&m, "", fds_of(&m, rule->fds), 0, 0);
	/* One ack is like any other. */
	if (rule->reply == VH_PAYLOAD_ACK && id != VH_MSG_SET_FEATURES)
		return;
	vh_msg_init_reply(&r, &m, rule->reply);
	fill(&r);
	write_msg(&r, "reply-", fds_of(&r, rule->reply_fds),
		  SWITCH_EXPECT | (rule->reply == VH_PAYLOAD_ACK ? SWITCH_ACKED : 0), id);
}

static void write_specials(void)
{
	const uint32_t unknown[3] = {99, VH_FLAG_VERSION | VH_FLAG_NEED_REPLY, 0};
	const uint32_t huge[3] = {VH_MSG_SET_CONFIG, VH_FLAG_VERSION, UINT32_MAX};
	struct vh_msg m;

	write_file("unknown-with-fds", 3 << 4, 0, (const uint8_t *)unknown,
		   sizeof(unknown));
	write_file("huge", 0, 0, (const uint8_t *)huge, sizeof(huge));
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_CONFIG);
	m.config.size = VH_MAX_CONFIG;
	write_msg(&m, "largest-", 0, 0, 0);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_LOG_BASE);
	m.payload = VH_PAYLOAD_U64;
	write_msg(&m, "u64-", 0, 0, 0);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_VRING_CALL);
	m.u64 = VH_VRING_NO_FD | 1;
	write_msg(&m, "nofd-", 0, 0, 0);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_GET_CONFIG);
	m.is_reply = m.empty = true;
	write_msg(&m, "refused-", 0, SWITCH_EXPECT, m.id);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_SET_MEM_TABLE);
	fill(&m);
	m.is_reply = true;
	write_msg(&m, "postcopy-", 0, SWITCH_EXPECT, m.id);
	vh_msg_init(&m, VH_CHANNEL_MAIN, VH_MSG_ADD_MEM_REG);
	m.is_reply = true;
	write_msg(&m, "postcopy-", 0, SWITCH_EXPECT, m.id);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	folder = argv[1];
	for (uint32_t id = 1; vh_rule_of(VH_CHANNEL_MAIN, id); id++)
		write_row(VH_CHANNEL_MAIN, id);
	for (uint32_t id = 1; vh_rule_of(VH_CHANNEL_BACKEND, id); id++)
		write_row(VH_CHANNEL_BACKEND, id);
	write_specials();
	return n_failed ? 1 : 0;
}
