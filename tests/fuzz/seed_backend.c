/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * seed-backend FOLDER: a first corpus for fuzz_backend.  For each message one
 * input that gives it to a device that runs, and has the shell do its part; and
 * what the shell may have to tell by itself.
 */
#include <stdio.h>
#include <string.h>

#include "wire/msg.h"

enum { OFFER = 16, DONE = 64, SETTLED, SETTLED_RAW, BROKEN, CONFIG_CHANGED, GONE };

/* Selectors that fuzz_backend reads for a payload; of all of them the first choice. */
static unsigned selectors(const struct vh_rule *rule)
{
	switch (rule->payload) {
	case VH_PAYLOAD_STATE:
	case VH_PAYLOAD_LOG:
		return 2;
	case VH_PAYLOAD_CONFIG:
		return 3;
	case VH_PAYLOAD_MEM_REG:
	case VH_PAYLOAD_INFLIGHT:
		return 4;
	case VH_PAYLOAD_ADDR:
		return 6;
	default:
		return 1;
	}
}

static int write_input(const char *folder, const char *name, const unsigned char *bytes,
		       size_t n)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "wb");
	if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

/* done; both queues settled at base 7; a fault; both queues settled */
static const unsigned char shell[] = {DONE,   0, SETTLED, 7, 0, SETTLED, 7, 0,
				      BROKEN, 0, SETTLED, 7, 0, SETTLED, 7, 0};

static int write_message(const char *folder, unsigned id)
{
	const struct vh_rule *rule = vh_rule_of(VH_CHANNEL_MAIN, id);
	unsigned char bytes[64] = {OFFER, id};
	size_t n;

	if (!rule)
		return 0;
	n = 2 + selectors(rule);
	memcpy(bytes + n, shell, sizeof(shell));
	return write_input(folder, rule->name, bytes, n + sizeof(shell));
}

/* An area that is made, given, and too small for a ring, and a ring that is too large. */
static const unsigned char inflight[] = {0,
					 VH_MSG_SET_PROTOCOL_FEATURES,
					 2,
					 VH_MSG_SET_FEATURES,
					 1,
					 DONE,
					 0,
					 VH_MSG_GET_INFLIGHT_FD,
					 0,
					 0,
					 0,
					 0,
					 DONE,
					 0,
					 VH_MSG_SET_INFLIGHT_FD,
					 0,
					 0,
					 0,
					 0,
					 DONE,
					 0,
					 VH_MSG_SET_VRING_NUM,
					 0,
					 4,
					 VH_MSG_SET_VRING_NUM,
					 0,
					 0,
					 VH_MSG_SET_INFLIGHT_FD,
					 0,
					 0,
					 1,
					 1,
					 VH_MSG_SET_INFLIGHT_FD,
					 1,
					 1,
					 0,
					 0,
					 DONE,
					 2,
					 VH_MSG_RESET_DEVICE,
					 0,
					 GONE};

int main(int argc, char **argv)
{
	static const unsigned char news[] = {OFFER,
					     VH_MSG_SET_BACKEND_REQ_FD,
					     0,
					     DONE,
					     0,
					     CONFIG_CHANGED,
					     VH_MSG_RESET_DEVICE,
					     0,
					     CONFIG_CHANGED,
					     SETTLED_RAW,
					     0,
					     0,
					     0,
					     0,
					     BROKEN,
					     1,
					     GONE};
	int failed = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: seed-backend FOLDER\n");
		return 2;
	}
	for (unsigned id = 0; id < 64; id++)
		failed |= write_message(argv[1], id);
	failed |= write_input(argv[1], "inflight", inflight, sizeof(inflight));
	return failed | write_input(argv[1], "news", news, sizeof(news));
}
