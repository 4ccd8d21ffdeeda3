/* SPDX-License-Identifier: BSD-3-Clause */
/* See disk.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/blk/blk.h"
#include "disk.h"

/* ---- Life ---- */

static void *run(void *server)
{
	return (void *)(intptr_t)vh_server_run(server);
}

static size_t split_params(const char *const *words, char *room, struct vh_param *params)
{
	size_t n = 0;

	for (; words && words[n]; n++) {
		char *equals;

		strcpy(room, words[n]);
		equals = strchr(room, '=');
		*equals = '\0';
		params[n] = (struct vh_param){.key = room, .value = equals + 1};
		room = equals + 1 + strlen(equals + 1) + 1;
	}
	return n;
}

void disk_serve(struct disk *d, const char *address, const char *const *words)
{
	struct vh_param params[16];
	char room[2048];
	size_t n = split_params(words, room, params);

	memset(d, 0, sizeof(*d));
	for (unsigned i = 0; i < DISK_REACTORS; i++) {
		const struct vh_reactor_params p = {.size = sizeof(p),
						    .name = "test",
						    .cpu = -1,
						    .poll = i ? VH_POLL_ADAPTIVE
							      : VH_POLL_SLEEP};

		assert_int_equal(vh_reactor_create(&p, &d->reactor[i]), 0);
	}
	assert_int_equal(vh_server_create(d->reactor, DISK_REACTORS, &d->server), 0);
	assert_int_equal(
		vh_server_add(d->server, &vh_blk, NULL, address, params, n, &d->device),
		0);
	assert_int_equal(pthread_create(&d->thread, NULL, run, d->server), 0);
}

void disk_drive(struct disk *d, const char *address, const char *file, uint64_t features,
		unsigned n_queues)
{
	const struct vh_client_params p = {.size = sizeof(p),
					   .address = address,
					   .features = features | BIT(VIRTIO_F_VERSION_1),
					   .memory = DATA_ROOM + 8192,
					   .file = file};

	assert_int_equal(vh_client_create(&p, &d->client), 0);
	assert_int_equal(vh_client_connect(d->client), 0);
	assert_int_equal(vh_client_start(d->client, n_queues, 2048), 0);
	d->header = vh_client_alloc(d->client, 4096, 4096);
	d->status = d->header + 2048;
	d->data = vh_client_alloc(d->client, DATA_ROOM + 1, 4096);
	assert_non_null(d->data);
}

void disk_open(struct disk *d, const char *address, const char *const *params,
	       uint64_t features, unsigned n_queues)
{
	disk_serve(d, address, params);
	disk_drive(d, address, NULL, features, n_queues);
}

void disk_close(struct disk *d)
{
	void *result;

	vh_client_destroy(d->client);
	vh_server_stop(d->server);
	assert_int_equal(pthread_join(d->thread, &result), 0);
	assert_null(result);
	vh_server_destroy(d->server);
	for (unsigned i = DISK_REACTORS; i--;)
		vh_reactor_destroy(d->reactor[i]);
}

/* ---- Requests ---- */

static unsigned cut(struct iovec *iov, uint8_t *p, size_t len, unsigned piece)
{
	unsigned n = 0;

	while (len) {
		const size_t here = piece && piece < len ? piece : len;

		iov[n++] = (struct iovec){.iov_base = p, .iov_len = here};
		p += here;
		len -= here;
	}
	return n;
}

static void wait_for(struct vh_client_queue *q, uint32_t *used)
{
	while (!vh_client_get(q, used))
		assert_int_equal(vh_client_wait(q, 20000), 1);
}

uint8_t disk_do(struct disk *d, unsigned q, uint32_t type, uint64_t sector, size_t len,
		bool writes, const struct cuts *cuts, uint32_t *used)
{
	static const struct cuts none;
	const struct virtio_blk_outhdr h = {.type = type, .sector = sector};
	struct vh_client_queue *queue = vh_client_queue(d->client, q);
	struct iovec iov[MAX_PIECES];
	uint8_t *status = d->status;
	unsigned n_out, n_in = 0;
	uint32_t ignored;

	if (!cuts)
		cuts = &none;
	if (cuts->status_with_data)
		status = d->data + len;
	*status = NO_STATUS;
	memcpy(d->header, &h, sizeof(h));
	n_out = cut(iov, d->header, sizeof(h), cuts->header);
	if (writes)
		n_out += cut(iov + n_out, d->data, len, cuts->data);
	else
		n_in = cut(iov + n_out, d->data, len + cuts->status_with_data,
			   cuts->data);
	if (!cuts->status_with_data)
		n_in += cut(iov + n_out + n_in, status, 1, 0);
	assert_int_equal(vh_client_add(queue, iov, n_out, n_in, status), 0);
	vh_client_kick(queue);
	wait_for(queue, used ? used : &ignored);
	return *status;
}

uint8_t disk_read(struct disk *d, uint64_t sector, size_t len)
{
	memset(d->data, 0xcc, len);
	return disk_do(d, 0, VIRTIO_BLK_T_IN, sector, len, false, NULL, NULL);
}

uint8_t disk_write(struct disk *d, uint64_t sector, size_t len)
{
	return disk_do(d, 0, VIRTIO_BLK_T_OUT, sector, len, true, NULL, NULL);
}

uint8_t disk_range(struct disk *d, uint32_t type, uint64_t sector, uint32_t n,
		   uint32_t flags)
{
	const struct vh_blk_range g = {
		.sector = sector, .num_sectors = n, .flags = flags};

	memcpy(d->data, &g, sizeof(g));
	return disk_do(d, 0, type, 0, sizeof(g), true, NULL, NULL);
}

/* ---- Contents ---- */

static uint8_t byte_of(unsigned seed, size_t i)
{
	return (uint8_t)(seed * 131 + i * 7 + i / 251 + 1);
}

void disk_fill(struct disk *d, unsigned seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		d->data[i] = byte_of(seed, i);
}

bool disk_has(const struct disk *d, unsigned seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (d->data[i] != byte_of(seed, i))
			return false;
	return true;
}

bool disk_is_zero(const struct disk *d, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (d->data[i])
			return false;
	return true;
}
