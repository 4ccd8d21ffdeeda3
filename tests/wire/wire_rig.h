/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the specification says of each message, written down a second time, as
 * numbers, so that a slip in messages.def does not go into the tests as well.
 */
#ifndef TESTS_WIRE_WIRE_RIG_H
#define TESTS_WIRE_WIRE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "wire/msg.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define HEADER	   sizeof(struct vh_wire_header)
#define VERSION	   1u
#define REPLY	   4u
#define NEED_REPLY 8u
#define NO_FD	   0x100u

#define MAIN VH_CHANNEL_MAIN
#define BACK VH_CHANNEL_BACKEND

/* Sizes that are no fixed number. */
enum { ANY = -1, TABLE = -2, SPACE = -3 };

/* fds: '0', '1', 'r' for each region, 'k' by the no-fd bit, 'l' log, 'o' optional. */
struct row {
	enum vh_channel channel;
	uint32_t id;
	const char *name;
	int size, size2; /* size2: the other one that is taken, or 0, the same */
	char fds;
};

static const struct row rows[] __attribute__((unused)) = {
	{MAIN, 1, "GET_FEATURES", 0, 0, '0'},
	{MAIN, 2, "SET_FEATURES", 8, 8, '0'},
	{MAIN, 3, "SET_OWNER", 0, 0, '0'},
	{MAIN, 4, "RESET_OWNER", 0, 0, '0'},
	{MAIN, 5, "SET_MEM_TABLE", TABLE, TABLE, 'r'},
	{MAIN, 6, "SET_LOG_BASE", 16, 8, 'l'},
	{MAIN, 7, "SET_LOG_FD", 0, 8, 'k'},
	{MAIN, 8, "SET_VRING_NUM", 8, 8, '0'},
	{MAIN, 9, "SET_VRING_ADDR", 40, 40, '0'},
	{MAIN, 10, "SET_VRING_BASE", 8, 8, '0'},
	{MAIN, 11, "GET_VRING_BASE", 8, 8, '0'},
	{MAIN, 12, "SET_VRING_KICK", 8, 8, 'k'},
	{MAIN, 13, "SET_VRING_CALL", 8, 8, 'k'},
	{MAIN, 14, "SET_VRING_ERR", 8, 8, 'k'},
	{MAIN, 15, "GET_PROTOCOL_FEATURES", 0, 0, '0'},
	{MAIN, 16, "SET_PROTOCOL_FEATURES", 8, 8, '0'},
	{MAIN, 17, "GET_QUEUE_NUM", 0, 0, '0'},
	{MAIN, 18, "SET_VRING_ENABLE", 8, 8, '0'},
	{MAIN, 19, "SEND_RARP", 8, 8, '0'},
	{MAIN, 20, "NET_SET_MTU", 8, 8, '0'},
	{MAIN, 21, "SET_BACKEND_REQ_FD", 0, 0, '1'},
	{MAIN, 22, "IOTLB_MSG", 32, 32, '0'},
	{MAIN, 23, "SET_VRING_ENDIAN", 8, 8, '0'},
	{MAIN, 24, "GET_CONFIG", SPACE, SPACE, '0'},
	{MAIN, 25, "SET_CONFIG", SPACE, SPACE, '0'},
	{MAIN, 26, "CREATE_CRYPTO_SESSION", ANY, ANY, '0'},
	{MAIN, 27, "CLOSE_CRYPTO_SESSION", 8, 8, '0'},
	{MAIN, 28, "POSTCOPY_ADVISE", 0, 0, '0'},
	{MAIN, 29, "POSTCOPY_LISTEN", 0, 0, '0'},
	{MAIN, 30, "POSTCOPY_END", 0, 0, '0'},
	{MAIN, 31, "GET_INFLIGHT_FD", 24, 20, '0'},
	{MAIN, 32, "SET_INFLIGHT_FD", 24, 20, '1'},
	{MAIN, 33, "GPU_SET_SOCKET", 0, 0, '1'},
	{MAIN, 34, "RESET_DEVICE", 0, 0, '0'},
	{MAIN, 35, "VRING_KICK", 8, 8, '0'},
	{MAIN, 36, "GET_MAX_MEM_SLOTS", 0, 0, '0'},
	{MAIN, 37, "ADD_MEM_REG", 40, 40, '1'},
	{MAIN, 38, "REM_MEM_REG", 40, 40, 'o'},
	{MAIN, 39, "SET_STATUS", 8, 8, '0'},
	{MAIN, 40, "GET_STATUS", 0, 0, '0'},
	{MAIN, 41, "GET_SHARED_OBJECT", 16, 16, '0'},
	{MAIN, 42, "SET_DEVICE_STATE_FD", 8, 8, '1'},
	{MAIN, 43, "CHECK_DEVICE_STATE", 0, 0, '0'},
	{MAIN, 44, "GET_SHMEM_CONFIG", 0, 0, '0'},
	{MAIN, 45, "GET_VRING_BASE_SKIP_DRAIN", 8, 8, '0'},
	{BACK, 1, "BACKEND_IOTLB_MSG", 32, 32, '0'},
	{BACK, 2, "BACKEND_CONFIG_CHANGE_MSG", 0, 0, '0'},
	{BACK, 3, "BACKEND_VRING_HOST_NOTIFIER_MSG", 24, 24, 'k'},
	{BACK, 4, "BACKEND_VRING_CALL", 8, 8, '0'},
	{BACK, 5, "BACKEND_VRING_ERR", 8, 8, '0'},
	{BACK, 6, "BACKEND_SHARED_OBJECT_ADD", 16, 16, '0'},
	{BACK, 7, "BACKEND_SHARED_OBJECT_REMOVE", 16, 16, '0'},
	{BACK, 8, "BACKEND_SHARED_OBJECT_LOOKUP", 16, 16, '0'},
	{BACK, 9, "BACKEND_SHMEM_MAP", 40, 40, '1'},
	{BACK, 10, "BACKEND_SHMEM_UNMAP", 40, 40, '0'},
};

#define ROWS_END (rows + ARRAY_LEN(rows))

static inline bool row_takes_size(const struct row *r, uint32_t size)
{
	switch (r->size) {
	case ANY:
		return true;
	case TABLE:
		return size >= 8 && (size - 8) % 32 == 0 && (size - 8) / 32 <= 8;
	case SPACE:
		return size >= 12 && size <= 12 + 4096;
	default:
		return size == (uint32_t)r->size || size == (uint32_t)r->size2;
	}
}

/* A size that the row takes. */
static inline uint32_t row_size(const struct row *r)
{
	switch (r->size) {
	case ANY:
		return 64;
	case TABLE:
		return 8 + 2 * 32;
	case SPACE:
		return 12 + 24;
	default:
		return r->size;
	}
}

static inline bool row_takes_fds(const struct row *r, unsigned n)
{
	switch (r->fds) {
	case '1':
	case 'k': /* make_payload() leaves the no-fd bit clear */
		return n == 1;
	case 'r':
		return n == 2;
	case 'l':
	case 'o':
		return n <= 1;
	default:
		return n == 0;
	}
}

/* The number of fds that a message of row_size() bytes carries at least. */
static inline unsigned row_fds(const struct row *r)
{
	return r->fds == 'r' ? 2 : r->fds == '1' || r->fds == 'k';
}

/* ---- Bytes ---- */

static inline void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* Bytes that all differ, with such numbers in them as make @size right. */
static inline void make_payload(const struct row *r, uint32_t size, uint8_t *p)
{
	for (uint32_t i = 0; i < VH_MAX_PAYLOAD; i++)
		p[i] = 0x11 + i % 199;
	if (r->size == TABLE)
		put32(p, size < 8 ? 0 : (size - 8) / 32);
	if (r->size == SPACE) {
		put32(p + 4, size < 12 ? 0 : size - 12);
		put32(p + 8, 1);
	}
	if (r->channel == MAIN && r->id == 7)
		put64(p, 0);
	else if (r->fds == 'k')
		put64(p, 0x5a);
	if (r->channel == MAIN && r->id == 9)
		put32(p + 4, 1);
	if (!strcmp(r->name + (r->channel == BACK ? strlen("BACKEND_") : 0), "IOTLB_MSG"))
		p[24] = 3;
	if (r->channel == BACK && (r->id == 9 || r->id == 10))
		put64(p + 32, 1);
}

static inline struct vh_wire_header header(uint32_t id, uint32_t flags, uint32_t size)
{
	return (struct vh_wire_header){.request = id, .flags = flags, .size = size};
}

/* ---- fds ---- */

/* Open descriptors of this process below 256. */
static inline unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static inline void open_fds(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
}

/* ---- Decoding ---- */

/* What decoding says of a request that comes with @n_fds fds; @m is to be closed. */
static inline int decode_with_fds(struct vh_msg *m, const struct row *r, uint32_t size,
				  const uint8_t *payload, unsigned n_fds)
{
	const struct vh_wire_header h = header(r->id, VERSION, size);
	const char *why;
	int fds[16] = {0};

	open_fds(fds, n_fds);
	return vh_msg_decode(m, r->channel, &h, payload, fds, n_fds, NULL, true, &why);
}

/* The same on a connector that carries no fds. */
static inline int decode_bare(struct vh_msg *m, const struct row *r, uint32_t size,
			      const uint8_t *payload)
{
	const struct vh_wire_header h = header(r->id, VERSION, size);
	const char *why;

	return vh_msg_decode(m, r->channel, &h, payload, NULL, 0, NULL, false, &why);
}

#endif
